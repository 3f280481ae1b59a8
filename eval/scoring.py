"""How well matches agree with people: order, distance and calibration, with bootstrap intervals over photographs.

The matches should be out of fold (`eval.folds`); this module only compares them with the ratings.

**Order.** `expert_tau_c` and `crowd_tau_b` follow the protocol of CLIPScore (Hessel et al. 2021, appendix): pairs of a
photograph with its own caption are left out; the experts' scores are separate judgements, so a pair with three scores
counts three times (Kendall's τ_c); the crowd is its share of yes (τ_b). Both are multiplied by 100.

**Distance and calibration, experts.** `rmse`, `mae` and `ece` compare the match with the mean grade mapped to [0, 1],
on all expert rows. Sampling noise adds to every gap between prediction and observation, so the bootstrap interval of a
small calibration error lies above the figure itself; read the upper end.

**Crowd.** `crowd_brier` and `crowd_ece` compare the probability that a person says yes with single votes, on all crowd
rows; `crowd_brier_base` is the Brier score of the overall share of yes, predicted for every pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.ratings import RatedPairs
from eval.bootstrap import RESAMPLES, Interval, interval, resample_counts
from service.types import Float64Array, Int64Array, OnProgress

BINS = 15


@dataclass(frozen=True)
class ScoringReport:
    """Figures of one array of matches; `intervals` are bootstrap 95 % intervals over photographs.

    Without grades the figures of experts are left out, without votes those of the crowd.
    """

    figures: dict[str, float]
    intervals: dict[str, Interval]
    photographs: int
    texts: int
    expert_pairs: int
    crowd_pairs: int
    resamples: int

    def as_json(self) -> dict[str, Any]:
        """The figures first and flat, then their intervals and the numbers of photographs, texts and pairs."""
        return {
            **{name: round(value, 4) for name, value in self.figures.items()},
            "intervals": {name: [round(end, 4) for end in ends] for name, ends in self.intervals.items()},
            "photographs": self.photographs,
            "texts": self.texts,
            "expert_pairs": self.expert_pairs,
            "crowd_pairs": self.crowd_pairs,
            "resamples": self.resamples,
        }


@dataclass(frozen=True)
class Difference:
    """A figure of one array of matches minus that of another, with its paired 95 % interval over photographs."""

    value: float
    interval: Interval

    @property
    def certain(self) -> bool:
        """The interval lies on one side of zero."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True)
class Reliability:
    """Mean prediction and observation in bins of equal mass (b,); bins that ties left empty are missing."""

    predicted: Float64Array
    observed: Float64Array
    mass: Float64Array

    @property
    def error(self) -> float:
        """Expected calibration error: mean absolute gap between prediction and observation, weighted by mass."""
        return float(np.abs(self.predicted - self.observed) @ self.mass / self.mass.sum())


