"""Calibration of a head on photographs that it was not fitted on: the match of two photographs, and the k-NN vote."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from service.kinds.vote_calibration import NEIGHBOURS, HeldOutNeighbours, TopNeighbours, VoteCalibration, calibrate
from service.match.artifact import Logistic
from service.types import BoolArray, Float32Array, Int64Array
from training.similar.splits import Split
from training.similar.top_k import top_k

VectorsOf = Callable[[Split], tuple[Float32Array, Float32Array]]
"""The head's vectors of a split's queries and of its gallery."""

_NEIGHBOURS = 20
"""Nearest photographs of each query that calibrate the match: about as many hits as a person reads."""


def same_kind(splits: Sequence[Split], kinds: Int64Array, vectors_of: VectorsOf) -> Logistic:
    """Fit the map from similarity to the probability that two photographs are of one kind.

    It is fitted on photographs and their twenty nearest, none of which the head was fitted on, since that is what most
    pairs in a library are like.
    """
    similarities, right = [], []
    for split in splits:
        if split.unseen or len(split.queries) < 2:
            continue
        vectors, _ = vectors_of(split)
        labels = kinds[split.queries]
        nearest = top_k(vectors, vectors, np.arange(len(vectors)), _NEIGHBOURS)
        similarities.append(nearest.similarities.ravel())
        right.append((labels[nearest.rows] == labels[:, None]).ravel())
    return _logistic(np.concatenate(similarities), np.concatenate(right))


def vote(splits: Sequence[Split], kinds: Int64Array, vectors_of: VectorsOf) -> VoteCalibration:
    """Fit and calibrate the vote of the ten nearest on photographs that the head was not fitted on.

    Queries of kinds left out of the fit search a gallery without their own kind, as a photograph of an unknown kind
    does. Raises LibraryError where too few photographs share their kind with another.
    """
    known, unknown = TopNeighbours.empty(len(kinds), NEIGHBOURS), TopNeighbours.empty(len(kinds), NEIGHBOURS)
    for split in splits:
        queries, vectors = vectors_of(split)
        gallery, self_index, into = split.gallery, split.self_index, known
        if split.unseen:
            others = ~np.isin(kinds[gallery], kinds[split.queries])
            vectors, gallery, self_index, into = vectors[others], gallery[others], np.full(len(queries), -1), unknown
        nearest = top_k(queries, vectors, self_index, NEIGHBOURS)
        depth = nearest.rows.shape[1]
        into.similarities[split.queries, :depth] = nearest.similarities
        into.labels[split.queries, :depth] = kinds[gallery][nearest.rows]
    return calibrate(HeldOutNeighbours(kinds, known, unknown, known.counts > 0))


def _logistic(similarities: Float32Array, right: BoolArray) -> Logistic:
    """A rising logistic map: a flat default where every pair, or none, is of one kind, and never a falling slope."""
    from sklearn.linear_model import LogisticRegression

    if right.all() or not right.any():
        return Logistic(4.0, 0.0 if right.all() else -4.0)
    fitted = LogisticRegression(C=1e3).fit(similarities[:, None], right)
    return Logistic(max(float(fitted.coef_[0, 0]), 1e-3), float(fitted.intercept_[0]))
