"""What may be asked, and the way from a query to its hits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.errors import UsageError
from service.index import VectorIndex
from service.match.artifact import Logistic, QueryKind, ScorerArtifact, TextMatch
from service.match.scorer import Scorer
from service.search.hits import SearchResult
from service.search.query import MOST_K, Query
from service.search.search import LEAST_CANDIDATES, search
from service.search.target import QueryItem
from service.store.catalog import Catalog
from service.store.records import Entry, FileInfo, PhotographFacts
from service.texts import MOST_CHARACTERS
from service.types import Float32Array
from tests.service.colours import ColourEncoder
from tests.service.matches import unit

# -- what may be asked ---------------------------------------------------------------------------------


def test_a_query_asks_for_five_hits_and_leaves_the_cut_to_the_match() -> None:
    query = Query(text="a red flower")
    assert (query.k, query.min_match, query.kind) == (5, None, "text")
    assert Query(photo_id=1).kind == Query(image=Image.new("RGB", (9, 9))).kind == "photograph"


@pytest.mark.parametrize(
    "asked",
    [{}, {"text": "a", "photo_id": 1}, {"text": "a", "image": Image.new("RGB", (9, 9))},
     {"photo_id": 1, "image": Image.new("RGB", (9, 9))}],
)  # fmt: skip
def test_a_query_is_about_one_thing(asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="one thing to look for"):
        Query(**asked)


@pytest.mark.parametrize("text", ["", " ", "\n\t \r", "\u00a0\u2003\u3000"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="empty; say what the photograph should show"):
        Query(text=text)


@pytest.mark.parametrize("text", ["a", "x" * 1000, "я" * 1000, "🐶" * 1000, "  padded  ", "a\0b", "'\"%;--"])
def test_texts_up_to_the_limit_are_taken_as_they_are(text: str) -> None:
    assert Query(text=text).text == text


@pytest.mark.parametrize("length", [MOST_CHARACTERS + 1, 10_000])
def test_a_longer_text_is_refused_with_both_numbers(length: int) -> None:
    with pytest.raises(UsageError) as refusal:
        Query(text="x" * length)
    assert f"{length:,} characters" in refusal.value.message
    assert "1,000" in refusal.value.message


@pytest.mark.parametrize("text", ["\ud83d", "caf\udce9"])
def test_half_a_character_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Query(text=text)


@pytest.mark.parametrize("k", [1, MOST_K])
def test_k_within_its_limits(k: int) -> None:
    assert Query(text="a", k=k).k == k


@pytest.mark.parametrize("k", [0, -1, MOST_K + 1, 10**9])
def test_k_beyond_its_limits_is_refused(k: int) -> None:
    with pytest.raises(UsageError, match=f"k is {k}; it must be from 1 to 200"):
        Query(text="a", k=k)


@pytest.mark.parametrize("min_match", [0.0, 0.5, 1.0])
def test_min_match_within_its_limits(min_match: float) -> None:
    assert Query(text="a", min_match=min_match).min_match == min_match


@pytest.mark.parametrize("min_match", [-0.1, 1.1, float("nan"), float("inf"), float("-inf")])
def test_min_match_beyond_its_limits_is_refused(min_match: float) -> None:
    with pytest.raises(UsageError, match="must be from 0 to 1"):
        Query(text="a", min_match=min_match)


# -- from a query to its hits --------------------------------------------------------------------------


def scorer_with(min_match: float) -> Scorer:
    """A match by the cosine alone, with a cut of its own."""
    text = TextMatch(plain=Logistic(10.0, -5.0), agreement=Logistic(1.0, 0.0))
    artifact = ScorerArtifact("colours", text, Logistic(10.0, -9.0), min_match)
    return Scorer(ColourEncoder(), artifact, np.empty((0, 2), np.float32))


class TurnedScorer(Scorer):
    """A match that prefers photographs 30 degrees away from a text, on either side alike; `asked` counts them."""

    def __init__(self, min_match: float = 0.0) -> None:
        super().__init__(ColourEncoder(), None, np.empty((0, 2), np.float32))
        self.own_cut = min_match
        self.asked: list[int] = []

    @property
    def min_match(self) -> float:
        return self.own_cut

    def reorders(self, kind: QueryKind) -> bool:
        return kind == "text"

    def match(self, query: Float32Array, photographs: Float32Array, kind: QueryKind) -> Float32Array:
        self.asked.append(len(photographs))
        degrees = np.degrees(np.arccos(np.clip(photographs @ query, -1, 1)))
        return np.round(1 - np.abs(degrees - 30) / 180, 2).astype(np.float32)


@dataclass
class Shelf:
    """Photographs at angles of 0, 10, 20, ... degrees to what is asked for."""

    catalog: Catalog
    index: VectorIndex
    ids: list[int]

    scorer: Scorer = field(default_factory=lambda: scorer_with(0.0))
    model = "angles"

    def notice(self, item: QueryItem) -> str:
        return "a notice"

    def encode_query(self, item: QueryItem) -> Float32Array:
        return self.catalog.vector(item, "angles") if isinstance(item, int) else np.array([1, 0], np.float32)

    def encode_images(self, images: Sequence[Image.Image]) -> Float32Array:
        return np.stack([self.encode_query(image) for image in images])

    def search(self, query: Query, scorer: Scorer | None = None) -> SearchResult:
        return search(query, self if scorer is None else replace(self, scorer=scorer), self.catalog)


def facts_of(root_id: int, name: str, content_hash: bytes) -> PhotographFacts:
    return PhotographFacts(FileInfo(root_id, "", name, 1, 1), content_hash, 10, 10, "JPEG")


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    root, _ = catalog.add_root(tmp_path)
    angles = np.radians(np.arange(0, 100, 10))
    entries = [
        Entry(
            facts_of(root.id, f"{degrees * 10}.jpg", bytes([degrees])),
            {"angles": np.array([np.cos(angle), np.sin(angle)], np.float16)},
            b"",
        )
        for degrees, angle in enumerate(angles)
    ]
    ids = catalog.write(entries)
    yield Shelf(catalog, VectorIndex.open(tmp_path, catalog, "angles", 2), ids)
    catalog.close()


def names(result: SearchResult) -> list[str]:
    return [hit.photograph.name for hit in result.hits]


def test_hits_come_nearest_first_with_their_facts(shelf: Shelf) -> None:
    result = shelf.search(Query(text="a", k=3))
    assert names(result) == ["0.jpg", "10.jpg", "20.jpg"]
    assert [hit.similarity for hit in result.hits] == pytest.approx(np.cos(np.radians([0, 10, 20])), abs=1e-3)
    assert [hit.match for hit in result.hits] == sorted((hit.match for hit in result.hits), reverse=True)
    assert (result.model, result.notice, result.photographs) == ("angles", "a notice", 10)
    assert result.calibration == "ratings"
    assert result.took_ms > 0


def test_min_match_cuts_and_the_best_is_still_told(shelf: Shelf) -> None:
    everything = shelf.search(Query(text="a", k=10))
    fourth = everything.hits[3].match
    assert names(shelf.search(Query(text="a", k=10, min_match=fourth))) == names(everything)[:4]
    nothing = shelf.search(Query(text="a", min_match=1.0))
    assert nothing.hits == []
    assert not nothing.answerable
    assert nothing.best_match == pytest.approx(everything.hits[0].match)


def test_the_cut_of_the_match_is_for_texts_that_ask_for_none(shelf: Shelf) -> None:
    matches = [hit.match for hit in shelf.search(Query(text="a", k=10)).hits]
    scorer = scorer_with(matches[3])
    by_itself = shelf.search(Query(text="a", k=10), scorer)
    assert (by_itself.min_match, len(by_itself.hits), by_itself.answerable) == (matches[3], 4, True)
    lower = shelf.search(Query(text="a", k=10, min_match=matches[5]), scorer)
    assert (lower.min_match, len(lower.hits)) == (matches[5], 6)
    everything = shelf.search(Query(text="a", k=10, min_match=0.0), scorer)
    assert (everything.min_match, len(everything.hits)) == (0.0, 10)
    photograph = shelf.search(Query(image=Image.new("RGB", (9, 9)), k=10), scorer)
    assert (photograph.min_match, len(photograph.hits), photograph.answerable) == (0.0, 10, True)
    unrated = shelf.search(Query(text="a", k=10), Scorer(ColourEncoder(), None, np.empty((0, 2), np.float32)))
    assert (unrated.min_match, len(unrated.hits)) == (0.0, 10)


def test_the_nearest_that_are_shown_all_the_same_are_no_answer(shelf: Shelf) -> None:
    scorer = scorer_with(0.999)
    nothing = shelf.search(Query(text="a"), scorer)
    assert (nothing.hits, nothing.answerable, nothing.min_match) == ([], False, 0.999)
    nearest = shelf.search(Query(text="a", min_match=0.0), scorer)
    assert (len(nearest.hits), nearest.answerable) == (5, False)
    assert nearest.best_match == nothing.best_match == nearest.hits[0].match


def test_matches_order_hits_where_they_see_more_than_similarities(shelf: Shelf) -> None:
    scorer = TurnedScorer()
    result = shelf.search(Query(text="a", k=4), scorer)
    # 20 and 40 degrees, and 10 and 50, match alike: the nearer of two comes first.
    assert names(result) == ["30.jpg", "20.jpg", "40.jpg", "10.jpg"]
    assert [hit.similarity for hit in result.hits] == pytest.approx(np.cos(np.radians([30, 20, 40, 10])), abs=1e-3)
    assert result.best_match == result.hits[0].match == 1.0
    assert scorer.asked == [10], "one call for all candidates"


def test_a_photograph_beyond_the_nearest_can_come_first(shelf: Shelf) -> None:
    assert names(shelf.search(Query(text="a", k=1))) == ["0.jpg"]
    assert names(shelf.search(Query(text="a", k=1), TurnedScorer())) == ["30.jpg"]


def test_the_cut_is_by_match_wherever_a_photograph_stood(shelf: Shelf) -> None:
    result = shelf.search(Query(text="a", k=200), TurnedScorer(0.94))
    assert set(names(result)) == {"20.jpg", "30.jpg", "40.jpg"}
    nothing = shelf.search(Query(text="a", min_match=1.0, k=1), TurnedScorer(0.94))
    assert names(nothing) == ["30.jpg"]


@pytest.mark.parametrize(("k", "candidates"), [(1, LEAST_CANDIDATES), (100, 200), (150, 300), (200, 400)])
def test_more_candidates_are_scored_than_are_asked_for(shelf: Shelf, k: int, candidates: int) -> None:
    root, _ = shelf.catalog.add_root(Path("/many"))
    angles = np.random.default_rng(0).uniform(0, np.pi / 2, 500)
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)).astype(np.float16)
    shelf.catalog.write(
        [
            Entry(facts_of(root.id, f"many {number}.jpg", b"m"), {"angles": vector}, b"")
            for number, vector in enumerate(vectors)
        ]
    )
    shelf.index.catch_up(shelf.catalog)
    scorer = TurnedScorer()
    result = shelf.search(Query(text="a", k=k), scorer)
    assert scorer.asked == [candidates]
    assert len(result.hits) == k
    matches = [hit.match for hit in result.hits]
    assert matches == sorted(matches, reverse=True)
    shelf.search(Query(photo_id=shelf.ids[0], k=k), scorer)
    assert scorer.asked[1] == k, "photographs keep the order of their similarities"


def test_a_photograph_that_is_asked_about_is_no_answer(shelf: Shelf) -> None:
    middle = shelf.ids[4]
    result = shelf.search(Query(photo_id=middle, k=2))
    assert set(names(result)) == {"30.jpg", "50.jpg"}
    assert len(shelf.search(Query(photo_id=middle, k=200)).hits) == 9
    assert result.best_match == pytest.approx(result.hits[0].match)


def test_it_is_left_out_even_where_its_copies_come_before_it(shelf: Shelf) -> None:
    """Copies have the same vector, so the photograph itself need not be the first candidate, nor one at all."""
    root, _ = shelf.catalog.add_root(Path("/copies"))
    vector = shelf.catalog.vector(shelf.ids[0], "angles").astype(np.float16)
    copies = [Entry(facts_of(root.id, f"copy {number}.jpg", b"c"), {"angles": vector}, b"") for number in range(5)]
    added = shelf.catalog.write(copies)
    shelf.index.catch_up(shelf.catalog)
    for identity in (shelf.ids[0], *added):
        result = shelf.search(Query(photo_id=identity, k=3))
        assert len(result.hits) == 3
        assert identity not in [hit.photograph.id for hit in result.hits]


def test_texts_and_photographs_have_matches_of_their_own(shelf: Shelf) -> None:
    text = shelf.search(Query(text="a", k=1)).hits[0]
    image = shelf.search(Query(image=Image.new("RGB", (9, 9)), k=1)).hits[0]
    assert text.similarity == image.similarity
    assert text.match > image.match


def test_a_photograph_removed_a_moment_ago_is_left_out(shelf: Shelf) -> None:
    shelf.catalog.remove(shelf.ids[:2])
    assert names(shelf.search(Query(text="a", k=3))) == ["20.jpg"]


def test_an_empty_library_answers_with_nothing(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    shelf = Shelf(catalog, VectorIndex("angles", 2), [])
    for scorer in (None, Scorer(ColourEncoder(), None, np.empty((0, 2), np.float32))):
        result = shelf.search(Query(text="a"), scorer)
        assert (result.hits, result.best_match, result.answerable, result.photographs) == ([], None, False, 0)
    catalog.close()
