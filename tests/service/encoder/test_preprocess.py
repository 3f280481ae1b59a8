"""Preprocessing gives the pixels of open_clip's own transform."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.encoder.preprocess import Preprocessing
from service.encoder.torchvision_compat import mend_torchvision
from tests.pixels import normalised

SIZES = [(64, 48), (300, 200), (31, 90), (500, 500), (17, 16), (1001, 333)]


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(4)
    return [Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)) for width, height in SIZES]


@pytest.mark.parametrize("resize_mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [32, 45, (32, 48)])
def test_pixels_equal_open_clips(resize_mode: str, interpolation: str, size: Any) -> None:
    mend_torchvision()
    from open_clip.transform import PreprocessCfg, image_transform_v2

    if resize_mode == "shortest" and not isinstance(size, int) and interpolation == "bilinear":
        pytest.skip("open_clip resizes to rectangles by bicubic only")
    config = {"size": size, "resize_mode": resize_mode, "interpolation": interpolation, "mean": (0.4, 0.5, 0.6)}
    transform = image_transform_v2(PreprocessCfg(**config), is_train=False)
    preprocessing = Preprocessing.from_config({**config, "std": PreprocessCfg().std})
    for picture in pictures():
        prepared = preprocessing(picture)
        assert prepared.dtype == np.uint8
        ours = normalised(preprocessing, prepared[None])[0]
        assert ours == pytest.approx(transform(picture).numpy(), abs=1e-5)


def test_json_round_trip() -> None:
    preprocessing = Preprocessing.from_config({"size": [32, 48], "mean": 0.5, "std": [0.1, 0.2, 0.3]})
    assert preprocessing.side == 48
    assert Preprocessing.from_config(json.loads(json.dumps(preprocessing.as_json()))) == preprocessing
