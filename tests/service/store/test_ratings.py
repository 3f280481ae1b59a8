"""Ratings: validation, storage and selection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from service.config import Settings
from service.errors import NotFoundError, UsageError
from service.library import Library
from service.store.migrations import MIGRATIONS
from service.store.ratings import DEFAULT_RATER, MAX_NAME_CHARACTERS, Ratings, make_rating
from service.store.records import Entry, FileInfo, PhotographFacts
from service.store.tombstones import Tombstones
from service.texts import MAX_CHARACTERS
from tests.service.colours import add_painted


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return tmp_path.resolve() / "photographs"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    folder = tmp_path / "library"
    with Library.open(folder, Settings(library=folder), create=True) as opened:
        yield opened


@pytest.fixture
def ids(library: Library, photographs: Path) -> dict[str, int]:
    return add_painted(library.catalog, photographs, "a.png", "b.png", "c.png")


# -- what is kept --------------------------------------------------------------------------------------


def test_a_rating_is_stored_with_its_rater_and_time(library: Library, ids: dict[str, int]) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    given = library.rate(ids["a.png"], "  a red\n flower ", grade=3, rater="Ada  L.")
    assert library.ratings() == [given]
    assert (given.photograph_id, given.text, given.scale, given.value) == (ids["a.png"], "a red flower", "expert", 3)
    assert (given.grade, given.fits, given.rater) == (3, None, "Ada L.")
    assert before <= given.time <= datetime.now(UTC)
    assert given.time.utcoffset() == timedelta(0)
    assert given.time.microsecond == 0


def test_ratings_are_still_there_when_the_library_is_opened_again(library: Library, ids: dict[str, int]) -> None:
    given = library.rate(ids["a.png"], "a red flower", fits=False)
    with Library.open(library.folder) as again:
        assert again.ratings() == [given]
        assert (given.grade, given.fits, given.rater) == (None, False, DEFAULT_RATER)


def test_rating_again_replaces_the_rating_of_the_same_person(library: Library, ids: dict[str, int]) -> None:
    for grade in (1, 4):
        library.rate(ids["a.png"], "a red flower", grade=grade, rater="Ada")
    library.rate(ids["a.png"], "a red flower", grade=2, rater="Ben")
    library.rate(ids["a.png"], "a red flower", fits=True, rater="Ada")
    library.rate(ids["b.png"], "a red flower", grade=1, rater="Ada")
    said = [(each.photograph_id, each.rater, each.grade, each.fits) for each in library.ratings()]
    first, second = ids["a.png"], ids["b.png"]
    assert said == [
        (first, "Ada", 4, None), (first, "Ben", 2, None), (first, "Ada", None, True), (second, "Ada", 1, None)
    ]  # fmt: skip


def test_rating_again_has_the_new_time(library: Library, ids: dict[str, int]) -> None:
    early = make_rating(ids["a.png"], "a flower", fits=True)
    ratings = Ratings(library.catalog)
    ratings.add(early)
    late = type(early)(early.photograph_id, early.text, "crowd", 0, early.rater, early.time + timedelta(hours=1))
    ratings.add(late)
    assert library.ratings() == [late]


def test_ratings_are_selected_by_photograph_and_by_text(library: Library, ids: dict[str, int]) -> None:
    for name in ("a.png", "b.png"):
        for text in ("a flower", "a cat"):
            library.rate(ids[name], text, fits=True)
    assert [each.text for each in library.ratings(ids["b.png"])] == ["a flower", "a cat"]
    assert [each.photograph_id for each in library.ratings(text=" a  cat")] == [ids["a.png"], ids["b.png"]]
    (one,) = library.ratings(ids["b.png"], "a cat")
    assert (one.photograph_id, one.text) == (ids["b.png"], "a cat")
    assert library.ratings(text="a dog") == []
    assert [each.text for each in library.ratings(limit=2, offset=1)] == ["a cat", "a flower"]
    assert (library.count_ratings(), library.count_ratings(text="a cat"), library.count_ratings(ids["c.png"])) == (
        4,
        2,
        0,
    )


def test_a_rating_does_not_change_search_results(library: Library, ids: dict[str, int]) -> None:
    before = library.catalog.generation()
    library.rate(ids["a.png"], "a flower", fits=True)
    assert library.catalog.generation() == before
    assert library.catalog.stamp(before + 1) is None


def test_ratings_of_a_removed_photograph_are_not_shown(library: Library, ids: dict[str, int]) -> None:
    for identity in ids.values():
        library.rate(identity, "a flower", fits=True)
    library.catalog.remove([ids["b.png"]])
    assert [each.photograph_id for each in library.ratings()] == [ids["a.png"], ids["c.png"]]
    assert library.count_ratings() == 2


def test_ratings_come_back_with_their_photograph(library: Library, ids: dict[str, int]) -> None:
    rating = library.rate(ids["b.png"], "a flower", fits=True)
    library.catalog.remove([ids["b.png"]])
    content_hash = (1).to_bytes(16, "big")
    assert Tombstones(library.catalog).find(content_hash, None) == [ids["b.png"]]
    root = library.catalog.roots()[0]
    facts = PhotographFacts(FileInfo(root.id, "elsewhere", "b.png", 10, 1), content_hash, 48, 32, "PNG")
    library.catalog.write([Entry(facts, {"colours": np.full(4, 0.5, np.float16)}, b"", ids["b.png"])])
    assert library.ratings() == [rating]
    assert library.photograph(ids["b.png"]).relative == "elsewhere/b.png"
    assert library.removed() == []


def test_forgetting_a_photograph_erases_its_ratings_for_good(library: Library, ids: dict[str, int]) -> None:
    for identity in ids.values():
        library.rate(identity, "a flower", fits=True)
    library.catalog.remove([ids["b.png"]])
    forgotten = Tombstones(library.catalog).forget([ids["a.png"], ids["b.png"], 999, 10**30])
    assert (forgotten.photographs, forgotten.ratings, forgotten.kinds) == (2, 2, 0)
    assert library.catalog.connection.execute("SELECT photograph_id FROM rating").fetchall() == [(ids["c.png"],)]
    assert library.catalog.count() == 1


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "one of the two: a grade"),
        ({"grade": 3, "fits": True}, "one of the two: a grade"),
        ({"grade": 0}, "The grade is 0; it must be from 1"),
        ({"grade": 5}, "The grade is 5; it must be from 1"),
        ({"fits": True, "text": " \n"}, "The text is empty"),
        ({"fits": True, "text": "x" * (MAX_CHARACTERS + 1)}, "at most 1,000"),
        ({"fits": True, "text": "half \ud83d"}, "not Unicode"),
        ({"fits": True, "text": "a \x1b[31mflower"}, "The text holds characters that are no text"),
        ({"fits": True, "rater": " "}, "name has 0 characters"),
        ({"fits": True, "rater": "x" * (MAX_NAME_CHARACTERS + 1)}, "name has 101 characters"),
        ({"fits": True, "rater": "\udc80"}, "The rater's name holds characters"),
    ],
)
def test_an_invalid_rating_is_refused(
    library: Library, ids: dict[str, int], arguments: dict[str, object], said: str
) -> None:
    options = {"text": "a flower"} | arguments
    with pytest.raises(UsageError) as refusal:
        library.rate(ids["a.png"], **options)  # type: ignore[arg-type]
    assert said in refusal.value.message
    assert library.ratings() == []


@pytest.mark.parametrize("identity", [-1, 0, 99, 1 << 70])
def test_a_missing_photograph_cannot_be_rated(library: Library, ids: dict[str, int], identity: int) -> None:
    for ask in (lambda: library.rate(identity, "a flower", fits=True), lambda: library.ratings(identity)):
        with pytest.raises(NotFoundError, match="There is no photograph"):
            ask()
    assert library.count_ratings() == 0


@pytest.mark.parametrize("asked", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"offset": 1 << 70}])
def test_an_invalid_limit_or_offset_is_refused(library: Library, asked: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"The (limit|offset) is .*; it must be"):
        library.ratings(**asked)


def test_the_catalog_itself_enforces_the_scales(library: Library, ids: dict[str, int]) -> None:
    for scale, value in (("expert", 5), ("crowd", 2), ("other", 1)):
        with pytest.raises(sqlite3.IntegrityError), library.catalog.transaction() as connection:
            row = (ids["a.png"], "a flower", scale, value, "me", 0)
            connection.execute(
                "INSERT INTO rating (photograph_id, text, scale, value, rater, time) VALUES (?, ?, ?, ?, ?, ?)", row
            )


# -- an older catalog ----------------------------------------------------------------------------------


def test_a_catalog_from_before_ratings_keeps_its_photographs_and_vectors(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as connection:
        connection.executescript(MIGRATIONS[0])
        connection.executescript(
            """
            INSERT INTO root (path) VALUES ('/photographs');
            INSERT INTO photograph VALUES (1, 1, '', 'a.png', 10, 1, x'01', 48, 32, 'PNG');
            INSERT INTO photograph VALUES (2, 1, '', 'b.png', 10, 1, x'02', 48, 32, 'PNG');
            INSERT INTO thumbnail VALUES (1, x'7468756d626e61696c');
            INSERT INTO vector VALUES (2, 'colours', 1, x'0038003800380038');
            UPDATE setting SET value = '1' WHERE key = 'generation';
            INSERT INTO history VALUES (1, 'a stamp');
            PRAGMA user_version = 1;
            """
        )
    with Library.open(folder) as library:
        assert library.catalog.generation() == 1
        assert {record.name for record in library.catalog.records([1, 2]).values()} == {"a.png", "b.png"}
        assert library.catalog.vector(2, "colours").tolist() == [0.5] * 4
        assert library.catalog.thumbnail(1) == b"thumbnail"
        assert library.ratings() == []
        assert library.rate(1, "a flower", fits=True) in library.ratings()


def test_a_catalog_in_which_ratings_hung_on_rows_keeps_them(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as connection:
        for migration in MIGRATIONS[:3]:
            connection.executescript(migration)
        connection.executescript(
            """
            INSERT INTO root (path) VALUES ('/photographs');
            INSERT INTO photograph VALUES (7, 1, '', 'a.png', 10, 1, x'01', 48, 32, 'PNG');
            INSERT INTO rating VALUES (3, 7, 'a flower', 'expert', 4, 'me', 1700000000);
            INSERT INTO kind VALUES (7, 'tulip');
            INSERT INTO setting VALUES ('kinds', 'table');
            PRAGMA user_version = 3;
            """
        )
    with Library.open(folder) as library:
        (rating,) = library.ratings()
        assert (rating.photograph_id, rating.text, rating.grade, rating.rater) == (7, "a flower", 4, "me")
        assert library.kinds.counts() == {"tulip": 1}
        library.catalog.remove([7])
        assert library.catalog.connection.execute("SELECT COUNT(*) FROM rating").fetchone() == (1,)
