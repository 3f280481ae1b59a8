"""FAISS over the catalog's vectors: build, bring up to date, search, save, rebuild.

The index is derived. On the disk it is a FAISS file and a JSON beside it that names the encoder's
fingerprint, the catalog's generation with its stamp, and a checksum; a pair that does not fit together, or
that another catalog has left behind, is rebuilt.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.arrays import checksum_of
from service.catalog import Catalog
from service.errors import LibraryError

Read = Callable[
    [Catalog, int], tuple[int, list[int], Iterator[tuple[NDArray[np.int64], NDArray[np.float16] | NDArray[np.float32]]]]
]
"""What an index is derived from: a catalog and a generation to the catalog's generation, the ids removed since, and
chunks of ids (n,) and vectors (n, dimension) added or replaced."""

_VERSION = 1
_FILE = "vectors.faiss"
_FACTS = "vectors.json"


class VectorIndex:
    """Exact inner-product search over unit vectors kept as float16 (FAISS `SQfp16`), ids of the catalog.

    `fingerprint` names what makes its vectors; `read` gives them, by default the catalog's own of that fingerprint.
    Safe to use from several threads.
    """

    def __init__(self, fingerprint: str, dimension: int, read: Read | None = None) -> None:
        self.fingerprint = fingerprint
        self._read = read or partial(_stored, fingerprint)
        self.dimension = dimension
        self.generation = 0
        self._stamp: str | None = ""
        self._lock = threading.Lock()
        self._faiss = _empty(dimension)

    def __len__(self) -> int:
        return int(self._faiss.ntotal)

    @property
    def kind(self) -> str:
        """What FAISS calls this index."""
        return "IDMap2,SQfp16"

    @classmethod
    def open(
        cls, folder: Path, catalog: Catalog, fingerprint: str, dimension: int, read: Read | None = None
    ) -> VectorIndex:
        """The index saved in `folder` if it is sound and of this fingerprint, else an empty one; up to date."""
        index = cls(fingerprint, dimension, read)
        index._load(folder, catalog)
        index.catch_up(catalog)
        return index

    def catch_up(self, catalog: Catalog) -> bool:
        """Read from the catalog what has changed since this index's generation; whether anything had."""
        newest = catalog.generation()
        if newest == self.generation and catalog.stamp(newest) == self._stamp:
            return False
        with self._lock:
            if catalog.stamp(self.generation) != self._stamp or self.generation < catalog.dropped():
                # Another catalog, or an older copy, is in the place of the one known here, or vectors went without
                # their photographs.
                self._faiss = _empty(self.dimension)
                self.generation = 0
            generation, removed, chunks = self._read(catalog, self.generation)
            if len(self):
                self._drop(np.array(removed, np.int64))
            fresh = len(self) == 0
            for ids, vectors in chunks:
                if not fresh:
                    self._drop(ids)
                self._faiss.add_with_ids(vectors.astype(np.float32), ids)
            self.generation = generation
            self._stamp = catalog.stamp(generation)
        return True

    def search(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The `k` nearest photographs to one unit vector (dimension,).

        Returns similarities (n,) in [-1, 1], highest first, and ids (n,), with n <= k.
        """
        with self._lock:
            similarities, ids = self._faiss.search(vector.reshape(1, -1).astype(np.float32), k)
        found = ids[0] >= 0
        return np.clip(similarities[0][found], -1.0, 1.0), ids[0][found]

    def search_many(self, vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The `k` nearest photographs to each of unit vectors (n, dimension).

        Returns similarities (n, k) in [-1, 1], highest first in each row, and ids (n, k); -1 stands for an id where
        the index holds fewer than `k`.
        """
        with self._lock:
            similarities, ids = self._faiss.search(vectors.astype(np.float32), k)
        return np.clip(similarities, -1.0, 1.0), ids

    def candidates(
        self, vector: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """What `search` finds, and the photographs' own vectors (n, dimension) float32 in the same order."""
        # In one go: between a search and a look-up another thread might take a photograph out.
        with self._lock:
            query = vector.reshape(1, -1).astype(np.float32)
            similarities, ids, vectors = self._faiss.search_and_reconstruct(query, k)
        found = ids[0] >= 0
        return np.clip(similarities[0][found], -1.0, 1.0), ids[0][found], vectors[0][found]

    def sample(self, most: int) -> NDArray[np.float32]:
        """At most `most` vectors (n, dimension) spread evenly over the index, always the same ones."""
        with self._lock:
            count = len(self)
            rows = np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).astype(np.int64))
            vectors = [self._faiss.index.reconstruct(int(row)) for row in rows]
        return np.stack(vectors) if vectors else np.empty((0, self.dimension), np.float32)

    def save(self, folder: Path) -> None:
        """Write the index and the facts beside it; a crash in between leaves a pair that `open` rebuilds.

        Raises `LibraryError` where the folder does not take it.
        """
        try:
            self._save(folder)
        # FAISS raises a RuntimeError where a file cannot be written.
        except (OSError, RuntimeError) as error:
            raise LibraryError(
                f"The index of the library {folder} cannot be saved ({error}). No photograph was lost; see to the "
                "disk and its free space, then run `smysl index` again."
            ) from None

    def _save(self, folder: Path) -> None:
        import faiss

        with self._lock:
            part = folder / f"{_FILE}.part"
            faiss.write_index(self._faiss, str(part))
            facts = {
                "version": _VERSION,
                "fingerprint": self.fingerprint,
                "dimension": self.dimension,
                "generation": self.generation,
                "stamp": self._stamp,
                "photographs": len(self),
                "checksum": checksum_of(part),
            }
        _replace(part, folder / _FILE)
        part = folder / f"{_FACTS}.part"
        part.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        _replace(part, folder / _FACTS)

    def _drop(self, ids: NDArray[np.int64]) -> None:
        if len(ids):
            self._faiss.remove_ids(ids)

    def _load(self, folder: Path, catalog: Catalog) -> None:
        import faiss

        try:
            facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            sound = (
                facts["version"] == _VERSION
                and facts["fingerprint"] == self.fingerprint
                and facts["dimension"] == self.dimension
                and facts["stamp"] is not None
                and catalog.stamp(int(facts["generation"])) == facts["stamp"]
                and facts["checksum"] == checksum_of(folder / _FILE)
            )
            # FAISS reads a file with flipped bits without a word, hence the checksum before.
            loaded = faiss.read_index(str(folder / _FILE)) if sound else None
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            return
        if loaded is not None:
            self._faiss = loaded
            self.generation, self._stamp = int(facts["generation"]), facts["stamp"]


def _stored(
    fingerprint: str, catalog: Catalog, since: int
) -> tuple[int, list[int], Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]]:
    """The catalog's own vectors of a fingerprint."""
    generation, removed, chunks = catalog.changes([fingerprint], since)
    return generation, removed, ((ids, vectors) for ids, (vectors,) in chunks)


def _empty(dimension: int) -> Any:
    import faiss

    flat = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    return faiss.IndexIDMap2(flat)


def _replace(part: Path, final: Path) -> None:
    descriptor = os.open(part, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(final)
