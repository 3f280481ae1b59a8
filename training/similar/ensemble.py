"""Each encoder's best candidate, and how much each encoder counts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.types import Float32Array, Float64Array, Int64Array
from training.similar.choice import (
    COSINE,
    MOST_LOSS,
    CandidateOutcome,
    Fitted,
    OutOfFold,
    Source,
    best,
    precisions_in,
)
from training.similar.splits import Split

_STEPS = 20
"""Of a weight between 0 and 1; half as many where there are more than two encoders."""
_LEAST_GAIN = 0.3
"""Points of MAP@10 that a further encoder must bring out of fold, since it costs its time for each photograph."""


class SplitVectors:
    """Vectors of the photographs of each split by each encoder's best candidate, fitted in that split."""

    def __init__(
        self,
        sources: Sequence[Source],
        best_of: Mapping[str, CandidateOutcome],
        kinds: Int64Array,
        splits: Sequence[Split],
        seed: int,
    ) -> None:
        self.kinds, self.splits = kinds, splits
        self._asked: dict[tuple[str, str], Float32Array] = {}
        self._searched: dict[tuple[str, str], Float32Array] = {}
        for source, split in itertools.product(sources, splits):
            views = source.views(split)
            look = best_of[source.model].candidate.fit(Fitted(views[split.fitted], kinds[split.fitted], seed))
            self._asked[source.model, split.name] = look.asked(views[split.asked, 0])
            self._searched[source.model, split.name] = look.searched(views[split.gallery, 0])

    def of(self, split: Split, weights: Mapping[str, float]) -> tuple[Float32Array, Float32Array]:
        """Unit vectors of those that ask and those that are searched; encoders count by their `weights`."""
        used = [(model, np.sqrt(np.float32(weight))) for model, weight in weights.items() if weight > 0]
        return (
            np.concatenate([root * self._asked[model, split.name] for model, root in used], axis=1),
            np.concatenate([root * self._searched[model, split.name] for model, root in used], axis=1),
        )

    def precisions(self, weights: Mapping[str, float]) -> tuple[Float64Array, float | None]:
        """AP@10 (photographs,), 0 to 1, out of fold, NaN where one did not ask; MAP@10 of kinds never seen, percent."""
        seen = np.full(len(self.kinds), np.nan)
        unseen = []
        for split in self.splits:
            each = precisions_in(split, self.kinds, *self.of(split, weights))
            if split.unseen:
                unseen.append(100.0 * float(each.mean()))
            else:
                seen[split.asked] = each
        return seen, float(np.mean(unseen)) if unseen else None


@dataclass(frozen=True, eq=False)
class Blend(OutOfFold):
    """What was chosen: `best_of` each encoder, by its name, and the encoders' `weights`, which sum to 1.

    `precisions` (photographs,) out of fold, `unseen` MAP@10 in percent of kinds that were left out of the fit, None
    where there are too few kinds.
    """

    best_of: dict[str, CandidateOutcome]
    weights: dict[str, float]
    precisions: Float64Array
    unseen: float | None
    vectors: SplitVectors


def choose(
    sources: Sequence[Source],
    tables: Mapping[str, Sequence[CandidateOutcome]],
    kinds: Int64Array,
    splits: Sequence[Split],
    seed: int,
) -> Blend:
    """The weights with which photographs out of fold find most of their kind, kinds never seen not being harmed.

    Encoders that bring less than 0.3 points are left out.
    """
    best_of = {source.model: best(tables[source.model]) for source in sources}
    vectors = SplitVectors(sources, best_of, kinds, splits, seed)
    raw = next(each for each in tables[sources[0].model] if each.candidate.name == COSINE).unseen
    models = [source.model for source in sources]
    chosen: Blend | None = None
    # Few encoders first, so that more of them have to be better.
    for weights in sorted(_simplex(len(models)), key=lambda each: sum(weight > 0 for weight in each)):
        named = dict(zip(models, weights, strict=True))
        precisions, unseen = vectors.precisions(named)
        tried = Blend(best_of, named, precisions, unseen, vectors)
        if raw is not None and unseen is not None and unseen < raw - MOST_LOSS:
            continue
        if chosen is None or tried.map10 > chosen.map10 + _needed(tried, chosen):
            chosen = tried
    assert chosen is not None  # noqa: S101 - the raw cosine of each encoder is among what was compared
    return chosen


def _needed(tried: Blend, chosen: Blend) -> float:
    more = sum(weight > 0 for weight in tried.weights.values()) - sum(weight > 0 for weight in chosen.weights.values())
    return _LEAST_GAIN * max(more, 0)


def _simplex(count: int) -> Iterator[tuple[float, ...]]:
    steps = _STEPS if count < 3 else _STEPS // 2
    for places in itertools.product(range(steps + 1), repeat=count - 1):
        if sum(places) <= steps:
            yield (*(place / steps for place in places), (steps - sum(places)) / steps)
