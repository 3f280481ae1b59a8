"""Splits: no query was fitted on, and a left-out kind is left out whole."""

from __future__ import annotations

import numpy as np
import pytest

from service.errors import DataError
from training.similar.splits import MOST_GROUPS, folds, left_out

KINDS = np.repeat([0, 1, 2], [7, 11, 2])
NAMES = ("daisy", "rose", "tulip")


def test_each_photograph_is_a_query_once_and_not_in_that_fold_fitted_on() -> None:
    splits = folds(KINDS)
    assert sorted(np.concatenate([split.queries for split in splits])) == list(range(20))
    for split in splits:
        assert not set(split.queries) & set(split.fit_rows)
        assert not split.unseen
        assert set(split.fit_rows) == set(split.gallery)
        assert set(split.self_index) == {-1}


def test_a_kind_with_one_photograph_is_fitted_on_but_never_a_query() -> None:
    splits = folds(np.array([0, 0, 0, 1, 1, 1, 2]))
    assert all(6 not in split.queries for split in splits)
    assert sum(6 in split.fit_rows for split in splits) >= len(splits) - 1


def test_queries_of_a_left_out_kind_search_all_photographs_but_themselves() -> None:
    daisy, rose, tulip = left_out(KINDS, NAMES)
    assert [daisy.name, rose.name, tulip.name] == ["without daisy", "without rose", "without tulip"]
    assert set(KINDS[daisy.fit_rows]) == {1, 2}
    assert set(KINDS[daisy.queries]) == {0}
    assert len(daisy.gallery) == 20
    assert np.array_equal(daisy.gallery[daisy.self_index], daisy.queries)


def test_many_kinds_are_left_out_a_tenth_at_a_time() -> None:
    kinds = np.repeat(np.arange(45), 2)
    splits = left_out(kinds, [str(kind) for kind in range(45)])
    assert len(splits) == MOST_GROUPS
    assert sorted(np.concatenate([np.unique(kinds[split.queries]) for split in splits])) == list(range(45))
    assert all(not set(kinds[split.queries]) & set(kinds[split.fit_rows]) for split in splits)


def test_two_kinds_cannot_be_left_out() -> None:
    assert left_out(np.array([0, 0, 1, 1]), NAMES) == []


@pytest.mark.parametrize(("kinds", "message"), [([0, 0, 0], "one kind"), ([0, 1, 2], "No two photographs")])
def test_kinds_that_cannot_be_learned_are_refused(kinds: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        folds(np.array(kinds))
