"""The kind of a photograph by the vote of its nearest, and how far that can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from service.types import BoolArray, Float32Array, Float64Array, Int64Array

_RIDGE = 1e-2
"""Pulls the weights of a vote to 0, so that a set without one wrong vote still has finite ones."""
_ROUNDS = 50
_KEPT = 0.95
"""Share of right votes on held-out photographs that the threshold of “unknown” lets through."""
_LEAST_SHARE = 1e-4


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the nearest say: the winning kind, the probability that it is right, and whether that is enough.

    `share` is the part of the vote that the kind got, 0 to 1. A photograph that is not `known` is better called
    unknown than by `kind`.
    """

    kind: str
    confidence: float
    share: float
    known: bool


@dataclass(frozen=True, slots=True)
class Vote:
    """Votes weighted by exp(similarity / temperature), and their calibration.

    The `neighbours` nearest vote. The winner's confidence is logistic in the logit of its share of the vote and in
    the mean similarity of those who voted for it, so that far neighbours of one mind do not convince. Below
    `min_confidence` the photograph is unknown.
    """

    neighbours: int
    temperature: float
    of_share: float
    of_similarity: float
    intercept: float
    min_confidence: float

    @classmethod
    def of(cls, facts: Mapping[str, float]) -> Vote:
        """Read from a file's JSON; raises `ValueError` for numbers that make no vote."""
        values = {name: float(facts[name]) for name in (field.name for field in fields(cls))}
        if not all(math.isfinite(value) for value in values.values()):
            raise ValueError("its vote holds numbers that are not finite")
        if values["temperature"] <= 0 or values["neighbours"] < 1 or not 0 <= values["min_confidence"] <= 1:
            raise ValueError("its numbers make no vote")
        return cls(int(values.pop("neighbours")), **values)

    def facts(self) -> dict[str, float]:
        """What `of` reads."""
        return asdict(self)

    def __call__(self, similarities: Float32Array, kinds: Sequence[str]) -> Opinion:
        """The opinion of neighbours with these similarities (n,) and kinds; n is at least 1."""
        names = sorted(set(kinds))
        numbers = np.array([[names.index(kind) for kind in kinds]])
        winners, measures = count_votes(similarities[None].astype(np.float32), numbers, self.temperature)
        confidence = float(self.confidence(measures)[0])
        share = float(1.0 / (1.0 + np.exp(-measures[0, 0])))
        return Opinion(names[int(winners[0])], confidence, share, confidence >= self.min_confidence)

    def confidence(self, measures: Float64Array) -> Float64Array:
        """Probabilities (n,) that winners are right, of what `count_votes` measured, (n, 2)."""
        line = measures @ np.array([self.of_share, self.of_similarity]) + self.intercept
        probabilities: Float64Array = 1.0 / (1.0 + np.exp(-np.clip(line, -500.0, 500.0)))
        return probabilities


def count_votes(similarities: Float32Array, kinds: Int64Array, temperature: float) -> tuple[Int64Array, Float64Array]:
    """The winning kinds (queries,) of neighbours with similarities and kinds (queries, neighbours), and measures.

    Measures (queries, 2) are the logit of the winner's share and the mean similarity of its voters.
    """
    weights = np.exp((similarities - similarities.max(axis=1, keepdims=True)).astype(np.float64) / temperature)
    weights /= weights.sum(axis=1, keepdims=True)
    same = kinds[:, :, None] == kinds[:, None, :]
    rows = np.arange(len(kinds))
    best = (same * weights[:, None, :]).sum(axis=2).argmax(axis=1)
    voters = same[rows, best] * weights
    share = voters.sum(axis=1)
    likeness = (voters * similarities).sum(axis=1) / share
    bounded = np.clip(share, _LEAST_SHARE, 1.0 - _LEAST_SHARE)
    return kinds[rows, best], np.stack([np.log(bounded / (1.0 - bounded)), likeness], axis=1)


def fit_vote(
    similarities: Float32Array,
    kinds: Int64Array,
    own: Int64Array,
    *,
    temperature: float,
    weights: Float64Array | None = None,
) -> Vote:
    """Calibrate a vote on held-out photographs of the kinds `own` (queries,), known or not among their neighbours.

    `similarities` and `kinds` are (queries, neighbours) as in `count_votes`. Photographs of a kind that none of the
    library has are always voted wrongly, and show what far neighbours look like; `weights` (queries,) say how much
    each photograph counts. The threshold lets 95 % of the right votes through.
    """
    winners, measures = count_votes(similarities, kinds, temperature)
    right = winners == own
    line = _logistic_line(measures, right, np.ones(len(own)) if weights is None else weights)
    vote = Vote(similarities.shape[1], temperature, float(line[1]), float(line[2]), float(line[0]), 0.0)
    confidence = vote.confidence(measures)
    least = float(np.quantile(confidence[right], 1.0 - _KEPT)) if right.any() else 0.0
    return Vote(vote.neighbours, temperature, vote.of_share, vote.of_similarity, vote.intercept, least)


def _logistic_line(measures: Float64Array, right: BoolArray, weights: Float64Array) -> Float64Array:
    """Intercept and weights (1 + measures,) of a ridge logistic regression, by Newton's method."""
    mean, deviation = measures.mean(axis=0), np.maximum(measures.std(axis=0), 1e-6)
    rows = np.concatenate([np.ones((len(measures), 1)), (measures - mean) / deviation], axis=1)
    line = np.zeros(rows.shape[1])
    ridge = _RIDGE * len(rows) * np.diag([1e-3, *[1.0] * measures.shape[1]])
    for _ in range(_ROUNDS):
        probability = 1.0 / (1.0 + np.exp(-np.clip(rows @ line, -30.0, 30.0)))
        slope = rows.T @ (weights * (right - probability)) - ridge @ line
        bend = (rows * (weights * probability * (1.0 - probability))[:, None]).T @ rows + ridge
        step = np.linalg.solve(bend, slope)
        line += step
        if np.abs(step).max() < 1e-8:
            break
    line[1:] /= deviation
    line[0] -= float(line[1:] @ mean)
    return line
