"""Rows of the catalog become columns, and columns are brought up to date with rows that changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from service.index.attributes.columns import (
    CODED,
    LANDSCAPE,
    PLAIN,
    PORTRAIT,
    SQUARE,
    UNKNOWN_STARS,
    UNKNOWN_TIME,
    Attributes,
    Folder,
    Postings,
    WrittenPlace,
)
from service.photos.formats import is_raw_format
from service.store.attributes import AttributeRow
from service.types import AnyArray, BoolArray, Int32Array, Int64Array

_NOWHERE = WrittenPlace(None, None, None, None)
_TYPES: dict[str, Any] = {
    "ids": np.int64,
    "taken_at": np.int64,
    "month": np.int32,
    "day": np.int8,
    "stars": np.int8,
    "orientation": np.int8,
    "is_raw": np.bool_,
    "focal_length": np.float32,
    "latitude": np.float32,
    "longitude": np.float32,
} | dict.fromkeys(CODED, np.int32)
_LATEST = 1 << 40
"""Seconds from 1970, in both directions, beyond which a time is not known; it is in the year 36,812."""
_NAMED = ("keywords", "people")


def empty_attributes() -> Attributes:
    """Without photographs, at generation 0."""
    columns: dict[str, AnyArray] = {name: np.empty(0, dtype) for name, dtype in _TYPES.items()}
    nothing = Postings((), np.zeros(1, np.int64), np.empty(0, np.int32))
    return make_attributes(columns, dict.fromkeys(CODED, (None,)), (nothing, nothing), np.empty(0, np.int32), 0)


def make_attributes(
    columns: Mapping[str, AnyArray],
    names: Mapping[str, tuple[Any, ...]],
    postings: Sequence[Postings],
    by_date: Int32Array,
    dated: int,
    generation: int = 0,
    stamp: str | None = "",
) -> Attributes:
    """A snapshot of `columns` by name; `postings` are those of keywords and people."""
    keywords, people = postings
    plain: dict[str, Any] = {name: columns[name] for name in PLAIN}
    return Attributes(
        **plain,
        codes={name: columns[name] for name in CODED},
        names=names,
        keywords=keywords,
        people=people,
        by_date=by_date,
        dated=dated,
        generation=generation,
        stamp=stamp,
    )


def updated(
    last: Attributes,
    removed: Iterable[int],
    chunks: Iterable[Sequence[AttributeRow]],
    generation: int = 0,
    stamp: str | None = "",
) -> Attributes:
    """The attributes after photographs were removed, and then others added or replaced.

    Args:
        last: the attributes before.
        removed: ids.
        chunks: rows by ascending id.
        generation: of the catalog after the changes.
        stamp: of that generation.
    """
    encoder = _RowEncoder(last)
    for rows in chunks:
        encoder.add(rows)
    changed = encoder.columns()
    outdated = np.union1d(np.fromiter(removed, np.int64), changed["ids"])
    kept = ~np.isin(last.ids, outdated, kind="sort") if len(outdated) else np.ones(len(last), np.bool_)
    moves = _Moves.between(last.ids[kept], changed["ids"], kept)
    columns = {name: moves.merge(column, changed[name]) for name, column in last.columns().items()}
    postings = [
        _merged_postings(getattr(last, name), moves, encoder.names[name], encoder.pairs(name)) for name in _NAMED
    ]
    by_date, dated = _by_date(last, columns["taken_at"], moves)
    names = {name: tuple(encoder.names[name]) for name in CODED}
    return make_attributes(columns, names, postings, by_date, dated, generation, stamp)


class _RowEncoder:
    """Collects rows as columns; `names` maps the names of each dictionary to their codes, and grows."""

    def __init__(self, last: Attributes) -> None:
        self.names: dict[str, dict[Any, int]] = {name: _numbered(last.names[name]) for name in CODED}
        self.names |= {name: _numbered(getattr(last, name).names) for name in _NAMED}
        self._parts: dict[str, list[AnyArray]] = {name: [] for name in _TYPES}
        self._pairs: dict[str, list[AnyArray]] = {name: [] for name in _NAMED}
        self._count = 0

    def add(self, rows: Sequence[AttributeRow]) -> None:
        """Appends rows, at least one."""
        row: Any = AttributeRow(*map(list, zip(*rows, strict=True)))  # type: ignore[arg-type]
        taken_at = _times(row.taken_at)
        known = taken_at != UNKNOWN_TIME
        moments = np.where(known, taken_at, 0).astype("datetime64[s]")
        months = moments.astype("datetime64[M]")
        days = (moments.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) + 1
        width, height = _array(row.width, np.int64), _array(row.height, np.int64)
        places = zip(row.town_id, row.country, row.region, row.town, strict=True)
        columns: dict[str, AnyArray] = {
            "ids": _array(row.id, np.int64),
            "taken_at": taken_at,
            "month": months.astype(np.int64),
            "day": np.where(known, days, 0),
            "stars": _array([UNKNOWN_STARS if stars is None else stars for stars in row.stars], np.int64),
            "orientation": np.where(width > height, LANDSCAPE, np.where(width < height, PORTRAIT, SQUARE)),
            "is_raw": _array(row.has_raw, np.bool_) | [*map(is_raw_format, row.format)],
            # None becomes NaN.
            "focal_length": _array(row.focal_length, np.float64),
            "latitude": _array(row.latitude, np.float64),
            "longitude": _array(row.longitude, np.float64),
            "camera": self._codes("camera", row.camera),
            "lens": self._codes("lens", row.lens),
            "label": self._codes("label", row.label),
            "format": self._codes("format", row.format),
            "folder": self._codes("folder", map(Folder, row.root, row.folder)),
            "place": self._codes("place", (None if each == _NOWHERE else WrittenPlace(*each) for each in places)),
        }
        for name, column in columns.items():
            self._parts[name].append(column.astype(_TYPES[name]))
        for name in _NAMED:
            lists: Sequence[Sequence[str]] = getattr(row, name)
            owners = np.repeat(np.arange(len(rows)) + self._count, [len(each) for each in lists])
            self._pairs[name].append(np.stack([self._codes(name, chain.from_iterable(lists)), owners]))
        self._count += len(rows)

    def columns(self) -> dict[str, AnyArray]:
        """All rows so far."""
        return {
            name: np.concatenate([*parts, np.empty(0, _TYPES[name])], dtype=_TYPES[name])
            for name, parts in self._parts.items()
        }

    def pairs(self, name: str) -> Int64Array:
        """Codes of keywords or people, and the rows that have them: (2, n)."""
        return np.concatenate([*self._pairs[name], np.empty((2, 0), np.int64)], axis=1)

    def _codes(self, column: str, names: Iterable[Any]) -> Int64Array:
        codes = self.names[column]
        return np.fromiter((codes.setdefault(name, len(codes)) for name in names), np.int64)


@dataclass(frozen=True)
class _Moves:
    """Where photographs go when columns are merged: those that stay, and those that are added.

    Attributes:
        kept: which of the positions before stay, (n,).
        appended: whether all that are added come after all that stay.
        order: where in what stays, followed by what is added, each new position comes from.
        old: the new position of each one before, -1 for what does not stay.
        new: the positions of what is added.
    """

    kept: BoolArray
    appended: bool
    order: Int64Array
    old: Int64Array
    new: Int64Array

    @classmethod
    def between(cls, staying: Int64Array, added: Int64Array, kept: BoolArray) -> _Moves:
        """From the ids that stay and those that are added, both ascending and disjoint."""
        appended = not len(staying) or not len(added) or bool(added[0] > staying[-1])
        # Two ascending runs, which a stable sort merges in one pass.
        order = np.argsort(np.concatenate([staying, added]), kind="stable")
        target = np.empty(len(order), np.int64)
        target[order] = np.arange(len(order))
        old = np.full(len(kept), -1, np.int64)
        old[kept] = target[: len(staying)]
        return cls(kept, appended, order, old, target[len(staying) :])

    def merge(self, before: AnyArray, added: AnyArray) -> AnyArray:
        """A column of what stays and what is added."""
        merged = np.concatenate([before if self.kept.all() else before[self.kept], added])
        return merged if self.appended else merged[self.order]


def _merged_postings(last: Postings, moves: _Moves, names: Mapping[str, int], pairs: Int64Array) -> Postings:
    """Postings of what stays and of `pairs` of codes and rows of what is added."""
    codes = np.repeat(np.arange(len(last.names)), last.counts)
    positions = moves.old[last.positions]
    stays = positions >= 0
    old = _joined(codes[stays], positions[stays])
    new = np.unique(_joined(pairs[0], moves.new[pairs[1]]))
    # Two ascending runs, since positions keep their order.
    joined = np.sort(np.concatenate([old, new]), kind="stable")
    starts = np.searchsorted(joined, _joined(np.arange(len(names) + 1), np.zeros(len(names) + 1, np.int64)))
    return Postings(tuple(names), starts.astype(np.int64), (joined & 0xFFFFFFFF).astype(np.int32))


def _joined(codes: Int64Array, positions: Int64Array) -> Int64Array:
    joined: Int64Array = (codes.astype(np.int64) << 32) | positions
    return joined


def _by_date(last: Attributes, taken_at: Int64Array, moves: _Moves) -> tuple[Int32Array, int]:
    """Positions by time, then those without one, as `Attributes.by_date`; and how many have one."""
    before = moves.old[last.by_date]
    dated, undated = (part[part >= 0] for part in np.split(before, [last.dated]))
    known = taken_at[moves.new] != UNKNOWN_TIME
    new = moves.new[known]
    new = new[np.argsort(taken_at[new], kind="stable")]
    # Two runs in the right order, which a stable sort merges, except that of equal times those before come first.
    merged = np.concatenate([dated, new])
    times = taken_at[merged]
    order = np.argsort(times, kind="stable")
    merged, times = merged[order], times[order]
    _sort_ties(merged, times)
    without = np.sort(np.concatenate([undated, moves.new[~known]]))
    return np.concatenate([merged, without]).astype(np.int32), len(merged)


def _sort_ties(positions: Int64Array, times: Int64Array) -> None:
    """Sorts positions of equal times in place, where they are not in order."""
    wrong = np.flatnonzero((times[1:] == times[:-1]) & (positions[1:] < positions[:-1]))
    done = 0
    for at in wrong:
        if at < done:
            continue
        start, done = np.searchsorted(times, times[at], "left"), np.searchsorted(times, times[at], "right")
        positions[start:done].sort()


def _numbered(names: Sequence[Any]) -> dict[Any, int]:
    return {name: code for code, name in enumerate(names)}


def _array(values: Any, dtype: Any) -> AnyArray:
    return np.array(values, dtype)


def _times(values: Any) -> Int64Array:
    known = (UNKNOWN_TIME if value is None or abs(value) > _LATEST else value for value in values)
    return np.fromiter(known, np.int64, len(values))
