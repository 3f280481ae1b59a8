"""One logistic fit to the grades of experts and the votes of a crowd together.

An expert's mean grade, mapped to [0, 1], and the crowd's share of yes are both shares of agreement, and a
logistic regression takes shares for targets. The crowd was asked a stricter question (does the text describe
the photograph: yes or no), so at the same logit it says less; one column, 1 in the rows of the crowd, takes
that up and is dropped afterwards. What stays speaks in the units of the experts, and the many rows of the
crowd help to find its directions.
"""

from __future__ import annotations

import numpy as np

from data.ratings import RatedPairs
from service.types import AnyArray, BoolArray, Float64Array

EXPERT_WEIGHT = 6.0
"""Votes of the crowd that one expert's grade counts for."""
RIDGE = 10.0
"""Default precision of the weights around zero, in votes; features are of deviation 1."""
_INTERCEPT_RIDGE = 1e-3
"""Keeps the intercept finite where all ratings are the same; less than a hundredth of a vote."""
_MOST_STEPS = 50
_MOST_HALVINGS = 20
_TOLERANCE = 1e-8


def targets(pairs: RatedPairs) -> tuple[Float64Array, Float64Array]:
    """What each row says, 0 to 1, and the votes that it counts for, (n,) each.

    Expert rows say their mean grade and count EXPERT_WEIGHT for each judge; crowd rows say their share of yes
    and count their votes.
    """
    crowd = pairs.crowd
    judges = np.isfinite(pairs.grades).sum(axis=1)
    said: Float64Array = np.where(crowd, pairs.share, pairs.grade)
    weight: Float64Array = np.where(crowd, pairs.yes + pairs.no, EXPERT_WEIGHT * judges)
    return said, weight


def fit_joint(
    features: AnyArray,
    pairs: RatedPairs,
    rows: BoolArray,
    ridge: float = RIDGE,
    prior: tuple[Float64Array, Float64Array] | None = None,
    beside: tuple[AnyArray, Float64Array, Float64Array] | None = None,
) -> tuple[Float64Array, float, Float64Array]:
    """Weights (f,), intercept and precision (1 + f, 1 + f) of the likeliest map of features to the experts' logit.

    `features` (n, f) are standardised, `rows` (n,) masks what is fitted on. The precision is of the intercept,
    then the weights, with the ridge or the prior in it and the crowd's column integrated out. `prior` is the
    mean (1 + f,) and the precision of an earlier fit in that order; it takes the place of the ridge. Its
    precision counts the earlier ratings as they were counted then, so a fit with a prior is the fit on both
    sets of ratings, as far as a parabola can stand for the earlier ones.

    `beside` are rows that nobody rated, on the scale of grades: their features (m, f), what they say, 0 to 1, and
    the votes that they count for, (m,) each.

    Raises ValueError where `rows` is empty or the prior has another shape.
    """
    said, weight = (each[rows] for each in targets(pairs))
    if not len(said):
        raise ValueError("there is no row to fit on")
    count = features.shape[1] + 1
    mean, held = np.zeros(count + 1), np.diag([_INTERCEPT_RIDGE, *[ridge] * count])
    if prior is not None:
        if prior[0].shape != (count,) or prior[1].shape != (count, count):
            raise ValueError(f"the prior is of {prior[0].shape} and {prior[1].shape}, not of {count} numbers")
        mean[:count], held[:count, :count] = prior
    # A crowd with nothing on the scale of grades beside it is taken at its word: its column would be the intercept.
    stricter = pairs.crowd & (bool((rows & pairs.expert).any()) or prior is not None or beside is not None)
    columns = np.column_stack([np.ones(len(said)), features[rows], stricter[rows]]).astype(np.float64)
    if beside is not None:
        others = np.column_stack([np.ones(len(beside[1])), beside[0], np.zeros(len(beside[1]))])
        columns = np.concatenate([columns, others])
        said, weight = np.concatenate([said, beside[1]]), np.concatenate([weight, beside[2]])
    fitted, precision = _newton(columns, said, weight, mean, held)
    shared = precision[:count, count]
    return fitted[1:count], float(fitted[0]), precision[:count, :count] - np.outer(shared, shared) / precision[-1, -1]


def _newton(
    columns: Float64Array, said: Float64Array, weight: Float64Array, mean: Float64Array, held: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """The likeliest coefficients under a normal prior of `mean` and precision `held`, and the precision there."""

    def loss(coefficients: Float64Array) -> float:
        logits, apart = columns @ coefficients, coefficients - mean
        return float(weight @ (np.logaddexp(0.0, logits) - said * logits) + apart @ held @ apart / 2)

    def slopes(coefficients: Float64Array) -> tuple[Float64Array, Float64Array]:
        chance = 1.0 / (1.0 + np.exp(-np.clip(columns @ coefficients, -500.0, 500.0)))
        gradient = columns.T @ (weight * (chance - said)) + held @ (coefficients - mean)
        return gradient, columns.T @ (columns * (weight * chance * (1.0 - chance))[:, None]) + held

    coefficients, before = mean.copy(), loss(mean)
    for _ in range(_MOST_STEPS):
        gradient, precision = slopes(coefficients)
        step = np.linalg.solve(precision, gradient)
        # A whole step can overshoot from far off, where the curve is flat; the loss is convex, so a shorter one falls.
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
    return coefficients, slopes(coefficients)[1]
