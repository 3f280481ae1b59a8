"""Calibration of a k-NN vote on the photographs of the library that it is for.

Held-out photographs are classified as if they were new: each without itself and its copies among the neighbours
(leave-one-out), and once more without all photographs of its kind, which is what a photograph of an unknown kind looks
like. The figures (accuracy, ECE, AUROC) come from nested cross-validation. No other data is needed, since an encoder's
cosine was not fitted on these kinds; a head brings a calibration of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from service.errors import LibraryError
from service.kinds.knn_vote import KnnVote, count_votes, fit_vote
from service.types import BoolArray, Float32Array, Float64Array, Int64Array

NEIGHBOURS = 10
"""Neighbours that vote, at most (k)."""
CALIBRATION_SAMPLE = 2_000
"""Photographs of a library that are held out for its calibration, at most."""
MIN_PHOTOGRAPHS = 10
TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2)
UNKNOWN_SHARE = 0.1
"""Weight of photographs of unknown kinds in the calibration; those of known kinds have the rest."""
FOLDS = 5
_MIN_PROBABILITY = 1e-6


@dataclass(frozen=True, eq=False)
class LabelledVectors:
    """Photographs that vote: `ids` (c,), unit `vectors` (c, dimension) float32 and `labels` (c,)."""

    ids: Int64Array
    vectors: Float32Array
    labels: Int64Array


@dataclass(frozen=True, eq=False)
class TopNeighbours:
    """The nearest neighbours of n photographs, best first: `similarities` and `labels`, (n, k).

    Missing neighbours have the similarity -inf and the label -1.
    """

    similarities: Float32Array
    labels: Int64Array

    @classmethod
    def empty(cls, photographs: int, neighbours: int) -> TopNeighbours:
        """No neighbours yet."""
        shape = (photographs, neighbours)
        return cls(np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64))

    def merged(self, similarities: Float32Array, labels: Int64Array) -> TopNeighbours:
        """The top k of these neighbours and c more photographs: `similarities` (n, c), `labels` (c,)."""
        depth = self.similarities.shape[1]
        if similarities.shape[1] > depth:
            best = np.argpartition(-similarities, depth - 1, axis=1)[:, :depth]
            similarities, new_labels = np.take_along_axis(similarities, best, axis=1), labels[best]
        else:
            new_labels = np.broadcast_to(labels, similarities.shape)
        all_similarities = np.concatenate([self.similarities, similarities], axis=1)
        all_labels = np.concatenate([self.labels, new_labels], axis=1)
        order = np.argsort(-all_similarities, axis=1, kind="stable")[:, :depth]
        top = np.take_along_axis(all_similarities, order, axis=1)
        top_labels = np.take_along_axis(all_labels, order, axis=1)
        return TopNeighbours(top, np.where(np.isfinite(top), top_labels, -1))

    @property
    def counts(self) -> Int64Array:
        """How many neighbours each photograph has, (n,)."""
        return np.asarray(np.isfinite(self.similarities).sum(axis=1), np.int64)


@dataclass(frozen=True, eq=False)
class HeldOutNeighbours:
    """n held-out photographs and their nearest neighbours.

    Attributes:
        labels: of the held-out photographs, (n,).
        any_kind: their nearest neighbours.
        other_kinds: their nearest neighbours of other kinds.
        has_same_label: whether another photograph shares the label, (n,).
    """

    labels: Int64Array
    any_kind: TopNeighbours
    other_kinds: TopNeighbours
    has_same_label: BoolArray


def held_out_neighbours(
    vectors: Float32Array,
    labels: Int64Array,
    chunks: Iterable[LabelledVectors],
    excluded: Sequence[frozenset[int]],
    neighbours: int = NEIGHBOURS,
) -> HeldOutNeighbours:
    """Find the exact nearest neighbours of held-out photographs in one pass over those that vote.

    Args:
        vectors: unit vectors of the held-out photographs, (n, dimension).
        labels: of the held-out photographs, (n,).
        chunks: the photographs that vote; the size of a chunk bounds the memory.
        excluded: for each held-out photograph the ids that do not vote on it, its own among them.
        neighbours: how many to find.
    """
    excluded_from: dict[int, list[int]] = {}
    for row, ids in enumerate(excluded):
        for identity in ids:
            excluded_from.setdefault(identity, []).append(row)
    any_kind = TopNeighbours.empty(len(labels), neighbours)
    other_kinds = TopNeighbours.empty(len(labels), neighbours)
    has_same_label = np.zeros(len(labels), bool)
    for chunk in chunks:
        similarities = np.clip(vectors @ chunk.vectors.T, -1.0, 1.0).astype(np.float32)
        for column in np.flatnonzero(np.isin(chunk.ids, list(excluded_from))):
            similarities[excluded_from[int(chunk.ids[column])], column] = -np.inf
        any_kind = any_kind.merged(similarities, chunk.labels)
        same = labels[:, None] == chunk.labels[None, :]
        has_same_label |= (same & np.isfinite(similarities)).any(axis=1)
        similarities[same] = -np.inf
        other_kinds = other_kinds.merged(similarities, chunk.labels)
    return HeldOutNeighbours(labels, any_kind, other_kinds, has_same_label)


@dataclass(frozen=True)
class VoteCalibration:
    """A calibrated vote, and cross-validated figures of it.

    Attributes:
        vote: the vote, fitted on all held-out photographs.
        accuracy: share of correct votes among photographs whose kind another one has.
        ece: expected calibration error on the same photographs.
        unknown_auroc: AUROC of confidence, which tells these photographs from those of unknown kinds; None where there
            are none of unknown kinds.
        photographs: how many photographs the accuracy is of.
    """

    vote: KnnVote
    accuracy: float
    ece: float
    unknown_auroc: float | None
    photographs: int

    def figures(self) -> dict[str, float | int | None]:
        """Everything but the vote, for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "vote"}


