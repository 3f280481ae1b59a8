"""A catalog of random vectors without photographs, and brute-force search over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.index import Limits, VectorIndex
from service.store.catalog import Catalog
from service.store.records import Entry, FileInfo, PhotographFacts
from service.types import Float16Array, Float32Array, Int64Array

DIMENSION = 16
MODEL = "model"


def unit(vectors: Float32Array) -> Float32Array:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


class VectorCatalog:
    """A catalog of random vectors without photographs; `truth` holds what it contains."""

    def __init__(self, folder: Path, seed: int = 0, limits: Limits | None = None) -> None:
        self.folder = folder
        self.limits = limits
        self.catalog = Catalog(folder / "catalog.sqlite")
        self.random = np.random.default_rng(seed)
        self.root, _ = self.catalog.add_root(folder)
        self.truth: dict[int, Float16Array] = {}
        self.written = 0

    def vector(self) -> Float16Array:
        return unit(self.random.normal(size=DIMENSION)).astype(np.float16)

    def entry(self, identity: int | None = None, fingerprint: str = MODEL) -> Entry:
        self.written += 1
        name = f"{identity or f'new-{self.written}'}.jpg"
        file = FileInfo(self.root.id, "", name, 1, self.written)
        facts = PhotographFacts(file, self.written.to_bytes(16, "big"), 10, 10, "JPEG")
        return Entry(facts, {fingerprint: self.vector()}, b"jpeg", identity)

    def add(self, count: int, fingerprint: str = MODEL) -> list[int]:
        entries = [self.entry(fingerprint=fingerprint) for _ in range(count)]
        ids = self.catalog.write(entries)
        if fingerprint == MODEL:
            self.truth.update(zip(ids, (entry.vectors[MODEL] for entry in entries), strict=True))
        return ids

    def change(self, ids: list[int]) -> None:
        entries = [self.entry(identity) for identity in ids]
        self.catalog.write(entries)
        self.truth.update(zip(ids, (entry.vectors[MODEL] for entry in entries), strict=True))

    def remove(self, ids: list[int]) -> None:
        self.catalog.remove(ids)
        for identity in ids:
            self.truth.pop(identity, None)

    def open(self) -> VectorIndex:
        return VectorIndex.open(self.folder, self.catalog, MODEL, DIMENSION, limits=self.limits)

    def brute_force(self, query: Float32Array, k: int) -> tuple[Float32Array, Int64Array]:
        """Similarities and ids of the `k` nearest, by brute force."""
        ids = np.array(sorted(self.truth), np.int64)
        if not len(ids):
            return np.empty(0, np.float32), ids
        similarities = np.stack([self.truth[int(identity)] for identity in ids]).astype(np.float32) @ query
        order = np.argsort(-similarities, kind="stable")[:k]
        return similarities[order], ids[order]

    def check(self, index: VectorIndex) -> None:
        """Compares the index with brute force for some queries."""
        assert len(index) == len(self.truth)
        assert index.generation == self.catalog.generation()
        for _ in range(3):
            query = unit(self.random.normal(size=DIMENSION))
            similarities, ids = index.search(query, 10)
            expected, expected_ids = self.brute_force(query, 10)
            assert similarities == pytest.approx(expected, abs=1e-5)
            assert ids.tolist() == expected_ids.tolist()


def assert_same_hits(one: VectorIndex, other: VectorIndex) -> None:
    """Checks that two indexes give the same hits, to the last bit and in the same order."""
    for query in unit(np.random.default_rng(9).normal(size=(5, DIMENSION))):
        for left, right in zip(one.search(query, 20), other.search(query, 20), strict=True):
            assert np.array_equal(left, right)
