"""Pooled features: in the order of the files, each content encoded once, cached between runs, bad files named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval import feature_cache as module
from eval.feature_cache import Augmentation, features_of
from service.encoder.encoder import Encoder
from service.errors import UsageError
from service.photos.decode import open_photograph
from service.types import Float32Array

pytestmark = pytest.mark.e2e

COLOURS = ("red", "green", "blue", "white", "orange", "purple")


class CountingEncoder:
    """An encoder that counts the photographs it encodes."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.photograph_side = encoder.photograph_side
        self.features_fingerprint = encoder.features_fingerprint
        self.prepare = encoder.prepare
        self.encoded = 0

    def encode_with_features(self, prepared: Sequence[Float32Array]) -> tuple[Float32Array, Float32Array]:
        self.encoded += len(prepared)
        return self._encoder.encode_with_features(prepared)


@pytest.fixture
def encoder(tiny: Encoder) -> CountingEncoder:
    return CountingEncoder(tiny)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Six pictures, each of its own colour and gradient."""
    made = []
    for number, colour in enumerate(COLOURS):
        made.append(tmp_path / f"{number}.png")
        picture = Image.new("RGB", (48, 40), colour)
        picture.paste("black", (0, 0, 8 * number, 20))
        picture.save(made[-1])
    return made


def test_features_stand_in_the_order_of_the_files(
    files: list[Path], tiny: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 4)
    reports: list[tuple[int, int]] = []
    made = features_of(files, tiny, on_progress=lambda done, total: reports.append((done, total)), threads=2)
    prepared = [tiny.prepare(open_photograph(file).image) for file in files]
    assert np.allclose(made.features, tiny.encode_with_features(prepared)[1], atol=1e-5)
    assert made.rows.tolist() == list(range(6))
    assert made.failed == ()
    assert reports == [(0, 6), (4, 6), (6, 6)]


def test_a_photograph_that_cannot_be_read_is_named_and_left_out(files: list[Path], tiny: Encoder) -> None:
    files[1].write_bytes(b"no picture")
    files[3].unlink()
    made = features_of(files, tiny)
    assert made.rows.tolist() == [0, 2, 4, 5]
    assert len(made.features) == 4
    assert [each.file for each in made.failed] == [files[1], files[3]]
    assert "not a photograph" in made.failed[0].reason
    assert "does not exist" in made.failed[1].reason


def test_a_content_is_encoded_once(files: list[Path], encoder: Any) -> None:
    files[4].write_bytes(files[0].read_bytes())
    made = features_of(files, encoder)
    assert encoder.encoded == 5
    assert np.array_equal(made.features[4], made.features[0])


def test_cached_features_are_not_encoded_again(files: list[Path], encoder: Any, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = features_of(files[:4], encoder, cache)
    moved = files[0].rename(tmp_path / "moved.png")
    again = features_of([moved, *files[1:]], encoder, cache)
    assert encoder.encoded == 6
    assert np.array_equal(again.features[:4], first.features)


def test_an_interrupted_run_resumes(
    files: list[Path], encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(module, "KEPT_AT_ONCE", 2)

    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features_of(files, encoder, tmp_path / "cache", stop)
    assert len(features_of(files, encoder, tmp_path / "cache").rows) == 6
    assert encoder.encoded == 6 + 2


def test_a_damaged_cache_file_is_made_again(files: list[Path], encoder: Any, tmp_path: Path) -> None:
    made = features_of(files, encoder, tmp_path)
    for kept in tmp_path.rglob("*.npz"):
        kept.write_bytes(kept.read_bytes()[:100])
    assert np.allclose(features_of(files, encoder, tmp_path).features, made.features)
    assert encoder.encoded == 12


def test_a_cache_that_cannot_be_written_is_reported(files: list[Path], tiny: Encoder, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot be kept"):
        features_of(files, tiny, tmp_path / "file")


def test_no_photographs_have_no_features(tiny: Encoder) -> None:
    assert len(features_of([], tiny).rows) == 0


def random_crop(image: Image.Image, side: int, generator: np.random.Generator) -> Image.Image:
    left, upper = generator.uniform(0, 0.4, 2) * image.size
    return image.resize((side, side), box=(left, upper, left + 0.6 * image.width, upper + 0.6 * image.height))


def test_a_view_is_another_picture_of_the_same_photograph_and_always_the_same(
    files: list[Path], encoder: Any, tmp_path: Path
) -> None:
    first, second = Augmentation(1, random_crop), Augmentation(2, random_crop)
    whole = features_of(files, encoder, tmp_path / "cache").features
    view = features_of(files, encoder, tmp_path / "cache", augmentation=first).features
    assert not np.allclose(whole, view)
    assert not np.allclose(features_of(files, encoder, augmentation=second).features, view)
    assert np.array_equal(features_of(files[::-1], encoder, augmentation=first).features[::-1], view)
    encoded = encoder.encoded
    assert np.array_equal(features_of(files, encoder, tmp_path / "cache", augmentation=first).features, view)
    assert encoder.encoded == encoded, "the cache keeps each view by itself"
