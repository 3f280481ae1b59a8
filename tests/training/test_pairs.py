"""The table of pairs: what is read, what is left out, and the error for each fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import DataError, NotFoundError, PhotographError
from tests.training.pair_tables import painted_images, table_of
from training.pairs import describe_faults, read_pair_table, read_photographs, split_photographs


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return painted_images(tmp_path / "images")


def test_a_table_saved_by_a_spreadsheet_is_read(images: Path, tmp_path: Path) -> None:
    content = (
        '\ufeffimage\tnote\ttext\r\na.png\t1\t"a ""red""\tdoor"\r\n./a.png\t2\ta door \r\na.png\t3\ta door\r\n\r\n'
        "день 1.png\t\tпервый день\r\nsub/c.png\t\ta door\r\n"
    )
    table = read_pair_table(table_of(tmp_path, content), images)
    assert [(each.name, each.row, each.texts) for each in table.photographs] == [
        ("a.png", 2, ('a "red"\tdoor', "a door")),
        ("день 1.png", 6, ("первый день",)),
        (str(Path("sub/c.png")), 7, ("a door",)),
    ]
    assert table.faults == ()


def test_bad_rows_are_left_out_and_named(images: Path, tmp_path: Path) -> None:
    rows = [
        "image\ttext\tsplit",
        "a.png\tone\ttrain",
        "b.png\tone",
        "\tone\ttrain",
        "b.png\t  \ttrain",
        "gone.png\tone\ttrain",
        f"{images / 'b.png'}\tone\ttrain",
        "sub/../../pairs.tsv\tone\ttrain",
        "b.png\tone\ttest",
        "a.png\tone\tvalidation",
        "b.png\tone\t",
        "..\tone\ttrain",
    ]
    table = read_pair_table(table_of(tmp_path, "\n".join(rows)), images)
    assert [each.name for each in table.photographs] == ["a.png"]
    assert table.faults == (
        "row 3: 2 cells where the header has 3.",
        "row 4, column image: the cell is empty.",
        "row 5, column text: the cell is empty.",
        f"row 6, column image: there is no photograph 'gone.png' in {images}.",
        f"row 7, column image: {str(images / 'b.png')!r} leaves the folder {images}.",
        f"row 8, column image: 'sub/../../pairs.tsv' leaves the folder {images}.",
        "row 9, column split: 'test' is neither train nor validation.",
        "row 10, column split: 'a.png' is already in the other split.",
        "row 11, column split: an empty cell is neither train nor validation.",
        f"row 12, column image: '..' leaves the folder {images}.",
    )
    lines = describe_faults(table.faults)
    assert len(lines) == 6
    assert lines[0] == "Left out: row 3: 2 cells where the header has 3."
    assert lines[-1] == "Left out: 5 more rows."
    assert len(describe_faults(table.faults[:5])) == 5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "row 1: no column image, and the columns image and text are needed, separated by tabs; the file is empty"),
        ("image,text\na.png,one\n", "row 1: no column image.*separated by tabs; found: image,text"),
        ("image\ttext\ttext\n", "row 1: more than one column text"),
        ("image\ttext\n", "has no usable row: there is nothing below its header"),
        ("image\ttext\ngone.png\tx\n", "has no usable row; the first fault: row 2, column image: there is"),
        ('image\ttext\na.png\t"open\n', "after row 1: .*; check the quotes"),
        ("image\ttext\na.png\tone\nb.png\t\xe9\n".encode("latin-1"), "the text is not UTF-8; save the table as UTF-8"),
    ],
)
def test_a_file_that_is_not_such_a_table_is_refused(
    images: Path, tmp_path: Path, content: str | bytes, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        read_pair_table(table_of(tmp_path, content), images)


def test_a_missing_file_or_folder_is_named(images: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no file .*gone\.tsv"):
        read_pair_table(tmp_path / "gone.tsv", images)
    with pytest.raises(NotFoundError, match=r"There is no folder .*gone"):
        read_pair_table(table_of(tmp_path, "image\ttext\na.png\tone\n"), tmp_path / "gone")


def test_validation_is_drawn_by_photographs(tmp_path: Path) -> None:
    rows = ["image\ttext"]
    (tmp_path / "images").mkdir()
    for number in range(48):
        (tmp_path / "images" / f"{number}.png").touch()
        rows += [f"{number}.png\tred", f"{number}.png\ta photo of something red"]
    table = read_pair_table(table_of(tmp_path, "\n".join(rows)), tmp_path / "images")
    train, validation = split_photographs(table, 0.25, seed=0)
    assert (len(train), len(validation)) == (36, 12)
    assert {each.name for each in train}.isdisjoint(each.name for each in validation)
    assert split_photographs(table, 0.25, seed=0) == (train, validation)
    assert split_photographs(table, 0.25, seed=1)[1] != validation
    assert len(split_photographs(table, 0.001, seed=0)[1]) == 2
    assert len(split_photographs(table, 0.999, seed=0)[0]) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("image\ttext\tsplit\na.png\tx\ttrain\nb.png\tx\ttrain\n", "there is no photograph of split validation"),
        (
            "image\ttext\tsplit\na.png\tx\ttrain\nb.png\tx\tvalidation\nsub/c.png\tx\tvalidation\n",
            "there is only one photograph of split train; at least 2",
        ),
        ("image\ttext\na.png\tx\nb.png\tx\nsub/c.png\tx\n", "has 3 usable photographs; at least 4"),
    ],
)
def test_a_split_with_too_few_photographs_is_an_error(
    images: Path, tmp_path: Path, content: str, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        split_photographs(read_pair_table(table_of(tmp_path, content), images), 0.1, seed=0)


def test_a_photograph_that_disappears_during_training_is_named(images: Path) -> None:
    with pytest.raises(PhotographError, match=r"gone\.png cannot be used as a photograph"):
        list(read_photographs([[images / "a.png"], [images / "gone.png"]], 64, 2))
    assert [len(batch) for batch in read_photographs([[images / "a.png"] * 3, [images / "b.png"]], 64, 2)] == [3, 1]
    assert list(read_photographs([], 64, 2)) == []
