"""A catalog of random vectors with dates and cameras, and scorers, for tests of pages and filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from service.index import Limits, VectorIndex
from service.index.attributes import AttributeIndex
from service.match.artifact import QueryKind
from service.match.scorer import Scorer
from service.search.browse import browse
from service.search.hits import SearchResult
from service.search.query import Query
from service.search.search import search
from service.search.selection import OfflinePlaces, Selector
from service.search.target import QueryItem
from service.store.catalog import Catalog
from service.store.metadata import Metadata
from service.store.records import Details, Entry, FileInfo, PhotographFacts
from service.types import Float16Array, Float32Array
from tests.service.colours import ColourEncoder
from tests.service.sample_artifacts import unit

DIMENSION = 8
MODEL = "model"


class Monotone(Scorer):
    """A match that falls with the similarity."""

    def __init__(self, min_match: float = 0.0) -> None:
        super().__init__(ColourEncoder(), None, np.empty((0, DIMENSION), np.float32))
        self.own_cut = min_match
        self.is_noisy = False

    @property
    def min_match(self) -> float:
        return self.own_cut

    def match(self, query: Float32Array, photographs: Float32Array, kind: QueryKind) -> Float32Array:
        return self.exact(query, photographs) * self.noise(len(photographs))

    def exact(self, query: Float32Array, photographs: Float32Array) -> Float32Array:
        return ((1.0 + photographs.astype(np.float64) @ query.astype(np.float64)) / 2).astype(np.float32)

    def noise(self, count: int) -> Float32Array:
        """What rounding does to a match that is computed together with others: another thing each time."""
        if count == 1 or not self.is_noisy:
            return np.ones(count, np.float32)
        return (1 + np.random.default_rng().uniform(-4e-7, 4e-7, count)).astype(np.float32)


class Reordering(Monotone):
    """A match that has little to do with the similarity; many are equal."""

    def reorders(self, kind: QueryKind) -> bool:
        return True

    def exact(self, query: Float32Array, photographs: Float32Array) -> Float32Array:
        waves = np.sin(photographs.astype(np.float64) @ np.arange(1, DIMENSION + 1) * 3) / 4
        similarity = photographs.astype(np.float64) @ query.astype(np.float64)
        return np.round(np.clip((1.0 + similarity) / 2 + waves, 0.01, 0.99), 2).astype(np.float32)


@dataclass
class DatedLibrary:
    """A catalog of random vectors with dates; a search target."""

    folder: Path
    scorer: Monotone
    limits: Limits | None = None
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    model = "pages"

    def __post_init__(self) -> None:
        self.catalog = Catalog(self.folder / "catalog.sqlite")
        self.root, _ = self.catalog.add_root(self.folder)
        self.written = 0
        self.vectors: dict[int, Float32Array] = {}
        self.taken: dict[int, datetime | None] = {}
        self.index = VectorIndex.open(self.folder, self.catalog, MODEL, DIMENSION, limits=self.limits)
        self.selector = Selector(AttributeIndex(self.folder, self.catalog), OfflinePlaces())
        self.query = unit(self.random.normal(size=DIMENSION)).astype(np.float16).astype(np.float32)

    def add(self, count: int, copies: int = 0) -> list[int]:
        """New photographs, and copies of the first of them."""
        vectors = unit(self.random.normal(size=(count, DIMENSION))).astype(np.float16)
        entries = [self._entry(vector) for vector in [*vectors, *([vectors[0]] * copies)]]
        ids = self.catalog.write(entries)
        for identity, entry in zip(ids, entries, strict=True):
            self.vectors[identity] = entry.vectors[MODEL].astype(np.float32)
            self.taken[identity] = entry.details.metadata.taken_at
        self.index.catch_up(self.catalog)
        return ids

    def remove(self, ids: Sequence[int]) -> None:
        self.catalog.remove(ids)
        for identity in ids:
            del self.vectors[identity]
        self.index.catch_up(self.catalog)

    def _entry(self, vector: Float16Array) -> Entry:
        self.written += 1
        file = FileInfo(self.root.id, "", f"{self.written}.jpg", 1, 1)
        # A tenth has no date, and many have the same.
        day = int(self.random.integers(1, 31))
        taken = None if self.random.random() < 0.1 else datetime(2019, 7, day % 10 + 1)
        camera = "Canon" if self.written % 3 else "Nikon"
        facts = PhotographFacts(file, self.written.to_bytes(16, "big"), 4, 3, "JPEG")
        return Entry(facts, {MODEL: vector}, b"", details=Details(Metadata(taken_at=taken, camera=camera)))

    def notice(self, item: QueryItem) -> None:
        return None

    def encode_query(self, item: QueryItem) -> Float32Array:
        if isinstance(item, int):
            return self.vectors[item]
        # In another batch the vector of a text is a little different.
        return unit(self.query + self.random.normal(size=DIMENSION) * (1e-4 if self.scorer.is_noisy else 0))

    def encode_images(self, images: Sequence[Image.Image]) -> Float32Array:
        return np.stack([self.encode_query(image) for image in images])

    def with_noise(self) -> DatedLibrary:
        """Has matches and the query's vector come out a little different each time that they are computed."""
        self.scorer.is_noisy = True
        return self

    def search(self, query: Query) -> SearchResult:
        if query.browses:
            return browse(query, self.catalog, self.selector.select)
        return search(query, self, self.catalog, select=self.selector.select)

    def pages(self, query: Query, between: Callable[[int], None] = lambda page: None) -> list[list[int]]:
        """The ids of all pages; `between` is called after each with its number."""
        pages: list[list[int]] = []
        cursor: str | None = None
        while True:
            result = self.search(replace(query, cursor=cursor))
            pages.append([hit.photograph.id for hit in result.hits])
            cursor = result.next_cursor
            if cursor is None:
                return pages
            assert len(pages) < 2_000
            between(len(pages))

    def whole(self, cut: float = 0.0, camera: str | None = None, excluded: int | None = None) -> list[int]:
        """All photographs that pass a cut, by match, then by similarity, then by id."""
        ids = np.array([each for each in sorted(self.vectors) if each != excluded])
        vectors = np.stack([self.vectors[int(each)] for each in ids])
        query = self.query if excluded is None else self.vectors[excluded]
        similarities, matches = vectors @ query, self.scorer.exact(query, vectors)
        order = np.lexsort((ids, -similarities, -matches if self.scorer.reorders("text") else -similarities))
        return [
            int(ids[at])
            for at in order
            if matches[at] >= cut and (camera is None or self.camera(int(ids[at])) == camera)
        ]

    def camera(self, identity: int) -> str | None:
        return self.catalog.details([identity])[identity].metadata.camera
