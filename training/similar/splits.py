"""Cross-validation splits of labelled photographs: folds, and kinds left out in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.errors import DataError
from service.types import Int64Array

FOLDS = 5
MOST_GROUPS = 10
"""Up to this many kinds are left out one by one; of more, a tenth at a time."""
MOST_QUERIES = 1000
"""Photographs that search in one split."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the photographs to fit on (`fit_rows`), to search with (`queries`) and to search in (`gallery`).

    A query that is also in the gallery does not count as its own result. `unseen`: no photograph of the queries' kinds
    is in `fit_rows`.
    """

    name: str
    fit_rows: Int64Array
    queries: Int64Array
    gallery: Int64Array
    unseen: bool

    @property
    def self_index(self) -> Int64Array:
        """Index (queries,) of each query in the gallery, -1 where it is not in it."""
        index = np.full(int(max(self.gallery.max(), self.queries.max())) + 1, -1)
        index[self.gallery] = np.arange(len(self.gallery))
        own: Int64Array = index[self.queries]
        return own


def folds(kinds: Int64Array, seed: int = 0) -> list[Split]:
    """Five folds stratified by kind: each photograph searches once, with a head that was not fitted on it.

    A photograph whose kind is missing from the gallery is not a query. Raises DataError where no two photographs share
    a kind, or all do.
    """
    if len(np.unique(kinds)) < 2:
        raise DataError("All photographs are of one kind, so there is nothing to tell apart. Add a folder of another.")
    generator = np.random.default_rng(seed)
    fold_of = np.empty(len(kinds), np.int64)
    start = 0
    for kind in np.unique(kinds):
        rows = generator.permutation(np.flatnonzero(kinds == kind))
        fold_of[rows] = (start + np.arange(len(rows))) % FOLDS
        start += len(rows)
    splits = []
    for fold in range(FOLDS):
        gallery = np.flatnonzero(fold_of != fold)
        queries = _sample(np.flatnonzero((fold_of == fold) & np.isin(kinds, kinds[gallery])), generator)
        if len(queries):
            splits.append(Split(f"fold {fold + 1}", gallery, queries, gallery, unseen=False))
    if not splits:
        raise DataError("No two photographs are of one kind, so nothing can be learned. Add photographs to the kinds.")
    return splits


def left_out(kinds: Int64Array, names: Sequence[str], seed: int = 0) -> list[Split]:
    """Splits in which photographs of kinds that the head was not fitted on search all photographs.

    None where there are fewer than three kinds, because at least two have to be left to fit on.
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
        left = np.isin(kinds, group)
        # A photograph that is alone in its kind has nothing to find.
        queries = _sample(np.flatnonzero(left & (counts[kinds] > 1)), generator)
        name = f"without {names[group[0]]}" if len(group) == 1 else f"without a tenth of the kinds ({number})"
        if len(queries):
            splits.append(Split(name, np.flatnonzero(~left), queries, np.arange(len(kinds)), unseen=True))
    return splits


def _sample(rows: Int64Array, generator: np.random.Generator) -> Int64Array:
    if len(rows) <= MOST_QUERIES:
        return rows
    return np.sort(generator.choice(rows, MOST_QUERIES, replace=False))
