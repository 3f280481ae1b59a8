"""Pages of a search join to one whole order, each photograph once, while others come and go."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.errors import UsageError
from service.index import Limits
from service.search import ranking
from service.search.query import Order, Query
from service.search.search import MIN_CANDIDATES
from service.store.filters import Filters
from tests.service.search.dated_library import DatedLibrary, Monotone, Reordering

SCORERS = {"monotone": Monotone, "reordering": Reordering}
TEXT = Query(text="a")


@pytest.fixture(params=list(SCORERS))
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatedLibrary]:
    library = DatedLibrary(tmp_path, SCORERS[request.param]())
    yield library
    library.catalog.close()


def flat(pages: list[list[int]]) -> list[int]:
    return [identity for page in pages for identity in page]


def by_date(library: DatedLibrary, ids: Sequence[int], order: Order) -> list[int]:
    sign = -1 if order == "-taken_at" else 1
    return sorted(
        ids,
        key=lambda each: (
            library.taken[each] is None,
            sign * (library.taken[each] or datetime(1970, 1, 1)).timestamp(),
            sign * each,
        ),
    )


def assert_each_once(found: list[int], throughout: Sequence[int]) -> None:
    """No photograph is on two pages, and those that were there all the time are on one."""
    assert len(found) == len(set(found))
    assert set(throughout) <= set(found)


# -- by match ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [7, 50, 250])
def test_pages_join_to_the_order_by_match(library: DatedLibrary, k: int) -> None:
    library.add(300, copies=20)
    pages = library.pages(replace(TEXT, k=k))
    found = flat(pages)
    assert sorted(found) == sorted(library.vectors)
    assert [len(page) for page in pages] == [k] * (320 // k) + [320 % k]
    # The first page is of the nearest candidates where matches order them otherwise.
    first = k if isinstance(library.scorer, Reordering) and k <= 200 else 0
    rest = [identity for identity in library.whole() if identity not in found[:first]]
    assert found[first:] == rest


def test_pages_end_at_the_cut(library: DatedLibrary) -> None:
    library.add(300, copies=5)
    assert sorted(flat(library.pages(replace(TEXT, k=20, min_match=0.6)))) == sorted(library.whole(0.6))
    assert library.pages(replace(TEXT, k=20, min_match=1.0)) == [[]]


def test_pages_of_what_filters_leave(library: DatedLibrary) -> None:
    library.add(300)
    query = replace(TEXT, k=20, filters=Filters(camera=("nikon",)))
    assert sorted(flat(library.pages(query))) == sorted(library.whole(camera="Nikon"))
    assert library.search(query).filtered == 100
    assert library.search(TEXT).filtered is None


def test_stages_follow_each_other_by_similarity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "STAGE", 40)
    library = DatedLibrary(tmp_path, Reordering()).with_noise()
    library.add(200, copies=30)
    for k in (9, 40, 100):
        found = flat(library.pages(replace(TEXT, k=k)))
        assert_each_once(found, list(library.vectors))
        assert len(found) == 230
    library.catalog.close()


@pytest.mark.parametrize(("stage", "k"), [(10, 3), (10, 250), (40, 100)])
def test_a_stage_does_not_end_between_equal_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: int, k: int
) -> None:
    monkeypatch.setattr(ranking, "STAGE", stage)
    library = DatedLibrary(tmp_path, Reordering())
    library.add(60, copies=70)
    found = flat(library.pages(replace(TEXT, k=k)))
    assert sorted(found) == sorted(library.vectors)
    library.catalog.close()


def test_equal_photographs_are_all_found_where_more_are_than_are_ranked_at_once(library: DatedLibrary) -> None:
    library.add(10)
    library.add(1, copies=4 * ranking._SLACK)
    assert sorted(flat(library.pages(replace(TEXT, k=7)))) == sorted(library.vectors)


def test_pages_of_a_first_page_that_was_found_approximately(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What codes missed comes later, and nothing twice."""
    monkeypatch.setattr("service.index.scans._LEAST_RECALL_AT_10", 0.0)
    monkeypatch.setattr("service.index.scans._LEAST_RECALL_AT_DEPTH", 0.0)
    for name, scorer in SCORERS.items():
        folder = tmp_path / name
        folder.mkdir()
        library = DatedLibrary(folder, scorer(), Limits(codes_from=50, shortlists=(12,), small_until=40))
        library.with_noise().add(2_000)
        assert library.index.kind.startswith("PQ")
        found = flat(library.pages(replace(TEXT, k=60)))
        assert_each_once(found, list(library.vectors))
        library.catalog.close()


