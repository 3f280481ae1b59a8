"""The table of classified photographs: rows, no formulas for spreadsheets, written completely or not at all."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from service.cli.csv_output import HEADER, table_at
from service.errors import UsageError
from service.search.classify import Classified, Neighbour
from service.search.metadata_columns import METADATA_COLUMNS
from service.store.metadata import Metadata
from service.store.records import Companion, Details, Record
from tests.service.described import METADATA


def record(name: str) -> Record:
    return Record(1, Path("/photographs"), "rose", name, 1, 1, 40, 40, "JPEG")


def classified(file: str = "a.jpg", kind: str = "rose", known: bool = True, recommended: int = 10) -> Classified:
    found = [Neighbour(record(f"{rank}.jpg"), kind, 0.5) for rank in range(recommended)]
    return Classified(file, kind, 0.87654, known, [], found, False)


def written(file: Path, *rows: Classified, force: bool = False) -> list[dict[str, str]]:
    with table_at(file, force=force) as add:
        for row in rows:
            add(row)
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_row_has_file_kind_confidence_and_ten_files(tmp_path: Path) -> None:
    rows = written(tmp_path / "out.csv", classified(), classified("b.jpg", known=False, recommended=2))
    assert tuple(rows[0]) == HEADER
    assert [rows[0][name] for name in ("file", "kind", "confidence")] == ["a.jpg", "rose", "0.8765"]
    assert [rows[0][f"recommended_{rank}"] for rank in range(1, 11)] == [
        f"/photographs/rose/{rank}.jpg" for rank in range(10)
    ]
    assert rows[1]["kind"] == "unknown"
    assert [rows[1][f"recommended_{rank}"] for rank in (2, 3, 10)] == ["/photographs/rose/1.jpg", "", ""]


def test_a_row_ends_with_the_metadata_of_a_photograph_of_the_library(tmp_path: Path) -> None:
    companions = (Companion("a.CR3", "raw", 1, 1),)
    known = replace(classified(), photograph=record("a.jpg"), details=Details(METADATA, companions))
    row, empty = written(tmp_path / "out.csv", known, classified())
    assert {name: row[name] for name in METADATA_COLUMNS} == {
        "taken_at": "2023-07-14T18:30:05+02:00",
        "camera": "Canon EOS 600D",
        "lens": "EF 50mm f/1.8 II",
        "focal_length": "50.0",
        "aperture": "2.8",
        "exposure": "0.004",
        "iso": "400",
        "latitude": "48.8584",
        "longitude": "2.2945",
        "altitude": "35.0",
        "town": "Paris",
        "region": "Île-de-France",
        "country": "France",
        "title": "Under the tower",
        "description": "A Sunday.",
        "keywords": "Animals/Dog; travel",
        "people": "Grace",
        "stars": "4",
        "label": "Red",
        "files": "a.jpg; a.CR3",
    }
    assert {empty[name] for name in METADATA_COLUMNS} == {""}


def test_no_metadata_is_a_formula(tmp_path: Path) -> None:
    hostile = Metadata(title="=cmd|' /C calc'!A0", camera="@SUM(A1)", keywords=("+1",), latitude=-33.8, longitude=151.2)
    (row,) = written(tmp_path / "out.csv", replace(classified(), details=Details(hostile)))
    assert [row[name] for name in ("title", "camera", "keywords", "latitude")] == [
        "'=cmd|' /C calc'!A0", "'@SUM(A1)", "'+1", "-33.8",
    ]  # fmt: skip


def test_names_with_special_characters_survive(tmp_path: Path) -> None:
    names = ['say "a", b;\tc.jpg', "zwei\nZeilen.jpg", "собака.jpg"]
    rows = written(tmp_path / "out.csv", *(classified(name) for name in names))
    assert [row["file"] for row in rows] == names
    assert pd.read_csv(tmp_path / "out.csv")["file"].tolist() == names


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula_and_paths_still_lead_to_their_files(tmp_path: Path, first: str) -> None:
    (row,) = written(tmp_path / "out.csv", classified(f"{first}cmd|' /C calc'!A0.jpg", f"{first}sum"))
    assert row["file"] == f"./{first}cmd|' /C calc'!A0.jpg"
    assert row["kind"] == f"'{first}sum"


def test_a_folder_without_write_permission_is_reported_before_the_first_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Permissions do not stop the user root, who may be running the tests.
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with (
        pytest.raises(UsageError, match=r"out\.csv cannot be written \(Permission denied\)"),
        table_at(tmp_path / "out.csv", force=False),
    ):
        pytest.fail("a row could be added")


def test_an_existing_table_is_replaced_only_with_force(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"out\.csv already exists.*--force"), table_at(file, force=False):
        raise AssertionError("it was let through")
    assert file.read_text(encoding="utf-8") == "mine"
    assert len(written(file, classified(), force=True)) == 1


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    with pytest.raises(UsageError, match="already"), table_at(file, force=False) as add:
        add(classified())
        file.write_text("somebody's", encoding="utf-8")
    assert file.read_text(encoding="utf-8") == "somebody's"


def test_a_run_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), table_at(file, force=True) as add:
        add(classified())
        raise KeyboardInterrupt
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]
    assert file.read_text(encoding="utf-8") == "mine"
    with table_at(file, force=True):
        pass
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(("name", "message"), [(".", "is a folder"), ("none/out.csv", "There is no folder")])
def test_a_file_that_cannot_be_written_is_rejected(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message), table_at(tmp_path / name, force=True):
        raise AssertionError("it was let through")
