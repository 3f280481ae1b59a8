"""Candidates compared on the same splits, and the choice among them.

The figure is MAP@10 out of fold: photographs that nothing was fitted on search those that were. Beside it stands
MAP@10 of kinds that were left out of the fit; a candidate under which these lose more than two points to the raw
cosine is not chosen, however well it knows the others.
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
from training.similar import looks
from training.similar.looks import Look, Similarity, Statistics
from training.similar.splits import Split

COSINE = "cosine"
MOST_LOSS = 2.0
"""Points of MAP@10 that kinds which were never seen may lose to the raw cosine."""
_COMPONENTS = (64, 128, 256, 512)
_BASE = 512
"""Components behind everything that is more than whitening; the folds of `docs/evaluation.md` chose no fewer."""
_SHARES = (0.3, 0.5, 0.7)
_CONSTANTS = (0.0, 2.0)
_LOSSES = {"arcface": "ArcFace", "contrastive": "supervised contrastive", "proxy-anchor": "proxy-anchor"}


class Source(Protocol):
    """Features of one encoder."""

    @property
    def model(self) -> str:
        """The encoder's name."""

    def views(self, split: Split) -> Float32Array:
        """Features (photographs, views, width) of all photographs; view 0 is the photograph as it is indexed.

        An encoder that was itself trained has other features in each split.
        """


