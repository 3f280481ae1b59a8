"""How well a photograph finds photographs of its kind, on photographs sorted into folders by kind.

Photographs of `test/` search those of `train/`; without that split each photograph searches all others (leave-one-out).
Photographs of the same kind are relevant. With R relevant photographs in the gallery,

    AP@10 = (1 / min(10, R)) · Σ_{i=1..10} rel(i) · P(i),

where P(i) is the share of relevant ones among the first i, and rel(i) is 1 where the i-th is relevant, else 0. With the
normaliser min(10, R) a kind of three photographs can reach 1. `map10` is its mean over the queries, `r1` the share of
queries whose first hit is relevant, `vote_accuracy` the share whose kind wins the vote of the nearest; all in percent.
Ties count against the model: among equally similar photographs those of other kinds rank first.

Without a head the similarity is the cosine of the tower's pooled features.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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
"""Queries that a report shows."""
_AT_ONCE = 256
"""Queries compared at once: 256 × 200,000 similarities take 200 MB."""


@dataclass(frozen=True, eq=False)
class GalleryResults:
    """Results of n queries: `precision` (n,) is AP@10, 0 to 1, and `voted` (n,) the kind that won the vote.

    `rows` (n, m) and `similarities` (n, m) are the nearest photographs, best first, where m is 10 or the size of a
    smaller gallery; `right` (n, m) says which are of the query's kind.
    """

    precision: Float64Array
    voted: Int64Array
    rows: Int64Array
    similarities: Float32Array
    right: BoolArray


@dataclass(frozen=True)
class GalleryHit:
    """A hit, its kind, whether that is the query's kind, and its similarity, -1 to 1."""

    file: Path
    kind: str
    right: bool
    similarity: float


@dataclass(frozen=True)
class GallerySearch:
    """A query, its kind, the kind that won the vote, its AP@10 in percent, and its hits, best first."""

    file: Path
    kind: str
    voted: str
    precision: float
    found: tuple[GalleryHit, ...]


@dataclass(frozen=True)
class KindFigure:
    """MAP@10 of a kind in percent, and its number of queries."""

    kind: str
    photos: int
    map10: float


@dataclass(frozen=True)
class SimilarReport:
    """Figures of one encoder, or of one head, on one folder; `intervals` are bootstrap 95 % intervals over photographs.

    `photos` queries searched a gallery of `searched` photographs. `confusions` counts queries by (kind, kind voted),
    including right votes; `worst` are those with the lowest AP@10, of equal ones first those with the most similar hit.
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
        """Kind, kind voted instead, and how many photographs, by descending number."""
        wrong = [(kind, voted, count) for (kind, voted), count in self.confusions.items() if kind != voted]
        return sorted(wrong, key=lambda each: (-each[2], each[0], each[1]))

    def name_of(self, file: Path) -> str:
        """A photograph's path relative to the folder."""
        return str(file.relative_to(self.folder))

    def as_json(self) -> dict[str, Any]:
        """The figures first and flat, then data and models, for `--json` and for tables."""
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
    """What queries (n, d) of kinds (n,) find in a gallery (m, d) of kinds (m,) by inner product.

    `exclude` (n,) is each query's own row in the gallery, which it does not find, or -1. Without `vote` the ten nearest
    vote, each with its similarity (0 where that is negative). Raises ValueError where there is no query, or nothing
    relevant for one.
    """
    own = np.full(len(queries), -1, np.int64) if exclude is None else exclude
    relevant = np.bincount(gallery_kinds, minlength=int(query_kinds.max(initial=0)) + 1)[query_kinds]
    relevant -= (own >= 0) & (gallery_kinds[own] == query_kinds)
    if not len(queries) or relevant.min() < 1:
        raise ValueError("each query needs another photograph of its kind in the gallery")
    depth = min(max(DEPTH, vote.neighbours if vote else 0), len(gallery) - int((own >= 0).any()))
    rows, similarities = _nearest(queries, query_kinds, gallery, gallery_kinds, own, depth)
    found_kinds = gallery_kinds[rows]
    right = (found_kinds == query_kinds[:, None])[:, :DEPTH]
    shares = right.cumsum(axis=1) / np.arange(1, right.shape[1] + 1)
    precision = (right * shares).sum(axis=1) / np.minimum(DEPTH, relevant)
    if vote is None:
        voted = _weighted_majority(similarities[:, :DEPTH], found_kinds[:, :DEPTH])
    else:
        nearest = slice(0, vote.neighbours)
        voted = count_votes(similarities[:, nearest], found_kinds[:, nearest], vote.temperature)[0]
    return GalleryResults(precision, voted, rows[:, :DEPTH], similarities[:, :DEPTH], right)


