"""Ratings: who may say what, what is kept, and the folder of data that comes of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from data.ratings import read_rated_pairs
from service.config import Settings
from service.errors import LibraryError, NotFoundError, UsageError
from service.library import Library
from service.store.catalog import Catalog
from service.store.migrations import MIGRATIONS
from service.store.ratings import DEFAULT_RATER, MOST_NAME_CHARACTERS, Ratings, make_rating
from service.store.records import Entry, FileInfo, PhotographFacts
from service.texts import MOST_CHARACTERS
from tests.service.colours import paint

FINGERPRINT = "colours"


def fill(catalog: Catalog, folder: Path, *names: str) -> dict[str, int]:
    """Photographs of a catalog with files, without a model; their ids by name."""
    root, below = catalog.add_root(folder)
    entries = []
    for number, name in enumerate(names):
        file = paint(folder / name, (number, 0, 0))
        place = FileInfo(root.id, below, name, file.stat().st_size, 1)
        facts = PhotographFacts(place, number.to_bytes(16, "big"), 48, 32, "PNG")
        entries.append(Entry(facts, {FINGERPRINT: np.full(4, 0.5, np.float16)}, b"thumbnail"))
    return dict(zip(names, catalog.write(entries), strict=True))


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
    return fill(library.catalog, photographs, "a.png", "b.png", "c.png")


# -- what is kept --------------------------------------------------------------------------------------


def test_a_rating_is_kept_with_its_rater_and_its_time(library: Library, ids: dict[str, int]) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    given = library.rate(ids["a.png"], "  a red\n flower ", grade=3, rater="Ada  L.")
    assert library.ratings() == [given]
    assert (given.photograph_id, given.text, given.scale, given.value) == (ids["a.png"], "a red flower", "expert", 3)
    assert (given.grade, given.fits, given.rater) == (3, None, "Ada L.")
    assert before <= given.time <= datetime.now(UTC)
    assert given.time.utcoffset() == timedelta(0)
    assert given.time.microsecond == 0


def test_it_is_still_there_when_the_library_is_opened_again(library: Library, ids: dict[str, int]) -> None:
    given = library.rate(ids["a.png"], "a red flower", fits=False)
    with Library.open(library.folder) as again:
        assert again.ratings() == [given]
        assert (given.grade, given.fits, given.rater) == (None, False, DEFAULT_RATER)


def test_rating_again_replaces_what_the_same_person_said(library: Library, ids: dict[str, int]) -> None:
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


def test_ratings_are_found_by_photograph_and_by_text(library: Library, ids: dict[str, int]) -> None:
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


def test_a_rating_changes_nothing_that_can_be_found(library: Library, ids: dict[str, int]) -> None:
    before = library.catalog.generation()
    library.rate(ids["a.png"], "a flower", fits=True)
    assert library.catalog.generation() == before
    assert library.catalog.stamp(before + 1) is None


def test_ratings_go_with_their_photograph_and_no_other(library: Library, ids: dict[str, int]) -> None:
    for identity in ids.values():
        library.rate(identity, "a flower", fits=True)
    library.catalog.remove([ids["b.png"]])
    assert [each.photograph_id for each in library.ratings()] == [ids["a.png"], ids["c.png"]]


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "one of the two: a grade"),
        ({"grade": 3, "fits": True}, "one of the two: a grade"),
        ({"grade": 0}, "The grade is 0; it must be from 1"),
        ({"grade": 5}, "The grade is 5; it must be from 1"),
        ({"fits": True, "text": " \n"}, "The text is empty"),
        ({"fits": True, "text": "x" * (MOST_CHARACTERS + 1)}, "at most 1,000"),
        ({"fits": True, "text": "half \ud83d"}, "not Unicode"),
        ({"fits": True, "text": "a \x1b[31mflower"}, "The text holds characters that are no text"),
        ({"fits": True, "rater": " "}, "name has 0 characters"),
        ({"fits": True, "rater": "x" * (MOST_NAME_CHARACTERS + 1)}, "name has 101 characters"),
        ({"fits": True, "rater": "\udc80"}, "The rater's name holds characters"),
    ],
)
def test_what_is_no_rating_gets_a_sentence(
    library: Library, ids: dict[str, int], arguments: dict[str, object], said: str
) -> None:
    options = {"text": "a flower"} | arguments
    with pytest.raises(UsageError) as refusal:
        library.rate(ids["a.png"], **options)  # type: ignore[arg-type]
    assert said in refusal.value.message
    assert library.ratings() == []


@pytest.mark.parametrize("identity", [-1, 0, 99, 1 << 70])
def test_a_photograph_that_is_not_there_is_not_rated(library: Library, ids: dict[str, int], identity: int) -> None:
    for ask in (lambda: library.rate(identity, "a flower", fits=True), lambda: library.ratings(identity)):
        with pytest.raises(NotFoundError, match="There is no photograph"):
            ask()
    assert library.count_ratings() == 0


@pytest.mark.parametrize("asked", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"offset": 1 << 70}])
def test_a_part_that_cannot_be_is_refused(library: Library, asked: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"The (limit|offset) is .*; it must be"):
        library.ratings(**asked)


def test_the_catalog_itself_keeps_to_the_scales(library: Library, ids: dict[str, int]) -> None:
    for scale, value in (("expert", 5), ("crowd", 2), ("other", 1)):
        with pytest.raises(sqlite3.IntegrityError), library.catalog.transaction() as connection:
            row = (ids["a.png"], "a flower", scale, value, "me", 0)
            connection.execute(
                "INSERT INTO rating (photograph_id, text, scale, value, rater, time) VALUES (?, ?, ?, ?, ?, ?)", row
            )


# -- an older catalog ----------------------------------------------------------------------------------


def test_a_catalog_from_before_ratings_keeps_its_photographs_and_vectors(
    tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    with monkeypatch.context() as earlier:
        earlier.setattr("service.store.database.MIGRATIONS", MIGRATIONS[:1])
        old = Catalog(folder / "catalog.sqlite")
        ids = fill(old, photographs, "a.png", "b.png")
        old.close()
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'rating'").fetchall() == []
    with Library.open(folder) as library:
        assert library.catalog.generation() == 1
        assert {record.name for record in library.catalog.records(list(ids.values())).values()} == {"a.png", "b.png"}
        assert library.catalog.vector(ids["b.png"], FINGERPRINT).tolist() == [0.5] * 4
        assert library.catalog.thumbnail(ids["a.png"]) == b"thumbnail"
        assert library.ratings() == []
        assert library.rate(ids["a.png"], "a flower", fits=True) in library.ratings()


# -- finding a photograph by its file ------------------------------------------------------------------


def test_a_photograph_is_found_by_its_file(
    library: Library, ids: dict[str, int], photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.photograph_at(photographs / "b.png").id == ids["b.png"]
    (photographs / "b.png").unlink()
    monkeypatch.chdir(photographs)
    assert library.photograph_at(Path("b.png")).id == ids["b.png"]


@pytest.mark.parametrize("name", ["d.png", "..", "a.png/x", "x\0", "half \udc80.png", "y" * 5000, "loop"])
def test_a_file_that_is_no_photograph_of_the_library_gets_a_sentence(
    library: Library, ids: dict[str, int], photographs: Path, name: str
) -> None:
    (photographs / "loop").symlink_to("loop")
    with pytest.raises(NotFoundError, match="is no photograph of the library"):
        library.photograph_at(photographs / name)


# -- the folder of data --------------------------------------------------------------------------------


def test_an_export_is_a_folder_of_data(
    library: Library, ids: dict[str, int], photographs: Path, tmp_path: Path
) -> None:
    library.rate(ids["a.png"], "a flower", grade=4, rater="Ada")
    library.rate(ids["a.png"], "a flower", grade=2, rater="Ben")
    library.rate(ids["b.png"], "a flower", grade=1)
    for rater, fits in (("Ada", True), ("Ben", True), ("Cem", False)):
        library.rate(ids["b.png"], 'a "red" cat', fits=fits, rater=rater)
    progress: list[tuple[int, int]] = []
    done = library.export_ratings(tmp_path / "out", on_progress=lambda *step: progress.append(step))
    assert (done.photographs, done.texts, done.expert_rows, done.crowd_rows) == (2, 2, 2, 1)
    assert (done.left_out, done.older_grades) == ([], 0)
    assert progress == [(1, 2), (2, 2)]

    pairs = read_rated_pairs(tmp_path / "out")
    first, second = f"{ids['a.png']}-a.png", f"{ids['b.png']}-b.png"
    assert [each.name for each in pairs.photographs] == [first, second]
    assert (tmp_path / "out" / "images" / first).read_bytes() == (photographs / "a.png").read_bytes()
    assert sorted(pairs.texts) == ['a "red" cat', "a flower"]
    flower, cat = pairs.texts.index("a flower"), pairs.texts.index('a "red" cat')
    assert pairs.photograph.tolist() == [0, 1, 1]
    assert pairs.text.tolist() == [flower, flower, cat]
    assert not pairs.own.any()
    assert pairs.grade[:2] == pytest.approx([2 / 3, 0.0])
    assert (pairs.yes[2], pairs.no[2]) == (2, 1)


def test_a_text_has_the_same_id_in_every_export(library: Library, ids: dict[str, int], tmp_path: Path) -> None:
    library.rate(ids["b.png"], "a flower", fits=True)
    library.export_ratings(tmp_path / "one")
    library.rate(ids["a.png"], "a cat", fits=True)
    library.export_ratings(tmp_path / "two")
    one, two = ((tmp_path / name / "captions.tsv").read_text().splitlines() for name in ("one", "two"))
    assert set(one) < set(two)


def test_of_more_than_three_judges_the_newest_three_are_kept(
    library: Library, ids: dict[str, int], tmp_path: Path
) -> None:
    ratings = Ratings(library.catalog)
    for hours, grade in ((3, 1), (0, 2), (1, 3), (2, 4)):
        given = make_rating(ids["a.png"], "a flower", grade=grade, rater=f"judge {hours}")
        time = given.time + timedelta(hours=hours)
        ratings.add(type(given)(given.photograph_id, given.text, "expert", grade, given.rater, time))
    done = library.export_ratings(tmp_path / "out")
    assert done.older_grades == 1
    assert (tmp_path / "out" / "expert_ratings.tsv").read_text().splitlines()[1].split("\t")[2:] == ["3", "4", "1"]


def test_a_photograph_whose_file_is_gone_is_named_and_left_out(
    library: Library, ids: dict[str, int], photographs: Path, tmp_path: Path
) -> None:
    library.rate(ids["a.png"], "a flower", fits=True)
    library.rate(ids["b.png"], "a cat", fits=True)
    library.rate(ids["c.png"], "a dog", fits=True)
    (photographs / "a.png").unlink()
    (photographs / "c.png").write_bytes(b"")
    done = library.export_ratings(tmp_path / "out")
    gone, empty = done.left_out
    assert "a.png" in gone
    assert "is not there any more" in gone
    assert "c.png, is left out: the file is empty." in empty
    assert (done.photographs, done.texts) == (1, 1)
    assert read_rated_pairs(tmp_path / "out").texts == ["a cat"]
    (photographs / "b.png").unlink()
    with pytest.raises(LibraryError, match=r"None of the rated photographs can be read.*a\.png"):
        library.export_ratings(tmp_path / "none")


def test_tables_that_are_there_are_replaced_only_when_told(
    library: Library, ids: dict[str, int], tmp_path: Path
) -> None:
    library.rate(ids["a.png"], "a flower", grade=1)
    library.export_ratings(tmp_path)
    library.rate(ids["a.png"], "a flower", grade=4)
    before = (tmp_path / "expert_ratings.tsv").read_bytes()
    with pytest.raises(UsageError, match=r"holds captions\.tsv, expert_ratings\.tsv, crowd_ratings\.tsv already"):
        library.export_ratings(tmp_path)
    assert (tmp_path / "expert_ratings.tsv").read_bytes() == before
    library.export_ratings(tmp_path, force=True)
    assert read_rated_pairs(tmp_path).grade.tolist() == [1.0]


def test_an_export_that_is_stopped_leaves_no_tables(library: Library, ids: dict[str, int], tmp_path: Path) -> None:
    for identity in ids.values():
        library.rate(identity, "a flower", fits=True)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.export_ratings(tmp_path / "out", on_progress=stop)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["images"]
    library.export_ratings(tmp_path / "out")
    assert len(read_rated_pairs(tmp_path / "out")) == 3
    assert not [file for file in (tmp_path / "out" / "images").iterdir() if file.name.startswith(".")]


def test_what_cannot_be_exported_to_gets_a_sentence(
    library: Library, ids: dict[str, int], photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(LibraryError, match="has no ratings yet"):
        library.export_ratings(tmp_path / "out")
    library.rate(ids["a.png"], "a flower", fits=True)
    with pytest.raises(UsageError, match="lies among the library's photographs"):
        library.export_ratings(photographs / "rated")
    (tmp_path / "file").touch()
    with pytest.raises(LibraryError, match=r"cannot be exported to .*file"):
        library.export_ratings(tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_a_name_that_other_programs_stumble_over_is_made_plain(
    library: Library, photographs: Path, tmp_path: Path
) -> None:
    name = f"line\nbreak\t{'ё' * 100}.png"
    ids = fill(library.catalog, photographs, name)
    library.rate(ids[name], "a flower", fits=True)
    library.export_ratings(tmp_path / "out")
    (photograph,) = read_rated_pairs(tmp_path / "out").photographs
    assert photograph.name.startswith(f"{ids[name]}-")
    assert photograph.name.endswith("ё.png")
    assert photograph.name.isprintable()
    assert len(photograph.name.encode()) < 140
