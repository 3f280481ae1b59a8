"""The index of a library or of a head: derived from the catalog, brought up to date, searched, saved, rebuilt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from service.errors import LibraryError
from service.index.files import SavedBase, read_newest, write_base, write_state
from service.index.rows import spooled
from service.index.scans import Limits, scan_of
from service.index.segments import Segment, State, Tail, chunks_of
from service.store.catalog import Catalog
from service.types import Float16Array, Float32Array, Int64Array

Read = Callable[[Catalog, int], tuple[int, list[int], Iterator[tuple[Int64Array, Float16Array | Float32Array]]]]
"""What an index is derived from: a catalog and a generation to the catalog's generation, the ids removed since, and
chunks of ids (n,) and vectors (n, dimension) added or replaced."""

_LOOSE = 1_000
"""Rows of the tail that may be dead before it is made anew."""

_QUICK = 5_000
"""Rows that are read in less time than a search may wait, some fifty milliseconds."""


class VectorIndex:
    """Inner-product search over unit vectors kept as float16, with ids of the catalog.

    Most photographs lie in a base that never changes and is mapped from its file where it has one, so that several
    processes share it; newer ones in a tail in memory. What is searched is never changed but replaced, so that any
    number of threads search while one catches up. How the base is scanned depends on its size (`limits`): exactly, or
    by codes whose short list is compared exactly. Similarities are exact in any case.

    `fingerprint` names what makes its vectors; `read` gives them, by default the catalog's own of that fingerprint, and
    `sources` are the fingerprints in the catalog that they are made of.
    `folder` is where it may be saved and where a long stream is kept for a while; without one all is in memory.
    """

    def __init__(
        self,
        fingerprint: str,
        dimension: int,
        read: Read | None = None,
        *,
        sources: Sequence[str] = (),
        folder: Path | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.dimension = dimension
        self._sources = sources or (fingerprint,)
        self._read = read or partial(_stored, fingerprint)
        self._folder = folder
        self._limits = limits or Limits()
        self._writing = threading.Lock()
        self._saved: SavedBase | None = None
        self._put(State.empty(dimension))

    def __len__(self) -> int:
        return len(self._state)

    @property
    def generation(self) -> int:
        """The generation of the catalog that it holds."""
        return self._state.generation

    @property
    def kind(self) -> str:
        """What FAISS calls the way in which the base is searched."""
        return self._state.base.scan.name

    @property
    def bytes(self) -> int:
        """Bytes of vectors, ids and codes, in memory and mapped."""
        state = self._state
        return sum(
            segment.rows.nbytes + segment.ids.nbytes + segment.scan.size() for segment in (state.base, state.tail)
        )

    @classmethod
    def open(
        cls,
        folder: Path,
        catalog: Catalog,
        fingerprint: str,
        dimension: int,
        read: Read | None = None,
        limits: Limits | None = None,
        sources: Sequence[str] = (),
    ) -> VectorIndex:
        """The index saved in `folder` if it is sound and of this fingerprint, else an empty one; up to date."""
        index = cls(fingerprint, dimension, read, sources=sources, folder=folder, limits=limits)
        index._load(catalog)
        index.catch_up(catalog)
        return index

    def catch_up(self, catalog: Catalog) -> bool:
        """Read from the catalog what has changed since this index's generation; whether anything had."""
        newest = catalog.generation()
        state = self._state
        if newest == state.generation and catalog.stamp(newest) == state.stamp:
            return False
        with self._writing:
            state = self._state
            self._follow(catalog, state if self._is_based_on(catalog, state) else State.empty(self.dimension))
        return True

    def is_far_behind(self, catalog: Catalog) -> bool:
        """Whether `catch_up` would take longer than a search may wait: to read many rows, or to make a new base."""
        state = self._state
        if catalog.generation() == state.generation:
            return False
        since = state.generation if self._is_based_on(catalog, state) else 0
        newer = catalog.count_newer(self._sources, since, _QUICK + 1)
        makes_base = len(state.base) > _QUICK and len(state.tail) + newer > self._most_in_tail(state.base)
        return newer > _QUICK or makes_base

    def vector(self, identity: int) -> Float32Array | None:
        """The vector (dimension,) of a photograph by its id; None where the index does not hold it."""
        return self._state.vector_of(identity)

    def search(self, vector: Float32Array, k: int, among: Int64Array | None = None) -> tuple[Float32Array, Int64Array]:
        """The `k` nearest photographs to one unit vector (dimension,), or the `k` nearest of those of ids `among`.

        Returns similarities (n,) in [-1, 1], highest first, and ids (n,), with n <= k. Of a large library a search
        among all finds the nearest but for a hundredth; one `among` some finds them all.
        """
        state = self._state
        similarities, places = state.nearest(vector, k, among)
        return similarities, state.ids_at(places)

    def search_many(self, vectors: Float32Array, k: int) -> tuple[Float32Array, Int64Array]:
        """The `k` nearest photographs to each of unit vectors (n, dimension).

        Returns similarities (n, k) in [-1, 1], highest first in each row, and ids (n, k); -1 stands for an id where
        the index holds fewer than `k`.
        """
        return self._state.nearest_to_each(vectors, k)

    def candidates(
        self, vector: Float32Array, k: int, among: Int64Array | None = None
    ) -> tuple[Float32Array, Int64Array, Float32Array]:
        """What `search` finds, and the photographs' own vectors (n, dimension) float32 in the same order."""
        state = self._state
        similarities, places = state.nearest(vector, k, among)
        return similarities, state.ids_at(places), state.vectors_at(places)

    def sample(self, most: int) -> Float32Array:
        """At most `most` vectors (n, dimension) spread evenly over the index, always the same ones."""
        state = self._state
        places = state.places()
        chosen = np.unique(np.linspace(0, max(len(places) - 1, 0), min(len(places), most)).astype(np.int64))
        return state.vectors_at(places[chosen] if len(places) else places)

    def save(self, folder: Path) -> None:
        """Write what has changed since the base was written, or all anew; a crash in between leaves the set before.

        All is written where it is little, where there is no base in `folder`, and where more than a twentieth of the
        base is gone or lies beside it. Raises `LibraryError` where the folder does not take it.
        """
        try:
            with self._writing:
                self._save(folder)
        # FAISS raises a RuntimeError where a file cannot be written.
        except (OSError, RuntimeError) as error:
            raise LibraryError(
                f"The index of the library {folder} cannot be saved ({error}). No photograph was lost; see to the "
                "disk and its free space, then run `smysl index` again."
            ) from None

    def _put(self, state: State) -> None:
        self._state = state
        self._tail = Tail(state.tail)

    def _load(self, catalog: Catalog) -> bool:
        """Take what is saved in the folder, where it is sound and of a generation that the catalog has seen."""
        if self._folder is None:
            return False
        found = read_newest(self._folder, self.fingerprint, self.dimension, self._limits)
        if found is None or catalog.stamp(found[0].generation) != found[0].stamp:
            return False
        self._put(found[0])
        self._saved = found[1]
        return True

    def _follow(self, catalog: Catalog, state: State) -> None:
        """Take over what has changed since `state`: few into the tail, many into a new base."""
        generation, removed, rows, ids = self._newer(catalog, state.generation)
        stamp = catalog.stamp(generation)
        gone = np.union1d(np.array(removed, np.int64), ids)
        base, tail = state.base.without(gone), state.tail.without(gone)
        if tail.gone > max(_LOOSE, len(tail)):
            tail = Segment.of(tail.rows[~tail.dead], tail.ids[~tail.dead])
            self._tail = Tail(tail)
        if len(state) and len(tail) + len(ids) <= self._most_in_tail(base):
            self._state = State(base, self._tail.grown(tail, ids, rows), generation, stamp)
            return
        # Another process may have written a base meanwhile that holds most of what is new.
        if len(state) and self._load(catalog) and state.generation < self._state.generation <= generation:
            self._follow(catalog, self._state)
            return
        if len(base) + len(tail):
            rows, ids = self._joined((base, tail, Segment.of(rows, ids)))
        self._saved = None
        base = Segment.of(rows, ids, scan_of(rows, self._limits))
        self._put(replace(State.empty(self.dimension), base=base, generation=generation, stamp=stamp))

    def _most_in_tail(self, base: Segment) -> int:
        return max(self._limits.whole_until, len(base) // 4)

    def _is_based_on(self, catalog: Catalog, state: State) -> bool:
        """Whether a state can be brought up to date from this catalog.

        It cannot where another catalog, or an older copy, is in the place of the one that it was made from, or where
        vectors went without their photographs.
        """
        return catalog.stamp(state.generation) == state.stamp and state.generation >= catalog.vectors_dropped_at()

    def _joined(self, segments: Sequence[Segment]) -> tuple[Float16Array, Int64Array]:
        return spooled(lambda: chunks_of(segments), self.dimension, self._folder, self._limits.whole_until)

    def _newer(self, catalog: Catalog, since: int) -> tuple[int, list[int], Float16Array, Int64Array]:
        """Generation, removed ids, and rows and ids that are new since a generation."""
        seen: list[tuple[int, list[int]]] = []

        def chunks() -> Iterator[tuple[Int64Array, Float16Array | Float32Array]]:
            generation, removed, parts = self._read(catalog, since)
            seen.append((generation, removed))
            yield from parts

        rows, ids = spooled(chunks, self.dimension, self._folder, self._limits.whole_until)
        return *seen[-1], rows, ids

    def _save(self, folder: Path) -> None:
        state, saved = self._state, self._saved
        most = self._limits.share * len(state.base.ids)
        kept = (
            saved is not None
            and saved.folder == folder
            and saved.is_whole()
            and len(state.base.ids) > self._limits.whole_until
            and len(state.tail) <= most
            and state.base.gone <= most
        )
        if not kept or saved is None:
            untouched = not state.base.gone and not len(state.tail)
            saved = write_base(
                folder,
                self.dimension,
                len(state),
                chunks_of((state.base, state.tail)),
                state.base.scan if untouched else None,
                self._limits,
            )
            base = saved.segment(self.dimension, self._limits)
            state = replace(State.empty(self.dimension), base=base, generation=state.generation, stamp=state.stamp)
        write_state(folder, state, saved, self.fingerprint)
        self._saved = saved
        if state is not self._state:
            self._put(state)


def _stored(
    fingerprint: str, catalog: Catalog, since: int
) -> tuple[int, list[int], Iterator[tuple[Int64Array, Float16Array]]]:
    """The catalog's own vectors of a fingerprint."""
    generation, removed, chunks = catalog.changes([fingerprint], since)
    return generation, removed, ((ids, vectors) for ids, (vectors,) in chunks)
