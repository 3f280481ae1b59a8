"""Figures of matches against the slow, obvious way to compute them, and their intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.ratings import RatedPairs, read_rated_pairs
from eval.bootstrap import interval, resample_counts
from eval.scoring import (
    crowd_reliability,
    expert_reliability,
    paired_difference,
    reliability,
    scoring_figures,
)

EXPERT = {"expert_tau_c", "rmse", "mae", "ece"}
CROWD = {"crowd_tau_b", "crowd_brier", "crowd_ece", "crowd_brier_base"}


def some_pairs(experts: int = 400, crowd: int = 900, seed: int = 0) -> tuple[RatedPairs, Any]:
    """Ratings sampled around a true match for each pair, and that match."""
    generator = np.random.default_rng(seed)
    n = experts + crowd
    photograph, text = generator.integers(0, 60, n), generator.integers(0, 50, n)
    truth = generator.beta(0.7, 1.4, n)
    grades = np.full((n, 3), np.nan)
    grades[:experts] = 1 + generator.binomial(3, truth[:experts, None], (experts, 3))
    grades[: experts // 4, 2] = np.nan
    votes = np.where(np.arange(n) < experts, 0, generator.integers(3, 6, n))
    yes = generator.binomial(votes, truth)
    pairs = RatedPairs(
        photographs=[None] * 60,  # type: ignore[list-item]
        texts=[f"text {row}" for row in range(50)],
        text_owner=np.arange(50),
        photograph=photograph,
        text=text,
        own=photograph == text,
        grades=grades,
        yes=yes.astype(float),
        no=(votes - yes).astype(float),
    )
    return pairs, truth


def naive_tau_c(predicted: list[float], observed: list[float]) -> float:
    """Kendall's τ_c pair by pair: 2 (concordant − discordant) / (n² (m − 1) / m)."""
    balance = sum(
        np.sign(predicted[a] - predicted[b]) * np.sign(observed[a] - observed[b])
        for a in range(len(predicted))
        for b in range(a + 1, len(predicted))
    )
    values = min(len(set(predicted)), len(set(observed)))
    return 100 * float(2 * balance / (len(predicted) ** 2 * (values - 1) / values))


def test_expert_tau_leaves_own_captions_out_and_keeps_the_scores_separate() -> None:
    pairs, truth = some_pairs(experts=120)
    predicted, observed = [], []
    for row in range(120):
        for score in pairs.grades[row]:
            if not pairs.own[row] and np.isfinite(score):
                predicted.append(truth[row])
                observed.append(score)
    assert pairs.own[:120].any()
    figures = scoring_figures(pairs, truth, resamples=2).figures
    assert figures["expert_tau_c"] == pytest.approx(naive_tau_c(predicted, observed))


def test_crowd_figures_against_single_votes() -> None:
    from scipy.stats import kendalltau

    pairs, truth = some_pairs()
    agreement = truth**2
    figures = scoring_figures(pairs, truth, agreement, resamples=2).figures
    errors, base_errors, votes = [], [], []
    base = pairs.yes.sum() / (pairs.yes + pairs.no).sum()
    for row in np.flatnonzero(pairs.crowd):
        for vote in [1] * int(pairs.yes[row]) + [0] * int(pairs.no[row]):
            votes.append(vote)
            errors.append((agreement[row] - vote) ** 2)
            base_errors.append((base - vote) ** 2)
    assert figures["crowd_brier"] == pytest.approx(np.mean(errors))
    assert figures["crowd_brier_base"] == pytest.approx(np.mean(base_errors))
    others = pairs.crowd & ~pairs.own
    expected = 100 * kendalltau(truth[others], pairs.yes[others] / (pairs.yes + pairs.no)[others]).statistic
    assert figures["crowd_tau_b"] == pytest.approx(expected)
    assert scoring_figures(pairs, truth, resamples=2).figures["crowd_brier"] != figures["crowd_brier"]


def test_distance_is_to_the_mean_grade_of_all_expert_rows() -> None:
    pairs, truth = some_pairs()
    means = (np.nanmean(pairs.grades[:400], axis=1) - 1) / 3
    figures = scoring_figures(pairs, truth, resamples=2).figures
    assert figures["rmse"] == pytest.approx(np.sqrt(np.mean((truth[:400] - means) ** 2)))
    assert figures["mae"] == pytest.approx(np.mean(np.abs(truth[:400] - means)))


def test_the_truth_is_calibrated_and_a_shifted_one_is_off_by_the_shift() -> None:
    pairs, truth = some_pairs(experts=20_000, crowd=20_000)
    good = scoring_figures(pairs, truth, resamples=2).figures
    assert good["ece"] < 0.02
    assert good["crowd_ece"] < 0.02
    shifted = scoring_figures(pairs, truth + 0.2, resamples=2).figures
    assert shifted["ece"] == pytest.approx(0.2, abs=0.02)
    assert shifted["expert_tau_c"] == pytest.approx(good["expert_tau_c"])