def figures_of(results: GalleryResults, kinds: Int64Array) -> tuple[dict[str, float], dict[str, Interval]]:
    """`map10`, `r1` and `vote_accuracy` in percent, and their bootstrap 95 % intervals.

    `kinds` (n,) are those of the queries.
    """
    values = {
        "map10": results.precision,
        "r1": results.right[:, 0].astype(np.float64),
        "vote_accuracy": (results.voted == kinds).astype(np.float64),
    }
    table = 100 * np.stack(list(values.values()))
    drawn = np.stack([table @ times for times in resample_counts(len(kinds))]) / len(kinds)
    figures = dict(zip(values, table.mean(axis=1).tolist(), strict=True))
    return figures, {name: interval(drawn[:, column]) for column, name in enumerate(values)}


def eval_similar(
    data: Path,
    encoders: Sequence[Encoder],
    head: Head | None = None,
    *,
    cache: Path | None = None,
    on_stage: OnStage | None = None,
    threads: int | None = None,
) -> SimilarReport:
    """Measure one encoder, or the encoders of a head, on a folder of kinds.

    Left out, each with its reason, are photographs that cannot be read; copies (those of `test/` that are also in
    `train/`, or without that split all but the first); and those that are the only one of their kind. `cache` keeps
    features between runs.

    Raises:
        DataError: the folder is faulty.
        MismatchError: the head was fitted on other encoders.
        UsageError: the cache cannot be written.
    """
    from service.photos.formats import is_photograph_name

    started = time.monotonic()
    _check(encoders, head)
    kinds = read_kinds(data, is_photograph_name)
    left_out = _copies(kinds)
    excluded = {each.file for each in left_out}
    rows = np.array([row for row, file in enumerate(kinds.files) if file not in excluded], np.int64)
    vectors, rows, failed = _vectors(kinds, rows, encoders, head, cache, on_stage, threads)
    is_query, lone = _queries(kinds, rows)
    left_out += [*failed, *lone]
    if not is_query.any():
        raise DataError(f"No photograph in {data} has another one of its kind to find. Add photographs to the kinds.")
    in_gallery = np.full(len(rows), True) if not kinds.split else ~kinds.test[rows]
    own = np.flatnonzero(is_query[in_gallery]) if not kinds.split else None
    queries, gallery = rows[is_query], rows[in_gallery]
    results = search_gallery(
        vectors[is_query],
        kinds.kind[queries],
        vectors[in_gallery],
        kinds.kind[gallery],
        own,
        head.vote if head else None,
    )
    figures, intervals = figures_of(results, kinds.kind[queries])
    return SimilarReport(
        figures=figures,
        intervals=intervals,
        photos=len(queries),
        searched=len(gallery),
        leave_one_out=not kinds.split,
        by_kind=_by_kind(kinds, queries, results),
        confusions=_confusions(kinds, queries, results),
        worst=_worst(kinds, queries, gallery, results),
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
    """Rows and similarities (n, depth), best first; among equally similar ones those of other kinds first."""
    rows = np.empty((len(queries), depth), np.int64)
    similarities = np.empty((len(queries), depth), np.float32)
    for first in range(0, len(queries), _AT_ONCE):
        table = queries[first : first + _AT_ONCE] @ gallery.T
        own_rows = own[first : first + _AT_ONCE]
        table[np.flatnonzero(own_rows >= 0), own_rows[own_rows >= 0]] = -np.inf
        lowest = np.partition(table, len(gallery) - depth, axis=1)[:, len(gallery) - depth]
        for query, line in enumerate(table, first):
            near = np.flatnonzero(line >= lowest[query - first])
            same_kind = gallery_kinds[near] == query_kinds[query]
            best = near[np.lexsort((same_kind, -line[near]))[:depth]]
            rows[query], similarities[query] = best, line[best]
    return rows, similarities


def _weighted_majority(similarities: Float32Array, kinds: Int64Array) -> Int64Array:
    """The kinds (n,) with the largest sum of similarities; of equal ones the kind of the nearest."""
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
    """Copies of photographs in the gallery: finding them would say nothing about kinds."""
    return [
        LeftOut(kinds.files[copy], f"it is the same photograph as {kinds.files[first].relative_to(kinds.folder)}")
        for copy, first in copies(kinds.files).items()
        if not kinds.split or (kinds.test[copy] and not kinds.test[first])
    ]


def _vectors(
    kinds: KindFolder,
    rows: Int64Array,
    encoders: Sequence[Encoder],
    head: Head | None,
    cache: Path | None,
    on_stage: OnStage | None,
    threads: int | None,
) -> tuple[Float32Array, Int64Array, list[LeftOut]]:
    """Unit vectors (m, d) of the photographs in `rows` that can be read, their rows (m,), and the other files."""
    from eval.feature_cache import features_of

    features: dict[str, Float32Array] = {}
    files = [kinds.files[row] for row in rows]
    failed: dict[Path, LeftOut] = {}
    for encoder in encoders:
        what = f"encoding with {encoder.name}"
        report = None if on_stage is None else partial(on_stage, what)
        encoded = features_of(files, encoder, cache, report, threads=threads)
        failed |= {each.file: each for each in encoded.failed}
        rows, files = rows[encoded.rows], [files[row] for row in encoded.rows]
        features = {name: each[encoded.rows] for name, each in features.items()}
        features[encoder.fingerprint] = encoded.features
    vectors = head.project(features) if head else unit(features[encoders[0].fingerprint])
    return vectors, rows, list(failed.values())


def _queries(kinds: KindFolder, rows: Int64Array) -> tuple[BoolArray, list[LeftOut]]:
    """Which of the photographs in `rows` are queries (m,), and those that have nothing relevant to find."""
    gallery = rows[~kinds.test[rows]] if kinds.split else rows
    count = np.bincount(kinds.kind[gallery], minlength=len(kinds.names))
    is_query = kinds.test[rows] if kinds.split else np.full(len(rows), True)
    lone = is_query & (count[kinds.kind[rows]] < (1 if kinds.split else 2))
    reason = "none of its kind is among those searched" if kinds.split else "it is the only one of its kind"
    return is_query & ~lone, [LeftOut(kinds.files[row], reason) for row in rows[lone]]


def _by_kind(kinds: KindFolder, queries: Int64Array, results: GalleryResults) -> tuple[KindFigure, ...]:
    own = kinds.kind[queries]
    count = np.bincount(own, minlength=len(kinds.names))
    sums = np.bincount(own, results.precision, len(kinds.names))
    return tuple(
        KindFigure(kinds.names[kind], int(count[kind]), 100 * float(sums[kind] / count[kind]))
        for kind in np.flatnonzero(count)
    )


def _confusions(kinds: KindFolder, queries: Int64Array, results: GalleryResults) -> dict[tuple[str, str], int]:
    pairs, counts = np.unique(np.stack([kinds.kind[queries], results.voted]), axis=1, return_counts=True)
    return {
        (kinds.names[own], kinds.names[voted]): int(count)
        for own, voted, count in zip(pairs[0], pairs[1], counts, strict=True)
    }


def _worst(
    kinds: KindFolder, queries: Int64Array, gallery: Int64Array, results: GalleryResults
) -> tuple[GallerySearch, ...]:
    order = np.lexsort((-results.similarities[:, 0], results.precision))[:WORST]
    searches = []
    for number in order[results.precision[order] < 1.0]:
        hits = zip(gallery[results.rows[number]], results.right[number], results.similarities[number], strict=True)
        query = queries[number]
        searches.append(
            GallerySearch(
                file=kinds.files[query],
                kind=kinds.names[kinds.kind[query]],
                voted=kinds.names[results.voted[number]],
                precision=100 * float(results.precision[number]),
                found=tuple(
                    GalleryHit(kinds.files[row], kinds.names[kinds.kind[row]], bool(right), float(similarity))
                    for row, right, similarity in hits
                ),
            )
        )
    return tuple(searches)
