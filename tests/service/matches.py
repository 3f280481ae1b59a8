"""Matches that nobody's ratings made, small enough to be written in a moment."""

from __future__ import annotations

import numpy as np

from service.match.artifact import Interaction, Logistic, ScorerArtifact, TextMatch
from service.match.features import BANKS, FEATURES, Bank
from service.types import Float32Array, Float64Array

TEXTS = Logistic(12.0, -3.0)
PHOTOGRAPHS = Logistic(10.0, -6.0)


def unit(vectors: Float32Array) -> Float32Array:
    """Each vector (..., dimension) at length 1, float32."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def strangers(count: int, dimension: int, seed: int = 3) -> Float32Array:
    """Unit vectors (count, dimension) that have nothing to do with each other."""
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32))


def a_bank(dimension: int, seed: int, count: int = 12) -> Bank:
    """A bank of `count` vectors that stand for 1 to `count` others."""
    return Bank(strangers(count, dimension, seed), np.arange(1, count + 1, dtype=np.float32))


def an_interaction(
    dimension: int, *, seed: int = 0, weights: Float64Array | None = None, reach: tuple[float, float] = (-3, -2)
) -> Interaction:
    """A map of features, by chance where no `weights` are given, that counts in full for every text."""
    random = np.random.default_rng(seed)
    return Interaction(
        banks=tuple(a_bank(dimension, seed + number + 1) for number in range(len(BANKS))),
        mean=random.normal(scale=0.1, size=len(FEATURES)),
        deviation=random.uniform(0.1, 1.0, len(FEATURES)),
        weights=random.normal(scale=0.2, size=2 * len(FEATURES)) if weights is None else weights,
        intercept=-0.5,
        far=reach[0],
        near=reach[1],
    )


def a_match(
    fingerprint: str = "colours", interaction: Interaction | None = None, *, min_match: float = 0.0
) -> ScorerArtifact:
    """A match of texts by the cosine, or by features where there are any."""
    return ScorerArtifact(
        fingerprint=fingerprint,
        text=TextMatch(TEXTS, Logistic(1.5, -0.5), interaction),
        photograph=PHOTOGRAPHS,
        min_match=min_match,
        trained_on="ratings of nobody",
        figures={"pairs": 0},
        precision=None if interaction is None else np.eye(2 * len(FEATURES) + 1),
    )
