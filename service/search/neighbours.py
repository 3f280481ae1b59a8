"""The nearest photographs of a library to many photographs at once, without facts, matches or cuts.

What a vote on kinds and other reckonings rest on; a person's search goes through `Library.search`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import numpy as np

from service.errors import UsageError
from service.types import Float32Array, Int64Array

if TYPE_CHECKING:
    from PIL import Image

    from service.index import VectorIndex

IdOrImage = Union[int, "Image.Image"]
"""A photograph of the library by its id, or an upright RGB image."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Similarities (n,), float32 in [-1, 1], highest first, and ids (n,), int64, of the nearest photographs."""

    similarities: Float32Array
    ids: Int64Array


def neighbours_of(
    photographs: Sequence[IdOrImage],
    k: int,
    encode: Callable[[Sequence[Image.Image]], Float32Array],
    stored: Callable[[int], Float32Array],
    index: VectorIndex,
    exclude: Collection[int] = (),
) -> list[Neighbours]:
    """The `k` nearest photographs in `index` to each of `photographs`, fewer where it holds fewer.

    Images are encoded as one batch by `encode`, to unit vectors (n, dimension); the vector of a photograph of the
    library is `stored`. It is no neighbour of itself, and none of `exclude` is a neighbour of any. Raises
    `NotFoundError` for an id that is not there.
    """
    if k < 1:
        raise UsageError(f"k is {k}; it must be at least 1.")
    if not photographs:
        return []
    images = [photograph for photograph in photographs if not isinstance(photograph, int)]
    encoded = iter(encode(images) if images else ())
    vectors = np.stack([stored(each) if isinstance(each, int) else next(encoded) for each in photographs])
    without = np.array(sorted(set(exclude)), np.int64)
    similarities, ids = index.search_many(vectors, min(k + len(without) + 1, max(len(index), 1)))
    kept = (ids >= 0) & ~np.isin(ids, without)
    found = []
    for photograph, likeness, each, stays in zip(photographs, similarities, ids, kept, strict=True):
        chosen = np.flatnonzero(stays & (each != photograph if isinstance(photograph, int) else True))[:k]
        found.append(Neighbours(likeness[chosen], each[chosen]))
    return found
