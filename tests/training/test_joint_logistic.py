"""The joint fit recovers the weights by which experts and a stricter crowd were simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.captions import CaptionedPhotograph
from data.ratings import RatedPairs
from service.types import BoolArray, Float64Array
from training.joint_logistic import EXPERT_WEIGHT, fit_joint, targets

WEIGHTS, INTERCEPT, SHIFT = np.array([1.5, -0.8, 0.0]), -0.7, -1.2


def rated(experts: int, crowd: int, seed: int = 0, shift: float = SHIFT) -> tuple[Float64Array, RatedPairs]:
    """Features, and ratings drawn by the weights; a grade is 1 plus a binomial of three draws."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(experts + crowd, len(WEIGHTS)))
    voted = np.arange(experts + crowd) >= experts
    chance = 1 / (1 + np.exp(-(features @ WEIGHTS + INTERCEPT + shift * voted)))
    grades = np.where(voted[:, None], np.nan, 1.0 + generator.binomial(3, chance[:, None], (len(chance), 3)))
    yes = np.where(voted, generator.binomial(4, chance), 0).astype(np.float64)
    return features, pairs_of(grades, yes, np.where(voted, 4.0 - yes, 0.0))


def pairs_of(grades: Float64Array, yes: Float64Array, no: Float64Array) -> RatedPairs:
    rows = np.arange(len(yes), dtype=np.int64)
    photographs = [CaptionedPhotograph(f"{row}.jpg", Path(f"{row}.jpg"), "test", ()) for row in rows]
    own = np.zeros(len(rows), dtype=bool)
    return RatedPairs(photographs, ["text"] * len(rows), rows * 0 - 1, rows, rows, own, grades, yes, no)


def everything(pairs: RatedPairs) -> BoolArray:
    return np.ones(len(pairs), dtype=bool)


def test_known_weights_are_recovered_without_the_crowds_shift() -> None:
    features, pairs = rated(4000, 8000)

    weights, intercept, _ = fit_joint(features, pairs, everything(pairs))

    assert np.abs(weights - WEIGHTS).max() < 0.06
    assert intercept == pytest.approx(INTERCEPT, abs=0.06)


def test_the_intercept_is_that_of_the_experts_alone() -> None:
    features, pairs = rated(1000, 8000)
    target, weight = targets(pairs)

    pooled = np.log((weight @ target) / (weight @ (1 - target)))
    _, intercept, _ = fit_joint(features * 0, pairs, everything(pairs))
    alone = np.log(pairs.grade[pairs.expert].mean() / (1 - pairs.grade[pairs.expert].mean()))

    assert intercept == pytest.approx(alone, abs=0.01)
    assert abs(pooled - alone) > 0.3


@pytest.mark.parametrize("ridge", [10.0, 1e-3])
def test_a_crowd_without_experts_has_no_shift(ridge: float) -> None:
    features, pairs = rated(0, 8000, shift=0.0)

    weights, intercept, _ = fit_joint(features, pairs, everything(pairs), ridge)

    assert np.abs(weights - WEIGHTS).max() < 0.08
    assert intercept == pytest.approx(INTERCEPT, abs=0.06)


def test_only_the_given_rows_are_fitted_on() -> None:
    features, pairs = rated(2000, 0)
    features[1000:] *= -1
    rows = np.arange(len(pairs)) < 1000

    assert np.sign(fit_joint(features, pairs, rows)[0][:2]).tolist() == [1, -1]
    assert np.sign(fit_joint(features, pairs, ~rows)[0][:2]).tolist() == [-1, 1]


def test_a_precise_prior_keeps_its_mean() -> None:
    features, pairs = rated(500, 500)
    mean = np.array([0.3, -1.0, 2.0, 0.5])

    weights, intercept, precision = fit_joint(features, pairs, everything(pairs), prior=(mean, np.eye(4) * 1e9))

    assert np.allclose([intercept, *weights], mean, atol=1e-4)
    assert np.allclose(np.diag(precision), 1e9, rtol=1e-3)


def test_a_fit_with_an_earlier_fit_as_prior_is_close_to_the_fit_on_both() -> None:
    features, pairs = rated(3000, 3000)
    first = np.random.default_rng(1).random(len(pairs)) < 0.95
    weights, intercept, precision = fit_joint(features, pairs, first)

    both = fit_joint(features, pairs, everything(pairs))
    added = fit_joint(features, pairs, ~first, prior=(np.array([intercept, *weights]), precision))
    second = fit_joint(features, pairs, ~first)

    assert np.abs(added[0] - both[0]).max() < 0.005
    assert np.abs(second[0] - both[0]).max() > 0.02
    assert np.allclose(np.diag(added[2]), np.diag(both[2]), rtol=0.1)


def test_the_precision_predicts_the_spread_of_fits_on_other_ratings() -> None:
    fits = []
    for seed in range(60):
        features, pairs = rated(200, 200, seed)
        weights, intercept, precision = fit_joint(features, pairs, everything(pairs), ridge=0.01)
        fits.append([intercept, *weights])
    # Not exactly, because a grade is three draws but weighs six votes.
    predicted = np.sqrt(np.diag(np.linalg.inv(precision)))

    assert np.all(np.std(fits, axis=0) < 3 * predicted)
    assert np.all(np.std(fits, axis=0) > predicted / 3)


def test_equal_ratings_give_finite_coefficients() -> None:
    features, pairs = rated(50, 0)
    same = pairs_of(np.full_like(pairs.grades, 4.0), pairs.yes, pairs.no)

    weights, intercept, _ = fit_joint(features, same, everything(same))

    assert np.isfinite(weights).all() and 3 < intercept < 30


def test_missing_judges_have_no_weight() -> None:
    grades = np.array([[4.0, 4.0, 1.0], [4.0, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    pairs = pairs_of(grades, np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 3.0]))

    target, weight = targets(pairs)

    assert target == pytest.approx([2 / 3, 1.0, 0.25])
    assert weight == pytest.approx([3 * EXPERT_WEIGHT, EXPERT_WEIGHT, 4.0])


def test_no_rows_and_a_prior_of_another_shape_are_refused() -> None:
    features, pairs = rated(10, 10)

    with pytest.raises(ValueError, match="no row"):
        fit_joint(features, pairs, np.zeros(len(pairs), dtype=bool))
    with pytest.raises(ValueError, match="prior"):
        fit_joint(features, pairs, everything(pairs), prior=(np.zeros(3), np.eye(3)))
