"""Pages of hits by match, or by date within what matches, each photograph on exactly one of them.

Photographs are ranked exactly by similarity, however large the library, and matches are computed from the nearest on.
All that decides where a photograph stands comes out the same on another page: similarities do to the last bit, and
matches where two pages meet (`_Part.settle`). A match that is computed together with others may differ in the last bits
of float32, so that two pages could disagree on which of them a photograph is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from service.index import VectorIndex
from service.index.attributes.columns import UNKNOWN_TIME
from service.index.attributes.timeline import DateOrder
from service.index.id_mask import Among
from service.index.vector_index import Ranking
from service.match.artifact import QueryKind
from service.match.scorer import Matcher
from service.search.cursor import Cursor, MatchKey
from service.search.selection import Selection
from service.types import BoolArray, Float32Array, Int64Array

STAGE = 4_096
"""Photographs that are ordered by match together, where matches order them in another way than similarities. Less
similar ones follow in the next stage."""
DATED = 10_000
"""Nearest photographs among which those that pass a cut are ordered by date."""
DATED_WITHOUT_CUT = 1_000
"""Nearest photographs that are ordered by date where no cut says which of them match."""
_BLOCK = 512
"""Photographs whose matches are computed at once."""
_SLACK = 64
"""Photographs that are ranked beyond those that are expected to be enough."""
_LOWEST = -2.0
"""Below any similarity."""
_JITTER = 1e-5
"""More than the share by which a match can differ when it is computed together with others."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What photographs are compared with.

    Attributes:
        vector: of the query, (dimension,), unit length.
        kind: of the query.
        index: the photographs' vectors.
        scorer: turns similarities into matches.
        cut: hits have at least this match.
        among: the only photographs that can be hits; None for all.
        excluded: the photograph that is never one.
    """

    vector: Float32Array
    kind: QueryKind
    index: VectorIndex
    scorer: Matcher
    cut: float
    among: Among | None
    excluded: int | None

    def matches(self, vectors: Float32Array) -> Float32Array:
        """Matches (n,) of photographs' vectors (n, dimension)."""
        return self.scorer.match(self.vector, vectors, self.kind)


@dataclass(frozen=True, eq=False)
class Page:
    """Hits in their order.

    Attributes:
        ids: (n,).
        similarities: (n,).
        matches: (n,).
        best_match: of all photographs that were compared, whether or not it passed the cut; None without any.
        next: where the next page starts; None after the last one.
    """

    ids: Int64Array
    similarities: Float32Array
    matches: Float32Array
    best_match: float | None
    next: Cursor | None


def page_by_match(compared: Comparison, start: Cursor, k: int) -> Page:
    """The next `k` photographs by falling match, of equal ones the nearer, then the lower id.

    Where matches may order photographs in another way than similarities, this is so within each `STAGE`.
    """
    if compared.scorer.reorders(compared.kind):
        return _page_in_stages(compared, start, k)
    part = _Ranked(compared, start).after(start.after, k + 1)
    matches = part.matches(0, len(part))
    part.settle(matches, compared.cut)
    passing = np.flatnonzero(matches >= compared.cut)
    chosen = passing[:k]
    best = _best(start, matches)
    following = None
    if len(passing) > k:
        key = part.key(matches, int(chosen[-1]))
        following = replace(start, after=key, best_match=best, seen=start.seen + k)
    return Page(part.ids[chosen], part.similarities[chosen], matches[chosen], best, following)


def page_by_date(compared: Comparison, start: Cursor, k: int, order: DateOrder, selection: Selection) -> Page:
    """The next `k` photographs by date of those that pass the cut, looking from the nearest on until none passes.

    At most the `DATED` nearest are looked at, and of those the `DATED_WITHOUT_CUT` nearest where the cut is 0.
    """
    part, matches, floor = _matching(compared, start)
    passing = np.flatnonzero(matches >= compared.cut)
    ids = part.ids[passing]
    times = selection.dates(ids)
    sign = 1 if order == "taken_at" else -1
    # Three keys of the order: those without a date last, then by date, then by id.
    unknown = times == UNKNOWN_TIME
    keys = (unknown, np.where(unknown, 0, sign * times), sign * ids)
    in_order = np.lexsort(keys[::-1])
    if start.after_date is not None:
        seconds, identity = start.after_date
        last = (seconds is None, sign * (seconds or 0), sign * identity)
        in_order = in_order[_comes_after(keys, last)[in_order]]
    chosen = in_order[:k]
    best = _best(start, matches)
    following = None
    if len(in_order) > k:
        key = (None if unknown[chosen[-1]] else int(times[chosen[-1]]), int(ids[chosen[-1]]))
        following = replace(start, after_date=key, best_match=best, floor=floor, seen=part.depth)
    at = passing[chosen]
    return Page(part.ids[at], part.similarities[at], matches[at], best, following)


