"""The ratings of a library as a folder of data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from data.ratings import read_rated_pairs
from service.config import Settings
from service.errors import LibraryError, UsageError
from service.library import Library
from service.store.ratings import Ratings, make_rating
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


def test_of_more_than_three_grades_the_newest_three_are_exported(
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


def test_a_photograph_whose_file_is_missing_is_named_and_left_out(
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


def test_existing_tables_are_replaced_only_with_force(library: Library, ids: dict[str, int], tmp_path: Path) -> None:
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


def test_a_folder_that_cannot_be_exported_to_is_refused(
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


def test_control_characters_in_file_names_are_replaced(library: Library, photographs: Path, tmp_path: Path) -> None:
    name = f"line\nbreak\t{'ё' * 100}.png"
    ids = add_painted(library.catalog, photographs, name)
    library.rate(ids[name], "a flower", fits=True)
    library.export_ratings(tmp_path / "out")
    (photograph,) = read_rated_pairs(tmp_path / "out").photographs
    assert photograph.name.startswith(f"{ids[name]}-")
    assert photograph.name.endswith("ё.png")
    assert photograph.name.isprintable()
    assert len(photograph.name.encode()) < 140
