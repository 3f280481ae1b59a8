"""From a query to hits: candidates, matches, cut, order, exclusions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.index import VectorIndex
from service.index.attributes import AttributeIndex
from service.match.artifact import Logistic, QueryKind, ScorerArtifact, TextMatch
from service.match.scorer import Scorer
from service.search.hits import SearchResult
from service.search.query import Query
from service.search.search import MIN_CANDIDATES, search
from service.search.selection import OfflinePlaces, Selector
from service.search.target import QueryItem
from service.store.catalog import Catalog
from service.store.records import Entry, FileInfo, PhotographFacts
from service.types import Float32Array
from tests.service.colours import ColourEncoder
from tests.service.sample_artifacts import unit


def scorer_with(min_match: float) -> Scorer:
    """A match that depends on the cosine only, and its cut."""
    text = TextMatch(plain=Logistic(10.0, -5.0), agreement=Logistic(1.0, 0.0))
    artifact = ScorerArtifact("colours", text, Logistic(10.0, -9.0), min_match)
    return Scorer(ColourEncoder(), artifact, np.empty((0, 2), np.float32))


class ReorderingScorer(Scorer):
    """A match that is highest at 30 degrees from the query and falls evenly on both sides.

    `batches` are the numbers of photographs that it was called with.
    """

    def __init__(self, min_match: float = 0.0) -> None:
        super().__init__(ColourEncoder(), None, np.empty((0, 2), np.float32))
        self.own_cut = min_match
        self.batches: list[int] = []

    @property
    def min_match(self) -> float:
        return self.own_cut

    def reorders(self, kind: QueryKind) -> bool:
        return kind == "text"

    def match(self, query: Float32Array, photographs: Float32Array, kind: QueryKind) -> Float32Array:
        self.batches.append(len(photographs))
        degrees = np.degrees(np.arccos(np.clip(photographs @ query, -1, 1)))
        return np.round(1 - np.abs(degrees - 30) / 180, 2).astype(np.float32)


@dataclass
class AngleTarget:
    """Photographs at angles of 0, 10, 20, ... 90 degrees to every text and image."""

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
        target = self if scorer is None else replace(self, scorer=scorer)
        selector = Selector(AttributeIndex(self.catalog.file.parent, self.catalog), OfflinePlaces())
        return search(query, target, self.catalog, select=selector.select)


def facts_of(root_id: int, name: str, content_hash: bytes) -> PhotographFacts:
    return PhotographFacts(FileInfo(root_id, "", name, 1, 1), content_hash, 10, 10, "JPEG")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[AngleTarget]:
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
    yield AngleTarget(catalog, VectorIndex.open(tmp_path, catalog, "angles", 2), ids)
    catalog.close()


def names(result: SearchResult) -> list[str]:
    return [hit.photograph.name for hit in result.hits]


def test_hits_are_ordered_by_match_and_have_their_records(target: AngleTarget) -> None:
    result = target.search(Query(text="a", k=3))
    assert names(result) == ["0.jpg", "10.jpg", "20.jpg"]
    assert [hit.similarity for hit in result.hits] == pytest.approx(np.cos(np.radians([0, 10, 20])), abs=1e-3)
    assert [hit.match for hit in result.hits] == sorted((hit.match for hit in result.hits), reverse=True)
    assert (result.model, result.notice, result.photographs) == ("angles", "a notice", 10)
    assert result.calibration == "ratings"
    assert result.took_ms > 0


def test_min_match_cuts_hits_but_not_the_best_match(target: AngleTarget) -> None:
    everything = target.search(Query(text="a", k=10))
    fourth = everything.hits[3].match
    assert names(target.search(Query(text="a", k=10, min_match=fourth))) == names(everything)[:4]
    nothing = target.search(Query(text="a", min_match=1.0))
    assert nothing.hits == []
    assert not nothing.answerable
    assert nothing.best_match == pytest.approx(everything.hits[0].match)


def test_texts_without_min_match_get_the_cut_of_the_match(target: AngleTarget) -> None:
    matches = [hit.match for hit in target.search(Query(text="a", k=10)).hits]
    scorer = scorer_with(matches[3])
    by_itself = target.search(Query(text="a", k=10), scorer)
    assert (by_itself.min_match, len(by_itself.hits), by_itself.answerable) == (matches[3], 4, True)
    lower = target.search(Query(text="a", k=10, min_match=matches[5]), scorer)
    assert (lower.min_match, len(lower.hits)) == (matches[5], 6)
    everything = target.search(Query(text="a", k=10, min_match=0.0), scorer)
    assert (everything.min_match, len(everything.hits)) == (0.0, 10)
    photograph = target.search(Query(image=Image.new("RGB", (9, 9)), k=10), scorer)
    assert (photograph.min_match, len(photograph.hits), photograph.answerable) == (0.0, 10, True)
    unrated = target.search(Query(text="a", k=10), Scorer(ColourEncoder(), None, np.empty((0, 2), np.float32)))
    assert (unrated.min_match, len(unrated.hits)) == (0.0, 10)


def test_hits_below_the_cut_of_the_match_do_not_make_a_query_answerable(target: AngleTarget) -> None:
    scorer = scorer_with(0.999)
    nothing = target.search(Query(text="a"), scorer)
    assert (nothing.hits, nothing.answerable, nothing.min_match) == ([], False, 0.999)
    nearest = target.search(Query(text="a", min_match=0.0), scorer)
    assert (len(nearest.hits), nearest.answerable) == (5, False)
    assert nearest.best_match == nothing.best_match == nearest.hits[0].match


def test_a_scorer_may_reorder_candidates(target: AngleTarget) -> None:
    scorer = ReorderingScorer()
    result = target.search(Query(text="a", k=4), scorer)
    # 20 and 40 degrees, and 10 and 50, match alike: the nearer of two comes first.
    assert names(result) == ["30.jpg", "20.jpg", "40.jpg", "10.jpg"]
    assert [hit.similarity for hit in result.hits] == pytest.approx(np.cos(np.radians([30, 20, 40, 10])), abs=1e-3)
    assert result.best_match == result.hits[0].match == 1.0
    assert scorer.batches == [10], "all candidates in one call"


def test_a_photograph_that_is_not_among_the_k_nearest_can_be_the_first_hit(target: AngleTarget) -> None:
    assert names(target.search(Query(text="a", k=1))) == ["0.jpg"]
    assert names(target.search(Query(text="a", k=1), ReorderingScorer())) == ["30.jpg"]


def test_the_cut_is_by_match_and_not_by_similarity(target: AngleTarget) -> None:
    result = target.search(Query(text="a", k=200), ReorderingScorer(0.94))
    assert set(names(result)) == {"20.jpg", "30.jpg", "40.jpg"}
    nothing = target.search(Query(text="a", min_match=1.0, k=1), ReorderingScorer(0.94))
    assert names(nothing) == ["30.jpg"]


@pytest.mark.parametrize(("k", "candidates"), [(1, MIN_CANDIDATES), (100, 200), (150, 300), (200, 400)])
def test_more_candidates_than_k_are_scored(target: AngleTarget, k: int, candidates: int) -> None:
    root, _ = target.catalog.add_root(Path("/many"))
    angles = np.random.default_rng(0).uniform(0, np.pi / 2, 500)
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)).astype(np.float16)
    target.catalog.write(
        [
            Entry(facts_of(root.id, f"many {number}.jpg", b"m"), {"angles": vector}, b"")
            for number, vector in enumerate(vectors)
        ]
    )
    target.index.catch_up(target.catalog)
    scorer = ReorderingScorer()
    result = target.search(Query(text="a", k=k), scorer)
    assert scorer.batches == [candidates]
    assert len(result.hits) == k
    matches = [hit.match for hit in result.hits]
    assert matches == sorted(matches, reverse=True)
    target.search(Query(photo_id=target.ids[0], k=k), scorer)
    assert scorer.batches[1] == k + 1, "photographs keep the order of their similarities; one says if there are more"


def test_a_photograph_is_not_a_hit_of_its_own_query(target: AngleTarget) -> None:
    middle = target.ids[4]
    result = target.search(Query(photo_id=middle, k=2))
    assert set(names(result)) == {"30.jpg", "50.jpg"}
    assert len(target.search(Query(photo_id=middle, k=200)).hits) == 9
    assert result.best_match == pytest.approx(result.hits[0].match)


def test_a_photograph_is_left_out_even_where_its_copies_come_before_it(target: AngleTarget) -> None:
    """Copies have the same vector, so the photograph itself need not be the first candidate, nor one at all."""
    root, _ = target.catalog.add_root(Path("/copies"))
    vector = target.catalog.vector(target.ids[0], "angles").astype(np.float16)
    copies = [Entry(facts_of(root.id, f"copy {number}.jpg", b"c"), {"angles": vector}, b"") for number in range(5)]
    added = target.catalog.write(copies)
    target.index.catch_up(target.catalog)
    for identity in (target.ids[0], *added):
        result = target.search(Query(photo_id=identity, k=3))
        assert len(result.hits) == 3
        assert identity not in [hit.photograph.id for hit in result.hits]


def test_texts_and_photographs_are_calibrated_separately(target: AngleTarget) -> None:
    text = target.search(Query(text="a", k=1)).hits[0]
    image = target.search(Query(image=Image.new("RGB", (9, 9)), k=1)).hits[0]
    assert text.similarity == image.similarity
    assert text.match > image.match


def test_a_photograph_removed_since_the_index_was_made_is_left_out(target: AngleTarget) -> None:
    target.catalog.remove(target.ids[:2])
    assert names(target.search(Query(text="a", k=3))) == ["20.jpg"]


def test_an_empty_library_has_no_hits_and_no_best_match(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    target = AngleTarget(catalog, VectorIndex("angles", 2), [])
    for scorer in (None, Scorer(ColourEncoder(), None, np.empty((0, 2), np.float32))):
        result = target.search(Query(text="a"), scorer)
        assert (result.hits, result.best_match, result.answerable, result.photographs) == ([], None, False, 0)
    catalog.close()