def scoring_figures(
    pairs: RatedPairs,
    match: Float64Array,
    agreement: Float64Array | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> ScoringReport:
    """All figures of `match` (n,) with bootstrap 95 % intervals over photographs.

    `agreement` (n,) is the probability that a person says yes; None takes the match for it. The two taus of Flickr8k
    take about 30 ms per draw, so the default is half a minute on one core; `on_progress` is called with the draws done
    and their number. Raises ValueError for matches of another shape or not finite.
    """
    metrics = _metrics(pairs, match, match if agreement is None else agreement)
    drawn: dict[str, list[float]] = {name: [] for name in metrics}
    for done, times in enumerate(resample_counts(len(pairs.photographs), resamples, seed), start=1):
        for name, metric in metrics.items():
            drawn[name].append(metric.resampled(pairs.photograph, times))
        if on_progress is not None:
            on_progress(done, resamples)
    return ScoringReport(
        figures={name: metric.value(metric.rows) for name, metric in metrics.items()},
        intervals={name: interval(values) for name, values in drawn.items() if values},
        photographs=len(pairs.photographs),
        texts=len(pairs.texts),
        expert_pairs=int(pairs.expert.sum()),
        crowd_pairs=int(pairs.crowd.sum()),
        resamples=resamples,
    )


def paired_difference(
    pairs: RatedPairs,
    first: Float64Array,
    second: Float64Array,
    figure: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """`figure` of `first` (n,) minus that of `second` (n,), on the same bootstrap draws of photographs.

    The name is one of `ScoringReport.figures`; for `crowd_brier` and `crowd_ece` the arrays are probabilities of a
    yes. Raises KeyError for a figure that these pairs do not have.
    """
    of_first, of_second = _metrics(pairs, first, first)[figure], _metrics(pairs, second, second)[figure]
    values = [
        of_first.resampled(pairs.photograph, times) - of_second.resampled(pairs.photograph, times)
        for times in resample_counts(len(pairs.photographs), resamples, seed)
    ]
    return Difference(of_first.value(of_first.rows) - of_second.value(of_second.rows), interval(values))


def reliability(
    predicted: Float64Array, observed: Float64Array, mass: Float64Array | None = None, bins: int = BINS
) -> Reliability:
    """Means of `predicted` and `observed` (n,) in bins of equal `mass` (n,; None: 1 per row), ordered by prediction.

    Rows with equal predictions share the bin of their middle, so that the result does not depend on the order of the
    rows; where many are equal there are fewer bins.
    """
    weight: Float64Array = np.ones(len(predicted)) if mass is None else mass
    values, value = np.unique(predicted, return_inverse=True)
    mass_of = np.bincount(value, weight, len(values))
    middle = (np.cumsum(mass_of) - mass_of / 2) / mass_of.sum()
    bin_of = np.minimum((middle * bins).astype(np.int64), bins - 1)[value]
    total: Float64Array = np.bincount(bin_of, weight, bins).astype(np.float64)
    some = total > 0
    sums = [np.bincount(bin_of, weight * each, bins)[some] for each in (predicted, observed)]
    return Reliability(sums[0] / total[some], sums[1] / total[some], total[some])


def expert_reliability(pairs: RatedPairs, match: Float64Array) -> Reliability:
    """Match against the mean expert grade mapped to [0, 1], over expert rows."""
    return reliability(match[pairs.expert], pairs.grade[pairs.expert])


def crowd_reliability(pairs: RatedPairs, agreement: Float64Array) -> Reliability:
    """Probability of a yes against single votes, over crowd rows; the mass of a row is its votes."""
    rows = pairs.crowd
    return reliability(agreement[rows], pairs.share[rows], (pairs.yes + pairs.no)[rows])


@dataclass(frozen=True)
class _Metric:
    """A figure: the rows that it is defined on, and a function of row numbers, which may repeat."""

    rows: Int64Array
    value: Callable[[Int64Array], float]

    def resampled(self, photograph: Int64Array, times: Int64Array) -> float:
        """The value with each photograph repeated `times`; NaN where none of the rows was drawn."""
        rows = np.repeat(self.rows, times[photograph[self.rows]])
        return self.value(rows) if len(rows) else float("nan")


def _metrics(pairs: RatedPairs, match: Float64Array, agreement: Float64Array) -> dict[str, _Metric]:
    for array in (match, agreement):
        if array.shape != (len(pairs),) or not np.isfinite(array).all():
            raise ValueError(f"matches must be finite and of shape ({len(pairs)},), not {array.shape}")
    match, agreement = match.astype(np.float64), agreement.astype(np.float64)
    metrics = _expert_metrics(pairs, match) | _crowd_metrics(pairs, match, agreement)
    return {name: metric for name, metric in metrics.items() if len(metric.rows)}


def _expert_metrics(pairs: RatedPairs, match: Float64Array) -> dict[str, _Metric]:
    grade, grades = pairs.grade, pairs.grades
    graded, others = np.flatnonzero(pairs.expert), np.flatnonzero(pairs.expert & ~pairs.own)

    def tau_c(rows: Int64Array) -> float:
        graded_by = np.isfinite(grades[rows])
        return _tau(np.broadcast_to(match[rows, None], graded_by.shape)[graded_by], grades[rows][graded_by], "c")

    return {
        "expert_tau_c": _Metric(others, tau_c),
        "rmse": _Metric(graded, lambda rows: float(np.sqrt(np.mean((match[rows] - grade[rows]) ** 2)))),
        "mae": _Metric(graded, lambda rows: float(np.mean(np.abs(match[rows] - grade[rows])))),
        "ece": _Metric(graded, lambda rows: reliability(match[rows], grade[rows]).error),
    }


def _crowd_metrics(pairs: RatedPairs, match: Float64Array, agreement: Float64Array) -> dict[str, _Metric]:
    share, yes, votes = pairs.share, pairs.yes, pairs.yes + pairs.no
    voted, others = np.flatnonzero(pairs.crowd), np.flatnonzero(pairs.crowd & ~pairs.own)

    def brier(rows: Int64Array, predicted: Float64Array | float) -> float:
        squares = yes[rows] * (1 - predicted) ** 2 + (votes - yes)[rows] * predicted**2
        return float(squares.sum() / votes[rows].sum())

    return {
        "crowd_tau_b": _Metric(others, lambda rows: _tau(match[rows], share[rows], "b")),
        "crowd_brier": _Metric(voted, lambda rows: brier(rows, agreement[rows])),
        "crowd_ece": _Metric(voted, lambda rows: reliability(agreement[rows], share[rows], votes[rows]).error),
        "crowd_brier_base": _Metric(voted, lambda rows: brier(rows, float(yes[rows].sum() / votes[rows].sum()))),
    }


def _tau(predicted: Float64Array, observed: Float64Array, variant: str) -> float:
    """Kendall's τ × 100; 0 where one side is constant, since nothing is ordered then."""
    from scipy.stats import kendalltau

    if np.ptp(predicted) == 0 or np.ptp(observed) == 0:
        return 0.0
    return 100 * float(kendalltau(predicted, observed, variant=variant).statistic)
