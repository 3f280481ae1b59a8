"""Tables of people: rows by column and as they are written, and errors that name the row."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import DataError
from service.store.tsv import TableRow, read_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table.tsv"


def test_rows_have_cells_by_column_and_their_text_as_written(table: Path) -> None:
    table.write_bytes(b'\xef\xbb\xbfkind\timage\r\n"a ""rose"""\t1.jpg\r\n\r\n"two\nlines"\t2.jpg')
    assert list(read_table(table, ["image"])) == [
        TableRow(table, 1, "kind\timage", {"kind": "kind", "image": "image"}),
        TableRow(table, 2, '"a ""rose"""\t1.jpg', {"kind": 'a "rose"', "image": "1.jpg"}),
        TableRow(table, 4, '"two\nlines"\t2.jpg', {"kind": "two\nlines", "image": "2.jpg"}),
    ]


def test_an_error_is_raised_only_when_its_row_is_read(table: Path) -> None:
    table.write_text("image\na.jpg\nb.jpg\textra\n", encoding="utf-8")
    rows = read_table(table, ["image"])
    assert [next(rows).number, next(rows).number] == [1, 2]
    with pytest.raises(DataError, match="row 3: 2 cells where the header has 1"):
        next(rows)


def test_a_missing_column_is_named_with_those_that_are_there(table: Path) -> None:
    table.write_text("photo\ttext\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(read_table(table, ["image", "text"]))
    assert caught.value.message == (
        f"{table}, row 1: no column image, and the columns image and text are needed, separated by tabs; found: photo, "
        "text."
    )


def test_an_optional_column_may_be_missing_but_not_be_there_twice(table: Path) -> None:
    table.write_text("image\ttext\n", encoding="utf-8")
    assert len(list(read_table(table, ["image"], optional=["text"]))) == 1
    assert len(list(read_table(table, ["image"], optional=["split"]))) == 1
    table.write_text("image\tsplit\tsplit\n", encoding="utf-8")
    with pytest.raises(DataError, match="row 1: more than one column split"):
        list(read_table(table, ["image"], optional=["split"]))


def test_uneven_rows_can_be_left_out_with_a_sentence(table: Path) -> None:
    table.write_text("image\ttext\na.png\tone\tmore\n\nb.png\ttwo\n", encoding="utf-8")
    sentences: list[str] = []
    rows = list(read_table(table, ["image", "text"], on_uneven=sentences.append))
    assert [(row.number, row.cells["image"]) for row in rows] == [(1, "image"), (4, "b.png")]
    assert sentences == ["row 2: 3 cells where the header has 2."]


def test_a_missing_table_comes_with_the_hint(table: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*table\.tsv\. Name a table\."):
        list(read_table(table, ["image"], hint="Name a table."))


def test_an_error_of_a_row_names_table_row_and_column(table: Path) -> None:
    assert TableRow(table, 7, "", {}).error("kind", "it is empty.").message == (
        f"{table}, row 7, column kind: it is empty."
    )
