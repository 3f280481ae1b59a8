"""Libraries made by every released version open, and answer as they did.

`tests/libraries/VERSION.tar.xz` holds a library over the sample photographs, made by that version with `mini` in fp32,
and `expected.json`, what that version answered. Its photographs are gone, as on a drive that is away.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data.samples import copy_samples
from service.config import Settings
from service.indexing.indexer import Finished
from service.kinds.knn_vote import KnnVote
from service.library import Library
from service.search.hits import SearchResult
from service.search.query import Query

RELEASED = sorted((Path(__file__).parent / "libraries").glob("*.tar.xz"))
CLOSE = 1e-3
"""Texts are encoded anew, which rounds in another way on another processor."""


@dataclass(frozen=True)
class Released:
    folder: Path
    expected: dict[str, Any]

    def open(self) -> Library:
        return Library.open(self.folder, Settings(library=self.folder, device="cpu", precision="fp32"))


@pytest.fixture(params=RELEASED, ids=lambda file: file.name.removesuffix(".tar.xz"))
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Released:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return Released(tmp_path / "library", json.loads((tmp_path / "expected.json").read_text(encoding="utf-8")))


def ids(library: Library) -> dict[str, int]:
    return {record.name: record.id for record in library.catalog.records(range(1, 1000)).values()}


def same(result: SearchResult, expected: list[list[Any]]) -> None:
    assert [hit.photograph.name for hit in result.hits] == [name for name, _, _ in expected]
    assert [hit.match for hit in result.hits] == pytest.approx([match for _, match, _ in expected], abs=CLOSE)
    assert [hit.similarity for hit in result.hits] == pytest.approx([cosine for *_, cosine in expected], abs=CLOSE)


def test_there_is_a_library_of_a_released_version() -> None:
    assert RELEASED


def test_it_opens_with_its_photographs_and_its_model(released: Released) -> None:
    with released.open() as library:
        status = library.status()
    found = {name: getattr(status, name) for name in released.expected["status"]}
    assert found == released.expected["status"]


def test_searches_find_the_same_with_the_same_matches(released: Released) -> None:
    with released.open() as library:
        for text, expected in released.expected["texts"].items():
            result = library.search(Query(text=text, k=5, min_match=0.0))
            same(result, expected["hits"])
            assert result.calibration == expected["calibration"]
            assert library.search(Query(text=text)).answerable == expected["answerable"]
        for name, hits in released.expected["photographs"].items():
            same(library.search(Query(photo_id=ids(library)[name], k=3)), hits)
        for name, text, match, similarity in released.expected["scores"]:
            score = library.score(ids(library)[name], text)
            assert (score.match, score.similarity) == pytest.approx((match, similarity), abs=CLOSE)


def test_its_head_finds_the_same(released: Released) -> None:
    with released.open() as library:
        assert [(head.name, head.fault) for head in library.heads()] == [("random", None)]
        for name, hits in released.expected["head"].items():
            same(library.search(Query(photo_id=ids(library)[name], k=3, head="random")), hits)


def test_its_indexes_are_read_and_not_made_anew(released: Released, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("vectors were read from the catalog")

    with released.open() as library:
        monkeypatch.setattr(library.catalog, "changes", refuse)
        for head in (None, "random"):
            assert library.search(Query(photo_id=1, k=3, head=head)).hits


def test_what_people_said_is_kept(released: Released) -> None:
    with released.open() as library:
        names = {identity: name for name, identity in ids(library).items()}
        said = {
            (names[each.photograph_id], each.text, each.scale, each.value, each.rater) for each in library.ratings()
        }
        assert said == {
            ("coffee.png", "a cup of coffee", "expert", 4, "ann"),
            ("cat.png", "a dog", "crowd", 0, "me"),
            ("rocket.jpg", "a rocket at night", "crowd", 1, "bob"),
        }
        assert set(library.kinds.counts()) == {"living", "things"}


def test_its_vote_is_read_from_its_file(released: Released) -> None:
    before = (released.folder / "vote.json").read_bytes()
    with released.open() as library:
        assert library.vote() == KnnVote.of(json.loads(before)["vote"])
    assert (released.folder / "vote.json").read_bytes() == before


def test_thumbnails_are_still_pictures(released: Released) -> None:
    with released.open() as library:
        assert all(library.catalog.thumbnail(identity)[:3] == b"\xff\xd8\xff" for identity in ids(library).values())


def test_its_photographs_get_metadata_without_being_encoded_again(released: Released, tmp_path: Path) -> None:
    with released.open() as library:
        records = library.catalog.records(sorted(ids(library).values()))
        (root,) = library.catalog.roots()
        samples = {each.name: each for each in copy_samples(tmp_path / "samples")}
        for record in records.values():
            target = tmp_path / "here now" / record.relative
            target.parent.mkdir(parents=True, exist_ok=True)
            samples[record.name].rename(target)
        library.move_root(root.path, tmp_path / "here now")
        fingerprint = str(library.catalog.setting("fingerprint"))
        before = {identity: library.catalog.vector(identity, fingerprint).tolist() for identity in records}
        (summary,) = [event.summary for event in library.index() if isinstance(event, Finished)]
        assert (summary.unchanged, summary.changed, summary.added, summary.failed) == (len(records), 0, 0, [])
        assert {identity: library.catalog.vector(identity, fingerprint).tolist() for identity in records} == before
        assert library.catalog.details(list(records)).keys() == records.keys()
        assert library.ratings()
