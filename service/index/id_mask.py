"""Photographs chosen out of many: a mask over known ids, which is looked up faster than as many ids are found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.types import BoolArray, Int64Array

_SPARSE = 8
"""Ids that are spread over more than so many numbers each are looked up by binary search."""


@dataclass(frozen=True, eq=False)
class IdMask:
    """Chosen photographs.

    Attributes:
        ids: known ones, (n,), ascending.
        mask: which of them are chosen, (n,).
    """

    ids: Int64Array
    mask: BoolArray

    def contains(self, ids: Int64Array) -> BoolArray:
        """Which of some photographs (m,) are chosen; those that are not known are not."""
        if not len(self.ids):
            return np.zeros(len(ids), np.bool_)
        first, last = int(self.ids[0]), int(self.ids[-1])
        if last - first > _SPARSE * len(self.ids):
            return np.isin(ids, self.ids[self.mask])
        # One more at each end, where what is out of range is looked up.
        table = np.zeros(last - first + 3, np.bool_)
        if last - first + 1 == len(self.ids):
            table[1:-1] = self.mask
        else:
            table[self.ids - (first - 1)] = self.mask
        return table.take(ids - (first - 1), mode="clip")


Among = Int64Array | IdMask
"""The only photographs that a search may find: some ids, or a mask over many."""
