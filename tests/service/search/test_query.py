"""What can be searched, and what is refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from service.errors import UsageError
from service.photos.crop import Box
from service.search.query import MAX_K, Query
from service.store.filters import Filters
from service.texts import MAX_CHARACTERS


def test_by_default_a_query_has_five_hits_and_the_cut_of_the_match() -> None:
    query = Query(text="a red flower")
    assert (query.k, query.min_match, query.kind) == (5, None, "text")
    assert Query(photo_id=1).kind == Query(image=Image.new("RGB", (9, 9))).kind == "photograph"


@pytest.mark.parametrize(
    "items",
    [{}, {"text": "a", "photo_id": 1}, {"text": "a", "image": Image.new("RGB", (9, 9))},
     {"photo_id": 1, "image": Image.new("RGB", (9, 9))}],
)  # fmt: skip
def test_a_query_for_none_or_several_items_is_refused(items: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="one thing to look for"):
        Query(**items)


def test_a_query_for_nothing_browses_by_date_where_it_has_filters_or_an_order() -> None:
    newest = Query(filters=Filters(month=7))
    assert (newest.browses, newest.date_order) == (True, "-taken_at")
    assert Query(order="taken_at").date_order == "taken_at"
    assert Query(text="a", order="-taken_at").date_order == "-taken_at"
    assert Query(text="a", filters=Filters(month=7)).date_order is None
    with pytest.raises(UsageError, match="order 'size' is not known; it must be one of match, taken_at, -taken_at"):
        Query(order="size")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["min_match", "head", "box", "without"])
def test_a_query_for_nothing_is_refused_what_compares(name: str) -> None:
    value: Any = {"min_match": 0.5, "head": "flowers", "box": Box(0, 0, 0.5, 0.5), "without": 3}[name]
    with pytest.raises(UsageError, match=f"^{name} needs a text or a photograph to look for"):
        Query(order="taken_at", **{name: value})


@pytest.mark.parametrize("text", ["", " ", "\n\t \r", "\u00a0\u2003\u3000"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="empty; say what the photograph should show"):
        Query(text=text)


@pytest.mark.parametrize("text", ["a", "x" * 1000, "я" * 1000, "🐶" * 1000, "  padded  ", "a\0b", "'\"%;--"])
def test_texts_up_to_the_limit_are_kept_as_they_are(text: str) -> None:
    assert Query(text=text).text == text


@pytest.mark.parametrize("length", [MAX_CHARACTERS + 1, 10_000])
def test_a_longer_text_is_refused_with_its_length_and_the_limit(length: int) -> None:
    with pytest.raises(UsageError) as refusal:
        Query(text="x" * length)
    assert f"{length:,} characters" in refusal.value.message
    assert "1,000" in refusal.value.message


@pytest.mark.parametrize("text", ["\ud83d", "caf\udce9"])
def test_a_lone_surrogate_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Query(text=text)


@pytest.mark.parametrize("k", [1, MAX_K])
def test_k_from_1_to_1000_is_accepted(k: int) -> None:
    assert Query(text="a", k=k).k == k


@pytest.mark.parametrize("k", [0, -1, MAX_K + 1, 10**9])
def test_k_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(UsageError, match=f"k is {k}; it must be from 1 to 1,000"):
        Query(text="a", k=k)


@pytest.mark.parametrize("min_match", [0.0, 0.5, 1.0])
def test_min_match_from_0_to_1_is_accepted(min_match: float) -> None:
    assert Query(text="a", min_match=min_match).min_match == min_match


@pytest.mark.parametrize("min_match", [-0.1, 1.1, float("nan"), float("inf"), float("-inf")])
def test_min_match_out_of_range_is_refused(min_match: float) -> None:
    with pytest.raises(UsageError, match="must be from 0 to 1"):
        Query(text="a", min_match=min_match)
