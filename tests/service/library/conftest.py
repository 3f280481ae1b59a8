"""A library of four painted photographs, and one whose model is to change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import service.encoder.library_encoders
import service.match.scorer
from service.library import Library
from service.match.scorer import find_artifact
from tests.service.colours import ColourEncoder, paint
from tests.service.library.colour_library import OTHER, Models, index, opened


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models()
    monkeypatch.setattr(service.encoder.library_encoders, "load_encoder", models.load)
    # Without this they would get the match of the built-in model, whose name they have.
    monkeypatch.setattr(
        service.match.scorer, "find_artifact", lambda encoder, library, model: find_artifact(encoder, library)
    )
    return models


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "photographs"
    for name in ("red", "green", "blue", "yellow"):
        paint(folder / f"{name}.png", name)
    return folder


@pytest.fixture
def library(tmp_path: Path, models: Models) -> Iterator[Library]:
    with opened(tmp_path / "library") as library:
        yield library


@pytest.fixture
def changing(library: Library, photographs: Path, models: Models) -> Library:
    """A library of `mini`, and a second model with more dimensions to change to."""
    models.known[OTHER] = ColourEncoder(OTHER, "others", dimension=6)
    index(library, photographs)
    return library
