"""What a head's similarities mean, told by photographs that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from service.kinds.vote_calibration import NEIGHBOURS, HeldOutNeighbours, TopNeighbours, VoteCalibration, calibrate
from service.match.artifact import Logistic
from service.types import BoolArray, Float32Array, Int64Array
from training.similar.ranks import nearest
from training.similar.splits import Split

VectorsOf = Callable[[Split], tuple[Float32Array, Float32Array]]
"""Vectors of the photographs that ask and of those that are searched, in a split."""

_NEIGHBOURS = 20
"""Of each photograph, whose kinds say what a similarity is worth: about as many as a person looks at."""


def same_kind(splits: Sequence[Split], kinds: Int64Array, vectors_of: VectorsOf) -> Logistic:
    """Similarity to the probability of one kind, for a photograph and each of its nearest twenty.

    Both are photographs that the head was not fitted on, since most of a library are.
    """
    similarities, right = [], []
    for split in splits:
        if split.unseen or len(split.asked) < 2:
            continue
        asked, _ = vectors_of(split)
        own = kinds[split.asked]
        found = nearest(asked, asked, np.arange(len(asked)), _NEIGHBOURS)
        similarities.append(found.similarities.ravel())
        right.append((own[found.rows] == own[:, None]).ravel())
    return _logistic(np.concatenate(similarities), np.concatenate(right))


def vote(splits: Sequence[Split], kinds: Int64Array, vectors_of: VectorsOf) -> VoteCalibration:
    """The vote of the ten nearest, and what it is worth, on photographs that the head was not fitted on.

    Those of kinds that were left out of the fit, with their own kind taken out of the gallery, show what an unknown
    kind looks like. Raises LibraryError where too few photographs are of a kind that another one has.
    """
    known, unknown = TopNeighbours.none(len(kinds), NEIGHBOURS), TopNeighbours.none(len(kinds), NEIGHBOURS)
    for split in splits:
        asked, searched = vectors_of(split)
        gallery, itself, into = split.gallery, split.itself, known
        if split.unseen:
            there = ~np.isin(kinds[gallery], kinds[split.asked])
            searched, gallery, itself, into = searched[there], gallery[there], np.full(len(asked), -1), unknown
        found = nearest(asked, searched, itself, NEIGHBOURS)
        depth = found.rows.shape[1]
        into.similarities[split.asked, :depth] = found.similarities
        into.kinds[split.asked, :depth] = kinds[gallery][found.rows]
    company = known.counts > 0
    return calibrate(HeldOutNeighbours(kinds, known, unknown, company))


def _logistic(similarities: Float32Array, right: BoolArray) -> Logistic:
    """A rising logistic map; where all pairs are of one kind, or more alike the less they are, a mild one."""
    from sklearn.linear_model import LogisticRegression

    if right.all() or not right.any():
        return Logistic(4.0, 0.0 if right.all() else -4.0)
    fitted = LogisticRegression(C=1e3).fit(similarities[:, None], right)
    return Logistic(max(float(fitted.coef_[0, 0]), 1e-3), float(fitted.intercept_[0]))
