"""Pages of a search join to one whole order, each photograph once, while others come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.errors import UsageError
from service.index import Limits, VectorIndex
from service.index.attributes import AttributeIndex
from service.match.artifact import QueryKind
from service.match.scorer import Scorer
from service.search import ranking
from service.search.hits import SearchResult
from service.search.query import Order, Query
from service.search.search import MIN_CANDIDATES, search
from service.search.selection import NoPlaces, Selector
from service.search.target import QueryItem
from service.store.catalog import Catalog
from service.store.filters import Filters
from service.store.metadata import Metadata
from service.store.records import Details, Entry, FileInfo, PhotographFacts
from service.types import Float32Array
from tests.service.colours import ColourEncoder
from tests.service.sample_artifacts import unit

DIMENSION = 8
MODEL = "model"


class Monotone(Scorer):
    """A match that falls with the similarity."""

    def __init__(self, min_match: float = 0.0) -> None:
        super().__init__(ColourEncoder(), None, np.empty((0, DIMENSION), np.float32))
        self.own_cut = min_match
        self.is_noisy = False

    @property
    def min_match(self) -> float:
        return self.own_cut

    def match(self, query: Float32Array, photographs: Float32Array, kind: QueryKind) -> Float32Array:
        return self.exact(query, photographs) * self.noise(len(photographs))

    def exact(self, query: Float32Array, photographs: Float32Array) -> Float32Array:
        return ((1.0 + photographs.astype(np.float64) @ query.astype(np.float64)) / 2).astype(np.float32)

    def noise(self, count: int) -> Float32Array:
        """What rounding does to a match that is computed together with others: another thing each time."""
        if count == 1 or not self.is_noisy:
            return np.ones(count, np.float32)
        return (1 + np.random.default_rng().uniform(-4e-7, 4e-7, count)).astype(np.float32)


class Reordering(Monotone):
    """A match that has little to do with the similarity; many are equal."""

    def reorders(self, kind: QueryKind) -> bool:
        return True

    def exact(self, query: Float32Array, photographs: Float32Array) -> Float32Array:
        waves = np.sin(photographs.astype(np.float64) @ np.arange(1, DIMENSION + 1) * 3) / 4
        similarity = photographs.astype(np.float64) @ query.astype(np.float64)
        return np.round(np.clip((1.0 + similarity) / 2 + waves, 0.01, 0.99), 2).astype(np.float32)


@dataclass
class Shelf:
    """A catalog of random vectors with dates; a search target."""

    folder: Path
    scorer: Monotone
    limits: Limits | None = None
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    model = "pages"

    def __post_init__(self) -> None:
        self.catalog = Catalog(self.folder / "catalog.sqlite")
        self.root, _ = self.catalog.add_root(self.folder)
        self.written = 0
        self.vectors: dict[int, Float32Array] = {}
        self.taken: dict[int, datetime | None] = {}
        self.index = VectorIndex.open(self.folder, self.catalog, MODEL, DIMENSION, limits=self.limits)
        self.selector = Selector(AttributeIndex(self.folder, self.catalog), NoPlaces())
        self.query = unit(self.random.normal(size=DIMENSION)).astype(np.float16).astype(np.float32)

    def add(self, count: int, copies: int = 0) -> list[int]:
        """New photographs, and copies of the first of them."""
        vectors = unit(self.random.normal(size=(count, DIMENSION))).astype(np.float16)
        entries = [self._entry(vector) for vector in [*vectors, *([vectors[0]] * copies)]]
        ids = self.catalog.write(entries)
        for identity, entry in zip(ids, entries, strict=True):
            self.vectors[identity] = entry.vectors[MODEL].astype(np.float32)
            self.taken[identity] = entry.details.metadata.taken_at
        self.index.catch_up(self.catalog)
        return ids

    def remove(self, ids: Sequence[int]) -> None:
        self.catalog.remove(ids)
        for identity in ids:
            del self.vectors[identity]
        self.index.catch_up(self.catalog)

    def _entry(self, vector: np.ndarray) -> Entry:
        self.written += 1
        file = FileInfo(self.root.id, "", f"{self.written}.jpg", 1, 1)
        # A tenth has no date, and many have the same.
        day = int(self.random.integers(1, 31))
        taken = None if self.random.random() < 0.1 else datetime(2019, 7, day % 10 + 1)
        camera = "Canon" if self.written % 3 else "Nikon"
        facts = PhotographFacts(file, self.written.to_bytes(16, "big"), 4, 3, "JPEG")
        return Entry(facts, {MODEL: vector}, b"", details=Details(Metadata(taken_at=taken, camera=camera)))

    def notice(self, item: QueryItem) -> None:
        return None

    def encode_query(self, item: QueryItem) -> Float32Array:
        if isinstance(item, int):
            return self.vectors[item]
        # In another batch the vector of a text is a little different.
        return unit(self.query + self.random.normal(size=DIMENSION) * (1e-4 if self.scorer.is_noisy else 0))

    def encode_images(self, images: Sequence[Image.Image]) -> Float32Array:
        return np.stack([self.encode_query(image) for image in images])

    def with_noise(self) -> Shelf:
        """Has matches and the query's vector come out a little different each time that they are computed."""
        self.scorer.is_noisy = True
        return self

    def search(self, query: Query) -> SearchResult:
        return search(query, self, self.catalog, select=self.selector.select)

    def pages(self, query: Query, between: Callable[[int], None] = lambda page: None) -> list[list[int]]:
        """The ids of all pages; `between` is called after each with its number."""
        pages: list[list[int]] = []
        cursor: str | None = None
        while True:
            result = self.search(replace(query, cursor=cursor))
            pages.append([hit.photograph.id for hit in result.hits])
            cursor = result.next_cursor
            if cursor is None:
                return pages
            assert len(pages) < 2_000
            between(len(pages))

    def whole(self, cut: float = 0.0, camera: str | None = None, excluded: int | None = None) -> list[int]:
        """All photographs that pass a cut, by match, then by similarity, then by id."""
        ids = np.array([each for each in sorted(self.vectors) if each != excluded])
        vectors = np.stack([self.vectors[int(each)] for each in ids])
        query = self.query if excluded is None else self.vectors[excluded]
        similarities, matches = vectors @ query, self.scorer.exact(query, vectors)
        order = np.lexsort((ids, -similarities, -matches if self.scorer.reorders("text") else -similarities))
        return [
            int(ids[at])
            for at in order
            if matches[at] >= cut and (camera is None or self.camera(int(ids[at])) == camera)
        ]

    def camera(self, identity: int) -> str | None:
        return self.catalog.details([identity])[identity].metadata.camera


