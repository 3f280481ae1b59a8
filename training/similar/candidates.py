"""Candidate projections compared on the same cross-validation splits, and the choice among them.

The figure is MAP@10 out of fold: photographs that nothing was fitted on search those that were. Beside it stands
MAP@10 of unseen kinds, which were left out of the fit; a candidate that loses more than two points there to the raw
cosine is not chosen, however good it is on the fitted kinds.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

from eval.bootstrap import Interval, interval, resample_counts
from eval.similar import search_gallery
from service.types import Float32Array, Float64Array, Int64Array, OnStage
from training.similar import projections
from training.similar.projections import FittedSimilarity, LinearSimilarity, Statistics
from training.similar.splits import Split

COSINE = "cosine"
MOST_LOSS = 2.0
"""Points of MAP@10 that unseen kinds may lose to the raw cosine."""
_COMPONENTS = (64, 128, 256, 512)
_BASE = 512
"""Principal components below every candidate except plain whitening; fewer were worse (`docs/evaluation.md`)."""
_SHARES = (0.3, 0.5, 0.7)
_CONSTANTS = (0.0, 2.0)
_LOSSES = {"arcface": "ArcFace", "contrastive": "supervised contrastive", "proxy-anchor": "proxy-anchor"}


class FeatureSource(Protocol):
    """Where the features of one encoder come from."""

    @property
    def model(self) -> str:
        """The encoder's name."""

    def views(self, split: Split) -> Float32Array:
        """Features (photographs, views, width) of all photographs; view 0 is the photograph as it is indexed.

        An encoder that was itself trained has other features in each split.
        """


@dataclass(frozen=True, eq=False)
class FitData:
    """Photographs that a candidate is fitted on: features (n, views, width) and kinds (n,)."""

    views: Float32Array
    kinds: Int64Array
    seed: int
    _statistics: dict[tuple[int, bool], Statistics] = field(default_factory=dict)
    _metric_learned: dict[tuple[str, int, bool], LinearSimilarity] = field(default_factory=dict)

    def rows(self, all_views: bool) -> tuple[Float32Array, Int64Array]:
        """Features (m, width) and kinds (m,) of the photographs as they are, or of all their views."""
        if not all_views:
            return self.views[:, 0], self.kinds
        count, views, width = self.views.shape
        return self.views.reshape(count * views, width), np.repeat(self.kinds, views)

    def statistics(self, dimension: int, all_views: bool) -> Statistics:
        """Statistics of `rows`, computed once."""
        if (dimension, all_views) not in self._statistics:
            self._statistics[dimension, all_views] = Statistics(*self.rows(all_views), dimension)
        return self._statistics[dimension, all_views]

    def metric_learned(self, loss: str, dimension: int, all_views: bool) -> LinearSimilarity:
        """A projection trained with a loss, once."""
        key = loss, dimension, all_views
        if key not in self._metric_learned:
            statistics = self.statistics(dimension, all_views)
            self._metric_learned[key] = projections.metric_learned(loss, statistics, *self.rows(all_views), self.seed)
        return self._metric_learned[key]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A row of the table: name, setting, how it is fitted, and whether a head can hold it (`fits_head`)."""

    name: str
    setting: str
    fit: Callable[[FitData], FittedSimilarity]
    fits_head: bool = True

    @property
    def title(self) -> str:
        """Name and setting; `head.json` names candidates by it."""
        return f"{self.name}, {self.setting}" if self.setting else self.name


class OutOfFoldPrecision:
    """MAP@10 from average precisions (photographs,), 0 to 1, NaN for photographs that were no query."""

    precisions: Float64Array

    @property
    def map10(self) -> float:
        """In percent."""
        return 100.0 * float(np.nanmean(self.precisions))

    @property
    def map10_interval(self) -> Interval:
        """95 %, by bootstrap over photographs."""
        known = self.precisions[np.isfinite(self.precisions)]
        return interval([100.0 * float(times @ known / times.sum()) for times in resample_counts(len(known))])


@dataclass(frozen=True, eq=False)
class CandidateOutcome(OutOfFoldPrecision):
    """The figures of a candidate.

    `precisions` (photographs,) are AP@10 out of fold, 0 to 1, NaN for photographs that were no query; `unseen` is
    MAP@10 of unseen kinds in percent, None where no kind was left out; `dimension` is the length of its vectors.
    """

    candidate: Candidate
    precisions: Float64Array
    unseen: float | None
    dimension: int
    seconds: float


def candidates(views: int, width: int) -> list[Candidate]:
    """All candidates for features of this `width`; those fitted on augmented views need `views` above 1."""
    components = [each for each in _COMPONENTS if each < width]
    base = min(_BASE, width)
    found = [Candidate(COSINE, "", lambda _: projections.cosine(width))]
    found += [
        Candidate("PCA whitening", f"{each} components", partial(_whitening, each)) for each in components or [width]
    ]
    for all_views in (False, True) if views > 1 else (False,):
        setting = "with views" if all_views else "as they are"
        found += [
            Candidate("whitening within kinds", setting, partial(_within_kind_whitening, base, all_views)),
            Candidate("LDA", setting, partial(_lda, base, all_views)),
            Candidate("likelihood ratio (PLDA)", setting, partial(_plda, base, all_views), fits_head=False),
            Candidate("PLDA's axes by cosine", setting, partial(_plda_axes, base, all_views)),
        ]
    all_views = views > 1
    found += [Candidate(name, "", partial(_metric_learned, loss, base, all_views)) for loss, name in _LOSSES.items()]
    for share, constant in itertools.product(_SHARES, _CONSTANTS):
        found.append(
            Candidate(
                "LDA + whitening within kinds",
                f"share {share:g}" + (f", constant {constant:g}" if constant else ""),
                partial(_lda_blend, base, all_views, share, constant),
            )
        )
    for (loss, name), share in itertools.product(_LOSSES.items(), _SHARES[1:]):
        found.append(
            Candidate(
                f"{name} + whitening within kinds",
                f"share {share:g}",
                partial(_metric_learned_blend, loss, base, all_views, share),
            )
        )
    return found


def compare(
    source: FeatureSource, kinds: Int64Array, splits: Sequence[Split], seed: int, on_stage: OnStage
) -> list[CandidateOutcome]:
    """Fit and measure each candidate in each split."""
    first = source.views(splits[0])
    compared = candidates(first.shape[1], first.shape[2])
    precisions = np.full((len(compared), len(kinds)), np.nan)
    unseen: list[list[float]] = [[] for _ in compared]
    dimensions, seconds = [0] * len(compared), [0.0] * len(compared)
    steps = len(splits) * len(compared)
    for done, split in enumerate(splits):
        views = source.views(split)
        data = FitData(views[split.fit_rows], kinds[split.fit_rows], seed)
        for number, candidate in enumerate(compared):
            on_stage(f"comparing candidates ({source.model})", done * len(compared) + number, steps)
            start = time.monotonic()
            similarity = candidate.fit(data)
            in_split = precisions_in(
                split,
                kinds,
                similarity.query_vectors(views[split.queries, 0]),
                similarity.gallery_vectors(views[split.gallery, 0]),
            )
            seconds[number] += time.monotonic() - start
            dimensions[number] = similarity.gallery_vectors(views[:1, 0]).shape[1]
            if split.unseen:
                unseen[number].append(100.0 * float(in_split.mean()))
            else:
                precisions[number, split.queries] = in_split
    return [
        CandidateOutcome(candidate, row, float(np.mean(left)) if left else None, dimension, spent)
        for candidate, row, left, dimension, spent in zip(
            compared, precisions, unseen, dimensions, seconds, strict=True
        )
    ]


def precisions_in(split: Split, kinds: Int64Array, queries: Float32Array, gallery: Float32Array) -> Float64Array:
    """AP@10 (queries,), 0 to 1, of a split's queries, by the vectors of its queries and its gallery."""
    return search_gallery(queries, kinds[split.queries], gallery, kinds[split.gallery], split.self_index).precision