def _page_in_stages(compared: Comparison, start: Cursor, k: int) -> Page:
    """The next photographs by match within each stage of similarities."""
    ranked = _Ranked(compared, start)
    position, best = start, start.best_match
    ids, similarities, matches = [], [], []
    missing = k
    following: Cursor | None = None
    while following is None:
        part, floor = ranked.stage(position, STAGE)
        values = part.matches(0, len(part))
        part.settle(values, compared.cut)
        best = _best(replace(start, best_match=best), values)
        passes = values >= compared.cut
        candidates = np.flatnonzero(passes & part.after(values, position.after))
        candidates = part.by_match(values, candidates)
        position = replace(position, floor=floor, best_match=best, seen=max(position.seen, part.depth))
        if 0 < missing < len(candidates):
            part.settle(values, float(values[candidates[missing - 1]]))
            candidates = part.by_match(values, candidates)
        if missing < len(candidates):
            key = part.key(values, int(candidates[missing - 1])) if missing else position.after
            following = replace(position, after=key)
        chosen = candidates[:missing]
        ids.append(part.ids[chosen])
        similarities.append(part.similarities[chosen])
        matches.append(values[chosen])
        missing -= len(chosen)
        if following is None:
            if floor == _LOWEST or not passes.any():
                break
            position = replace(position, ceiling=floor, floor=None, after=None)
    return Page(np.concatenate(ids), np.concatenate(similarities), np.concatenate(matches), best, following)


def _matching(compared: Comparison, start: Cursor) -> tuple[_Part, Float32Array, float]:
    """The photographs of which those that pass the cut are in order of date, their matches, and the lowest similarity.

    The first page chooses that similarity, and later ones keep to it, so that all pages are of the same photographs.
    """
    part, floor = _Ranked(compared, start).stage(start, DATED if compared.cut > 0 else DATED_WITHOUT_CUT)
    if start.floor is not None:
        matches = part.matches(0, len(part))
    else:
        parts = [np.empty(0, np.float32)]
        done = 0
        while done < len(part):
            end = part.end_of_ties(min(done + _BLOCK, len(part)))
            parts.append(part.matches(done, end))
            done = end
            if not (parts[-1] >= compared.cut).any():
                break
        if done < len(part):
            part, floor = part.first(done), float(part.similarities[done - 1])
        matches = np.concatenate(parts)
    part.settle(matches, compared.cut)
    return part, matches, floor


@dataclass(frozen=True, eq=False)
class _Part:
    """Photographs of a ranking, by falling similarity, then by id.

    Attributes:
        compared: what they are compared with.
        ranking: that they are from.
        places: theirs in the ranking, (n,).
    """

    compared: Comparison
    ranking: Ranking
    places: Int64Array

    def __len__(self) -> int:
        return len(self.places)

    @property
    def depth(self) -> int:
        """How many photographs must be ranked to find them."""
        return int(self.places.max()) + 1 if len(self) else 0

    @property
    def ids(self) -> Int64Array:
        """Their ids (n,)."""
        return self.ranking.ids[self.places]

    @property
    def similarities(self) -> Float32Array:
        """Their similarities (n,)."""
        return self.ranking.similarities[self.places]

    def matches(self, start: int, end: int) -> Float32Array:
        """The matches of the photographs from `start` to `end`."""
        blocks = (self.places[at : min(at + _BLOCK, end)] for at in range(start, end, _BLOCK))
        parts = [self.compared.matches(self.ranking.vectors(block)) for block in blocks]
        return np.concatenate([*parts, np.empty(0, np.float32)])

    def settle(self, matches: Float32Array, at: float) -> None:
        """Computes matches that are very near to a value again, each by itself: then they are always the same."""
        if at <= 0:
            # No match is lower.
            return
        for near in np.flatnonzero(np.abs(matches - np.float32(at)) <= _JITTER * at):
            matches[near] = self.compared.matches(self.ranking.vectors(self.places[near : near + 1]))[0]

    def by_match(self, matches: Float32Array, chosen: Int64Array) -> Int64Array:
        """Those `chosen` by falling match, then falling similarity, then id."""
        ids, similarities = self.ids[chosen], self.similarities[chosen]
        return chosen[np.lexsort((ids, -similarities, -matches[chosen]))]

    def key(self, matches: Float32Array, at: int) -> MatchKey:
        """The key of a photograph."""
        return MatchKey(float(matches[at]), float(self.similarities[at]), int(self.ids[at]))

    def after(self, matches: Float32Array, key: MatchKey | None) -> BoolArray:
        """Which photographs come after a key in the order by match, whose matches are settled here."""
        if key is None:
            return np.ones(len(self), np.bool_)
        self.settle(matches, key.match)
        keys = (-matches, -self.similarities, self.ids)
        return _comes_after(keys, (-np.float32(key.match), -np.float32(key.similarity), key.id))

    def end_of_ties(self, count: int) -> int:
        """At least `count`, and so many that the photograph after them is less similar than they are."""
        return int(np.searchsorted(-self.similarities, -self.similarities[count - 1], "right"))

    def first(self, count: int) -> _Part:
        """The first `count` of them."""
        return replace(self, places=self.places[:count])