def test_a_photograph_that_is_searched_with_is_on_no_page(library: DatedLibrary) -> None:
    ids = library.add(50, copies=10)
    found = flat(library.pages(Query(photo_id=ids[0], k=7)))
    assert sorted(found) == sorted(set(library.vectors) - {ids[0]})


@pytest.mark.parametrize("order", ["match", "taken_at", "-taken_at"])
@pytest.mark.parametrize("k", [5, 30, 210])
def test_photographs_come_and_go_between_pages(
    library: DatedLibrary, order: Order, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "STAGE", 60)
    monkeypatch.setattr(ranking, "DATED_WITHOUT_CUT", 10_000)
    library.with_noise().add(300, copies=15)
    throughout = set(library.vectors)

    def change(page: int) -> None:
        gone = [int(each) for each in library.random.choice(sorted(library.vectors), 3, replace=False)]
        library.remove(gone)
        throughout.difference_update(gone)
        library.add(4, copies=1)

    found = flat(library.pages(replace(TEXT, k=k, order=order), change))
    assert_each_once(found, sorted(throughout))


def test_pages_may_have_different_lengths(library: DatedLibrary) -> None:
    library.add(40)
    first = library.search(replace(TEXT, k=3))
    second = library.search(replace(TEXT, k=30, cursor=first.next_cursor))
    third = library.search(replace(TEXT, k=1_000, cursor=second.next_cursor))
    ids = [hit.photograph.id for result in (first, second, third) for hit in result.hits]
    assert sorted(ids) == sorted(library.vectors)
    assert third.next_cursor is None
    assert third.best_match == first.best_match


def test_more_are_looked_at_where_the_farthest_candidates_still_pass(tmp_path: Path) -> None:
    library = DatedLibrary(tmp_path, Reordering())
    library.add(3 * MIN_CANDIDATES)
    cut = float(np.sort(library.scorer.exact(library.query, np.stack([*library.vectors.values()])))[-190])
    result = library.search(replace(TEXT, k=200, min_match=cut))
    assert len(result.hits) == min(200, len(library.whole(cut)))
    library.catalog.close()


# -- by date -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["taken_at", "-taken_at"])
def test_pages_by_date_hold_what_passes_the_cut(library: DatedLibrary, order: Order) -> None:
    library.add(400)
    query = replace(TEXT, k=13, order=order, min_match=0.55)
    assert flat(library.pages(query)) == by_date(library, library.whole(0.55), order)
    filtered = replace(query, filters=Filters(camera=("canon",)))
    assert flat(library.pages(filtered)) == by_date(library, library.whole(0.55, "Canon"), order)


def test_without_a_cut_the_nearest_are_ordered_by_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "DATED_WITHOUT_CUT", 50)
    library = DatedLibrary(tmp_path, Monotone())
    library.add(200)
    found = flat(library.pages(replace(TEXT, k=20, order="-taken_at")))
    assert found == by_date(library, library.whole()[:50], "-taken_at")
    library.catalog.close()


def test_at_most_so_many_of_the_nearest_are_ordered_by_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "DATED", 30)
    library = DatedLibrary(tmp_path, Monotone())
    library.add(200)
    found = flat(library.pages(replace(TEXT, k=20, order="taken_at", min_match=0.01)))
    assert found == by_date(library, library.whole()[:30], "taken_at")
    library.catalog.close()


def test_matches_are_computed_until_none_of_a_block_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_BLOCK", 16)
    library = DatedLibrary(tmp_path, Monotone())
    library.add(500, copies=40)
    found = flat(library.pages(replace(TEXT, k=20, order="taken_at", min_match=0.8)))
    assert found == by_date(library, library.whole(0.8), "taken_at")
    library.catalog.close()