SCORERS = {"monotone": Monotone, "reordering": Reordering}
TEXT = Query(text="a")


@pytest.fixture(params=list(SCORERS))
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path, SCORERS[request.param]())
    yield shelf
    shelf.catalog.close()


def flat(pages: list[list[int]]) -> list[int]:
    return [identity for page in pages for identity in page]


def by_date(shelf: Shelf, ids: Sequence[int], order: Order) -> list[int]:
    sign = -1 if order == "-taken_at" else 1
    return sorted(
        ids,
        key=lambda each: (
            shelf.taken[each] is None,
            sign * (shelf.taken[each] or datetime(1970, 1, 1)).timestamp(),
            sign * each,
        ),
    )


def assert_each_once(found: list[int], throughout: Sequence[int]) -> None:
    """No photograph is on two pages, and those that were there all the time are on one."""
    assert len(found) == len(set(found))
    assert set(throughout) <= set(found)


# -- by match ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [7, 50, 250])
def test_pages_join_to_the_order_by_match(shelf: Shelf, k: int) -> None:
    shelf.add(300, copies=20)
    pages = shelf.pages(replace(TEXT, k=k))
    found = flat(pages)
    assert sorted(found) == sorted(shelf.vectors)
    assert [len(page) for page in pages] == [k] * (320 // k) + [320 % k]
    # The first page is of the nearest candidates where matches order them otherwise.
    first = k if isinstance(shelf.scorer, Reordering) and k <= 200 else 0
    rest = [identity for identity in shelf.whole() if identity not in found[:first]]
    assert found[first:] == rest


def test_pages_end_at_the_cut(shelf: Shelf) -> None:
    shelf.add(300, copies=5)
    assert sorted(flat(shelf.pages(replace(TEXT, k=20, min_match=0.6)))) == sorted(shelf.whole(0.6))
    assert shelf.pages(replace(TEXT, k=20, min_match=1.0)) == [[]]


def test_pages_of_what_filters_leave(shelf: Shelf) -> None:
    shelf.add(300)
    query = replace(TEXT, k=20, filters=Filters(camera=("nikon",)))
    assert sorted(flat(shelf.pages(query))) == sorted(shelf.whole(camera="Nikon"))
    assert shelf.search(query).filtered == 100
    assert shelf.search(TEXT).filtered is None


def test_stages_follow_each_other_by_similarity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "STAGE", 40)
    shelf = Shelf(tmp_path, Reordering()).with_noise()
    shelf.add(200, copies=30)
    for k in (9, 40, 100):
        found = flat(shelf.pages(replace(TEXT, k=k)))
        assert_each_once(found, list(shelf.vectors))
        assert len(found) == 230
    shelf.catalog.close()


