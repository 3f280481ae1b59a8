"""Pages of the timeline hold what sorting all photographs holds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.index.attributes import timeline
from service.index.attributes.timeline import DateKey, DateOrder, key_at, page
from service.store.attributes import AttributeRow
from tests.service.index.attributes.attribute_rows import attributes_of, libraries, random_rows

ORDERS: tuple[DateOrder, ...] = ("taken_at", "-taken_at")


def in_order(found: list[AttributeRow], order: DateOrder) -> list[int]:
    dated = sorted([row for row in found if row.taken_at is not None], key=lambda row: (row.taken_at, row.id))
    undated = [row for row in found if row.taken_at is None]
    return [row.id for part in (dated, undated) for row in (part[::-1] if order == "-taken_at" else part)]


def pages(found: list[AttributeRow], order: DateOrder, limit: int, mask: list[bool] | None = None) -> list[list[int]]:
    attributes = attributes_of(found)
    chosen = None if mask is None else np.array(mask, np.bool_)
    after: DateKey | None = None
    ids: list[list[int]] = []
    while len(positions := page(attributes, order, limit, after, chosen)):
        ids.append(attributes.ids[positions].tolist())
        after = key_at(attributes, int(positions[-1]))
    return ids


@pytest.mark.parametrize("order", ORDERS)
@given(found=libraries(), limit=st.integers(1, 5), data=st.data())
def test_pages_join_to_the_whole_order(
    order: DateOrder, found: list[AttributeRow], limit: int, data: st.DataObject
) -> None:
    mask = data.draw(st.none() | st.lists(st.booleans(), min_size=len(found), max_size=len(found)))
    cut = pages(found, order, limit, mask)
    chosen = found if mask is None else [row for row, keep in zip(found, mask, strict=True) if keep]
    assert [identity for each in cut for identity in each] == in_order(chosen, order)
    assert all(len(each) == limit for each, _ in pairwise(cut))


@pytest.mark.parametrize("order", ORDERS)
def test_a_page_starts_after_a_key_that_is_no_longer_there(order: DateOrder) -> None:
    found = random_rows(60)
    whole = in_order(found, order)
    by_id = {row.id: row for row in found}
    for at in (0, 13, 40, 59):
        gone = by_id[whole[at]]
        attributes = attributes_of([row for row in found if row is not gone])
        positions = page(attributes, order, 100, (gone.taken_at, gone.id))
        assert attributes.ids[positions].tolist() == whole[at + 1 :]


def test_a_mask_of_which_little_is_left_is_searched_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "_FIRST_CHUNK", 2)
    found = random_rows(100)
    wanted = in_order([row for row in found if row.id % 33 == 0], "taken_at")
    mask = [row.id % 33 == 0 for row in found]
    assert pages(found, "taken_at", 2, mask) == [wanted[:2], wanted[2:]]
