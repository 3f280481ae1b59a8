"""The nearest photographs of a library to many photographs at once (k-nearest neighbours), without facts or matches.

The vote on kinds rests on it; a person's search goes through `service.search.search`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import numpy as np

from service.errors import UsageError
from service.search.target import SearchTarget
from service.types import Float32Array, Int64Array

if TYPE_CHECKING:
    from PIL import Image

IdOrImage = Union[int, "Image.Image"]
"""A photograph of the library by its id, or an upright RGB image."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Similarities (n,), float32 in [-1, 1], highest first, and ids (n,), int64, of the nearest photographs."""

    similarities: Float32Array
    ids: Int64Array


def neighbours_of(
    photographs: Sequence[IdOrImage], k: int, target: SearchTarget, exclude: Collection[int] = ()
) -> list[Neighbours]:
    """The `k` nearest photographs of `target` to each of `photographs`, fewer where it holds fewer.

    Images are encoded as one batch. A photograph of the library is no neighbour of itself.

    Args:
        photographs: ids and images.
        k: how many neighbours, at least 1.
        target: the model or head whose similarities count.
        exclude: ids that are nobody's neighbours.

    Raises:
        UsageError: `k` is less than 1.
        NotFoundError: the library has no photograph with one of the ids.
    """
    if k < 1:
        raise UsageError(f"k is {k}; it must be at least 1.")
    if not photographs:
        return []
    images = [photograph for photograph in photographs if not isinstance(photograph, int)]
    encoded = iter(target.encode_images(images) if images else ())
    vectors = np.stack([target.encode_query(each) if isinstance(each, int) else next(encoded) for each in photographs])
    without = np.array(sorted(set(exclude)), np.int64)
    index = target.index
    similarities, ids = index.search_many(vectors, min(k + len(without) + 1, max(len(index), 1)))
    kept = (ids >= 0) & ~np.isin(ids, without)
    found = []
    for photograph, row, row_ids, row_kept in zip(photographs, similarities, ids, kept, strict=True):
        chosen = np.flatnonzero(row_kept & (row_ids != photograph if isinstance(photograph, int) else True))[:k]
        found.append(Neighbours(row[chosen], row_ids[chosen]))
    return found
