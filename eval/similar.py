"""How well a photograph finds photographs of its kind, on photographs sorted into folders by kind.

Photographs of `test/` search those of `train/`; where nothing is set apart, each photograph searches all others
(leave-one-out). Relevant is what is of its kind. With R relevant photographs among those searched,

    AP@10 = (1 / min(10, R)) · Σ_{i=1..10} rel(i) · P(i),

P(i) being the share of relevant ones among the first i, and rel(i) 1 where the i-th is relevant, else 0. The
normaliser min(10, R) lets a kind of three photographs reach 1. `map10` is its mean over the photographs that search,
`r1` the share whose first is relevant, `vote_accuracy` the share whose kind wins the vote of the nearest; all in
percent. Ties count against the model: of equally similar photographs those of other kinds stand first.

Without a head the similarity is the cosine of the tower's pooled features, as they are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.kinds import KindFolder, LeftOut, copies, read_kinds
from eval.bootstrap import Interval, interval, resample_counts
from service.errors import DataError, MismatchError
from service.heads.projection import Head, unit
from service.kinds.knn_vote import KnnVote, count_votes
from service.types import BoolArray, Float32Array, Float64Array, Int64Array, OnStage

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


DEPTH = 10
WORST = 20
"""Photographs that a report shows."""
_AT_ONCE = 256
"""Photographs that search at once: 256 × 200,000 similarities are 200 MB."""


@dataclass(frozen=True, eq=False)
class GalleryResults:
    """What n photographs found: `precision` (n,) their AP@10, 0 to 1, and `voted` (n,) the kind that won the vote.

    `rows` (n, m) and `similarities` (n, m) are the photographs found, best first, m being 10 or, where fewer are
    searched, their number; `right` (n, m) says which are of the kind.
    """

    precision: Float64Array
    voted: Int64Array
    rows: Int64Array
    similarities: Float32Array
    right: BoolArray


@dataclass(frozen=True)
class GalleryHit:
    """A photograph that was found, whether it is of the kind, and its similarity, -1 to 1."""

    file: Path
    kind: str
    right: bool
    similarity: float


@dataclass(frozen=True)
class GallerySearch:
    """A photograph that searched, its AP@10 in percent, the kind that was voted, and what it found, best first."""

    file: Path
    kind: str
    voted: str
    precision: float
    found: tuple[GalleryHit, ...]


@dataclass(frozen=True)
class KindFigure:
    """MAP@10 of a kind in percent, and how many photographs of it searched."""

    kind: str
    photos: int
    map10: float


@dataclass(frozen=True)
class SimilarReport:
    """Figures of one encoder, or of one head, on one folder; `intervals` are bootstrap 95 % intervals over photographs.

    `photos` searched among `searched`. `confusions` counts photographs by (kind, kind voted), right votes among them;
    `worst` are those with the lowest AP@10, of equal ones those that were surest first.
    """

    figures: dict[str, float]
    intervals: dict[str, Interval]
    photos: int
    searched: int
    leave_one_out: bool
    by_kind: tuple[KindFigure, ...]
    confusions: dict[tuple[str, str], int]
    worst: tuple[GallerySearch, ...]
    left_out: tuple[LeftOut, ...]
    skipped: int
    seconds: float
    models: dict[str, str]
    head: str | None
    folder: Path

    @property
    def confused(self) -> list[tuple[str, str, int]]:
        """Kind, kind voted instead, and how many photographs, the most first."""
        wrong = [(kind, voted, count) for (kind, voted), count in self.confusions.items() if kind != voted]
        return sorted(wrong, key=lambda each: (-each[2], each[0], each[1]))

    def name_of(self, file: Path) -> str:
        """A photograph's path inside the folder."""
        return str(file.relative_to(self.folder))

    def as_json(self) -> dict[str, Any]:
        """The figures first and flat, then what they were measured on, for `--json` and for tables."""
        return {
            **{name: round(value, 2) for name, value in self.figures.items()},
            "intervals": {name: [round(end, 2) for end in ends] for name, ends in self.intervals.items()},
            "photos": self.photos,
            "searched": self.searched,
            "kinds": len(self.by_kind),
            "leave_one_out": self.leave_one_out,
            "seconds": round(self.seconds, 1),
            "models": self.models,
            "head": self.head,
            "by_kind": {each.kind: round(each.map10, 2) for each in self.by_kind},
            "confused": [{"kind": kind, "voted": voted, "photos": count} for kind, voted, count in self.confused],
            "left_out": [{"photo": self.name_of(each.file), "reason": each.reason} for each in self.left_out],
            "skipped": self.skipped,
            "worst": [
                {"photo": self.name_of(each.file), "kind": each.kind, "ap10": round(each.precision, 2)}
                for each in self.worst
            ],
        }


