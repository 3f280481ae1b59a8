"""Rated pairs as arrays: their order and content, and the error for each fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.ratings import read_rated_pairs
from service.errors import DataError

EXPERTS = "image\tcaption_id\texpert1\texpert2\texpert3\n"
CROWD = "image\tcaption_id\tyes\tno\n"


def make_folder(folder: Path, experts: str | None = None, crowd: str | None = None) -> Path:
    (folder / "images").mkdir()
    rows = []
    for name, split in (("b.jpg", "test"), ("a.jpg", "train"), ("c.jpg", "test")):
        (folder / "images" / name).write_bytes(b"not opened by the reader")
        rows += [f"{name}\t{name}#{turn}\t{split}\tcaption {turn} of {name}" for turn in range(2)]
    (folder / "captions.tsv").write_text("image\tcaption_id\tsplit\tcaption\n" + "\n".join(rows) + "\n")
    if experts is not None:
        (folder / "expert_ratings.tsv").write_text(EXPERTS + experts)
    if crowd is not None:
        (folder / "crowd_ratings.tsv").write_text(CROWD + crowd)
    return folder


def test_expert_rows_come_before_crowd_rows_of_any_split(tmp_path: Path) -> None:
    folder = make_folder(
        tmp_path,
        experts="b.jpg\tb.jpg#1\t4\t4\t3\na.jpg\tc.jpg#0\t1\t1\t2\n",
        crowd="b.jpg\tb.jpg#1\t3\t0\nb.jpg\tc.jpg#0\t1\t3\n",
    )
    pairs = read_rated_pairs(folder)
    assert len(pairs) == 4
    assert [each.name for each in pairs.photographs] == ["a.jpg", "b.jpg"]
    assert pairs.texts == ["caption 1 of b.jpg", "caption 0 of c.jpg"]
    assert pairs.text_owner.tolist() == [1, -1]
    assert pairs.photograph.tolist() == [1, 0, 1, 1]
    assert pairs.text.tolist() == [0, 1, 0, 1]
    assert pairs.own.tolist() == [True, False, True, False]
    assert pairs.expert.tolist() == [True, True, False, False]
    assert pairs.crowd.tolist() == [False, False, True, True]
    assert pairs.grade[:2] == pytest.approx([8 / 9, 1 / 9])
    assert np.isnan(pairs.grade[2:]).all()
    assert pairs.share[2:].tolist() == [1.0, 0.25]
    assert np.isnan(pairs.share[:2]).all()
    assert pairs.grades[0].tolist() == [4, 4, 3]
    assert np.isnan(pairs.grades[2:]).all()
    assert (pairs.yes.tolist(), pairs.no.tolist()) == ([0, 0, 3, 1], [0, 0, 0, 3])


@pytest.mark.parametrize("table", [{"experts": "a.jpg\tb.jpg#0\t1\t2\t3\n"}, {"crowd": "a.jpg\tb.jpg#0\t1\t2\n"}])
def test_one_of_the_two_tables_is_enough(tmp_path: Path, table: dict[str, str]) -> None:
    pairs = read_rated_pairs(make_folder(tmp_path, **table))
    assert len(pairs) == 1
    assert pairs.expert.all() == ("experts" in table)


def test_texts_without_a_photograph_and_photographs_without_a_caption_can_be_rated(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, experts="7-d.jpg\ttext-1\t4\t\t\na.jpg\ttext-1\t1\t2\t\n")
    (folder / "images" / "7-d.jpg").write_bytes(b"not opened by the reader")
    with (folder / "captions.tsv").open("a") as stream:
        stream.write("\ttext-1\trated\ta text of one's own\n")
    pairs = read_rated_pairs(folder)
    assert [(each.name, len(each.captions)) for each in pairs.photographs] == [("7-d.jpg", 0), ("a.jpg", 2)]
    assert pairs.photographs[0].path == folder / "images" / "7-d.jpg"
    assert pairs.texts == ["a text of one's own"]
    assert (pairs.text_owner.tolist(), pairs.own.tolist()) == ([-1], [False, False])
    assert pairs.grade == pytest.approx([1.0, 1 / 6])


@pytest.mark.parametrize("tables", [{}, {"experts": "", "crowd": ""}])
def test_tables_without_ratings_are_refused(tmp_path: Path, tables: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"no ratings: neither expert_ratings\.tsv nor crowd_ratings\.tsv"):
        read_rated_pairs(make_folder(tmp_path, **tables))


GOOD = "a.jpg\ta.jpg#0\t"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("z.jpg\ta.jpg#0\t1\t1\t1\n", "row 2, column image: there is no photograph 'z.jpg'"),
        (f"{GOOD}1\t1\t1\na.jpg\tz#0\t1\t1\t1\n", "row 3, column caption_id: captions.tsv has no caption 'z#0'"),
        (
            f"{GOOD}1\t1\t1\n{GOOD}1\t2\t1\n",
            "row 3, column caption_id: 'a.jpg' with 'a.jpg#0' was already rated in row 2",
        ),
        (f"{GOOD}1\t5\t1\n", "row 2, column expert2: '5'"),
        (f"{GOOD}1\tnan\t1\n", "row 2, column expert2: 'nan'"),
    ],
)
def test_names_file_row_and_column_of_an_expert_fault(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_rated_pairs(make_folder(tmp_path, experts=rows, crowd=f"{GOOD}1\t0\n"))
    assert "expert_ratings.tsv" in caught.value.message
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("z.jpg\ta.jpg#0\t1\t1\n", "row 2, column image: there is no photograph 'z.jpg'"),
        (f"{GOOD}1\t1\nb.jpg\tz#0\t1\t1\n", "row 3, column caption_id: captions.tsv has no caption 'z#0'"),
        (f"{GOOD}1\t1\n{GOOD}2\t1\n", "was already rated in row 2"),
        (f"{GOOD}nan\t1\n", "row 2, column yes: 'nan'"),
        (f"{GOOD}0\t0\n", "row 2, column yes: nobody voted"),
    ],
)
def test_names_file_row_and_column_of_a_crowd_fault(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_rated_pairs(make_folder(tmp_path, experts=f"{GOOD}1\t1\t1\n", crowd=rows))
    assert "crowd_ratings.tsv" in caught.value.message
    assert message in caught.value.message


def test_reads_the_public_ratings(shared_data: Path) -> None:
    pairs = read_rated_pairs(shared_data / "flickr8k")
    assert (int(pairs.expert.sum()), int(pairs.crowd.sum())) == (5822, 47830)
    assert (int((pairs.expert & pairs.own).sum()), int((pairs.crowd & pairs.own).sum())) == (158, 721)
    assert len(pairs.texts) == len(pairs.photographs) == 1000
    assert {each.split for each in pairs.photographs} == {"test"}
    assert np.isfinite(pairs.grades[pairs.expert]).all()
    assert 0 <= np.nanmin(pairs.grade) < np.nanmax(pairs.grade) <= 1
