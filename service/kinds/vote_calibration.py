"""How far the vote of a library's neighbours can be trusted, learnt from the library's own photographs.

Each of some photographs is asked about as if it were new: itself and its copies are left out, and the others vote.
Then it is asked once more with all of its kind left out, which is what a photograph of an unknown kind looks like.
A head brings the calibration that it was fitted with; the cosine of an encoder has seen no kind, so here nothing is
judged by what it was fitted on but the vote itself, and that is judged out of fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from service.errors import LibraryError
from service.kinds.knn_vote import Vote, count_votes, fit_vote
from service.types import BoolArray, Float32Array, Float64Array, Int64Array

NEIGHBOURS = 10
"""Photographs that vote at most."""
MOST_ASKED = 2_000
"""Photographs that are asked about at most."""
LEAST_PHOTOGRAPHS = 10
TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2)
UNKNOWN_SHARE = 0.1
"""What unknown kinds count for in the calibration, against what known ones do."""
FOLDS = 5
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some of the photographs that vote: `ids` (c,), unit `vectors` (c, dimension) float32, `kinds` (c,) as numbers."""

    ids: Int64Array
    vectors: Float32Array
    kinds: Int64Array


@dataclass(frozen=True, eq=False)
class TopNeighbours:
    """The nearest of each photograph that was asked about, best first: `similarities` and `kinds` (n, neighbours).

    Where there are fewer, the similarity is -inf and the kind -1.
    """

    similarities: Float32Array
    kinds: Int64Array

    @classmethod
    def none(cls, photographs: int, neighbours: int) -> TopNeighbours:
        """Nobody yet."""
        shape = (photographs, neighbours)
        return cls(np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64))

    def joined(self, similarities: Float32Array, kinds: Int64Array) -> TopNeighbours:
        """The nearest of these and of further photographs with `similarities` (n, c) and `kinds` (c,)."""
        depth = self.similarities.shape[1]
        if similarities.shape[1] > depth:
            best = np.argpartition(-similarities, depth - 1, axis=1)[:, :depth]
            similarities, further = np.take_along_axis(similarities, best, axis=1), kinds[best]
        else:
            further = np.broadcast_to(kinds, similarities.shape)
        all_similarities = np.concatenate([self.similarities, similarities], axis=1)
        all_kinds = np.concatenate([self.kinds, further], axis=1)
        order = np.argsort(-all_similarities, axis=1, kind="stable")[:, :depth]
        kept = np.take_along_axis(all_similarities, order, axis=1)
        named = np.take_along_axis(all_kinds, order, axis=1)
        return TopNeighbours(kept, np.where(np.isfinite(kept), named, -1))

    @property
    def counts(self) -> Int64Array:
        """How many neighbours each has, (n,)."""
        return np.asarray(np.isfinite(self.similarities).sum(axis=1), np.int64)


@dataclass(frozen=True, eq=False)
class HeldOutNeighbours:
    """Photographs (n,) that were asked about as if they were new: their kinds `own`, and their nearest of the others.

    `known` are the nearest of any kind, `unknown` those of other kinds; `company` says whether another has their kind.
    """

    own: Int64Array
    known: TopNeighbours
    unknown: TopNeighbours
    company: BoolArray


def nearest_others(
    vectors: Float32Array,
    own: Int64Array,
    chunks: Iterable[Chunk],
    left_out: Sequence[frozenset[int]],
    neighbours: int = NEIGHBOURS,
) -> HeldOutNeighbours:
    """Ask about photographs with unit `vectors` (n, dimension) and kinds `own` (n,).

    `left_out` (n) are ids that do not vote on a photograph, such as its own. One pass over `chunks`, whose size bounds
    the memory, so that the nearest of other kinds are exact however deep they lie.
    """
    asked: dict[int, list[int]] = {}
    for row, ids in enumerate(left_out):
        for identity in ids:
            asked.setdefault(identity, []).append(row)
    known, unknown = TopNeighbours.none(len(own), neighbours), TopNeighbours.none(len(own), neighbours)
    company = np.zeros(len(own), bool)
    for chunk in chunks:
        similarities = np.clip(vectors @ chunk.vectors.T, -1.0, 1.0).astype(np.float32)
        for column in np.flatnonzero(np.isin(chunk.ids, list(asked))):
            similarities[asked[int(chunk.ids[column])], column] = -np.inf
        known = known.joined(similarities, chunk.kinds)
        same = own[:, None] == chunk.kinds[None, :]
        company |= (same & np.isfinite(similarities)).any(axis=1)
        similarities[same] = -np.inf
        unknown = unknown.joined(similarities, chunk.kinds)
    return HeldOutNeighbours(own, known, unknown, company)


@dataclass(frozen=True)
class VoteCalibration:
    """A vote, and what it was worth on photographs that it was not fitted on.

    `accuracy` is the share of right votes among photographs whose kind the others have, `ece` the mean distance of
    confidence from that share in ten bins, `unknown_auroc` how well confidence tells these from photographs whose
    kind was left out (0.5 is chance; None where nothing could be left out). `photographs` were asked about.
    """

    vote: Vote
    accuracy: float
    ece: float
    unknown_auroc: float | None
    photographs: int

    def figures(self) -> dict[str, float | int | None]:
        """All but the vote."""
        return {
            "accuracy": self.accuracy,
            "ece": self.ece,
            "unknown_auroc": self.unknown_auroc,
            "photographs": self.photographs,
        }


