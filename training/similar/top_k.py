"""The nearest photographs and their similarities, which is what a head is calibrated on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.types import Float32Array, Int64Array

_AT_ONCE = 512
"""Photographs that ask at once, which bounds the table of similarities."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """Similarities (asked, depth) float32, best first, and rows (asked, depth) of the gallery."""

    similarities: Float32Array
    rows: Int64Array


def nearest(asked: Float32Array, searched: Float32Array, itself: Int64Array, depth: int) -> Nearest:
    """The `depth` nearest of `searched` (n, d) to each of `asked` (m, d) by inner product.

    `itself` (m,) is each one's own row among the searched, which is left out, or -1.
    """
    import torch

    table = torch.from_numpy(searched).T
    similarities, rows = [], []
    for start in range(0, len(asked), _AT_ONCE):
        found = torch.from_numpy(asked[start : start + _AT_ONCE]) @ table
        own = itself[start : start + _AT_ONCE]
        found[np.flatnonzero(own >= 0), own[own >= 0]] = -np.inf
        best = found.topk(min(depth, len(searched) - int((itself >= 0).any())), dim=1)
        similarities.append(best.values.numpy())
        rows.append(best.indices.numpy())
    return Nearest(np.concatenate(similarities), np.concatenate(rows))
