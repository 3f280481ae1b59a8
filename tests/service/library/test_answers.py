"""What a library answers: searches, scores, matches fitted for it, and what filters leave."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

import service.match.scorer
from service.errors import MismatchError, NotFoundError, PhotographError, UsageError
from service.library import Library
from service.match.scorer import find_artifact
from service.search.query import Query
from service.store.filters import Filters
from tests.service.colours import paint
from tests.service.library.colour_library import Models, found, index, opened
from tests.service.sample_artifacts import make_artifact


def test_a_text_finds_photographs_in_the_order_of_similarity(library: Library, photographs: Path) -> None:
    assert index(library, photographs).added == 4
    result = library.search(Query(text="red", k=3))
    assert [hit.photograph.name for hit in result.hits] == ["red.png", "yellow.png", "green.png"]
    assert result.hits[0].similarity == pytest.approx(1, abs=1e-3)
    assert (result.model, result.photographs, result.answerable) == ("mini", 4, True)
    assert found(library, "blue")[0] == "blue.png"


def test_a_photograph_of_the_library_is_not_a_hit_of_its_own_search(library: Library, photographs: Path) -> None:
    index(library, photographs)
    (identity,) = [hit.photograph.id for hit in library.search(Query(text="yellow", k=1)).hits]
    for k in (1, 2, 3, 4, 200):
        hits = library.search(Query(photo_id=identity, k=k)).hits
        assert len(hits) == min(k, 3)
        assert identity not in [hit.photograph.id for hit in hits]
    with pytest.raises(NotFoundError, match="no photograph 99"):
        library.search(Query(photo_id=99))


def test_an_uploaded_photograph_finds_similar_ones(library: Library, photographs: Path) -> None:
    index(library, photographs)
    hits = library.search(Query(image=Image.new("RGB", (90, 40), (0, 250, 10)), keep_borders=True)).hits
    assert hits[0].photograph.name == "green.png"


def test_vectors_of_texts_are_cached(library: Library, photographs: Path, models: Models) -> None:
    index(library, photographs)
    for text in ("red", "blue", "red", "red"):
        found(library, text)
    assert models.known["mini"].texts == ["red", "blue"]


def test_a_score_equals_the_match_of_the_search(library: Library, photographs: Path) -> None:
    index(library, photographs)
    hit = library.search(Query(text="red")).hits[0]
    for photograph in (hit.photograph.id, hit.photograph.path, hit.photograph.path.read_bytes()):
        scored = library.score(photograph, "red")
        assert scored.match == pytest.approx(hit.match, abs=2e-3)
        assert scored.similarity == pytest.approx(hit.similarity, abs=2e-3)
    with pytest.raises(UsageError, match="empty"):
        library.score(hit.photograph.id, "  ")
    with pytest.raises(PhotographError):
        library.score(b"no photograph", "red")
    with pytest.raises(NotFoundError):
        library.score(99, "red")


def test_an_open_library_sees_its_match_added_changed_and_removed(library: Library, photographs: Path) -> None:
    index(library, photographs)

    def calibration_and_cut() -> tuple[str, float]:
        result = library.search(Query(text="red"))
        return result.calibration, result.min_match

    assert calibration_and_cut() == ("background", 0.0)
    for cut in (0.25, 0.5):
        make_artifact(min_match=cut).save(library.folder)
        assert calibration_and_cut() == ("ratings", cut)
    (library.folder / "match.json").unlink()
    assert calibration_and_cut() == ("background", 0.0)


def test_the_match_of_the_library_has_priority_over_that_of_the_model(
    library: Library, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(library, photographs)
    model = tmp_path / "model"
    make_artifact(min_match=0.1).save(model)
    monkeypatch.setattr(
        service.match.scorer, "find_artifact", lambda encoder, library, _: find_artifact(encoder, library, model)
    )
    assert library.search(Query(text="red")).min_match == 0.1
    make_artifact(min_match=0.2).save(library.folder)
    assert library.search(Query(text="red")).min_match == 0.2
    with opened(library.folder, None) as again:
        assert again.search(Query(text="red")).min_match == 0.2


def test_a_match_of_another_model_is_refused_until_it_is_removed(library: Library, photographs: Path) -> None:
    index(library, photographs)
    make_artifact("another").save(library.folder)
    for _ in range(2):
        with pytest.raises(MismatchError, match=r"match\.json belongs to the model with the fingerprint another"):
            library.search(Query(text="red"))
    (library.folder / "match.json").unlink()
    assert library.search(Query(text="red")).hits


def test_photographs_can_be_filtered_browsed_and_counted_without_a_model(
    library: Library, photographs: Path, models: Models
) -> None:
    """Without metadata the time of the file is the date of the photograph."""
    for day, name in enumerate(("red", "green", "blue", "yellow"), 1):
        os.utime(photographs / f"{name}.png", (0, 1_562_000_000 + 86_400 * day))
    (photographs / "summer").mkdir()
    (photographs / "blue.png").rename(photographs / "summer" / "blue.png")
    index(library, photographs)
    assert (library.folder / "attributes.columns").is_file(), "saved with the index"
    models.loaded.clear()
    with opened(library.folder) as reader:
        newest = reader.photographs(limit=3)
        assert [hit.photograph.name for hit in newest.hits] == ["yellow.png", "blue.png", "green.png"]
        oldest = reader.photographs(limit=3, cursor=newest.next_cursor)
        assert [hit.photograph.name for hit in oldest.hits] == ["red.png"]
        assert oldest.next_cursor is None
        summer = Filters(folder=("Summer",))
        assert [hit.photograph.name for hit in reader.photographs(summer).hits] == ["blue.png"]
        facets = reader.facets(summer)
        assert facets.photographs == 1
        assert [(each.value, each.count) for each in facets.counts["folder"]] == [("summer", 1)]
        assert [(each.value, each.count) for each in facets.counts["year"]] == [(2019, 1)]
        with pytest.raises(UsageError, match="number of values is 0; it must be from 1 to 1,000"):
            reader.facets(most=0)
    assert models.loaded == []


def test_a_search_finds_k_photographs_of_those_that_filters_leave(library: Library, photographs: Path) -> None:
    paint(photographs / "summer" / "blue.png", "blue")
    paint(photographs / "summer" / "green.png", "green")
    index(library, photographs)
    summer = Filters(folder=("summer",))
    result = library.search(Query(text="red", k=2, filters=summer))
    assert sorted(hit.photograph.relative for hit in result.hits) == ["summer/blue.png", "summer/green.png"]
    assert (result.filtered, result.photographs) == (2, 6)
    shutil.rmtree(photographs / "summer")
    index(library, photographs, prune=True, confirm=2)
    assert library.search(Query(text="red", filters=summer)).hits == []


def test_filters_by_folder_follow_a_root_that_was_moved(library: Library, photographs: Path) -> None:
    index(library, photographs)
    assert len(library.photographs(Filters(folder=("photographs",))).hits) == 4
    moved = photographs.rename(photographs.with_name("pictures"))
    library.move_root(photographs, moved)
    assert len(library.photographs(Filters(folder=("pictures",))).hits) == 4
    assert library.photographs(Filters(folder=("photographs",))).hits == []
