"""Reading captions and ratings: what is read, and the error for each fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.captions import read_captions, read_crowd_ratings, read_expert_ratings, read_texts
from service.errors import DataError

HEADER = "image\tcaption_id\tsplit\tcaption\n"


def make_folder(folder: Path, rows: str, header: str = HEADER) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    for name in ("a.jpg", "b.jpg"):
        (folder / "images" / name).write_bytes(b"not opened by the reader")
    (folder / "captions.tsv").write_text(header + rows, encoding="utf-8")
    return folder


def test_groups_captions_by_photograph_and_unquotes_them(tmp_path: Path) -> None:
    rows = (
        "a.jpg\ta.jpg#0\ttrain\tA dog .\n"
        'b.jpg\tb.jpg#0\ttest\t"A sign says ""stop"" ."\n'
        "a.jpg\ta.jpg#1\ttrain\tA dog runs .\n"
    )
    first, second = read_captions(make_folder(tmp_path, rows))
    assert (first.name, first.split) == ("a.jpg", "train")
    assert first.path == tmp_path / "images" / "a.jpg"
    assert [caption.text for caption in first.captions] == ["A dog .", "A dog runs ."]
    assert second.captions[0].text == 'A sign says "stop" .'


def test_reads_one_split(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "a.jpg\ta#0\ttrain\tA dog\nb.jpg\tb#0\ttest\tA cat\n")
    assert [each.name for each in read_captions(folder, "test")] == ["b.jpg"]


def test_a_text_without_a_photograph_is_read_as_a_text_only(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "a.jpg\ta#0\ttrain\tA dog\n\ttext-1\trated\tA cat\n")
    assert [each.name for each in read_captions(folder)] == ["a.jpg"]
    assert read_texts(folder) == {"a#0": "A dog", "text-1": "A cat"}
    with pytest.raises(DataError, match="no row is of split 'rated'; the file has: train"):
        read_captions(folder, "rated")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (" \ta#0\ttrain\tA dog\n", "row 2, column image: the cell is empty"),
        ("\t\ttrain\tA dog\n", "row 2, column caption_id: the cell is empty"),
        ("\tt#0\ttrain\tA dog\n\tt#0\ttrain\tA cat\n", "row 3, column caption_id: 't#0' was already used"),
        ("a.jpg\ta#0\ttrain\t \n", "row 2, column caption: the cell is empty"),
        ("a.jpg\ta#0\t\tA dog\n", "row 2, column split: the cell is empty"),
        ("a.jpg\ta#0\ttrain\tA dog\nc.jpg\tc#0\ttrain\tA cat\n", "row 3, column image: there is no photograph 'c.jpg'"),
        ("../a.jpg\ta#0\ttrain\tA dog\n", "row 2, column image: '../a.jpg' leaves the folder"),
        ("a.jpg\ta#0\ttrain\tA dog\na.jpg\ta#0\ttrain\tA dog\n", "row 3, column caption_id: 'a#0' was already used"),
        ("a.jpg\ta#0\ttrain\tA dog\na.jpg\ta#1\ttest\tA dog\n", "row 3, column split: 'a.jpg' is already in split"),
        ("a.jpg\ta#0\ttrain\n", "row 2: 3 cells where the header has 4"),
        ('a.jpg\ta#0\ttrain\t"A dog\n', "captions.tsv, after row 1"),
    ],
)
def test_a_fault_names_file_row_and_column(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_captions(make_folder(tmp_path, rows))
    assert message in caught.value.message
    assert "captions.tsv" in caught.value.message


def test_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"There is no file .*captions\.tsv\. A folder of data holds images/ and captions\.tsv"
    ):
        read_captions(tmp_path)


def test_names_a_missing_column(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "a.jpg\ta#0\tA dog\n", header="image\tcaption_id\tcaption\n")
    with pytest.raises(
        DataError, match="no column split, and the columns image and caption_id and split and caption are needed"
    ):
        read_captions(folder)


def test_names_the_existing_splits(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "a.jpg\ta#0\ttrain\tA dog\nb.jpg\tb#0\ttest\tA cat\n")
    with pytest.raises(DataError, match=r"no row is of split 'tset'; the file has: test, train"):
        read_captions(folder, "tset")


def test_a_table_that_is_not_utf8_is_a_fault(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "")
    (folder / "captions.tsv").write_bytes(HEADER.encode() + b"a.jpg\ta#0\ttrain\tcaf\xe9\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_captions(folder)


def test_crowd_ratings_become_shares(tmp_path: Path) -> None:
    (tmp_path / "crowd_ratings.tsv").write_text("image\tcaption_id\tyes\tno\na.jpg\tb#2\t1\t3\n")
    (rating,) = read_crowd_ratings(tmp_path)
    assert (rating.image, rating.caption_id, rating.share) == ("a.jpg", "b#2", 0.25)


@pytest.mark.parametrize(
    ("votes", "message"),
    [("0\t0", "nobody voted"), ("-1\t3", "column yes: '-1' is not a whole number"), ("1\tx", "column no: 'x'")],
)
def test_invalid_crowd_votes_are_a_fault(tmp_path: Path, votes: str, message: str) -> None:
    (tmp_path / "crowd_ratings.tsv").write_text(f"image\tcaption_id\tyes\tno\na.jpg\tb#2\t{votes}\n")
    with pytest.raises(DataError) as caught:
        read_crowd_ratings(tmp_path)
    assert message in caught.value.message


def test_expert_ratings_are_from_one_to_four(tmp_path: Path) -> None:
    file = tmp_path / "expert_ratings.tsv"
    header = "image\tcaption_id\texpert1\texpert2\texpert3\n"
    file.write_text(f"{header}a.jpg\tb#2\t1\t2\t3\n")
    (rating,) = read_expert_ratings(tmp_path)
    assert rating.mean == 2.0
    file.write_text(f"{header}a.jpg\tb#2\t1\t2\t5\n")
    with pytest.raises(DataError, match="row 2, column expert3: '5' is not a whole number from 1 to 4"):
        read_expert_ratings(tmp_path)


@pytest.mark.parametrize(
    ("cells", "scores"), [("4\t\t", (4,)), ("4\t3\t", (4, 3)), ("\t\t2", (2,)), ("1\t2\t3", (1, 2, 3))]
)
def test_a_pair_may_have_fewer_than_three_judges(tmp_path: Path, cells: str, scores: tuple[int, ...]) -> None:
    header = "image\tcaption_id\texpert1\texpert2\texpert3\n"
    (tmp_path / "expert_ratings.tsv").write_text(f"{header}a.jpg\tb#2\t{cells}\n")
    (rating,) = read_expert_ratings(tmp_path)
    assert rating.scores == scores
    assert rating.mean == sum(scores) / len(scores)


def test_a_pair_without_a_judge_is_a_fault(tmp_path: Path) -> None:
    header = "image\tcaption_id\texpert1\texpert2\texpert3\n"
    (tmp_path / "expert_ratings.tsv").write_text(f"{header}a.jpg\tb#2\t\t \t\n")
    with pytest.raises(DataError, match="row 2, column expert1: nobody judged"):
        read_expert_ratings(tmp_path)
