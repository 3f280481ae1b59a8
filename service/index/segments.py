"""Vectors with their photographs' ids, of which some may be gone: a base that never changes, and a newer tail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from service.index.rows import BLOCK, decoded, flat, let_go, nearest
from service.index.scans import Exact, Scan
from service.types import BoolArray, Float16Array, Float32Array, Int64Array

if TYPE_CHECKING:
    Mask = BoolArray

_FEW = 32
"""Where fewer than one in so many rows are asked for they are gathered, beyond that the others are left out of a
scan of all."""


@dataclass(frozen=True, eq=False)
class Segment:
    """Rows (n, dimension) float16, ids (n,) int64, each once, and which are `dead` (n,); never changed."""

    rows: Float16Array
    ids: Int64Array
    dead: Mask
    scan: Scan

    @classmethod
    def of(cls, rows: Float16Array, ids: Int64Array, scan: Scan | None = None, dead: Mask | None = None) -> Segment:
        """Rows with ids, scanned exactly where no scan is given; none is dead where nothing else is said."""
        return cls(rows, ids, np.zeros(len(ids), np.bool_) if dead is None else dead, scan or Exact(rows))

    @cached_property
    def gone(self) -> int:
        """How many are dead."""
        return int(np.count_nonzero(self.dead))

    def __len__(self) -> int:
        return len(self.ids) - self.gone

    def without(self, ids: Int64Array) -> Segment:
        """The same with the photographs `ids` dead; they may be unknown here."""
        places = self.places_of(ids)
        if not len(places):
            return self
        dead = self.dead.copy()
        dead[places] = True
        return Segment(self.rows, self.ids, dead, self.scan)

    def places_of(self, ids: Int64Array) -> Int64Array:
        """The rows (m,), rising, of those of `ids` that are here and not dead."""
        if not len(ids) or not len(self.ids):
            return np.empty(0, np.int64)
        known, rows = self._by_id
        if not len(known):
            return np.empty(0, np.int64)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        places = (at if rows is None else rows[at])[known[at] == ids]
        return np.unique(places)

    @cached_property
    def _by_id(self) -> tuple[Int64Array, Int64Array | None]:
        """The ids that are not dead, rising, and their rows; None for the rows where all lie so.

        A photograph that changes again has dead rows beside its own.
        """
        rows = np.flatnonzero(~self.dead) if self.gone else None
        known = self.ids if rows is None else self.ids[rows]
        if bool((np.diff(known) > 0).all()):
            return known, rows
        order = np.argsort(known, kind="stable")
        return known[order], order if rows is None else rows[order]

    def nearest(self, queries: Float32Array, k: int) -> tuple[Float32Array, Int64Array]:
        """Similarities and rows, each (q, at most `k`), best first, of the nearest that are not dead; -1 for none."""
        wanted = min(k, len(self))
        if not wanted:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        count = len(self.ids)
        asked = wanted if not self.gone else min(count, wanted + 16 + 2 * wanted * self.gone // count)
        while True:
            similarities, places = self.scan.nearest(queries, asked)
            alive = (places >= 0) & ~self.dead[places]
            if asked == count or (alive.sum(axis=1) >= wanted).all():
                break
            # Whoever removes a folder removes what lies near together.
            asked = min(count, 4 * asked)
        first = np.argsort(~alive, axis=1, kind="stable")[:, :wanted]
        found = np.take_along_axis(np.where(alive, places, -1), first, axis=1)
        return np.take_along_axis(similarities, first, axis=1), found

    def among(self, query: Float32Array, k: int, ids: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Similarities and rows, each (n,), n <= k, best first, of the nearest of `ids` to `query` (1, dimension)."""
        import faiss

        places = self.places_of(ids)
        wanted = min(k, len(places))
        if not wanted:
            return np.empty(0, np.float32), places[:0]
        if _FEW * len(places) < len(self.ids):
            similarities, found = nearest(self.rows, query, wanted, places)
        else:
            chosen = np.zeros(len(self.ids), np.bool_)
            chosen[places] = True
            # Its Python wrappers take arrays and names, which its types do not tell.
            selector = faiss.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))  # type: ignore[arg-type, call-arg]
            only = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
            similarities, found = flat(self.rows).search(query, wanted, params=only)
        return similarities[0], found[0]

    def chunks(self) -> Iterator[tuple[Int64Array, Float16Array]]:
        """Ids and rows of those that are not dead, in order, some thousands at a time."""
        for start in range(0, len(self.ids), BLOCK):
            part = slice(start, start + BLOCK)
            alive = ~self.dead[part]
            if alive.all():
                yield self.ids[part], self.rows[part]
            elif alive.any():
                yield self.ids[part][alive], self.rows[part][alive]
            let_go(self.rows)


