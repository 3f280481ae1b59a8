"""The ten most alike, and how many of them are of the photograph's kind, for many candidates at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

DEPTH = 10
_AT_ONCE = 512
"""Photographs that ask at once, which bounds the table of similarities."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """Similarities (asked, depth) float32, best first, and rows (asked, depth) of the gallery."""

    similarities: Vectors
    rows: Integers


def nearest(asked: Vectors, searched: Vectors, itself: Integers | None = None, depth: int = DEPTH) -> Nearest:
    """The `depth` nearest of `searched` (n, d) to each of `asked` (m, d) by inner product.

    `itself` (m,) is each one's own row among the searched, which is left out, or -1.
    """
    import torch

    table = torch.from_numpy(searched).T
    similarities, rows = [], []
    for start in range(0, len(asked), _AT_ONCE):
        found = torch.from_numpy(asked[start : start + _AT_ONCE]) @ table
        if itself is not None:
            own = itself[start : start + _AT_ONCE]
            found[np.flatnonzero(own >= 0), own[own >= 0]] = -np.inf
        best = found.topk(min(depth, len(searched) - (itself is not None)), dim=1)
        similarities.append(best.values.numpy())
        rows.append(best.indices.numpy())
    return Nearest(np.concatenate(similarities), np.concatenate(rows))


def average_precisions(
    found: Integers, own: Integers, gallery: Integers, without_itself: bool
) -> npt.NDArray[np.float64]:
    """AP@10 (asked,), 0 to 1, of the kinds found (asked, 10) by photographs of the kinds `own` (asked,).

    The sum of the precisions at the places of relevant photographs, divided by min(10, number relevant in the
    `gallery`, kinds (n,)); `without_itself` where the one that asks is among them and does not count.
    """
    relevant = np.bincount(gallery, minlength=int(max(own.max(), gallery.max())) + 1)[own] - without_itself
    right = found == own[:, None]
    precision = right.cumsum(axis=1) / np.arange(1, found.shape[1] + 1)
    sums: npt.NDArray[np.float64] = (precision * right).sum(axis=1)
    return sums / np.minimum(DEPTH, relevant)
