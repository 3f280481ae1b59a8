"""Weighted k-nearest-neighbour (k-NN) classification with a calibrated confidence.

Here and in `vote_calibration` labels are kinds as integers, equal for equal kinds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from service.types import BoolArray, Float32Array, Float64Array, Int64Array

_RIDGE = 1e-2
"""L2 penalty on the coefficients; without it they are infinite where every vote is correct."""
_NEWTON_STEPS = 50
_KNOWN_SHARE = 0.95
"""Share of the correct votes in the calibration that reach the confidence threshold."""
_MIN_SHARE = 1e-4


@dataclass(frozen=True, slots=True)
class VoteOutcome:
    """The result of one vote.

    Attributes:
        kind: the kind that won.
        confidence: the probability, 0 to 1, that it is right.
        share: its share of the weighted votes, 0 to 1.
        known: whether the confidence reaches the threshold; otherwise the photograph is better called unknown.
    """

    kind: str
    confidence: float
    share: float
    known: bool


@dataclass(frozen=True, slots=True)
class KnnVote:
    """A calibrated k-NN vote, in which a neighbour has the weight exp(similarity / temperature).

    The confidence is a logistic function of the logit of the winner's share and of the mean similarity of the
    neighbours that voted for it, so that unanimous but distant neighbours get low confidence.

    Attributes:
        neighbours: how many of the nearest neighbours vote (k).
        temperature: the lower, the more the nearest count; above 0.
        of_share: coefficient of the logit of the winner's share.
        of_similarity: coefficient of the mean similarity.
        intercept: of the logistic function.
        min_confidence: threshold of confidence, 0 to 1, below which the kind is unknown.
    """

    neighbours: int
    temperature: float
    of_share: float
    of_similarity: float
    intercept: float
    min_confidence: float

    @classmethod
    def of(cls, facts: Mapping[str, float]) -> KnnVote:
        """Read what `facts` wrote to JSON; raises `ValueError` for numbers that are not valid."""
        values = {name: float(facts[name]) for name in (field.name for field in fields(cls))}
        if not all(math.isfinite(value) for value in values.values()):
            raise ValueError("its vote holds numbers that are not finite")
        if values["temperature"] <= 0 or values["neighbours"] < 1 or not 0 <= values["min_confidence"] <= 1:
            raise ValueError("its vote holds numbers that are out of range")
        return cls(int(values.pop("neighbours")), **values)

    def facts(self) -> dict[str, float]:
        """Values for JSON, which `of` reads."""
        return asdict(self)

    def __call__(self, similarities: Float32Array, kinds: Sequence[str]) -> VoteOutcome:
        """The outcome for neighbours with these `similarities` (n,) and `kinds` (n); n is at least 1."""
        names = sorted(set(kinds))
        labels = np.array([[names.index(kind) for kind in kinds]])
        winners, measures = count_votes(similarities[None].astype(np.float32), labels, self.temperature)
        confidence = float(self.confidence(measures)[0])
        share = float(1.0 / (1.0 + np.exp(-measures[0, 0])))
        return VoteOutcome(names[int(winners[0])], confidence, share, confidence >= self.min_confidence)

    def confidence(self, measures: Float64Array) -> Float64Array:
        """Probabilities (n,) that the winners are right, from the measures (n, 2) of `count_votes`."""
        logit = measures @ np.array([self.of_share, self.of_similarity]) + self.intercept
        probabilities: Float64Array = 1.0 / (1.0 + np.exp(-np.clip(logit, -500.0, 500.0)))
        return probabilities


def count_votes(similarities: Float32Array, labels: Int64Array, temperature: float) -> tuple[Int64Array, Float64Array]:
    """Count the weighted votes of the neighbours of n queries.

    Args:
        similarities: of the neighbours, (n, k).
        labels: of the neighbours, (n, k).
        temperature: see `KnnVote`.

    Returns:
        The winning labels (n,), and measures (n, 2): the logit of the winner's share, and the weighted mean
        similarity of the neighbours that voted for it.
    """
    weights = np.exp((similarities - similarities.max(axis=1, keepdims=True)).astype(np.float64) / temperature)
    weights /= weights.sum(axis=1, keepdims=True)
    same = labels[:, :, None] == labels[:, None, :]
    rows = np.arange(len(labels))
    best = (same * weights[:, None, :]).sum(axis=2).argmax(axis=1)
    winner_weights = same[rows, best] * weights
    share = winner_weights.sum(axis=1)
    similarity = (winner_weights * similarities).sum(axis=1) / share
    bounded = np.clip(share, _MIN_SHARE, 1.0 - _MIN_SHARE)
    return labels[rows, best], np.stack([np.log(bounded / (1.0 - bounded)), similarity], axis=1)


def fit_vote(
    similarities: Float32Array,
    labels: Int64Array,
    true_labels: Int64Array,
    *,
    temperature: float,
    weights: Float64Array | None = None,
) -> KnnVote:
    """Calibrate a vote on held-out photographs, by logistic regression of whether it is correct.

    Include photographs none of whose neighbours has their kind: they are always voted wrongly, and show what the
    neighbours of an unknown kind look like. 95 % of the correct votes reach the threshold.

    Args:
        similarities: of the neighbours, (n, k).
        labels: of the neighbours, (n, k).
        true_labels: of the held-out photographs, (n,).
        temperature: see `KnnVote`.
        weights: of the held-out photographs, (n,); all 1 by default.
    """
    winners, measures = count_votes(similarities, labels, temperature)
    correct = winners == true_labels
    intercept, of_share, of_similarity = map(
        float, _fit_logistic(measures, correct, np.ones(len(correct)) if weights is None else weights)
    )
    vote = KnnVote(similarities.shape[1], temperature, of_share, of_similarity, intercept, 0.0)
    confidence = vote.confidence(measures)
    threshold = float(np.quantile(confidence[correct], 1.0 - _KNOWN_SHARE)) if correct.any() else 0.0
    return replace(vote, min_confidence=threshold)


def _fit_logistic(measures: Float64Array, correct: BoolArray, weights: Float64Array) -> Float64Array:
    """Intercept and coefficients, (1 + measures,), of an L2-penalised logistic regression, by Newton's method."""
    mean, deviation = measures.mean(axis=0), np.maximum(measures.std(axis=0), 1e-6)
    rows = np.concatenate([np.ones((len(measures), 1)), (measures - mean) / deviation], axis=1)
    coefficients = np.zeros(rows.shape[1])
    penalty = _RIDGE * len(rows) * np.diag([1e-3, *[1.0] * measures.shape[1]])
    for _ in range(_NEWTON_STEPS):
        probability = 1.0 / (1.0 + np.exp(-np.clip(rows @ coefficients, -30.0, 30.0)))
        gradient = rows.T @ (weights * (correct - probability)) - penalty @ coefficients
        hessian = (rows * (weights * probability * (1.0 - probability))[:, None]).T @ rows + penalty
        step = np.linalg.solve(hessian, gradient)
        coefficients += step
        if np.abs(step).max() < 1e-8:
            break
    coefficients[1:] /= deviation
    coefficients[0] -= float(coefficients[1:] @ mean)
    return coefficients