@dataclass(frozen=True, eq=False)
class _HeldOutVotes:
    """What votes on held-out photographs are counted from: `similarities` and `labels` (n, k), the rest (n,).

    `is_known` says whether the true label is among those that could be voted for, `weight` how much a vote counts.
    Two votes on one photograph are in the same `fold`.
    """

    similarities: Float32Array
    labels: Int64Array
    true_labels: Int64Array
    is_known: BoolArray
    fold: Int64Array
    weight: Float64Array

    def subset(self, rows: BoolArray) -> _HeldOutVotes:
        return _HeldOutVotes(*(getattr(self, field.name)[rows] for field in fields(self)))

    def fit(self, temperature: float) -> KnnVote:
        return fit_vote(self.similarities, self.labels, self.true_labels, temperature=temperature, weights=self.weight)

    def apply(self, vote: KnnVote) -> tuple[Float64Array, BoolArray]:
        """The confidence of `vote`, and whether it is correct, (n,)."""
        winners, measures = count_votes(self.similarities, self.labels, vote.temperature)
        return vote.confidence(measures), winners == self.true_labels


def calibrate(held_out: HeldOutNeighbours, *, seed: int = 0) -> VoteCalibration:
    """Fit a vote on held-out photographs and measure it by nested cross-validation.

    The temperature is the one of `TEMPERATURES` with the least log loss in cross-validation; for the figures it is
    chosen anew in each fold, without the photographs that are measured. A photograph that is alone of its kind serves
    as one of an unknown kind only.

    Raises:
        LibraryError: fewer than `MIN_PHOTOGRAPHS` photographs share their kind with another.
    """
    votes = _held_out_votes(held_out, seed)
    confidence, correct = np.empty(len(votes.fold)), np.empty(len(votes.fold), bool)
    for fold in range(FOLDS):
        test = votes.fold == fold
        training = votes.subset(~test)
        confidence[test], correct[test] = votes.subset(test).apply(training.fit(_best_temperature(training)))
    known, unknown = confidence[votes.is_known], confidence[~votes.is_known]
    correct = correct[votes.is_known]
    return VoteCalibration(
        vote=votes.fit(_best_temperature(votes)),
        accuracy=float(correct.mean()),
        ece=calibration_error(known, correct),
        unknown_auroc=auroc(known, unknown) if len(unknown) else None,
        photographs=len(known),
    )


def calibration_error(
    confidence: Float64Array, correct: BoolArray, weight: Float64Array | None = None, bins: int = 10
) -> float:
    """Expected calibration error (ECE) in bins of equal width (Guo et al. 2017).

    It is the distance of the mean confidence from the share of correct answers, averaged over bins by their weight.

    Args:
        confidence: of the answers, (n,), 0 to 1.
        correct: whether the answers are correct, (n,).
        weight: of the answers, (n,); all 1 by default.
        bins: how many.
    """
    weight = np.ones(len(confidence)) if weight is None else weight
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(bin_of, weight * (confidence - correct), bins)
    return float(np.abs(gap).sum() / weight.sum())


def auroc(positives: Float64Array, negatives: Float64Array) -> float:
    """Area under the ROC curve: how often one of `positives` (n,) is above one of `negatives` (m,); ties count half."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left") + np.searchsorted(ordered, positives, "right")
    return float(below.mean() / (2 * len(ordered)))


def _held_out_votes(held_out: HeldOutNeighbours, seed: int) -> _HeldOutVotes:
    any_kind, other_kinds, labels = held_out.any_kind, held_out.other_kinds, held_out.labels
    known = np.flatnonzero(held_out.has_same_label)
    if len(known) < MIN_PHOTOGRAPHS:
        raise LibraryError(
            f"Too few photographs share their kind with another: {len(known)}, and the confidence needs at least "
            f"{MIN_PHOTOGRAPHS}. Add photographs of known kinds, or use a head with --head."
        )
    neighbours = int(any_kind.counts[known].min())
    unknown = np.flatnonzero(other_kinds.counts >= neighbours)
    total = len(known) + len(unknown)
    fold = np.random.default_rng(seed).permutation(len(labels)) % FOLDS
    shares = (len(known), 1.0 - UNKNOWN_SHARE), (len(unknown), UNKNOWN_SHARE)
    return _HeldOutVotes(
        similarities=np.concatenate([any_kind.similarities[known], other_kinds.similarities[unknown]])[:, :neighbours],
        labels=np.concatenate([any_kind.labels[known], other_kinds.labels[unknown]])[:, :neighbours],
        true_labels=np.concatenate([labels[known], labels[unknown]]),
        is_known=np.arange(total) < len(known),
        fold=np.concatenate([fold[known], fold[unknown]]),
        weight=np.concatenate([np.full(count, share * total / max(count, 1)) for count, share in shares]),
    )


def _best_temperature(votes: _HeldOutVotes) -> float:
    losses = []
    for temperature in TEMPERATURES:
        loss = 0.0
        for fold in range(FOLDS):
            test = votes.fold == fold
            if test.any() and not test.all():
                tested = votes.subset(test)
                confidence, correct = tested.apply(votes.subset(~test).fit(temperature))
                loss += _log_loss(confidence, correct, tested.weight)
        losses.append(loss)
    return TEMPERATURES[int(np.argmin(losses))]


def _log_loss(confidence: Float64Array, correct: BoolArray, weight: Float64Array) -> float:
    bounded = np.clip(confidence, _MIN_PROBABILITY, 1.0 - _MIN_PROBABILITY)
    return float(-(weight * np.where(correct, np.log(bounded), np.log(1.0 - bounded))).sum())