def test_pages_of_a_first_page_that_was_found_approximately(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What codes missed comes later, and nothing twice."""
    monkeypatch.setattr("service.index.scans._LEAST_RECALL_AT_10", 0.0)
    monkeypatch.setattr("service.index.scans._LEAST_RECALL_AT_DEPTH", 0.0)
    for name, scorer in SCORERS.items():
        folder = tmp_path / name
        folder.mkdir()
        shelf = Shelf(folder, scorer(), Limits(codes_from=50, shortlists=(12,), small_until=40))
        shelf.with_noise().add(2_000)
        assert shelf.index.kind.startswith("PQ")
        found = flat(shelf.pages(replace(TEXT, k=60)))
        assert_each_once(found, list(shelf.vectors))
        shelf.catalog.close()


def test_a_photograph_that_is_searched_with_is_on_no_page(shelf: Shelf) -> None:
    ids = shelf.add(50, copies=10)
    found = flat(shelf.pages(Query(photo_id=ids[0], k=7)))
    assert sorted(found) == sorted(set(shelf.vectors) - {ids[0]})


@pytest.mark.parametrize("order", ["match", "taken_at", "-taken_at"])
@pytest.mark.parametrize("k", [5, 30, 210])
def test_photographs_come_and_go_between_pages(
    shelf: Shelf, order: Order, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "STAGE", 60)
    monkeypatch.setattr(ranking, "DATED_WITHOUT_CUT", 10_000)
    shelf.with_noise().add(300, copies=15)
    throughout = set(shelf.vectors)

    def change(page: int) -> None:
        gone = [int(each) for each in shelf.random.choice(sorted(shelf.vectors), 3, replace=False)]
        shelf.remove(gone)
        throughout.difference_update(gone)
        shelf.add(4, copies=1)

    found = flat(shelf.pages(replace(TEXT, k=k, order=order), change))
    assert_each_once(found, sorted(throughout))


def test_pages_may_have_different_lengths(shelf: Shelf) -> None:
    shelf.add(40)
    first = shelf.search(replace(TEXT, k=3))
    second = shelf.search(replace(TEXT, k=30, cursor=first.next_cursor))
    third = shelf.search(replace(TEXT, k=1_000, cursor=second.next_cursor))
    ids = [hit.photograph.id for result in (first, second, third) for hit in result.hits]
    assert sorted(ids) == sorted(shelf.vectors)
    assert third.next_cursor is None
    assert third.best_match == first.best_match


def test_more_are_looked_at_where_the_farthest_candidates_still_pass(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, Reordering())
    shelf.add(3 * MIN_CANDIDATES)
    cut = float(np.sort(shelf.scorer.exact(shelf.query, np.stack([*shelf.vectors.values()])))[-190])
    result = shelf.search(replace(TEXT, k=200, min_match=cut))
    assert len(result.hits) == min(200, len(shelf.whole(cut)))
    shelf.catalog.close()


# -- by date -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["taken_at", "-taken_at"])
def test_pages_by_date_hold_what_passes_the_cut(shelf: Shelf, order: Order) -> None:
    shelf.add(400)
    query = replace(TEXT, k=13, order=order, min_match=0.55)
    assert flat(shelf.pages(query)) == by_date(shelf, shelf.whole(0.55), order)
    filtered = replace(query, filters=Filters(camera=("canon",)))
    assert flat(shelf.pages(filtered)) == by_date(shelf, shelf.whole(0.55, "Canon"), order)


def test_without_a_cut_the_nearest_are_ordered_by_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "DATED_WITHOUT_CUT", 50)
    shelf = Shelf(tmp_path, Monotone())
    shelf.add(200)
    found = flat(shelf.pages(replace(TEXT, k=20, order="-taken_at")))
    assert found == by_date(shelf, shelf.whole()[:50], "-taken_at")
    shelf.catalog.close()


def test_at_most_so_many_of_the_nearest_are_ordered_by_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "DATED", 30)
    shelf = Shelf(tmp_path, Monotone())
    shelf.add(200)
    found = flat(shelf.pages(replace(TEXT, k=20, order="taken_at", min_match=0.01)))
    assert found == by_date(shelf, shelf.whole()[:30], "taken_at")
    shelf.catalog.close()


def test_matches_are_computed_until_none_of_a_block_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_BLOCK", 16)
    shelf = Shelf(tmp_path, Monotone())
    shelf.add(500, copies=40)
    found = flat(shelf.pages(replace(TEXT, k=20, order="taken_at", min_match=0.8)))
    assert found == by_date(shelf, shelf.whole(0.8), "taken_at")
    shelf.catalog.close()


def test_photographs_that_the_attributes_do_not_have_yet_have_no_date(shelf: Shelf) -> None:
    shelf.add(5)
    shelf.selector.select(Filters())
    attributes = shelf.selector._index.get()
    (new,) = shelf.add(1)
    shelf.selector._index._latest._refresh = lambda last: attributes
    found = flat(shelf.pages(replace(TEXT, order="taken_at", k=3)))
    assert found[-1] == new or shelf.taken[found[-1]] is None
    assert sorted(found) == sorted(shelf.vectors)


# -- filters -------------------------------------------------------------------------------------------


def test_filters_that_leave_nothing_say_what_there_is_without_them(shelf: Shelf) -> None:
    shelf.add(30)
    result = shelf.search(replace(TEXT, filters=Filters(camera=("leica",)), min_match=0.4))
    without = len(shelf.whole(0.4))
    assert (result.hits, result.filtered, result.best_match) == ([], 0, None)
    assert result.without_filters is not None
    assert result.without_filters.hits == without
    assert not result.without_filters.or_more
    assert result.sentences() == [f"Nothing with these filters. Without them: {without} photographs."]
    hopeless = shelf.search(replace(TEXT, filters=Filters(camera=("leica",)), min_match=1.0))
    assert "no good match without them: the best is 0." in hopeless.sentences()[0]


def test_filters_that_leave_only_bad_matches_say_so(shelf: Shelf) -> None:
    shelf.add(60)
    bad = next(each for each in shelf.whole()[::-1])
    query = replace(TEXT, filters=Filters(camera=(str(shelf.camera(bad)),)), min_match=1.0)
    result = shelf.search(query)
    assert result.hits == []
    assert result.best_match is not None
    assert result.without_filters is not None


def test_an_empty_library_finds_nothing_with_filters(shelf: Shelf) -> None:
    result = shelf.search(replace(TEXT, filters=Filters(month=7)))
    assert (result.filtered, result.without_filters and result.without_filters.hits) == (0, 0)
    assert result.sentences() == ["No photographs found."]


def test_there_may_be_more_without_filters_than_were_looked_at(shelf: Shelf) -> None:
    shelf.add(3 * MIN_CANDIDATES)
    result = shelf.search(replace(TEXT, filters=Filters(camera=("leica",))))
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
def test_a_cursor_of_another_search_is_refused(shelf: Shelf, other: dict[str, object]) -> None:
    shelf.add(20)
    cursor = shelf.search(TEXT).next_cursor
    assert cursor is not None
    with pytest.raises(UsageError, match="cursor belongs to another search"):
        shelf.search(replace(TEXT, **other, cursor=cursor))  # type: ignore[arg-type]


def test_a_cursor_of_another_model_is_refused(shelf: Shelf) -> None:
    shelf.add(20)
    cursor = shelf.search(TEXT).next_cursor
    shelf.index.fingerprint = "another"
    with pytest.raises(UsageError, match="another search"):
        shelf.search(replace(TEXT, cursor=cursor))


@pytest.mark.parametrize("cursor", ["", "x", "Приве́т", "e30", "W10", "AAAA", "=" * 50, "A" * 30_000])
def test_what_is_no_cursor_is_refused(shelf: Shelf, cursor: str) -> None:
    shelf.add(3)
    with pytest.raises(UsageError, match="cursor cannot be read"):
        shelf.search(replace(TEXT, cursor=cursor))
