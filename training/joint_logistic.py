"""One logistic regression fitted jointly to the grades of experts and the votes of a crowd.

An expert's mean grade, mapped to [0, 1], and the crowd's share of yes are both proportions, which a logistic regression
takes as targets. The crowd answered a stricter question (does the text describe the photograph: yes or no), so for the
same logit it says yes less often. One more column, 1 in the rows of the crowd, absorbs that shift and is dropped after
the fit. The result is on the scale of the experts, and the many rows of the crowd help to estimate its weights.
"""

from __future__ import annotations

import numpy as np

from data.ratings import RatedPairs
from service.types import AnyArray, BoolArray, Float64Array

EXPERT_WEIGHT = 6.0
"""Weight of one expert's grade, in votes of the crowd."""
RIDGE = 10.0
"""Default precision of the weights around zero, in votes; features are standardised."""
_INTERCEPT_RIDGE = 1e-3
"""Keeps the intercept finite where all ratings are equal; less than a hundredth of a vote."""
_MOST_STEPS = 50
_MOST_HALVINGS = 20
_TOLERANCE = 1e-8


def targets(pairs: RatedPairs) -> tuple[Float64Array, Float64Array]:
    """The target of each row, 0 to 1, and its weight in votes, (n,) each.

    Expert rows have their mean grade, with EXPERT_WEIGHT for each judge; crowd rows their share of yes, with a weight
    of one for each vote.
    """
    crowd = pairs.crowd
    judges = np.isfinite(pairs.grades).sum(axis=1)
    target: Float64Array = np.where(crowd, pairs.share, pairs.grade)
    weight: Float64Array = np.where(crowd, pairs.yes + pairs.no, EXPERT_WEIGHT * judges)
    return target, weight


def fit_joint(
    features: AnyArray,
    pairs: RatedPairs,
    rows: BoolArray,
    ridge: float = RIDGE,
    prior: tuple[Float64Array, Float64Array] | None = None,
    unrated: tuple[AnyArray, Float64Array, Float64Array] | None = None,
) -> tuple[Float64Array, float, Float64Array]:
    """Fit the logit of the experts' grade as a linear function of features, by maximum a posteriori.

    Args:
        features: (n, f), standardised.
        pairs: the ratings of the n rows.
        rows: mask (n,) of the rows to fit on.
        ridge: precision of the weights around zero, unless there is a prior.
        prior: mean (1 + f,) and precision (1 + f, 1 + f) of an earlier fit, intercept first. A fit with it equals the
            fit on both sets of ratings, as far as a quadratic approximates the earlier log-likelihood (Laplace).
        unrated: further rows on the scale of grades: features (m, f), targets (m,) in [0, 1], weights (m,) in votes.

    Returns:
        Weights (f,), intercept, and precision (1 + f, 1 + f) of intercept and weights, which includes the ridge or the
        prior, with the crowd's column marginalised out.

    Raises:
        ValueError: `rows` is empty, or the prior has another shape.
    """
    target, weight = (each[rows] for each in targets(pairs))
    if not len(target):
        raise ValueError("there is no row to fit on")
    count = features.shape[1] + 1
    mean, precision = np.zeros(count + 1), np.diag([_INTERCEPT_RIDGE, *[ridge] * count])
    if prior is not None:
        if prior[0].shape != (count,) or prior[1].shape != (count, count):
            raise ValueError(f"the prior has the shapes {prior[0].shape} and {prior[1].shape}, not {count} numbers")
        mean[:count], precision[:count, :count] = prior
    # A crowd alone gets no shift: nothing is on the scale of grades, and its column would equal the intercept.
    stricter = pairs.crowd & (bool((rows & pairs.expert).any()) or prior is not None or unrated is not None)
    columns = np.column_stack([np.ones(len(target)), features[rows], stricter[rows]]).astype(np.float64)
    if unrated is not None:
        others = np.column_stack([np.ones(len(unrated[1])), unrated[0], np.zeros(len(unrated[1]))])
        columns = np.concatenate([columns, others])
        target, weight = np.concatenate([target, unrated[1]]), np.concatenate([weight, unrated[2]])
    fitted, posterior = _newton(columns, target, weight, mean, precision)
    with_crowd = posterior[:count, count]
    marginal = posterior[:count, :count] - np.outer(with_crowd, with_crowd) / posterior[-1, -1]
    return fitted[1:count], float(fitted[0]), marginal


def _newton(
    columns: Float64Array, target: Float64Array, weight: Float64Array, mean: Float64Array, precision: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """The most probable coefficients under a normal prior (Newton's method), and the posterior precision there."""

    def loss(coefficients: Float64Array) -> float:
        logits, deviation = columns @ coefficients, coefficients - mean
        return float(weight @ (np.logaddexp(0.0, logits) - target * logits) + deviation @ precision @ deviation / 2)

    def derivatives(coefficients: Float64Array) -> tuple[Float64Array, Float64Array]:
        probability = 1.0 / (1.0 + np.exp(-np.clip(columns @ coefficients, -500.0, 500.0)))
        gradient = columns.T @ (weight * (probability - target)) + precision @ (coefficients - mean)
        hessian = columns.T @ (columns * (weight * probability * (1.0 - probability))[:, None]) + precision
        return gradient, hessian

    coefficients, before = mean.copy(), loss(mean)
    for _ in range(_MOST_STEPS):
        gradient, hessian = derivatives(coefficients)
        step = np.linalg.solve(hessian, gradient)
        # Far from the minimum a whole step can overshoot; the loss is convex, so a shorter one reduces it.
        for _ in range(_MOST_HALVINGS):
            after = loss(coefficients - step)
            if after <= before:
                break
            step = step / 2
        else:
            break
        coefficients, before = coefficients - step, after
        if np.abs(step).max() < _TOLERANCE:
            break
    return coefficients, derivatives(coefficients)[1]
