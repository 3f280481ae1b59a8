"""Small matches that were not fitted, for tests."""

from __future__ import annotations

import numpy as np

from service.match.artifact import FeatureModel, Logistic, ScorerArtifact, TextMatch
from service.match.features import BANKS, FEATURES, Bank
from service.types import Float32Array, Float64Array

TEXTS = Logistic(12.0, -3.0)
PHOTOGRAPHS = Logistic(10.0, -6.0)


def unit(vectors: Float32Array) -> Float32Array:
    """Vectors (..., dimension) scaled to length 1, float32."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def random_unit_vectors(count: int, dimension: int, seed: int = 3) -> Float32Array:
    """Random unit vectors (count, dimension)."""
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32))


def make_bank(dimension: int, seed: int, count: int = 12) -> Bank:
    """A bank of `count` vectors with counts from 1 to `count`."""
    return Bank(random_unit_vectors(count, dimension, seed), np.arange(1, count + 1, dtype=np.float32))


def make_feature_model(
    dimension: int, *, seed: int = 0, weights: Float64Array | None = None, reach: tuple[float, float] = (-3, -2)
) -> FeatureModel:
    """A feature model, random unless `weights` are given, that by default counts fully for every text."""
    random = np.random.default_rng(seed)
    return FeatureModel(
        banks=tuple(make_bank(dimension, seed + number + 1) for number in range(len(BANKS))),
        mean=random.normal(scale=0.1, size=len(FEATURES)),
        deviation=random.uniform(0.1, 1.0, len(FEATURES)),
        weights=random.normal(scale=0.2, size=2 * len(FEATURES)) if weights is None else weights,
        intercept=-0.5,
        far=reach[0],
        near=reach[1],
    )


def make_artifact(
    fingerprint: str = "colours", feature_model: FeatureModel | None = None, *, min_match: float = 0.0
) -> ScorerArtifact:
    """A match of texts by features if a model is given, else by the cosine."""
    return ScorerArtifact(
        fingerprint=fingerprint,
        text=TextMatch(TEXTS, Logistic(1.5, -0.5), feature_model),
        photograph=PHOTOGRAPHS,
        min_match=min_match,
        trained_on="ratings of nobody",
        figures={"pairs": 0},
        precision=None if feature_model is None else np.eye(2 * len(FEATURES) + 1),
    )
