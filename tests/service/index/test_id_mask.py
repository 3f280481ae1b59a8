"""A mask over ids chooses the same photographs as the ids themselves."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.index.id_mask import IdMask

IDS = st.sets(st.integers(-5, 60) | st.integers(10**9, 10**9 + 5) | st.just(2**62)).map(sorted)


@given(known=IDS, asked=IDS, data=st.data())
def test_a_mask_contains_the_chosen_ids(known: list[int], asked: list[int], data: st.DataObject) -> None:
    mask = data.draw(st.lists(st.booleans(), min_size=len(known), max_size=len(known)))
    chosen = {identity for identity, keep in zip(known, mask, strict=True) if keep}
    made = IdMask(np.array(known, np.int64), np.array(mask, np.bool_))
    assert made.contains(np.array(asked, np.int64)).tolist() == [identity in chosen for identity in asked]


def test_ids_in_a_row_and_with_gaps() -> None:
    asked = np.arange(-2, 12)
    row = IdMask(np.arange(3, 8), np.array([True, False, True, True, False]))
    assert asked[row.contains(asked)].tolist() == [3, 5, 6]
    gaps = IdMask(np.array([1, 4, 9]), np.array([True, False, True]))
    assert asked[gaps.contains(asked)].tolist() == [1, 9]