class Tail:
    """A place for rows that grows: what was given out before stays as it was."""

    def __init__(self, segment: Segment) -> None:
        self._rows = segment.rows
        self._ids = segment.ids

    def grown(self, segment: Segment, ids: Int64Array, rows: Float16Array) -> Segment:
        """`segment`, the newest one given out, with rows (n, dimension) behind it."""
        held = len(segment.ids)
        count = held + len(ids)
        if count > len(self._ids):
            wider, longer = np.empty((2 * count, rows.shape[1]), np.float16), np.empty(2 * count, np.int64)
            wider[:held], longer[:held] = segment.rows, segment.ids
            self._rows, self._ids = wider, longer
        self._rows[held:count] = rows
        self._ids[held:count] = ids
        dead = np.concatenate([segment.dead, np.zeros(len(ids), np.bool_)])
        return Segment.of(self._rows[:count], self._ids[:count], dead=dead)


@dataclass(frozen=True, eq=False)
class State:
    """What an index holds at one generation: searched by any number of threads while the next is made."""

    base: Segment
    tail: Segment
    generation: int = 0
    stamp: str | None = ""

    @classmethod
    def empty(cls, dimension: int) -> State:
        """Of no photograph, before the first generation."""
        nothing = Segment.of(np.empty((0, dimension), np.float16), np.empty(0, np.int64))
        return cls(nothing, nothing)

    def __len__(self) -> int:
        return len(self.base) + len(self.tail)

    def nearest(self, query: Float32Array, k: int, among: Int64Array | None) -> tuple[Float32Array, Int64Array]:
        """Similarities and places, each (n,), of the nearest to `query` (dimension,); places in the tail come last."""
        asked = np.ascontiguousarray(query, np.float32).reshape(1, -1)
        if among is None:
            parts = [(similarities[0], places[0]) for similarities, places in self._parts(asked, k)]
        else:
            parts = [segment.among(asked, k, among) for segment in (self.base, self.tail)]
        similarities = np.concatenate([part[0] for part in parts])
        places = np.concatenate([parts[0][1], _behind(parts[1][1], len(self.base.ids))])
        best = np.argsort(-similarities, kind="stable")
        best = best[places[best] >= 0][:k]
        return np.clip(similarities[best], -1.0, 1.0), places[best]

    def nearest_to_each(self, queries: Float32Array, k: int) -> tuple[Float32Array, Int64Array]:
        """Similarities and ids, each (q, k), of the nearest to each of `queries` (q, dimension); -1 for none."""
        if not len(queries):
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
        parts = self._parts(np.ascontiguousarray(queries, np.float32), k)
        similarities = np.concatenate([part[0] for part in parts], axis=1)
        ids = np.concatenate([_ids_at(each, part[1]) for each, part in zip(self._segments, parts, strict=True)], axis=1)
        similarities = np.where(ids >= 0, similarities, -1.0)
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
        lacking = ((0, 0), (0, max(k - best.shape[1], 0)))
        return (
            np.pad(np.clip(np.take_along_axis(similarities, best, 1), -1.0, 1.0), lacking, constant_values=-1.0),
            np.pad(np.take_along_axis(ids, best, 1), lacking, constant_values=-1),
        )

    def ids_at(self, places: Int64Array) -> Int64Array:
        """The ids (n,) of places (n,)."""
        base, tail = self._split(places)
        ids = np.empty(len(places), np.int64)
        ids[base], ids[tail] = self.base.ids[places[base]], self.tail.ids[places[tail] - len(self.base.ids)]
        return ids

    def vectors_at(self, places: Int64Array) -> Float32Array:
        """The vectors (n, dimension) of places (n,)."""
        base, tail = self._split(places)
        rows = np.empty((len(places), self.base.rows.shape[1]), np.float16)
        rows[base], rows[tail] = self.base.rows[places[base]], self.tail.rows[places[tail] - len(self.base.ids)]
        return decoded(rows)

    def vector_of(self, identity: int) -> Float32Array | None:
        """The vector (dimension,) of one photograph; None where it is not here."""
        for segment in self._segments:
            if len(places := segment.places_of(np.array([identity], np.int64))):
                vector: Float32Array = decoded(segment.rows[places])[0]
                return vector
        return None

    def places(self) -> Int64Array:
        """Where its photographs are (n,), those of the base first."""
        behind = np.flatnonzero(~self.tail.dead) + len(self.base.ids)
        return np.concatenate([np.flatnonzero(~self.base.dead), behind])

    @property
    def _segments(self) -> tuple[Segment, Segment]:
        return self.base, self.tail

    def _parts(self, queries: Float32Array, k: int) -> Sequence[tuple[Float32Array, Int64Array]]:
        return [segment.nearest(queries, k) for segment in self._segments]

    def _split(self, places: Int64Array) -> tuple[Mask, Mask]:
        base = places < len(self.base.ids)
        return base, ~base


def chunks_of(segments: Iterable[Segment]) -> Iterator[tuple[Int64Array, Float16Array]]:
    """Ids and rows of all photographs of some segments, in order."""
    for segment in segments:
        yield from segment.chunks()


def _behind(places: Int64Array, count: int) -> Int64Array:
    return np.where(places >= 0, places + count, -1)


def _ids_at(segment: Segment, places: Int64Array) -> Int64Array:
    return np.where(places >= 0, segment.ids[places], -1) if len(segment.ids) else places
