"""Exact nearest neighbours by brute force in NumPy: the ground truth that indexes are compared with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from service.types import Float32Array


def kth_similarity(queries: Float32Array, chunks: Iterable[Float32Array], k: int) -> Float32Array:
    """The `k`-th highest inner product of each query with all vectors, float32 (q,).

    The lowest of all where there are fewer than `k` vectors. `queries` is (q, dimension); `chunks` yields the vectors
    as arrays (m, dimension), so that they need not fit in memory at once.
    """
    best = np.empty((len(queries), 0), np.float32)
    for vectors in chunks:
        joined = np.concatenate([best, queries @ vectors.T], axis=1)
        keep = min(k, joined.shape[1])
        best = np.partition(joined, -keep, axis=1)[:, -keep:]
    lowest: Float32Array = best.min(axis=1)
    return lowest