@dataclass(frozen=True, eq=False)
class _Rows:
    """Votes that were held: (n, neighbours) of `similarities` and `kinds`, (n,) of the rest.

    `fold` keeps the two votes on one photograph together; `known` says whether its kind could have been voted for.
    """

    similarities: Float32Array
    kinds: Int64Array
    own: Int64Array
    known: BoolArray
    fold: Int64Array
    weight: Float64Array

    def some(self, which: BoolArray) -> _Rows:
        return _Rows(
            similarities=self.similarities[which],
            kinds=self.kinds[which],
            own=self.own[which],
            known=self.known[which],
            fold=self.fold[which],
            weight=self.weight[which],
        )

    def fit(self, temperature: float) -> Vote:
        return fit_vote(self.similarities, self.kinds, self.own, temperature=temperature, weights=self.weight)

    def judged(self, vote: Vote) -> tuple[Float64Array, BoolArray]:
        """Confidence and whether the vote was right, (n,)."""
        winners, measures = count_votes(self.similarities, self.kinds, vote.temperature)
        return vote.confidence(measures), winners == self.own


def calibrate(asked: HeldOutNeighbours, *, seed: int = 0) -> VoteCalibration:
    """Fit a vote on what `nearest_others` found.

    Unknown kinds count for a tenth of all. The temperature is the one of `TEMPERATURES` with the least log loss out of
    fold. The figures come from votes whose temperature, too, was chosen without the photographs that they judge.
    Photographs that are alone of their kind are asked about only as unknown ones. Raises `LibraryError` where too few
    photographs are left.
    """
    rows = _rows(asked, seed)
    confidence, right = np.empty(len(rows.own)), np.empty(len(rows.own), bool)
    for fold in range(FOLDS):
        held = rows.fold == fold
        rest = rows.some(~held)
        confidence[held], right[held] = rows.some(held).judged(rest.fit(_temperature(rest)))
    of_known, of_unknown = confidence[rows.known], confidence[~rows.known]
    return VoteCalibration(
        vote=rows.fit(_temperature(rows)),
        accuracy=float(right[rows.known].mean()),
        ece=calibration_error(of_known, right[rows.known]),
        unknown_auroc=auroc(of_known, of_unknown) if len(of_unknown) else None,
        photographs=int(rows.known.sum()),
    )


def calibration_error(
    confidence: Float64Array,
    right: BoolArray,
    weight: Float64Array | None = None,
    bins: int = 10,
) -> float:
    """Expected calibration error in bins of equal width (Guo et al. 2017): mean distance of confidence (n,), 0 to 1,
    from the share of `right` (n,), weighted by how much a bin holds; `weight` (n,) is how much each row counts."""
    weight = np.ones(len(confidence)) if weight is None else weight
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    apart = np.bincount(place, weight * (confidence - right), bins)
    return float(np.abs(apart).sum() / weight.sum())


def auroc(higher: Float64Array, lower: Float64Array) -> float:
    """The probability that one drawn from `higher` (n,) is above one drawn from `lower` (m,); ties count half."""
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, higher, "left") + np.searchsorted(ordered, higher, "right")
    return float(below.mean() / (2 * len(ordered)))


def _rows(asked: HeldOutNeighbours, seed: int) -> _Rows:
    known, unknown, own = asked.known, asked.unknown, asked.own
    first = np.flatnonzero(asked.company)
    if len(first) < LEAST_PHOTOGRAPHS:
        raise LibraryError(
            f"Too few photographs have a kind that another one has, too: {len(first)}, where confidence needs at least "
            f"{LEAST_PHOTOGRAPHS}. Add photographs of known kinds, or use a head with --head."
        )
    neighbours = int(known.counts[first].min())
    second = np.flatnonzero(unknown.counts >= neighbours)
    total = len(first) + len(second)
    fold = np.random.default_rng(seed).permutation(len(own)) % FOLDS
    counts = (len(first), 1.0 - UNKNOWN_SHARE), (len(second), UNKNOWN_SHARE)
    return _Rows(
        similarities=np.concatenate([known.similarities[first], unknown.similarities[second]])[:, :neighbours],
        kinds=np.concatenate([known.kinds[first], unknown.kinds[second]])[:, :neighbours],
        own=np.concatenate([own[first], own[second]]),
        known=np.arange(total) < len(first),
        fold=np.concatenate([fold[first], fold[second]]),
        weight=np.concatenate([np.full(count, share * total / max(count, 1)) for count, share in counts]),
    )


def _temperature(rows: _Rows) -> float:
    losses = []
    for temperature in TEMPERATURES:
        loss = 0.0
        for fold in range(FOLDS):
            held = rows.fold == fold
            if held.any() and not held.all():
                part = rows.some(held)
                confidence, right = part.judged(rows.some(~held).fit(temperature))
                loss += _log_loss(confidence, right, part.weight)
        losses.append(loss)
    return TEMPERATURES[int(np.argmin(losses))]


def _log_loss(confidence: Float64Array, right: BoolArray, weight: Float64Array) -> float:
    bounded = np.clip(confidence, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY)
    return float(-(weight * np.where(right, np.log(bounded), np.log(1.0 - bounded))).sum())
