"""How well matches agree with people: order, distance and calibration, with intervals over photographs.

The matches are meant to be out of fold (`eval.folds`); what is here only compares them with the ratings.

**Order.** `expert_tau_c` and `crowd_tau_b` follow the protocol of CLIPScore (Hessel et al. 2021, appendix):
rows that pair a photograph with its own caption are left out; the experts' scores are separate judgements,
so a pair with three scores stands three times (Kendall's τ_c); the crowd is its share of yes (τ_b). Both are
multiplied by 100.

**Distance and calibration against experts.** `rmse`, `mae` and `ece` compare the match with the mean grade
mapped to [0, 1], on all expert rows. The chance of a draw adds to every gap between what was said and what
was so, so the interval of a small calibration error lies above its figure; read the upper end.

**The crowd.** `crowd_brier` and `crowd_ece` compare the probability that a person says yes with single votes,
on all crowd rows; `crowd_brier_base` is the Brier score of the mean share alone, said of every pair.
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

    Where nobody graded, or nobody voted, the figures of that kind are left out.
    """

    figures: dict[str, float]
    intervals: dict[str, Interval]
    photographs: int
    texts: int
    expert_pairs: int
    crowd_pairs: int
    resamples: int

    def as_json(self) -> dict[str, Any]:
        """The figures first and flat, then their intervals and what they were measured on."""
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
    """What was said and what was so in bins of equal mass, (b,) each; bins that ties left empty are not here."""

    predicted: Float64Array
    observed: Float64Array
    mass: Float64Array

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of what was said from what was so, weighted by mass."""
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

    `agreement` (n,) is the probability that a person says yes; None takes the match for it. The two taus of
    Flickr8k take about 30 ms a draw, so the default is half a minute on one core; `on_progress` is called
    with the draws done and their number. Raises ValueError for matches of another shape or not finite.
    """
    measured = _figures(pairs, match, match if agreement is None else agreement)
    drawn: dict[str, list[float]] = {name: [] for name in measured}
    for done, times in enumerate(resample_counts(len(pairs.photographs), resamples, seed), start=1):
        for name, figure in measured.items():
            drawn[name].append(figure.drawn(pairs.photograph, times))
        if on_progress is not None:
            on_progress(done, resamples)
    return ScoringReport(
        figures={name: figure.value(figure.rows) for name, figure in measured.items()},
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
    """`figure` of `first` (n,) minus that of `second` (n,), both on the same draws of photographs.

    The name is one of `ScoringReport.figures`; for `crowd_brier` and `crowd_ece` the arrays are probabilities
    of a yes. Raises KeyError for a figure that these pairs do not have.
    """
    ours, theirs = _figures(pairs, first, first)[figure], _figures(pairs, second, second)[figure]
    values = [
        ours.drawn(pairs.photograph, times) - theirs.drawn(pairs.photograph, times)
        for times in resample_counts(len(pairs.photographs), resamples, seed)
    ]
    return Difference(ours.value(ours.rows) - theirs.value(theirs.rows), interval(values))


def reliability(
    said: Float64Array, so: Float64Array, mass: Float64Array | None = None, bins: int = BINS
) -> Reliability:
    """Means of `said` and `so` (n,) in bins of equal `mass` (n,; None: 1 a row), ordered by what was said.

    Rows of which the same was said share a bin, that of their middle, so that the order of the rows changes
    nothing; where many are equal there are fewer bins.
    """
    weight: Float64Array = np.ones(len(said)) if mass is None else mass
    values, value = np.unique(said, return_inverse=True)
    held = np.bincount(value, weight, len(values))
    middle = (np.cumsum(held) - held / 2) / held.sum()
    place = np.minimum((middle * bins).astype(np.int64), bins - 1)[value]
    total: Float64Array = np.bincount(place, weight, bins).astype(np.float64)
    some = total > 0
    sums = [np.bincount(place, weight * each, bins)[some] for each in (said, so)]
    return Reliability(sums[0] / total[some], sums[1] / total[some], total[some])


def expert_reliability(pairs: RatedPairs, match: Float64Array) -> Reliability:
    """Match against the mean expert grade mapped to [0, 1], over expert rows."""
    return reliability(match[pairs.expert], pairs.grade[pairs.expert])


def crowd_reliability(pairs: RatedPairs, agreement: Float64Array) -> Reliability:
    """Probability of a yes against single votes, over crowd rows; the mass is votes."""
    rows = pairs.crowd
    return reliability(agreement[rows], pairs.share[rows], (pairs.yes + pairs.no)[rows])


@dataclass(frozen=True)
class _Figure:
    """One figure: the rows that it looks at, and its value on any of them, each as often as it is named."""

    rows: Int64Array
    value: Callable[[Int64Array], float]

    def drawn(self, photograph: Int64Array, times: Int64Array) -> float:
        """The value where each photograph stands `times`; NaN where none of its rows was drawn."""
        rows = np.repeat(self.rows, times[photograph[self.rows]])
        return self.value(rows) if len(rows) else float("nan")


def _figures(pairs: RatedPairs, match: Float64Array, agreement: Float64Array) -> dict[str, _Figure]:
    for array in (match, agreement):
        if array.shape != (len(pairs),) or not np.isfinite(array).all():
            raise ValueError(f"matches are to be finite and of shape ({len(pairs)},), not {array.shape}")
    match, agreement = match.astype(np.float64), agreement.astype(np.float64)
    figures = _expert_figures(pairs, match) | _crowd_figures(pairs, match, agreement)
    return {name: figure for name, figure in figures.items() if len(figure.rows)}


def _expert_figures(pairs: RatedPairs, match: Float64Array) -> dict[str, _Figure]:
    grade, grades = pairs.grade, pairs.grades
    graded, others = np.flatnonzero(pairs.expert), np.flatnonzero(pairs.expert & ~pairs.own)

    def tau_c(rows: Int64Array) -> float:
        given = np.isfinite(grades[rows])
        return _tau(np.broadcast_to(match[rows, None], given.shape)[given], grades[rows][given], "c")

    return {
        "expert_tau_c": _Figure(others, tau_c),
        "rmse": _Figure(graded, lambda rows: float(np.sqrt(np.mean((match[rows] - grade[rows]) ** 2)))),
        "mae": _Figure(graded, lambda rows: float(np.mean(np.abs(match[rows] - grade[rows])))),
        "ece": _Figure(graded, lambda rows: reliability(match[rows], grade[rows]).error),
    }


def _crowd_figures(pairs: RatedPairs, match: Float64Array, agreement: Float64Array) -> dict[str, _Figure]:
    share, yes, votes = pairs.share, pairs.yes, pairs.yes + pairs.no
    voted, others = np.flatnonzero(pairs.crowd), np.flatnonzero(pairs.crowd & ~pairs.own)

    def brier(rows: Int64Array, said: Float64Array | float) -> float:
        squares = yes[rows] * (1 - said) ** 2 + (votes - yes)[rows] * said**2
        return float(squares.sum() / votes[rows].sum())

    return {
        "crowd_tau_b": _Figure(others, lambda rows: _tau(match[rows], share[rows], "b")),
        "crowd_brier": _Figure(voted, lambda rows: brier(rows, agreement[rows])),
        "crowd_ece": _Figure(voted, lambda rows: reliability(agreement[rows], share[rows], votes[rows]).error),
        "crowd_brier_base": _Figure(voted, lambda rows: brier(rows, float(yes[rows].sum() / votes[rows].sum()))),
    }


def _tau(said: Float64Array, so: Float64Array, variant: str) -> float:
    """Kendall's τ × 100; 0 where one side is the same everywhere, since then nothing is ordered."""
    from scipy.stats import kendalltau

    if np.ptp(said) == 0 or np.ptp(so) == 0:
        return 0.0
    return 100 * float(kendalltau(said, so, variant=variant).statistic)
