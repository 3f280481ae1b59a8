"""Folders of photographs that can be indexed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.indexing.indexed_folders import IndexedFolders


@pytest.fixture
def indexed(tmp_path: Path) -> Iterator[IndexedFolders]:
    indexed = IndexedFolders(tmp_path.resolve())
    yield indexed
    indexed.catalog.close()
