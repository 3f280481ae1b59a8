"""Bootstrap over photographs: ratings of one photograph are correlated, so whole photographs are resampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from service.types import Float64Array, Int64Array

Interval = tuple[float, float]

RESAMPLES = 1000


def resample_counts(photographs: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Int64Array]:
    """How often each photograph is drawn, int64 (photographs,), for each of `resamples` draws with replacement.

    Equal arguments give equal draws, so that two figures can be compared on the same photographs.
    """
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(generator.integers(0, photographs, photographs), minlength=photographs)


def interval(values: Sequence[float] | Float64Array) -> Interval:
    """The 95 % percentile interval; NaN, a draw on which the figure is not defined, is ignored."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