def search_gallery(
    queries: Float32Array,
    query_kinds: Int64Array,
    gallery: Float32Array,
    gallery_kinds: Int64Array,
    exclude: Int64Array | None = None,
    vote: KnnVote | None = None,
) -> GalleryResults:
    """What photographs (n, d) of kinds (n,) find in a gallery (m, d) of kinds (m,) by the inner product.

    `exclude` (n,) is each one's own place in the gallery, where it is not found, or -1. Without `vote` the ten
    nearest vote, each with its similarity (none with one below 0). Raises ValueError where there is nothing to find
    for a photograph.
    """
    own = np.full(len(queries), -1, np.int64) if exclude is None else exclude
    relevant = np.bincount(gallery_kinds, minlength=int(query_kinds.max(initial=0)) + 1)[query_kinds]
    relevant -= (own >= 0) & (gallery_kinds[own] == query_kinds)
    if not len(queries) or relevant.min() < 1:
        raise ValueError("each photograph needs one of its kind to find")
    depth = min(max(DEPTH, vote.neighbours if vote else 0), len(gallery) - int((own >= 0).any()))
    rows, similarities = _nearest(queries, query_kinds, gallery, gallery_kinds, own, depth)
    found = gallery_kinds[rows]
    right = (found == query_kinds[:, None])[:, :DEPTH]
    shares = right.cumsum(axis=1) / np.arange(1, right.shape[1] + 1)
    precision = (right * shares).sum(axis=1) / np.minimum(DEPTH, relevant)
    if vote is None:
        voted = _majority(similarities[:, :DEPTH], found[:, :DEPTH])
    else:
        nearest = slice(0, vote.neighbours)
        voted = count_votes(similarities[:, nearest], found[:, nearest], vote.temperature)[0]
    return GalleryResults(precision, voted, rows[:, :DEPTH], similarities[:, :DEPTH], right)


def figures_of(measured: GalleryResults, kinds: Int64Array) -> tuple[dict[str, float], dict[str, Interval]]:
    """`map10`, `r1` and `vote_accuracy` in percent, and their bootstrap 95 % intervals over the photographs (n,)."""
    values = {
        "map10": measured.precision,
        "r1": measured.right[:, 0].astype(np.float64),
        "vote_accuracy": (measured.voted == kinds).astype(np.float64),
    }
    table = 100 * np.stack(list(values.values()))
    drawn = np.stack([table @ times for times in resample_counts(len(kinds))]) / len(kinds)
    figures = dict(zip(values, table.mean(axis=1).tolist(), strict=True))
    return figures, {name: interval(drawn[:, place].tolist()) for place, name in enumerate(values)}


