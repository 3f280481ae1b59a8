"""Synthetic photographs are different from each other and always the same."""

from __future__ import annotations

import numpy as np

from service.encoder.runtimes.probes import COUNT, synthetic_photographs


def test_synthetic_photographs_are_different_and_always_the_same() -> None:
    photographs = synthetic_photographs((24, 32))
    assert photographs.shape == (COUNT, 24, 32, 3)
    assert photographs.dtype == np.uint8
    assert len(np.unique(photographs.reshape(COUNT, -1), axis=0)) == COUNT
    assert np.array_equal(photographs, synthetic_photographs((24, 32)))