def test_bins_have_equal_mass_and_ties_share_one() -> None:
    predicted = np.arange(30) / 30
    bins = reliability(predicted, np.ones(30))
    assert bins.mass.tolist() == [2.0] * 15
    assert bins.predicted[0] == pytest.approx(np.mean(predicted[:2]))
    flat = reliability(np.full(30, 0.5), np.array([0.0, 1.0] * 15))
    assert (flat.predicted.tolist(), flat.observed.tolist(), flat.error) == ([0.5], [0.5], 0.0)
    heavy = reliability(np.array([0.1, 0.9]), np.array([0.0, 1.0]), np.array([3.0, 1.0]))
    assert heavy.error == pytest.approx((3 * 0.1 + 1 * 0.1) / 4)


def test_reliability_uses_expert_or_crowd_rows_only() -> None:
    pairs, truth = some_pairs()
    assert expert_reliability(pairs, truth).mass.sum() == 400
    assert crowd_reliability(pairs, truth).mass.sum() == (pairs.yes + pairs.no).sum()


def test_a_constant_match_orders_nothing() -> None:
    pairs, _ = some_pairs()
    report = scoring_figures(pairs, np.full(len(pairs), 0.4), resamples=3)
    assert (report.figures["expert_tau_c"], report.figures["crowd_tau_b"]) == (0.0, 0.0)
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["expert_tau_c"] == 0.0


@pytest.mark.parametrize(("experts", "crowd", "names"), [(300, 0, EXPERT), (0, 300, CROWD), (9, 9, EXPERT | CROWD)])
def test_figures_without_ratings_are_left_out(experts: int, crowd: int, names: set[str]) -> None:
    pairs, truth = some_pairs(experts, crowd)
    report = scoring_figures(pairs, truth, resamples=5)
    assert set(report.figures) == set(report.intervals) == names
    assert (report.expert_pairs, report.crowd_pairs) == (experts, crowd)


def test_intervals_contain_the_figure_and_are_reproducible() -> None:
    pairs, truth = some_pairs()
    seen: list[tuple[int, int]] = []
    report = scoring_figures(pairs, truth, resamples=200, on_progress=lambda done, total: seen.append((done, total)))
    for name, (low, high) in report.intervals.items():
        # Noise of a resample counts as miscalibration, so an interval of an ECE lies above its figure.
        assert low < report.figures[name] < high or name in ("ece", "crowd_ece")
    assert seen[-1] == (200, 200)
    assert scoring_figures(pairs, truth, resamples=200).intervals == report.intervals


def test_photographs_are_resampled_with_all_their_rows() -> None:
    pairs, truth = some_pairs(experts=60, crowd=0)
    times = next(resample_counts(60, 1, seed=5))
    rows = [row for row in range(60) for _ in range(times[pairs.photograph[row]])]
    expected = np.mean(np.abs(truth[rows] - pairs.grade[rows]))
    assert times.sum() == 60
    low, high = scoring_figures(pairs, truth, resamples=1, seed=5).intervals["mae"]
    assert low == high == pytest.approx(expected)


def test_paired_intervals_are_narrower_than_those_of_two_figures() -> None:
    pairs, truth = some_pairs()
    worse = np.clip(truth + np.random.default_rng(1).normal(0, 0.1, len(truth)), 0, 1)
    difference = paired_difference(pairs, truth, worse, "crowd_tau_b", resamples=200)
    reports = [scoring_figures(pairs, each, resamples=200) for each in (truth, worse)]
    ours, theirs = (report.figures["crowd_tau_b"] for report in reports)
    assert difference.value == pytest.approx(ours - theirs)
    assert difference.certain
    low, high = reports[0].intervals["crowd_tau_b"]
    assert difference.interval[1] - difference.interval[0] < high - low
    assert not paired_difference(pairs, truth, truth, "rmse", resamples=20).certain
    with pytest.raises(KeyError):
        paired_difference(pairs, truth, worse, "tau", resamples=1)


def test_intervals_ignore_draws_without_rows() -> None:
    assert interval([1.0, float("nan"), 1.0]) == (1.0, 1.0)


@pytest.mark.parametrize("spoil", [lambda each: each[:-1], lambda each: np.where(each == each[3], np.nan, each)])
def test_invalid_matches_are_refused(spoil: Any) -> None:
    pairs, truth = some_pairs(30, 30)
    with pytest.raises(ValueError, match="finite and of shape"):
        scoring_figures(pairs, spoil(truth), resamples=1)


def test_the_published_protocol_counts_16992_judgements(shared_data: Path) -> None:
    from scipy.stats import kendalltau

    pairs = read_rated_pairs(shared_data / "flickr8k")
    rows = pairs.expert & ~pairs.own
    assert pairs.grades[rows].size == 16_992
    match = np.random.default_rng(0).random(len(pairs)) * 0.5 + np.nan_to_num(pairs.grade)
    expected = 100 * kendalltau(np.repeat(match[rows], 3), pairs.grades[rows].ravel(), variant="c").statistic
    assert scoring_figures(pairs, match, resamples=1).figures["expert_tau_c"] == pytest.approx(expected)