def eval_similar(
    data: Path,
    encoders: Sequence[Encoder],
    head: Head | None = None,
    *,
    cache: Path | None = None,
    on_progress: OnStage | None = None,
    threads: int | None = None,
) -> SimilarReport:
    """Measure the one encoder, or the encoders of a head, on a folder of kinds.

    Left out, each with its reason, are photographs that cannot be read; those of `test/` that are also in `train/`,
    and where nothing is set apart all but the first of equal ones; and those that are the only one of their kind.
    `cache` keeps features from run to run.

    Raises DataError for a fault of the folder, MismatchError for a head of other encoders, UsageError where the cache
    cannot be written.
    """
    from service.photos.decode import is_photograph_name

    started = time.monotonic()
    _check(encoders, head)
    kinds = read_kinds(data, is_photograph_name)
    left_out = _copies(kinds)
    gone = {each.file for each in left_out}
    places = np.array([place for place, file in enumerate(kinds.files) if file not in gone], np.int64)
    vectors, places, failed = _vectors(kinds, places, encoders, head, cache, on_progress, threads)
    asks, lonely = _asking(kinds, places)
    left_out += [*failed, *lonely]
    if not asks.any():
        raise DataError(f"No photograph in {data} has another one of its kind to find. Add photographs to the kinds.")
    searched = np.full(len(places), True) if not kinds.split else ~kinds.test[places]
    own = np.flatnonzero(asks[searched]) if not kinds.split else None
    queries, gallery = places[asks], places[searched]
    measured = search_gallery(
        vectors[asks],
        kinds.kind[queries],
        vectors[searched],
        kinds.kind[gallery],
        own,
        head.vote if head else None,
    )
    figures, intervals = figures_of(measured, kinds.kind[queries])
    return SimilarReport(
        figures=figures,
        intervals=intervals,
        photos=len(queries),
        searched=len(gallery),
        leave_one_out=not kinds.split,
        by_kind=_by_kind(kinds, queries, measured),
        confusions=_confusions(kinds, queries, measured),
        worst=_worst(kinds, queries, gallery, measured),
        left_out=tuple(left_out),
        skipped=kinds.skipped,
        seconds=time.monotonic() - started,
        models={encoder.name: encoder.fingerprint for encoder in encoders},
        head=None if head is None else head.candidate,
        folder=data,
    )


def _nearest(
    queries: Float32Array,
    query_kinds: Int64Array,
    gallery: Float32Array,
    gallery_kinds: Int64Array,
    own: Int64Array,
    depth: int,
) -> tuple[Int64Array, Float32Array]:
    """Rows and similarities (n, depth), best first; of equally similar ones those of other kinds first."""
    rows = np.empty((len(queries), depth), np.int64)
    similarities = np.empty((len(queries), depth), np.float32)
    for first in range(0, len(queries), _AT_ONCE):
        table = queries[first : first + _AT_ONCE] @ gallery.T
        itself = own[first : first + _AT_ONCE]
        table[np.flatnonzero(itself >= 0), itself[itself >= 0]] = -np.inf
        least = np.partition(table, len(gallery) - depth, axis=1)[:, len(gallery) - depth]
        for place, line in enumerate(table):
            near = np.flatnonzero(line >= least[place])
            same = gallery_kinds[near] == query_kinds[first + place]
            best = near[np.lexsort((same, -line[near]))[:depth]]
            rows[first + place], similarities[first + place] = best, line[best]
    return rows, similarities


def _majority(similarities: Float32Array, kinds: Int64Array) -> Int64Array:
    """The kinds (n,) with the largest sum of similarities; of equal ones that of the nearest."""
    weights = np.maximum(similarities, 0.0)
    sums = ((kinds[:, :, None] == kinds[:, None, :]) * weights[:, None, :]).sum(axis=2)
    winners: Int64Array = kinds[np.arange(len(kinds)), sums.argmax(axis=1)]
    return winners


def _check(encoders: Sequence[Encoder], head: Head | None) -> None:
    if head is None:
        if len(encoders) != 1:
            raise ValueError("without a head there is one encoder")
        return
    names = ", ".join(encoder.name for encoder in encoders)
    head.check_encoders([encoder.fingerprint for encoder in encoders], f"what was loaded ({names})")
    for encoder in encoders:
        if encoder.fingerprint not in head.encoders:
            raise MismatchError(
                f"The head was not fitted on {encoder.name} with the fingerprint {encoder.fingerprint}, but on "
                f"{' and '.join(head.encoders.values())}. Leave the model out."
            )


