"""Nobody is asked about what was fitted on, and a left-out kind is left out whole."""

from __future__ import annotations

import numpy as np
import pytest

from service.errors import DataError
from training.similar.splits import MOST_GROUPS, folds, left_out

KINDS = np.repeat([0, 1, 2], [7, 11, 2])
NAMES = ("daisy", "rose", "tulip")


def test_each_photograph_asks_once_of_those_that_it_was_not_fitted_with() -> None:
    splits = folds(KINDS)
    assert sorted(np.concatenate([split.asked for split in splits])) == list(range(20))
    for split in splits:
        assert not set(split.asked) & set(split.fitted)
        assert not split.unseen
        assert set(split.fitted) == set(split.gallery)
        assert set(split.itself) == {-1}


def test_a_kind_with_one_photograph_is_fitted_on_and_never_asks() -> None:
    splits = folds(np.array([0, 0, 0, 1, 1, 1, 2]))
    assert all(6 not in split.asked for split in splits)
    assert sum(6 in split.fitted for split in splits) >= len(splits) - 1


def test_a_kind_that_is_left_out_asks_among_all_and_leaves_itself_out() -> None:
    daisy, rose, tulip = left_out(KINDS, NAMES)
    assert [daisy.name, rose.name, tulip.name] == ["without daisy", "without rose", "without tulip"]
    assert set(KINDS[daisy.fitted]) == {1, 2}
    assert set(KINDS[daisy.asked]) == {0}
    assert len(daisy.gallery) == 20
    assert np.array_equal(daisy.gallery[daisy.itself], daisy.asked)


def test_many_kinds_are_left_out_a_tenth_at_a_time() -> None:
    kinds = np.repeat(np.arange(45), 2)
    splits = left_out(kinds, [str(kind) for kind in range(45)])
    assert len(splits) == MOST_GROUPS
    assert sorted(np.concatenate([np.unique(kinds[split.asked]) for split in splits])) == list(range(45))
    assert all(not set(kinds[split.asked]) & set(kinds[split.fitted]) for split in splits)


def test_two_kinds_cannot_be_left_out() -> None:
    assert left_out(np.array([0, 0, 1, 1]), NAMES) == []


@pytest.mark.parametrize(("kinds", "said"), [([0, 0, 0], "one kind"), ([0, 1, 2], "No two photographs")])
def test_nothing_to_learn_from_is_said(kinds: list[int], said: str) -> None:
    with pytest.raises(DataError, match=said):
        folds(np.array(kinds))
