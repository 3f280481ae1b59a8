"""The ensemble of encoders: each encoder's best candidate, and the weight of each encoder's similarity."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.types import Float32Array, Float64Array, Int64Array
from training.similar.candidates import (
    COSINE,
    MOST_LOSS,
    CandidateOutcome,
    FeatureSource,
    FitData,
    OutOfFoldPrecision,
    best,
    precisions_in,
)
from training.similar.splits import Split

_STEPS = 20
"""Grid steps of a weight between 0 and 1; half as many with more than two encoders."""
_LEAST_GAIN = 0.3
"""Points of MAP@10 out of fold that each further encoder must add, since it costs time for every photograph."""


class SplitVectors:
    """Vectors of each split's photographs by each encoder's best candidate, fitted in that split."""

    def __init__(
        self,
        sources: Sequence[FeatureSource],
        best_of: Mapping[str, CandidateOutcome],
        kinds: Int64Array,
        splits: Sequence[Split],
        seed: int,
    ) -> None:
        self.kinds, self.splits = kinds, splits
        self._queries: dict[tuple[str, str], Float32Array] = {}
        self._galleries: dict[tuple[str, str], Float32Array] = {}
        for source, split in itertools.product(sources, splits):
            views = source.views(split)
            data = FitData(views[split.fit_rows], kinds[split.fit_rows], seed)
            similarity = best_of[source.model].candidate.fit(data)
            self._queries[source.model, split.name] = similarity.query_vectors(views[split.queries, 0])
            self._galleries[source.model, split.name] = similarity.gallery_vectors(views[split.gallery, 0])

    def of(self, split: Split, weights: Mapping[str, float]) -> tuple[Float32Array, Float32Array]:
        """Unit vectors of a split's queries and gallery, each encoder weighted by its entry in `weights`."""
        used = [(model, np.sqrt(np.float32(weight))) for model, weight in weights.items() if weight > 0]
        return (
            np.concatenate([root * self._queries[model, split.name] for model, root in used], axis=1),
            np.concatenate([root * self._galleries[model, split.name] for model, root in used], axis=1),
        )

    def precisions(self, weights: Mapping[str, float]) -> tuple[Float64Array, float | None]:
        """Precision of an ensemble with these weights.

        Returns:
            AP@10 (photographs,) out of fold, 0 to 1, NaN for photographs that were no query; and MAP@10 of unseen kinds
            in percent, None where no kind was left out.
        """
        precisions = np.full(len(self.kinds), np.nan)
        unseen = []
        for split in self.splits:
            in_split = precisions_in(split, self.kinds, *self.of(split, weights))
            if split.unseen:
                unseen.append(100.0 * float(in_split.mean()))
            else:
                precisions[split.queries] = in_split
        return precisions, float(np.mean(unseen)) if unseen else None


@dataclass(frozen=True, eq=False)
class Ensemble(OutOfFoldPrecision):
    """The chosen ensemble: the best candidate of each encoder by its name, and the `weights`, which sum to 1.

    `precisions` (photographs,) are out of fold; `unseen` is MAP@10 in percent of kinds left out of the fit, None where
    there are too few kinds.
    """

    best_of: dict[str, CandidateOutcome]
    weights: dict[str, float]
    precisions: Float64Array
    unseen: float | None
    vectors: SplitVectors


def choose_ensemble(
    sources: Sequence[FeatureSource],
    tables: Mapping[str, Sequence[CandidateOutcome]],
    kinds: Int64Array,
    splits: Sequence[Split],
    seed: int,
) -> Ensemble:
    """The weights with the highest MAP@10 out of fold among those under which unseen kinds lose little.

    An encoder that adds less than 0.3 points is left out.
    """
    best_of = {source.model: best(tables[source.model]) for source in sources}
    vectors = SplitVectors(sources, best_of, kinds, splits, seed)
    raw = next(each for each in tables[sources[0].model] if each.candidate.name == COSINE).unseen
    models = [source.model for source in sources]
    chosen: Ensemble | None = None
    # Fewer encoders come first, so that every further one has to earn its place.
    for weights in sorted(_simplex(len(models)), key=lambda each: sum(weight > 0 for weight in each)):
        weight_of = dict(zip(models, weights, strict=True))
        precisions, unseen = vectors.precisions(weight_of)
        ensemble = Ensemble(best_of, weight_of, precisions, unseen, vectors)
        if raw is not None and unseen is not None and unseen < raw - MOST_LOSS:
            continue
        if chosen is None or ensemble.map10 > chosen.map10 + _needed_gain(ensemble, chosen):
            chosen = ensemble
    assert chosen is not None  # noqa: S101 - the raw cosine of each encoder is among the candidates
    return chosen


def _needed_gain(ensemble: Ensemble, chosen: Ensemble) -> float:
    """Points of MAP@10 by which `ensemble` must beat `chosen`, by how many more encoders it uses."""
    used, used_before = (sum(weight > 0 for weight in each.weights.values()) for each in (ensemble, chosen))
    return _LEAST_GAIN * max(used - used_before, 0)


def _simplex(count: int) -> Iterator[tuple[float, ...]]:
    """All grid points of `count` weights from 0 to 1 that sum to 1."""
    steps = _STEPS if count < 3 else _STEPS // 2
    for points in itertools.product(range(steps + 1), repeat=count - 1):
        if sum(points) <= steps:
            yield (*(point / steps for point in points), (steps - sum(points)) / steps)