def _copies(kinds: KindFolder) -> list[LeftOut]:
    """A copy among those searched is found at once, which says nothing of kinds."""
    return [
        LeftOut(kinds.files[place], f"it is the same photograph as {kinds.files[first].relative_to(kinds.folder)}")
        for place, first in copies(kinds.files).items()
        if not kinds.split or (kinds.test[place] and not kinds.test[first])
    ]


def _vectors(
    kinds: KindFolder,
    places: Int64Array,
    encoders: Sequence[Encoder],
    head: Head | None,
    cache: Path | None,
    on_progress: OnStage | None,
    threads: int | None,
) -> tuple[Float32Array, Int64Array, list[LeftOut]]:
    """Unit vectors (m, d) of the photographs at `places` that could be read, their places (m,), and the others."""
    from eval.feature_cache import features_of

    features: dict[str, Float32Array] = {}
    files = [kinds.files[place] for place in places]
    failed: dict[Path, LeftOut] = {}
    for encoder in encoders:
        what = f"encoding with {encoder.name}"
        tell = None if on_progress is None else lambda done, total, what=what: on_progress(what, done, total)
        made = features_of(files, encoder, cache, tell, threads=threads)
        failed |= {each.file: each for each in made.failed}
        places, files = places[made.rows], [files[row] for row in made.rows]
        features = {name: each[made.rows] for name, each in features.items()} | {encoder.fingerprint: made.features}
    vectors = head.project(features) if head else unit(features[encoders[0].fingerprint])
    return vectors, places, list(failed.values())


def _asking(kinds: KindFolder, places: Int64Array) -> tuple[BoolArray, list[LeftOut]]:
    """Which of the photographs at `places` search, (m,), and those that would have nothing to find."""
    searched = places[~kinds.test[places]] if kinds.split else places
    there = np.bincount(kinds.kind[searched], minlength=len(kinds.names))
    asks = kinds.test[places] if kinds.split else np.full(len(places), True)
    alone = asks & (there[kinds.kind[places]] < (1 if kinds.split else 2))
    reason = "none of its kind is among those searched" if kinds.split else "it is the only one of its kind"
    return asks & ~alone, [LeftOut(kinds.files[place], reason) for place in places[alone]]


def _by_kind(kinds: KindFolder, queries: Int64Array, measured: GalleryResults) -> tuple[KindFigure, ...]:
    own = kinds.kind[queries]
    count = np.bincount(own, minlength=len(kinds.names))
    sums = np.bincount(own, measured.precision, len(kinds.names))
    return tuple(
        KindFigure(kinds.names[kind], int(count[kind]), 100 * float(sums[kind] / count[kind]))
        for kind in np.flatnonzero(count)
    )


def _confusions(kinds: KindFolder, queries: Int64Array, measured: GalleryResults) -> dict[tuple[str, str], int]:
    pairs, counts = np.unique(np.stack([kinds.kind[queries], measured.voted]), axis=1, return_counts=True)
    return {
        (kinds.names[own], kinds.names[voted]): int(count)
        for own, voted, count in zip(pairs[0], pairs[1], counts, strict=True)
    }


def _worst(
    kinds: KindFolder, queries: Int64Array, gallery: Int64Array, measured: GalleryResults
) -> tuple[GallerySearch, ...]:
    order = np.lexsort((-measured.similarities[:, 0], measured.precision))[:WORST]
    searches = []
    for place in order[measured.precision[order] < 1.0]:
        found = tuple(
            GalleryHit(kinds.files[row], kinds.names[kinds.kind[row]], bool(right), float(similarity))
            for row, right, similarity in zip(
                gallery[measured.rows[place]], measured.right[place], measured.similarities[place], strict=True
            )
        )
        query = queries[place]
        searches.append(
            GallerySearch(
                file=kinds.files[query],
                kind=kinds.names[kinds.kind[query]],
                voted=kinds.names[measured.voted[place]],
                precision=100 * float(measured.precision[place]),
                found=found,
            )
        )
    return tuple(searches)
