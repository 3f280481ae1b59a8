"""Photographs in a catalog, for tests of kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.kinds.labels import Kinds
from service.store.catalog import Catalog
from service.store.records import Entry, FileInfo, PhotographFacts


class Photographs:
    """A catalog of photographs in a folder, with meaningless vectors: kinds do not depend on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "photographs"
        self.folder.mkdir()
        self.catalog = Catalog(folder / "catalog.sqlite")
        self.root, _ = self.catalog.add_root(self.folder.resolve())
        self.kinds = Kinds(self.catalog)

    def add(self, *names: str) -> list[int]:
        entries = []
        for name in names:
            folder, _, file = name.rpartition("/")
            facts = PhotographFacts(FileInfo(self.root.id, folder, file, 1, 1), name.encode(), 40, 40, "JPEG")
            entries.append(Entry(facts, {"x": np.ones(2, np.float16)}, b"jpeg"))
        return self.catalog.write(entries)


@pytest.fixture
def photographs(tmp_path: Path) -> Iterator[Photographs]:
    photographs = Photographs(tmp_path)
    yield photographs
    photographs.catalog.close()
