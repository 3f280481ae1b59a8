"""What the tests of the service share: a few photographs, and libraries of them made with the tiny model."""

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
class Shelf:
    """A folder of five photographs in five formats, a library of it, and the model that made it."""

    library: Path
    photographs: Path
    model: str

    def open(self, **settings: object) -> Library:
        """The library, opened as a program opens it."""
        from service.config import Settings
        from service.library import Library

        chosen = {"library": self.library, "device": "cpu", "precision": "fp32"} | settings
        return Library.open(self.library, Settings(**chosen), create=True)


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> None:
    """Vectors are the same on every machine."""
    monkeypatch.setenv("SMYSL_DEVICE", "cpu")
    monkeypatch.setenv("SMYSL_PRECISION", "fp32")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs to copy from: a JPEG, a PNG, a TIFF, a WebP and a HEIC, each 80 x 60 pixels."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed, name in enumerate(["wood.jpg", "sand.png", "moss.tif", "snow.webp", "clay.heic"]):
        save_picture(folder / name, seed)
    return folder


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory, pictures: Path, tiny: Encoder) -> Shelf:
    """Photographs and a library of them that all tests read and none changes."""
    shelf = Shelf(tmp_path_factory.mktemp("standing") / "library", pictures, tiny.name)
    with shelf.open() as library:
        for _ in library.index([pictures], encoder=tiny):
            pass
    return shelf


@pytest.fixture
def empty_shelf(tmp_path: Path, pictures: Path, tiny_folder: Path) -> Shelf:
    """Photographs that no library holds yet."""
    photographs = tmp_path / "photographs"
    shutil.copytree(pictures, photographs)
    return Shelf(tmp_path / "library", photographs, f"local-dir:{tiny_folder}")


@pytest.fixture
def shelf(empty_shelf: Shelf, tiny: Encoder) -> Shelf:
    """Photographs and a library of them, to do with as a test likes."""
    with empty_shelf.open() as library:
        for _ in library.index([empty_shelf.photographs], encoder=tiny):
            pass
    return empty_shelf
