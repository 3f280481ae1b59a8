"""Bootstrap over photographs: ratings of one photograph hang together, so photographs are what is drawn again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from service.types import Int64Array

Interval = tuple[float, float]

RESAMPLES = 1000


def resample_counts(photographs: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Int64Array]:
    """How often each photograph is drawn, int64 (photographs,), for each of `resamples` draws with replacement.

    Equal arguments give equal draws, so that two figures can be compared on the same photographs.
    """
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(generator.integers(0, photographs, photographs), minlength=photographs)


def interval(values: list[float]) -> Interval:
    """The 95 % percentile interval; draws in which a figure had nothing to be computed from (NaN) are left out."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
