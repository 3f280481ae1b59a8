"""Fixtures of all tests of the service: five photographs, and libraries of them made with the tiny model."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.service.pictures import save_picture

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.library import Library


@dataclass(frozen=True)
class SampleLibrary:
    """Five photographs in five formats, the folder of their library, and the name of its model."""

    folder: Path
    photographs: Path
    model: str

    def open(self, **settings: object) -> Library:
        """Open the library, or make it, as a program does."""
        from service.config import Settings
        from service.library import Library

        chosen = {"library": self.folder, "device": "cpu", "precision": "fp32"} | settings
        return Library.open(self.folder, Settings(**chosen), create=True)


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> None:
    """Compute in float32 on the CPU, so that vectors are the same on every machine."""
    monkeypatch.setenv("SMYSL_DEVICE", "cpu")
    monkeypatch.setenv("SMYSL_PRECISION", "fp32")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs to read or copy: a JPEG, a PNG, a TIFF, a WebP and a HEIC, each 80 x 60 pixels."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed, name in enumerate(["wood.jpg", "sand.png", "moss.tif", "snow.webp", "clay.heic"]):
        save_picture(folder / name, seed)
    return folder


@pytest.fixture(scope="session")
def shared_library(tmp_path_factory: pytest.TempPathFactory, pictures: Path, tiny: Encoder) -> SampleLibrary:
    """A library for tests that only read it."""
    sample = SampleLibrary(tmp_path_factory.mktemp("shared") / "library", pictures, tiny.name)
    with sample.open() as library:
        for _ in library.index([pictures], encoder=tiny):
            pass
    return sample


@pytest.fixture
def unindexed_library(tmp_path: Path, pictures: Path, tiny_folder: Path) -> SampleLibrary:
    """Photographs whose library has not been made yet."""
    photographs = tmp_path / "photographs"
    shutil.copytree(pictures, photographs)
    return SampleLibrary(tmp_path / "library", photographs, f"local-dir:{tiny_folder}")


@pytest.fixture
def sample_library(unindexed_library: SampleLibrary, tiny: Encoder) -> SampleLibrary:
    """A library for one test, which may change it."""
    with unindexed_library.open() as library:
        for _ in library.index([unindexed_library.photographs], encoder=tiny):
            pass
    return unindexed_library


@pytest.fixture
def head_folder(tmp_path: Path, tiny: Encoder) -> Path:
    """A folder with a head on the 32 features of the tiny model, which compares photographs like the model itself."""
    from tests.service.sample_heads import make_head, make_projection

    folder = tmp_path / "head"
    make_head(make_projection(tiny.fingerprint, 32, model=tiny.name), candidate="all of it").save(folder)
    return folder
