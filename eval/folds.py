"""Folds of rated pairs that are disjoint in photographs and in texts.

A text's mean rating alone predicts a good part of its ratings, and so does a photograph's. Where only
photographs are held out, a predictor that learnt texts by heart looks like one that sees. Here each row is
judged by a fit that met neither its photograph nor its text, with experts' and crowd's rows in the same
folds, so that what one group of people said of a pair cannot leak into the judgement of the other's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from service.errors import DataError
from service.types import BoolArray, Int64Array


def double_folds(
    photograph: Int64Array, text: Int64Array, count: int = 5, seed: int = 0, *, every: bool = False
) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Cells of `count` folds of photographs by `count` folds of texts, as masks (fitted, judged) over n rows.

    `photograph` (n,) and `text` (n,) say what each row is of; any whole numbers will do. Neither the
    photograph nor the text of a judged row is in the fitted rows, and each row is judged in exactly one of
    the count² cells. The rows that share one of the two with a judged row, about 8 in 25 with 5 folds, are in
    neither mask. A cell without a row to judge is left out, unless `every` is asked for; then cell i is of fold
    i // count of the photographs and i % count of the texts. Equal arguments give equal folds.

    Raises DataError where there are fewer photographs or texts than folds, or where nothing is left to fit on
    for one of the cells.
    """
    photograph_fold, text_fold = fold_numbers(photograph, text, count, seed)
    for first in range(count):
        for second in range(count):
            judged = (photograph_fold == first) & (text_fold == second)
            if not every and not judged.any():
                continue
            fitted = (photograph_fold != first) & (text_fold != second)
            if not fitted.any():
                raise DataError(
                    "The ratings hang together too closely to be judged out of fold: there are rows for which every "
                    "other one has the same photograph or text. Rate more photographs with more texts."
                )
            yield fitted, judged


def fold_numbers(
    photograph: Int64Array, text: Int64Array, count: int = 5, seed: int = 0
) -> tuple[Int64Array, Int64Array]:
    """The fold of each row's photograph and of its text, 0 to count − 1, (n,) each, as `double_folds` has them.

    For whoever judges pairs that nobody rated, such as every photograph with every text. Raises DataError
    where there are fewer photographs or texts than folds.
    """
    generator = np.random.default_rng(seed)
    return _folds(photograph, "photographs", count, generator), _folds(text, "texts", count, generator)


def _folds(groups: Int64Array, what: str, count: int, generator: np.random.Generator) -> Int64Array:
    """A fold for each row, the same for all rows of a group; folds differ by at most one group in size."""
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < count:
        raise DataError(
            f"Too few {what} were rated to be judged out of fold: {len(names)}, where {count} folds need at least "
            f"{count}. Rate more {what}."
        )
    fold_of: Int64Array = generator.permutation(len(names)) % count
    return fold_of[group]
