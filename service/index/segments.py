"""Rows with photograph ids, of which some may be deleted: an immutable base, and newer rows appended in a tail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from service.index.id_mask import Among, IdMask
from service.index.rows import BLOCK, release_pages, to_float32
from service.index.scans import ExactScan, Scan, exact_among
from service.types import BoolArray, Float16Array, Float32Array, Int64Array

_MANY = 32
"""Ids that are at least one in so many of all are looked up in a table of all, fewer by binary search."""


@dataclass(frozen=True, eq=False)
class Segment:
    """Rows (n, dimension) float16 and their ids (n,) int64; immutable.

    Attributes:
        rows: one vector per photograph.
        ids: unique among the rows that are not deleted.
        deleted: (n,), rows that no search returns.
        scan: searches all rows, deleted ones included.
    """

    rows: Float16Array
    ids: Int64Array
    deleted: BoolArray
    scan: Scan

    @classmethod
    def of(
        cls, rows: Float16Array, ids: Int64Array, scan: Scan | None = None, deleted: BoolArray | None = None
    ) -> Segment:
        """A segment with an exact scan unless another is given, and nothing deleted unless given."""
        return cls(rows, ids, np.zeros(len(ids), np.bool_) if deleted is None else deleted, scan or ExactScan(rows))

    @cached_property
    def deleted_count(self) -> int:
        """The number of deleted rows."""
        return int(np.count_nonzero(self.deleted))

    def __len__(self) -> int:
        return len(self.ids) - self.deleted_count

    def without(self, ids: Int64Array) -> Segment:
        """The segment with the photographs `ids` deleted; ids that it does not contain are ignored."""
        positions = self.positions_of(ids)
        if not len(positions):
            return self
        deleted = self.deleted.copy()
        deleted[positions] = True
        return Segment(self.rows, self.ids, deleted, self.scan)

    def positions_of(self, ids: Among) -> Int64Array:
        """The positions (m,), ascending, of those of `ids` that are here and not deleted."""
        if isinstance(ids, IdMask):
            return np.flatnonzero(ids.contains(self.ids) & ~self.deleted)
        if not len(ids) or not len(self.ids):
            return np.empty(0, np.int64)
        known, positions = self._by_id
        if not len(known):
            return np.empty(0, np.int64)
        if _MANY * len(ids) > len(known):
            found = np.flatnonzero(np.isin(known, ids))
            return found if positions is None else np.sort(positions[found])
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.unique((at if positions is None else positions[at])[known[at] == ids])

    @cached_property
    def _by_id(self) -> tuple[Int64Array, Int64Array | None]:
        """The ids that are not deleted, ascending, and their positions; None if these are 0, 1, 2, …

        A photograph that changes again leaves deleted rows with the same id.
        """
        positions = np.flatnonzero(~self.deleted) if self.deleted_count else None
        known = self.ids if positions is None else self.ids[positions]
        if bool((np.diff(known) > 0).all()):
            return known, positions
        order = np.argsort(known, kind="stable")
        return known[order], order if positions is None else positions[order]

    def nearest(self, queries: Float32Array, k: int) -> tuple[Float32Array, Int64Array]:
        """Similarities and positions, each (q, at most `k`), descending, of the nearest rows; position -1 for none."""
        wanted = min(k, len(self))
        if not wanted:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        count = len(self.ids)
        depth = wanted if not self.deleted_count else min(count, wanted + 16 + 2 * wanted * self.deleted_count // count)
        while True:
            similarities, positions = self.scan.nearest(queries, depth)
            alive = (positions >= 0) & ~self.deleted[positions]
            if depth == count or (alive.sum(axis=1) >= wanted).all():
                break
            # The photographs of a deleted folder are often near each other.
            depth = min(count, 4 * depth)
        first = np.argsort(~alive, axis=1, kind="stable")[:, :wanted]
        found = np.take_along_axis(np.where(alive, positions, -1), first, axis=1)
        return np.take_along_axis(similarities, first, axis=1), found

    def nearest_among(
        self, query: Float32Array, k: int, ids: Among | None, *, exact: bool = False
    ) -> tuple[Float32Array, Int64Array]:
        """Similarities and positions, each (n,), of the `k` nearest of `ids` to `query` (1, dimension), descending.

        Without ids all are searched; n < k if fewer are here. Where `ids` are few the result is exact, with `exact`
        always.
        """
        positions = np.flatnonzero(~self.deleted) if ids is None else self.positions_of(ids)
        wanted = min(k, len(positions))
        if not wanted:
            return np.empty(0, np.float32), positions[:0]
        if exact:
            similarities, found = exact_among(self.rows, query, wanted, positions)
        else:
            similarities, found = self.scan.nearest_among(query, wanted, positions)
        return similarities[0], found[0]

    def chunks(self) -> Iterator[tuple[Int64Array, Float16Array]]:
        """Ids and rows that are not deleted, in order, at most `BLOCK` at a time."""
        for start in range(0, len(self.ids), BLOCK):
            part = slice(start, start + BLOCK)
            alive = ~self.deleted[part]
            if alive.all():
                yield self.ids[part], self.rows[part]
            elif alive.any():
                yield self.ids[part][alive], self.rows[part][alive]
            release_pages(self.rows)


class TailBuffer:
    """A growing array behind successive tails; appending leaves the tails that were returned before unchanged."""

    def __init__(self, tail: Segment) -> None:
        self._rows = tail.rows
        self._ids = tail.ids

    def append(self, tail: Segment, ids: Int64Array, rows: Float16Array) -> Segment:
        """The latest `tail` with rows (n, dimension) appended."""
        length = len(tail.ids)
        count = length + len(ids)
        if count > len(self._ids):
            more_rows, more_ids = np.empty((2 * count, rows.shape[1]), np.float16), np.empty(2 * count, np.int64)
            more_rows[:length], more_ids[:length] = tail.rows, tail.ids
            self._rows, self._ids = more_rows, more_ids
        self._rows[length:count] = rows
        self._ids[length:count] = ids
        deleted = np.concatenate([tail.deleted, np.zeros(len(ids), np.bool_)])
        return Segment.of(self._rows[:count], self._ids[:count], deleted=deleted)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """An index at one generation of the catalog; immutable, so threads can search it while the next is made.

    A position in the tail counts on from the end of the base. `stamp` is that of the generation (`Catalog.stamp`).
    """

    base: Segment
    tail: Segment
    generation: int = 0
    stamp: str | None = ""

    @classmethod
    def empty(cls, dimension: int) -> Snapshot:
        """Without photographs, at generation 0."""
        nothing = Segment.of(np.empty((0, dimension), np.float16), np.empty(0, np.int64))
        return cls(nothing, nothing)

    def __len__(self) -> int:
        return len(self.base) + len(self.tail)

    def nearest(
        self, query: Float32Array, k: int, among: Among | None, *, exact: bool = False
    ) -> tuple[Float32Array, Int64Array]:
        """Similarities and positions, each (at most `k`,), descending, of the nearest rows to `query` (dimension,).

        With ids `among` only these photographs are searched; with `exact` every one of them is compared.
        """
        queries = np.ascontiguousarray(query, np.float32).reshape(1, -1)
        if among is None and not exact:
            parts = [(similarities[0], positions[0]) for similarities, positions in self._nearest_in_each(queries, k)]
        else:
            parts = [segment.nearest_among(queries, k, among, exact=exact) for segment in self._segments]
        similarities = np.concatenate([part[0] for part in parts])
        in_tail = np.where(parts[1][1] >= 0, parts[1][1] + len(self.base.ids), -1)
        positions = np.concatenate([parts[0][1], in_tail])
        best = np.argsort(-similarities, kind="stable")
        best = best[positions[best] >= 0][:k]
        return np.clip(similarities[best], -1.0, 1.0), positions[best]

    def nearest_to_each(self, queries: Float32Array, k: int) -> tuple[Float32Array, Int64Array]:
        """Similarities and ids, each (q, k), of the nearest to each of `queries` (q, dimension); -1 for none."""
        if not len(queries):
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
        parts = self._nearest_in_each(np.ascontiguousarray(queries, np.float32), k)
        similarities = np.concatenate([part[0] for part in parts], axis=1)
        ids = np.concatenate([_ids_at(each, part[1]) for each, part in zip(self._segments, parts, strict=True)], axis=1)
        similarities = np.where(ids >= 0, similarities, -1.0)
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
        missing = ((0, 0), (0, max(k - best.shape[1], 0)))
        return (
            np.pad(np.clip(np.take_along_axis(similarities, best, 1), -1.0, 1.0), missing, constant_values=-1.0),
            np.pad(np.take_along_axis(ids, best, 1), missing, constant_values=-1),
        )

    def ids_at(self, positions: Int64Array) -> Int64Array:
        """The ids (n,) at positions (n,)."""
        in_base, in_tail = self._split(positions)
        ids = np.empty(len(positions), np.int64)
        ids[in_base] = self.base.ids[positions[in_base]]
        ids[in_tail] = self.tail.ids[positions[in_tail] - len(self.base.ids)]
        return ids

    def vectors_at(self, positions: Int64Array) -> Float32Array:
        """The vectors (n, dimension) at positions (n,)."""
        in_base, in_tail = self._split(positions)
        rows = np.empty((len(positions), self.base.rows.shape[1]), np.float16)
        rows[in_base] = self.base.rows[positions[in_base]]
        rows[in_tail] = self.tail.rows[positions[in_tail] - len(self.base.ids)]
        return to_float32(rows)

    def vector_of(self, identity: int) -> Float32Array | None:
        """The vector (dimension,) of a photograph, or None."""
        for segment in self._segments:
            if len(positions := segment.positions_of(np.array([identity], np.int64))):
                vector: Float32Array = to_float32(segment.rows[positions])[0]
                return vector
        return None

    def positions(self) -> Int64Array:
        """The positions (n,) that are not deleted, ascending."""
        in_tail = np.flatnonzero(~self.tail.deleted) + len(self.base.ids)
        return np.concatenate([np.flatnonzero(~self.base.deleted), in_tail])

    @property
    def _segments(self) -> tuple[Segment, Segment]:
        return self.base, self.tail

    def _nearest_in_each(self, queries: Float32Array, k: int) -> Sequence[tuple[Float32Array, Int64Array]]:
        return [segment.nearest(queries, k) for segment in self._segments]

    def _split(self, positions: Int64Array) -> tuple[BoolArray, BoolArray]:
        in_base = positions < len(self.base.ids)
        return in_base, ~in_base


def chunks_of(segments: Iterable[Segment]) -> Iterator[tuple[Int64Array, Float16Array]]:
    """Ids and rows that are not deleted, segment by segment."""
    for segment in segments:
        yield from segment.chunks()


def _ids_at(segment: Segment, positions: Int64Array) -> Int64Array:
    return np.where(positions >= 0, segment.ids[positions], -1) if len(segment.ids) else positions
