"""Cross-validation folds of rated pairs that are disjoint in photographs and in texts.

A text's mean rating alone predicts a good part of its ratings, and so does a photograph's. If only photographs were
held out, a predictor that memorised texts would look as if it saw the photographs. Here each row is predicted by a fit
that saw neither its photograph nor its text. Experts' and crowd's rows share the folds, so that one group's ratings of
a pair cannot leak into the predictions for the other group.
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

    Neither the photograph nor the text of a judged row occurs in the fitted rows, and each row is judged in exactly
    one of the count² cells. Rows that share one of the two with a judged row, about 8 in 25 with 5 folds, are in
    neither mask. Equal arguments give equal folds.

    Args:
        photograph, text: of each row (n,), any integers.
        count: folds of each.
        seed: seed of the assignment to folds.
        every: yields cells without a row to judge too; cell i is then of fold i // count of the photographs and
            i % count of the texts.

    Raises:
        DataError: there are fewer photographs or texts than folds, or a cell has no rows to fit on.
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
                    "The ratings cannot be split into folds: some rows share a photograph or a text with every other "
                    "row. Rate more photographs with more texts."
                )
            yield fitted, judged


def fold_numbers(
    photograph: Int64Array, text: Int64Array, count: int = 5, seed: int = 0
) -> tuple[Int64Array, Int64Array]:
    """The folds of each row's photograph and of its text, 0 to count − 1, (n,) each, as `double_folds` assigns them.

    Needed to predict unrated pairs out of fold, such as every photograph with every text. Raises DataError where there
    are fewer photographs or texts than folds.
    """
    generator = np.random.default_rng(seed)
    return _folds(photograph, "photographs", count, generator), _folds(text, "texts", count, generator)


def _folds(groups: Int64Array, what: str, count: int, generator: np.random.Generator) -> Int64Array:
    """The fold of each row, the same for all rows of a group; fold sizes differ by at most one group."""
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < count:
        raise DataError(
            f"Too few {what} were rated for cross-validation: {len(names)}, where {count} folds need at least "
            f"{count}. Rate more {what}."
        )
    fold_of: Int64Array = generator.permutation(len(names)) % count
    return fold_of[group]