def test_photographs_that_the_attributes_do_not_have_yet_have_no_date(library: DatedLibrary) -> None:
    library.add(5)
    library.selector.select(Filters())
    attributes = library.selector._index.get()
    (new,) = library.add(1)
    library.selector._index._latest._refresh = lambda last: attributes
    found = flat(library.pages(replace(TEXT, order="taken_at", k=3)))
    assert found[-1] == new or library.taken[found[-1]] is None
    assert sorted(found) == sorted(library.vectors)


# -- filters -------------------------------------------------------------------------------------------


def test_filters_that_leave_nothing_say_what_there_is_without_them(library: DatedLibrary) -> None:
    library.add(30)
    result = library.search(replace(TEXT, filters=Filters(camera=("leica",)), min_match=0.4))
    without = len(library.whole(0.4))
    assert (result.hits, result.filtered, result.best_match) == ([], 0, None)
    assert result.without_filters is not None
    assert result.without_filters.hits == without
    assert not result.without_filters.or_more
    assert result.sentences() == [f"Nothing with the camera leica. Without that: {without} photographs."]
    hopeless = library.search(replace(TEXT, filters=Filters(camera=("leica",)), min_match=1.0))
    assert "leica, and no good match without that either: the best is 0." in hopeless.sentences()[0]


def test_filters_that_leave_only_bad_matches_say_so(library: DatedLibrary) -> None:
    library.add(60)
    bad = next(each for each in library.whole()[::-1])
    query = replace(TEXT, filters=Filters(camera=(str(library.camera(bad)),)), min_match=1.0)
    result = library.search(query)
    assert result.hits == []
    assert result.best_match is not None
    assert result.without_filters is not None


def test_an_empty_library_finds_nothing_with_filters(library: DatedLibrary) -> None:
    result = library.search(replace(TEXT, filters=Filters(month=7)))
    assert (result.filtered, result.without_filters and result.without_filters.hits) == (0, 0)
    assert result.sentences() == ["No photographs found."]


def test_there_may_be_more_without_filters_than_were_looked_at(library: DatedLibrary) -> None:
    library.add(3 * MIN_CANDIDATES)
    result = library.search(replace(TEXT, filters=Filters(camera=("leica",))))
    assert result.without_filters is not None
    assert result.without_filters.or_more
    assert "or more photographs" in result.sentences()[0]


# -- cursors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"text": "b"},
        {"text": None, "photo_id": 1},
        {"order": "taken_at"},
        {"min_match": 0.1},
        {"filters": Filters(month=7)},
        {"without": 3},
        {"text": None, "image": Image.new("RGB", (9, 9))},
    ],
)
def test_a_cursor_of_another_search_is_refused(library: DatedLibrary, other: dict[str, object]) -> None:
    library.add(20)
    cursor = library.search(TEXT).next_cursor
    assert cursor is not None
    with pytest.raises(UsageError, match="cursor belongs to another search"):
        library.search(replace(TEXT, **other, cursor=cursor))  # type: ignore[arg-type]


def test_a_cursor_of_another_model_is_refused(library: DatedLibrary) -> None:
    library.add(20)
    cursor = library.search(TEXT).next_cursor
    library.index.fingerprint = "another"
    with pytest.raises(UsageError, match="another search"):
        library.search(replace(TEXT, cursor=cursor))


@pytest.mark.parametrize("cursor", ["", "x", "Приве́т", "e30", "W10", "AAAA", "=" * 50, "A" * 30_000])
def test_what_is_no_cursor_is_refused(library: DatedLibrary, cursor: str) -> None:
    library.add(3)
    with pytest.raises(UsageError, match="cursor cannot be read"):
        library.search(replace(TEXT, cursor=cursor))


def test_a_cursor_that_is_longer_than_any_is_refused(library: DatedLibrary) -> None:
    library.add(20)
    cursor = library.search(TEXT).next_cursor
    assert cursor is not None
    content = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    padded, long = (urlsafe_b64encode(b" " * spaces + content).decode() for spaces in (3, 30_000))
    assert library.search(replace(TEXT, cursor=padded)).hits
    with pytest.raises(UsageError, match="cursor cannot be read"):
        library.search(replace(TEXT, cursor=long))