def best(outcomes: Sequence[CandidateOutcome]) -> CandidateOutcome:
    """The candidate with the highest MAP@10 of those that a head can hold and that do not harm unseen kinds."""
    allowed = [outcome for outcome in outcomes if outcome.candidate.fits_head and harmless(outcome, outcomes)]
    return max(allowed, key=lambda outcome: outcome.map10)


def harmless(outcome: CandidateOutcome, outcomes: Sequence[CandidateOutcome]) -> bool:
    """Whether unseen kinds lose at most two points to the raw cosine; true where that was not measured."""
    raw = next(each for each in outcomes if each.candidate.name == COSINE).unseen
    return raw is None or outcome.unseen is None or outcome.unseen >= raw - MOST_LOSS


def best_of_each(outcomes: Sequence[CandidateOutcome]) -> list[CandidateOutcome]:
    """The rows of the table that is printed: the best setting of each candidate name, in their order."""
    rows = []
    for name in dict.fromkeys(outcome.candidate.name for outcome in outcomes):
        same = [outcome for outcome in outcomes if outcome.candidate.name == name]
        rows.append(max([each for each in same if harmless(each, outcomes)] or same, key=lambda each: each.map10))
    return rows


def _whitening(components: int, data: FitData) -> LinearSimilarity:
    return projections.whitening(data.statistics(components, False))


def _within_kind_whitening(components: int, all_views: bool, data: FitData) -> LinearSimilarity:
    return projections.within_kind_whitening(data.statistics(components, all_views))


def _lda(components: int, all_views: bool, data: FitData) -> LinearSimilarity:
    return projections.lda(data.statistics(components, all_views))


def _plda(components: int, all_views: bool, data: FitData) -> FittedSimilarity:
    return projections.plda(data.statistics(components, all_views))


def _plda_axes(components: int, all_views: bool, data: FitData) -> LinearSimilarity:
    return projections.plda_axes(data.statistics(components, all_views))


def _metric_learned(loss: str, components: int, all_views: bool, data: FitData) -> LinearSimilarity:
    return data.metric_learned(loss, components, all_views)


def _lda_blend(components: int, all_views: bool, share: float, constant: float, data: FitData) -> LinearSimilarity:
    statistics = data.statistics(components, all_views)
    return projections.blend(
        projections.lda(statistics, constant), projections.within_kind_whitening(statistics), share
    )


def _metric_learned_blend(loss: str, components: int, all_views: bool, share: float, data: FitData) -> LinearSimilarity:
    whitening = projections.within_kind_whitening(data.statistics(components, all_views))
    return projections.blend(data.metric_learned(loss, components, all_views), whitening, share)
