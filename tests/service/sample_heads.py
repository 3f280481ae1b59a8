"""Heads that were not fitted, whose similarities are easy to compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.heads.projection import Head, Projection
from service.kinds.knn_vote import KnnVote
from service.match.artifact import Logistic
from service.types import Float32Array

VOTE = KnnVote(10, 0.1, 1.0, 1.0, 0.0, 0.5)


def make_projection(
    fingerprint: str = "colours", width: int = 3, weight: float = 1.0, model: str = "mini", columns: Sequence[int] = ()
) -> Projection:
    """A projection on some of the features, or on all of them."""
    projection: Float32Array | None = np.eye(width, dtype=np.float32)[:, list(columns)] if columns else None
    return Projection(model, fingerprint, weight, np.zeros(width, np.float32), projection)


def make_head(*projections: Projection, slope: float = 10.0, **changes: Any) -> Head:
    """A head of these projections, or of one, whose match is 0.5 at a similarity of 0.5."""
    attributes = {
        "kinds": ("daisy", "rose"),
        "candidate": "by hand",
        "trained_on": "nothing",
        "figures": {"folds_map10": 91.5},
    }
    return Head(projections or (make_projection(),), Logistic(slope, -slope / 2), VOTE, **{**attributes, **changes})
