"""What a head's similarities mean, told by photographs that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from service.artifact import Logistic
from service.vote import Vote, count_votes, fit_vote
from training.similar.ranks import nearest
from training.similar.splits import Split

Integers = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

VectorsOf = Callable[[Split], tuple[Vectors, Vectors]]
"""Vectors of the photographs that ask and of those that are searched, in a split."""

UNKNOWN_SHARE = 0.1
"""Of all photographs that are asked about, those of a kind that nobody knows."""
_TEMPERATURES = (0.02, 0.05, 0.1, 0.2)
_VOTERS, _NEIGHBOURS = 10, 20


def same_kind(splits: Sequence[Split], kinds: Integers, vectors_of: VectorsOf) -> Logistic:
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


def vote(splits: Sequence[Split], kinds: Integers, vectors_of: VectorsOf) -> Vote:
    """The vote of the ten nearest, on photographs that the head was not fitted on.

    Those of kinds that were left out, with their own kind taken out of the gallery, show what an unknown kind looks
    like, and count for a tenth. The temperature is the one whose confidence is best (log loss) on half of the
    photographs when it is calibrated on the other half.
    """
    similarities, voters, own, known = _ballots(splits, kinds, vectors_of)
    weights = np.ones(len(own))
    if not known.all():
        weights[~known] = UNKNOWN_SHARE / (1.0 - UNKNOWN_SHARE) * known.sum() / (~known).sum()
    half = np.random.default_rng(0).permutation(len(own)) % 2 == 0
    losses = [_loss(similarities, voters, own, weights, half, each) for each in _TEMPERATURES]
    chosen = _TEMPERATURES[int(np.argmin(losses))]
    return fit_vote(similarities, voters, own, temperature=chosen, weights=weights)


def _ballots(
    splits: Sequence[Split], kinds: Integers, vectors_of: VectorsOf
) -> tuple[Vectors, Integers, Integers, npt.NDArray[np.bool_]]:
    """Similarities and kinds of the nearest (asked, 10), the kinds of those that ask, and whether these are known."""
    similarities, voters, own, known = [], [], [], []
    for split in splits:
        asked, searched = vectors_of(split)
        gallery, itself = split.gallery, split.itself
        if split.unseen:
            there = ~np.isin(kinds[gallery], kinds[split.asked])
            searched, gallery, itself = searched[there], gallery[there], np.full(len(asked), -1)
        found = nearest(asked, searched, itself, _VOTERS)
        if found.rows.shape[1] < _VOTERS:
            continue
        similarities.append(found.similarities)
        voters.append(kinds[gallery][found.rows])
        own.append(kinds[split.asked])
        known.append(np.full(len(split.asked), not split.unseen))
    return np.concatenate(similarities), np.concatenate(voters), np.concatenate(own), np.concatenate(known)


def _loss(
    similarities: Vectors, voters: Integers, own: Integers, weights: npt.NDArray[Any], half: Any, temperature: float
) -> float:
    total = 0.0
    for fitted in (half, ~half):
        made = fit_vote(
            similarities[fitted], voters[fitted], own[fitted], temperature=temperature, weights=weights[fitted]
        )
        winners, measures = count_votes(similarities[~fitted], voters[~fitted], temperature)
        says = np.clip(made.confidence(measures), 1e-6, 1.0 - 1e-6)
        right = winners == own[~fitted]
        total -= float(weights[~fitted] @ np.where(right, np.log(says), np.log(1.0 - says)))
    return total


def _logistic(similarities: Vectors, right: npt.NDArray[np.bool_]) -> Logistic:
    """A rising logistic map; where all pairs are of one kind, or more alike the less they are, a mild one."""
    from sklearn.linear_model import LogisticRegression

    if right.all() or not right.any():
        return Logistic(4.0, 0.0 if right.all() else -4.0)
    fitted = LogisticRegression(C=1e3).fit(similarities[:, None], right)
    return Logistic(max(float(fitted.coef_[0, 0]), 1e-3), float(fitted.intercept_[0]))
