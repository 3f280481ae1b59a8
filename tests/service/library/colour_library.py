"""Libraries of painted photographs whose models are fake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.config import Settings
from service.indexing.indexer import Finished, Summary
from service.indexing.options import IndexOptions
from service.library import Library
from service.search.query import Query
from tests.service.colours import ColourEncoder

OTHER = "ViT-B-32-SigLIP2-256/webli"
"""A name that `parse_name` accepts; the encoder is a fake."""


class Models:
    """Fake models that can be loaded, by name; `loaded` names those that were."""

    def __init__(self) -> None:
        self.known = {"mini": ColourEncoder()}
        self.loaded: list[str] = []

    def load(self, name: str, settings: Settings, on_progress: object = None, say: object = None) -> ColourEncoder:
        self.loaded.append(name)
        return self.known[name]


def opened(folder: Path, model: str | None = "mini") -> Library:
    return Library.open(folder, Settings(library=folder, model=model, batch_size=2), create=True)


def index(library: Library, *folders: Path, **options: Any) -> Summary:
    (summary,) = [
        event.summary for event in library.index(folders, IndexOptions(**options)) if isinstance(event, Finished)
    ]
    return summary


def found(library: Library, text: str, k: int = 5) -> list[str]:
    return [hit.photograph.name for hit in library.search(Query(text=text, k=k)).hits]
