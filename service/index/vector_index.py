"""The index of a library or of a head: kept up to date with the catalog, searched, saved, rebuilt if necessary."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from service.errors import LibraryError
from service.index.files import SavedBase, read_newest, write_base, write_snapshot
from service.index.id_mask import Among
from service.index.rows import spool
from service.index.scans import Limits, build_scan
from service.index.segments import Segment, Snapshot, TailBuffer, chunks_of
from service.store.catalog import Catalog
from service.types import Float16Array, Float32Array, Int64Array

ReadChanges = Callable[[Catalog, int], tuple[int, list[int], Iterator[tuple[Int64Array, Float16Array | Float32Array]]]]
"""Reads from a catalog what has changed since a generation: returns the current generation, the ids removed, and chunks
of ids (n,) and vectors (n, dimension) added or replaced."""

_MOST_DELETED_IN_TAIL = 1_000
"""Deleted rows above which a tail with more of them than of others is compacted."""

_QUICK = 5_000
"""Rows that can be read within the time that a search may wait, about 50 ms."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Photographs by falling similarity, of one snapshot of an index.

    Attributes:
        snapshot: that they were found in.
        similarities: (n,) in [-1, 1]. Those of one photograph and one query are always the same to the last bit.
        ids: (n,).
        positions: (n,), in the snapshot.
    """

    snapshot: Snapshot
    similarities: Float32Array
    ids: Int64Array
    positions: Int64Array

    def __len__(self) -> int:
        return len(self.ids)

    def vectors(self, chosen: Int64Array) -> Float32Array:
        """The vectors (m, dimension) of the photographs at places `chosen` (m,) of the ranking."""
        return self.snapshot.vectors_at(self.positions[chosen])


class VectorIndex:
    """Cosine search over the unit vectors of photographs, kept as float16.

    Most photographs are in the base, an immutable segment that is memory-mapped once it is saved, so processes share
    it; newer ones are in the tail, an append-only segment in memory. Threads search an immutable snapshot while
    another catches up. Large bases are searched by product quantizer codes with exact refinement, others exactly
    (`limits`); returned similarities are always exact.

    Args:
        fingerprint: of the encoder or head that makes the vectors.
        dimension: of the vectors.
        read: reads the vectors; by default those of `fingerprint` in the catalog.
        sources: fingerprints of the catalog's vectors that `read` reads.
        folder: where the index is saved, and temporary files of long streams; None keeps everything in memory.
        limits: sizes from which on to use codes and files.
    """

    def __init__(
        self,
        fingerprint: str,
        dimension: int,
        read: ReadChanges | None = None,
        *,
        sources: Sequence[str] = (),
        folder: Path | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.dimension = dimension
        self._sources = sources or (fingerprint,)
        self._read = read or partial(_read_vectors, fingerprint)
        self._folder = folder
        self._limits = limits or Limits()
        self._write_lock = threading.Lock()
        self._saved: SavedBase | None = None
        self._publish(Snapshot.empty(dimension))

    def __len__(self) -> int:
        return len(self._snapshot)

    @property
    def generation(self) -> int:
        """The generation of the catalog that it is up to date with."""
        return self._snapshot.generation

    @property
    def kind(self) -> str:
        """FAISS's name of the way in which the base is searched."""
        return self._snapshot.base.scan.name

    @property
    def bytes(self) -> int:
        """Size in bytes of vectors, ids and codes, in memory and mapped."""
        snapshot = self._snapshot
        segments = (snapshot.base, snapshot.tail)
        return sum(segment.rows.nbytes + segment.ids.nbytes + segment.scan.code_bytes() for segment in segments)

    @classmethod
    def open(
        cls,
        folder: Path,
        catalog: Catalog,
        fingerprint: str,
        dimension: int,
        read: ReadChanges | None = None,
        limits: Limits | None = None,
        sources: Sequence[str] = (),
    ) -> VectorIndex:
        """The index saved in `folder`, or a new one if that is missing or unusable, brought up to date."""
        index = cls(fingerprint, dimension, read, sources=sources, folder=folder, limits=limits)
        index._load(catalog)
        index.catch_up(catalog)
        return index

    def catch_up(self, catalog: Catalog) -> bool:
        """Applies what has changed in the catalog since this index's generation; returns whether anything had."""
        newest = catalog.generation()
        snapshot = self._snapshot
        if newest == snapshot.generation and catalog.stamp(newest) == snapshot.stamp:
            return False
        with self._write_lock:
            snapshot = self._snapshot
            if not self._is_based_on(catalog, snapshot):
                snapshot = Snapshot.empty(self.dimension)
            self._apply_changes(catalog, snapshot)
        return True

    def is_far_behind(self, catalog: Catalog) -> bool:
        """Whether `catch_up` would take longer than a search may wait, to read many rows or to build a new base."""
        snapshot = self._snapshot
        if catalog.generation() == snapshot.generation:
            return False
        since = snapshot.generation if self._is_based_on(catalog, snapshot) else 0
        newer = catalog.count_newer(self._sources, since, _QUICK + 1)
        builds_base = len(snapshot.base) > _QUICK and len(snapshot.tail) + newer > self._most_in_tail(snapshot.base)
        return newer > _QUICK or builds_base

    def vector(self, identity: int) -> Float32Array | None:
        """The vector (dimension,) of a photograph, or None if the index does not contain it."""
        return self._snapshot.vector_of(identity)

    def search(self, vector: Float32Array, k: int, among: Among | None = None) -> tuple[Float32Array, Int64Array]:
        """The `k` nearest photographs to a unit vector (dimension,), of all or of those with ids `among`.

        Returns similarities (n,) in [-1, 1], descending, and ids (n,), with n <= k. In a large library a search among
        all or among many has a recall of about 0.99; one `among` few ids is exact.
        """
        snapshot = self._snapshot
        similarities, positions = snapshot.nearest(vector, k, among)
        return similarities, snapshot.ids_at(positions)

    def search_many(self, vectors: Float32Array, k: int) -> tuple[Float32Array, Int64Array]:
        """The `k` nearest photographs to each of unit vectors (n, dimension).

        Returns similarities (n, k) in [-1, 1], descending in each row, and ids (n, k), -1 where the index contains
        fewer than `k` photographs.
        """
        return self._snapshot.nearest_to_each(vectors, k)

    def candidates(
        self, vector: Float32Array, k: int, among: Among | None = None
    ) -> tuple[Float32Array, Int64Array, Float32Array]:
        """As `search`, with the vectors (n, dimension) float32 of the photographs in the same order."""
        snapshot = self._snapshot
        similarities, positions = snapshot.nearest(vector, k, among)
        return similarities, snapshot.ids_at(positions), snapshot.vectors_at(positions)

    def rank(self, vector: Float32Array, depth: int, among: Among | None = None) -> Ranking:
        """The `depth` nearest photographs to a unit vector (dimension,), of all or of those with ids `among`; exact."""
        snapshot = self._snapshot
        similarities, positions = snapshot.nearest(vector, depth, among, exact=True)
        return Ranking(snapshot, similarities, snapshot.ids_at(positions), positions)

    def sample(self, most: int) -> Float32Array:
        """At most `most` vectors (n, dimension) at even distances in the index, always the same ones."""
        snapshot = self._snapshot
        positions = snapshot.positions()
        chosen = np.unique(np.linspace(0, max(len(positions) - 1, 0), min(len(positions), most)).astype(np.int64))
        return snapshot.vectors_at(positions[chosen] if len(positions) else positions)

    def save(self, folder: Path) -> None:
        """Writes the changes since the base was written, or a new base; a crash leaves the files as they were.

        A new base is written if the index is small, if `folder` has none, and if more than a share of it
        (`Limits.rewrite_share`) is deleted or newer. Raises `LibraryError` if the folder cannot be written to.
        """
        try:
            with self._write_lock:
                self._save(folder)
        # FAISS raises a RuntimeError if a file cannot be written.
        except (OSError, RuntimeError) as error:
            raise LibraryError(
                f"The index of the library {folder} cannot be saved ({error}). No photograph was lost; see to the "
                "disk and its free space, then run `smysl index` again."
            ) from None

    def _publish(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._tail_buffer = TailBuffer(snapshot.tail)

    def _load(self, catalog: Catalog) -> bool:
        """Uses the saved index if it is intact and of a generation of this catalog; returns whether it was."""
        if self._folder is None:
            return False
        found = read_newest(self._folder, self.fingerprint, self.dimension, self._limits)
        if found is None or catalog.stamp(found[0].generation) != found[0].stamp:
            return False
        snapshot, self._saved = found
        self._publish(snapshot)
        return True

    def _apply_changes(self, catalog: Catalog, snapshot: Snapshot) -> None:
        """Publishes a snapshot with the changes since another: few go into its tail, many into a new base."""
        generation, removed, rows, ids = self._read_changes(catalog, snapshot.generation)
        stamp = catalog.stamp(generation)
        outdated = np.union1d(np.array(removed, np.int64), ids)
        base, tail = snapshot.base.without(outdated), snapshot.tail.without(outdated)
        if tail.deleted_count > max(_MOST_DELETED_IN_TAIL, len(tail)):
            tail = Segment.of(tail.rows[~tail.deleted], tail.ids[~tail.deleted])
            self._tail_buffer = TailBuffer(tail)
        if len(snapshot) and len(tail) + len(ids) <= self._most_in_tail(base):
            self._snapshot = Snapshot(base, self._tail_buffer.append(tail, ids, rows), generation, stamp)
            return
        # Another process may have saved a newer base meanwhile.
        if len(snapshot) and self._load(catalog) and snapshot.generation < self._snapshot.generation <= generation:
            self._apply_changes(catalog, self._snapshot)
            return
        if len(base) + len(tail):
            rows, ids = self._concatenate((base, tail, Segment.of(rows, ids)))
        self._saved = None
        base = Segment.of(rows, ids, build_scan(rows, self._limits))
        self._publish(replace(Snapshot.empty(self.dimension), base=base, generation=generation, stamp=stamp))

    def _most_in_tail(self, base: Segment) -> int:
        return max(self._limits.small_until, len(base) // 4)

    def _is_based_on(self, catalog: Catalog, snapshot: Snapshot) -> bool:
        """Whether a snapshot can be brought up to date from this catalog.

        It cannot if another catalog or an older copy has replaced the one it was made from, or if vectors were deleted
        without their photographs since.
        """
        generation = snapshot.generation
        return catalog.stamp(generation) == snapshot.stamp and generation >= catalog.vectors_dropped_at()

    def _concatenate(self, segments: Sequence[Segment]) -> tuple[Float16Array, Int64Array]:
        return spool(lambda: chunks_of(segments), self.dimension, self._folder, self._limits.small_until)

    def _read_changes(self, catalog: Catalog, since: int) -> tuple[int, list[int], Float16Array, Int64Array]:
        """The current generation, the ids removed, and the rows and ids added or replaced since a generation."""
        reads: list[tuple[int, list[int]]] = []

        def chunks() -> Iterator[tuple[Int64Array, Float16Array | Float32Array]]:
            generation, removed, parts = self._read(catalog, since)
            reads.append((generation, removed))
            yield from parts

        rows, ids = spool(chunks, self.dimension, self._folder, self._limits.small_until)
        return *reads[-1], rows, ids

    def _save(self, folder: Path) -> None:
        snapshot, saved = self._snapshot, self._saved
        base, tail = snapshot.base, snapshot.tail
        most = self._limits.rewrite_share * len(base.ids)
        keeps_base = (
            saved is not None
            and saved.folder == folder
            and saved.has_all_files()
            and len(base.ids) > self._limits.small_until
            and len(tail) <= most
            and base.deleted_count <= most
        )
        if not keeps_base or saved is None:
            scan = base.scan if not base.deleted_count and not len(tail) else None
            saved = write_base(folder, self.dimension, len(snapshot), chunks_of((base, tail)), scan, self._limits)
            base = saved.segment(self.dimension, self._limits)
            empty = Snapshot.empty(self.dimension)
            snapshot = replace(empty, base=base, generation=snapshot.generation, stamp=snapshot.stamp)
        write_snapshot(folder, snapshot, saved, self.fingerprint)
        self._saved = saved
        if snapshot is not self._snapshot:
            self._publish(snapshot)


def _read_vectors(
    fingerprint: str, catalog: Catalog, since: int
) -> tuple[int, list[int], Iterator[tuple[Int64Array, Float16Array]]]:
    """Reads the changes of the catalog's vectors of a fingerprint."""
    generation, removed, chunks = catalog.changes([fingerprint], since)
    return generation, removed, ((ids, vectors) for ids, (vectors,) in chunks)
