"""Exact top-k search by inner product, for calibrating a head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.types import Float32Array, Int64Array

_CHUNK = 512
"""Queries that search at once, which bounds the memory of the similarity table."""


@dataclass(frozen=True, eq=False)
class TopK:
    """Similarities (queries, k) float32, best first, and the gallery rows (queries, k) that have them."""

    similarities: Float32Array
    rows: Int64Array


def top_k(queries: Float32Array, gallery: Float32Array, self_index: Int64Array, k: int) -> TopK:
    """The `k` gallery vectors (n, d) with the largest inner product with each query (m, d).

    `self_index` (m,) is each query's own row in the gallery, which is left out of its results, or -1.
    """
    import torch

    table = torch.from_numpy(gallery).T
    similarities, rows = [], []
    for start in range(0, len(queries), _CHUNK):
        products = torch.from_numpy(queries[start : start + _CHUNK]) @ table
        own = self_index[start : start + _CHUNK]
        products[np.flatnonzero(own >= 0), own[own >= 0]] = -np.inf
        best = products.topk(min(k, len(gallery) - int((self_index >= 0).any())), dim=1)
        similarities.append(best.values.numpy())
        rows.append(best.indices.numpy())
    return TopK(np.concatenate(similarities), np.concatenate(rows))
