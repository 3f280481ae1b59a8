"""Who is fitted on, who asks and who is searched: folds of photographs, and kinds left out in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.errors import DataError
from service.types import Int64Array

FOLDS = 5
MOST_GROUPS = 10
"""Up to so many kinds each is left out by itself; of more, a tenth at a time."""
MOST_ASKED = 1000
"""Photographs that ask in one split."""


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of photographs: `fitted` on, `asked` for their likes, and searched (`gallery`).

    A photograph that asks and is searched as well leaves itself out. `unseen` says that no photograph of the kinds
    that ask was fitted on.
    """

    name: str
    fitted: Int64Array
    asked: Int64Array
    gallery: Int64Array
    unseen: bool

    @property
    def itself(self) -> Int64Array:
        """Place (asked,) in the gallery of each photograph that asks, -1 where it is not searched."""
        place = np.full(int(max(self.gallery.max(), self.asked.max())) + 1, -1)
        place[self.gallery] = np.arange(len(self.gallery))
        own: Int64Array = place[self.asked]
        return own


def folds(kinds: Int64Array, seed: int = 0) -> list[Split]:
    """Five splits by photographs: each photograph asks once, of a head that was not fitted on it.

    Every kind is spread over the folds as evenly as it goes. A photograph whose kind nobody else of the gallery has
    does not ask. Raises DataError where no two photographs are of one kind, or all are.
    """
    if len(np.unique(kinds)) < 2:
        raise DataError("All photographs are of one kind, so there is nothing to tell apart. Add a folder of another.")
    generator = np.random.default_rng(seed)
    turn = np.empty(len(kinds), np.int64)
    start = 0
    for kind in np.unique(kinds):
        own = generator.permutation(np.flatnonzero(kinds == kind))
        turn[own] = (start + np.arange(len(own))) % FOLDS
        start += len(own)
    splits = []
    for fold in range(FOLDS):
        gallery = np.flatnonzero(turn != fold)
        asked = _some(np.flatnonzero((turn == fold) & np.isin(kinds, kinds[gallery])), generator)
        if len(asked):
            splits.append(Split(f"fold {fold + 1}", gallery, asked, gallery, unseen=False))
    if not splits:
        raise DataError("No two photographs are of one kind, so nothing can be learned. Add photographs to the kinds.")
    return splits


def left_out(kinds: Int64Array, names: Sequence[str], seed: int = 0) -> list[Split]:
    """Splits by kinds: photographs of kinds that the head never saw ask, and all photographs are searched.

    None where there are fewer than three kinds, since one that is left out leaves nothing to tell apart.
    """
    present = np.unique(kinds)
    if len(present) < 3:
        return []
    generator = np.random.default_rng(seed)
    groups = [np.array([kind]) for kind in present]
    if len(present) > MOST_GROUPS:
        groups = np.array_split(generator.permutation(present), MOST_GROUPS)
    counts = np.bincount(kinds)
    splits = []
    for number, group in enumerate(groups, start=1):
        without = np.isin(kinds, group)
        # One of a kind finds nobody.
        asked = _some(np.flatnonzero(without & (counts[kinds] > 1)), generator)
        name = f"without {names[group[0]]}" if len(group) == 1 else f"without a tenth of the kinds ({number})"
        if len(asked):
            splits.append(Split(name, np.flatnonzero(~without), asked, np.arange(len(kinds)), unseen=True))
    return splits


def _some(rows: Int64Array, generator: np.random.Generator) -> Int64Array:
    if len(rows) <= MOST_ASKED:
        return rows
    return np.sort(generator.choice(rows, MOST_ASKED, replace=False))
