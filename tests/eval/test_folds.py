"""Folds without a photograph or a text in common, and how a predictor that only knows texts does on them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.ratings import RatedPairs, read_rated_pairs
from eval.folds import double_folds
from service.errors import DataError


@pytest.fixture(scope="module")
def pairs(shared_data: Path) -> RatedPairs:
    return read_rated_pairs(shared_data / "flickr8k")


def test_real_folds_share_neither_photographs_nor_texts(pairs: RatedPairs) -> None:
    judged_times = np.zeros(len(pairs), dtype=int)
    cells = 0
    for fitted, judged in double_folds(pairs.photograph, pairs.text):
        cells += 1
        judged_times += judged
        assert not set(pairs.photograph[fitted]) & set(pairs.photograph[judged])
        assert not set(pairs.text[fitted]) & set(pairs.text[judged])
        assert fitted.mean() > 0.5
    assert cells == 25
    assert (judged_times == 1).all()


def text_mean_tau(pairs: RatedPairs, folds: Iterable[tuple[Any, Any]]) -> float:
    """Expert τ_c × 100, own captions left out, of a predictor that only knows a text's mean rating in other folds."""
    from scipy.stats import kendalltau

    grade = pairs.grade
    predicted = np.full(len(pairs), np.nan)
    for fitted, judged in folds:
        known = fitted & pairs.expert
        base = grade[known].mean()
        # The mean of a text with few ratings is shrunk towards the overall mean, as a good predictor would do.
        count = np.bincount(pairs.text[known], minlength=len(pairs.texts))
        total = np.bincount(pairs.text[known], grade[known], minlength=len(pairs.texts))
        predicted[judged] = ((total + base) / (count + 1))[pairs.text[judged]]
    rows = pairs.expert & ~pairs.own
    return 100 * float(kendalltau(np.repeat(predicted[rows], 3), pairs.grades[rows].ravel(), variant="c").statistic)


def test_a_predictor_that_only_knows_texts_fails_on_double_folds_but_not_on_photograph_folds(
    pairs: RatedPairs,
) -> None:
    photograph_fold = np.random.default_rng(0).permutation(len(pairs.photographs))[pairs.photograph] % 5
    by_photograph = [(photograph_fold != fold, photograph_fold == fold) for fold in range(5)]
    assert text_mean_tau(pairs, by_photograph) > 15
    assert abs(text_mean_tau(pairs, double_folds(pairs.photograph, pairs.text))) < 3


def test_the_seed_decides_the_folds() -> None:
    photograph, text = np.divmod(np.arange(400), 20)
    first, again = (list(double_folds(photograph, text, seed=3)) for _ in range(2))
    other = list(double_folds(photograph, text, seed=4))
    assert all((left[1] == right[1]).all() for left, right in zip(first, again, strict=True))
    assert any((left[1] != right[1]).any() for left, right in zip(first, other, strict=True))


def test_group_numbers_are_arbitrary_and_empty_cells_are_left_out() -> None:
    photograph = np.array([7, 100, -1, 100_000, 12, 40])
    cells = list(double_folds(photograph, photograph[::-1].copy(), count=3))
    assert sum(int(judged.sum()) for _, judged in cells) == 6
    assert all(judged.any() and fitted.any() for fitted, judged in cells)


@pytest.mark.parametrize(
    ("photograph", "text", "message"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 2], "Too few texts were rated for cross-validation: 3, where 4 folds need"),
        ([0, 0, 0, 0], [0, 1, 2, 3], "Too few photographs were rated for cross-validation: 1,"),
    ],
)
def test_too_few_groups_are_reported(photograph: list[int], text: list[int], message: str) -> None:
    with pytest.raises(DataError) as caught:
        list(double_folds(np.array(photograph), np.array(text), count=4))
    assert message in caught.value.message


def test_ratings_that_all_share_a_photograph_or_text_are_refused() -> None:
    photograph, text = np.array([0, 0, 1]), np.array([0, 1, 0])
    with pytest.raises(DataError, match="cannot be split into folds"):
        list(double_folds(photograph, text, count=2))
