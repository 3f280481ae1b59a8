"""A second encoder is an ordinary CLIP whose vectors agree with mini's on the photographs it was fitted on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.encoder.encoder import Encoder
from service.errors import DataError
from service.photos.decode import open_photograph
from tests.training.similar.pictures import striped_kinds
from tests.training.tiny_towers import tiny_image_tower
from training.sibling import make_sibling

pytestmark = pytest.mark.e2e


def test_a_sibling_loads_like_any_model_and_agrees_with_mini(tmp_path: Path) -> None:
    photos = sorted(striped_kinds(tmp_path / "photos", 6).rglob("*.png"))
    fingerprint = make_sibling(photos, tmp_path / "model", tiny_image_tower())
    sibling = Encoder.load(f"local-dir:{tmp_path / 'model'}", device="cpu", precision="fp32")
    mini = Encoder.load("mini", device="cpu", precision="fp32")
    assert sibling.fingerprint == fingerprint != mini.fingerprint
    assert np.allclose(sibling.encode_texts(["a cat"]), mini.encode_texts(["a cat"]), atol=1e-2)
    images = [open_photograph(file).image for file in photos]
    ours, theirs = sibling.encode_photographs(images), mini.encode_photographs(images)
    agreement = (ours * theirs).sum(axis=1).mean()
    others = (ours * np.roll(theirs, 6, axis=0)).sum(axis=1).mean()
    assert agreement > 0.9
    assert agreement > others + 0.05


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--photos DIR"):
        make_sibling([], tmp_path / "model", tiny_image_tower())
    assert not (tmp_path / "model").exists()