class _Ranked:
    """The photographs that can be hits, ranked as deep as is needed."""

    def __init__(self, compared: Comparison, start: Cursor) -> None:
        excluded = () if compared.excluded is None else (compared.excluded,)
        self._compared = compared
        self._without = np.array([*start.shown, *excluded], np.int64)
        self._depth = start.seen + len(self._without) + _SLACK

    def after(self, key: MatchKey | None, count: int) -> _Part:
        """The first `count` photographs after a key in the order by similarity, then by id."""
        depth = self._depth + count
        while True:
            part, is_complete = self._rank(depth)
            if key is not None:
                keys = (-part.similarities, part.ids)
                part = replace(part, places=part.places[_comes_after(keys, (-np.float32(key.similarity), key.id))])
            if len(part) >= count or is_complete:
                return part.first(count)
            depth *= 4

    def stage(self, position: Cursor, count: int) -> tuple[_Part, float]:
        """The photographs between a cursor's similarities, and the lower of these.

        Where it names no lower one, these are the `count` nearest ones below the higher, and those as similar as the
        last of them. The lower one is `_LOWEST` where there are no more photographs.
        """
        depth = max(self._depth, position.seen + _SLACK) + (count if position.floor is None else 0)
        while True:
            part, is_complete = self._rank(depth)
            similarities = part.similarities
            if position.ceiling is not None:
                part = replace(part, places=part.places[similarities < np.float32(position.ceiling)])
                similarities = part.similarities
            if position.floor is not None:
                end = int(np.count_nonzero(similarities >= np.float32(position.floor)))
                if is_complete or end < len(part):
                    return part.first(end), position.floor
            elif len(part) > count:
                end = part.end_of_ties(count)
                return part.first(end), float(similarities[end - 1])
            elif is_complete:
                return part, _LOWEST
            depth *= 4

    def _rank(self, depth: int) -> tuple[_Part, bool]:
        """The nearest photographs, and whether these are all.

        If not, those as similar as the last one are left out, since not all of them may be there.
        """
        ranking = self._compared.index.rank(self._compared.vector, depth, self._compared.among)
        is_complete = len(ranking) < depth
        order = np.lexsort((ranking.ids, -ranking.similarities))
        keep = ~np.isin(ranking.ids, self._without)
        if not is_complete:
            keep &= ranking.similarities > ranking.similarities[-1]
        places = order[keep[order]]
        return _Part(self._compared, ranking, places), is_complete


def _comes_after(keys: tuple[BoolArray | Float32Array | Int64Array, ...], last: tuple[object, ...]) -> BoolArray:
    """Which rows come after `last` in the order of several keys (n,), the first of which counts most."""
    after = np.zeros(len(keys[0]), np.bool_)
    equal = np.ones(len(keys[0]), np.bool_)
    for key, value in zip(keys, last, strict=True):
        after |= equal & (key > value)  # type: ignore[operator]
        equal &= key == value
    return after


def _best(start: Cursor, matches: Float32Array) -> float | None:
    """The best match: that of the first page, or the highest of `matches`."""
    if start.best_match is not None or not len(matches):
        return start.best_match
    return float(matches.max())
