"""Photographs by date, page by page: a page starts after the last photograph of the one before (keyset paging)."""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

import numpy as np

from service.index.attributes.columns import UNKNOWN_TIME, Attributes
from service.types import BoolArray, Int32Array, Int64Array

DateOrder = Literal["taken_at", "-taken_at"]
"""Oldest or newest first; photographs without a date come last in both."""

_FIRST_CHUNK = 4_096
DateKey = tuple[int | None, int]
"""Where a photograph stands in the timeline: when it was taken, and its id."""


def page(
    attributes: Attributes, order: DateOrder, limit: int, after: DateKey | None = None, mask: BoolArray | None = None
) -> Int64Array:
    """Positions of at most `limit` photographs in an order, of those in `mask` (n,), that come after a key.

    In `taken_at` photographs of the same second come by ascending id; `-taken_at` is the reverse of it but for
    photographs without a date, which are last, by id in the same direction.
    """
    dated, undated = np.split(attributes.by_date, [attributes.dated])
    runs = [dated, undated] if order == "taken_at" else [dated[::-1], undated[::-1]]
    found: list[Int32Array] = []
    missing = limit
    for run, is_dated in zip(runs, (True, False), strict=True):
        start = 0 if after is None else _start(attributes, run, is_dated, order == "taken_at", after)
        size = _FIRST_CHUNK
        while missing and start < len(run):
            part = run[start : start + size]
            part = (part if mask is None else part[mask[part]])[:missing]
            found.append(part)
            missing -= len(part)
            start += size
            size *= 4
    return np.concatenate([*found, np.empty(0, np.int32)]).astype(np.int64)


def key_at(attributes: Attributes, position: int) -> DateKey:
    """The key of the photograph at a position."""
    taken_at = int(attributes.taken_at[position])
    return None if taken_at == UNKNOWN_TIME else taken_at, int(attributes.ids[position])


def _start(attributes: Attributes, run: Int32Array, is_dated: bool, ascending: bool, after: DateKey) -> int:
    """Where in a run the photographs after a key start."""
    taken_at, identity = after
    if is_dated != (taken_at is not None):
        # Those without a date come last: after a key without one there is no date, and after a date all of them.
        return len(run) if is_dated else 0
    sign = 1 if ascending else -1

    def key(position: np.int32) -> tuple[int, int]:
        return (sign * int(attributes.taken_at[position]) if is_dated else 0), sign * int(attributes.ids[position])

    return bisect_right(run, (sign * (taken_at or 0), sign * identity), key=key)
