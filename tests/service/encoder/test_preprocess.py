"""The pixels that a tower looks at are those that open_clip's own transform makes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.encoder.preprocess import Preprocessing
from service.encoder.torchvision_compat import mend_torchvision

SIZES = [(64, 48), (300, 200), (31, 90), (500, 500), (17, 16), (1001, 333)]


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(4)
    return [Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)) for width, height in SIZES]


@pytest.mark.parametrize("resize_mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [32, 45, (32, 48)])
def test_pixels_are_those_of_open_clip(resize_mode: str, interpolation: str, size: Any) -> None:
    mend_torchvision()
    from open_clip.transform import PreprocessCfg, image_transform_v2

    if resize_mode == "shortest" and not isinstance(size, int) and interpolation == "bilinear":
        pytest.skip("open_clip resizes to oblongs by bicubic only")
    facts = {"size": size, "resize_mode": resize_mode, "interpolation": interpolation, "mean": (0.4, 0.5, 0.6)}
    transform = image_transform_v2(PreprocessCfg(**facts), is_train=False)
    preparation = Preprocessing.from_config({**facts, "std": PreprocessCfg().std})
    for picture in pictures():
        prepared = preparation(picture)
        assert prepared.dtype == np.uint8
        ours = preparation.normalised(prepared[None])[0]
        assert ours == pytest.approx(transform(picture).numpy(), abs=1e-5)


def test_facts_survive_being_written() -> None:
    preparation = Preprocessing.from_config({"size": [32, 48], "mean": 0.5, "std": [0.1, 0.2, 0.3]})
    assert preparation.side == 48
    assert Preprocessing.from_config(json.loads(json.dumps(preparation.as_json()))) == preparation