@dataclass(frozen=True, eq=False)
class Fitted:
    """Photographs that a candidate is fitted on: features (n, views, width) and kinds (n,)."""

    views: Float32Array
    kinds: Int64Array
    seed: int
    _statistics: dict[tuple[int, bool], Statistics] = field(default_factory=dict)
    _learnt: dict[tuple[str, int, bool], Look] = field(default_factory=dict)

    def rows(self, drawn: bool) -> tuple[Float32Array, Int64Array]:
        """Features (m, width) and kinds (m,): of photographs as they are, or of all their views."""
        if not drawn:
            return self.views[:, 0], self.kinds
        count, views, width = self.views.shape
        return self.views.reshape(count * views, width), np.repeat(self.kinds, views)

    def statistics(self, dimension: int, drawn: bool) -> Statistics:
        """Statistics of `rows`, computed once."""
        if (dimension, drawn) not in self._statistics:
            self._statistics[dimension, drawn] = Statistics(*self.rows(drawn), dimension)
        return self._statistics[dimension, drawn]

    def learnt(self, loss: str, dimension: int, drawn: bool) -> Look:
        """A look trained with a loss, once."""
        if (loss, dimension, drawn) not in self._learnt:
            statistics = self.statistics(dimension, drawn)
            self._learnt[loss, dimension, drawn] = looks.learnt(loss, statistics, *self.rows(drawn), self.seed)
        return self._learnt[loss, dimension, drawn]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A row of the table: its name, how it is set, and its fit. `whole` says whether a head can be made of it."""

    name: str
    setting: str
    fit: Callable[[Fitted], Similarity]
    whole: bool = True


class OutOfFold:
    """MAP@10 of what has average precisions (photographs,), 0 to 1, NaN where a photograph did not ask."""

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
class CandidateOutcome(OutOfFold):
    """What a candidate came to: average precisions (photographs,) out of fold, 0 to 1, NaN where one did not ask;
    MAP@10 of kinds never seen in percent (None where that cannot be asked), numbers of a vector, seconds."""

    candidate: Candidate
    precisions: Float64Array
    unseen: float | None
    dimension: int
    seconds: float


def candidates(views: int, width: int) -> list[Candidate]:
    """All of them for features of this `width`; with drawn `views` where there is more than one of a photograph."""
    components = [each for each in _COMPONENTS if each < width]
    base = min(_BASE, width)
    found = [Candidate(COSINE, "", lambda _: looks.cosine(width))]
    found += [
        Candidate("PCA whitening", f"{each} components", partial(_whitened, each)) for each in components or [width]
    ]
    for drawn in (False, True) if views > 1 else (False,):
        setting = "with views" if drawn else "as they are"
        found += [
            Candidate("whitening within kinds", setting, partial(_within, base, drawn)),
            Candidate("LDA", setting, partial(_discriminants, base, drawn)),
            Candidate("likelihood ratio (PLDA)", setting, partial(_likelihoods, base, drawn), whole=False),
            Candidate("PLDA's axes by cosine", setting, partial(_likelihood_axes, base, drawn)),
        ]
    drawn = views > 1
    found += [Candidate(name, "", partial(_learnt, loss, base, drawn)) for loss, name in _LOSSES.items()]
    for share, constant in itertools.product(_SHARES, _CONSTANTS):
        found.append(
            Candidate(
                "LDA + whitening within kinds",
                f"share {share:g}" + (f", constant {constant:g}" if constant else ""),
                partial(_blended, base, drawn, share, constant),
            )
        )
    for (loss, name), share in itertools.product(_LOSSES.items(), _SHARES[1:]):
        found.append(
            Candidate(
                f"{name} + whitening within kinds", f"share {share:g}", partial(_blended_loss, loss, base, drawn, share)
            )
        )
    return found


def compare(
    source: Source, kinds: Int64Array, splits: Sequence[Split], seed: int, on_progress: OnStage
) -> list[CandidateOutcome]:
    """Fit each candidate in each split and see what it finds."""
    first = source.views(splits[0])
    chosen = candidates(first.shape[1], first.shape[2])
    precisions = np.full((len(chosen), len(kinds)), np.nan)
    unseen: list[list[float]] = [[] for _ in chosen]
    dimensions, seconds = [0] * len(chosen), [0.0] * len(chosen)
    for done, split in enumerate(splits):
        views = source.views(split)
        fitted = Fitted(views[split.fitted], kinds[split.fitted], seed)
        for number, candidate in enumerate(chosen):
            on_progress(
                f"comparing candidates ({source.model})", done * len(chosen) + number, len(splits) * len(chosen)
            )
            start = time.monotonic()
            similarity = candidate.fit(fitted)
            each = precisions_in(
                split, kinds, similarity.asked(views[split.asked, 0]), similarity.searched(views[split.gallery, 0])
            )
            seconds[number] += time.monotonic() - start
            dimensions[number] = similarity.searched(views[:1, 0]).shape[1]
            if split.unseen:
                unseen[number].append(100.0 * float(each.mean()))
            else:
                precisions[number, split.asked] = each
    return [
        CandidateOutcome(candidate, row, float(np.mean(left)) if left else None, dimension, spent)
        for candidate, row, left, dimension, spent in zip(chosen, precisions, unseen, dimensions, seconds, strict=True)
    ]


def precisions_in(split: Split, kinds: Int64Array, asked: Float32Array, searched: Float32Array) -> Float64Array:
    """AP@10 (asked,), 0 to 1, of the photographs that ask in a split, by vectors of these and of its gallery."""
    return search_gallery(asked, kinds[split.asked], searched, kinds[split.gallery], split.itself).precision


def best(outcomes: Sequence[CandidateOutcome]) -> CandidateOutcome:
    """The best out of fold of those that a head can be made of and that do no harm to kinds never seen."""
    allowed = [outcome for outcome in outcomes if outcome.candidate.whole and harmless(outcome, outcomes)]
    return max(allowed, key=lambda outcome: outcome.map10)


def harmless(outcome: CandidateOutcome, outcomes: Sequence[CandidateOutcome]) -> bool:
    """Whether kinds never seen lose at most two points to the raw cosine; true where that was not asked."""
    raw = next(each for each in outcomes if each.candidate.name == COSINE).unseen
    return raw is None or outcome.unseen is None or outcome.unseen >= raw - MOST_LOSS


def best_of_each(outcomes: Sequence[CandidateOutcome]) -> list[CandidateOutcome]:
    """The table that is shown: of each name the setting that would be chosen, in the order of the candidates."""
    rows = []
    for name in dict.fromkeys(outcome.candidate.name for outcome in outcomes):
        same = [outcome for outcome in outcomes if outcome.candidate.name == name]
        rows.append(max([each for each in same if harmless(each, outcomes)] or same, key=lambda each: each.map10))
    return rows


def _whitened(components: int, fitted: Fitted) -> Look:
    return looks.whitened(fitted.statistics(components, False))


def _within(components: int, drawn: bool, fitted: Fitted) -> Look:
    return looks.whitened_within(fitted.statistics(components, drawn))


def _discriminants(components: int, drawn: bool, fitted: Fitted) -> Look:
    return looks.discriminants(fitted.statistics(components, drawn))


def _likelihoods(components: int, drawn: bool, fitted: Fitted) -> Similarity:
    return looks.likelihoods(fitted.statistics(components, drawn))


def _likelihood_axes(components: int, drawn: bool, fitted: Fitted) -> Look:
    return looks.likelihood_axes(fitted.statistics(components, drawn))


def _learnt(loss: str, components: int, drawn: bool, fitted: Fitted) -> Look:
    return fitted.learnt(loss, components, drawn)


def _blended(components: int, drawn: bool, share: float, constant: float, fitted: Fitted) -> Look:
    statistics = fitted.statistics(components, drawn)
    return looks.blended(looks.discriminants(statistics, constant), looks.whitened_within(statistics), share)


def _blended_loss(loss: str, components: int, drawn: bool, share: float, fitted: Fitted) -> Look:
    rest = looks.whitened_within(fitted.statistics(components, drawn))
    return looks.blended(fitted.learnt(loss, components, drawn), rest, share)
