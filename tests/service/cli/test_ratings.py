"""`smysl rate` and `smysl ratings`: what they store, print and export, and which errors they report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.ratings import read_rated_pairs
from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary


def test_rates_by_file_and_by_id_and_lists_ratings(sample_library: SampleLibrary, smysl: Run) -> None:
    there = ("--library", sample_library.folder)
    wood = sample_library.photographs / "wood.jpg"
    first = smysl("rate", wood, "a", "red flower", "--grade", 3, "--by", "Ada", *there)
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith(f"{wood}\ta red flower\tgrade 3\tAda\t")
    facts = json.loads(smysl("ratings", "list", "--json", *there).out)
    identity = facts["ratings"][0]["photo_id"]
    assert (facts["total"], facts["ratings"][0]["grade"]) == (1, 3)
    assert smysl("rate", identity, "a cat", "--no", *there).code == 0
    assert smysl("rate", identity, "a cat", "--yes", *there).code == 0
    lines = [line.split("\t") for line in smysl("ratings", "list", *there).out.splitlines()]
    assert [line[:4] for line in lines] == [
        [str(wood), "a red flower", "grade 3", "Ada"],
        [str(wood), "a cat", "yes", "me"],
    ]
    assert all(line[4].endswith("Z") for line in lines)


def test_a_number_too_long_for_an_id_is_no_photograph(sample_library: SampleLibrary, smysl: Run) -> None:
    refused = smysl("rate", "9" * 5000, "a cat", "--yes", "--library", sample_library.folder)
    assert "is no photograph of the library" in error_of(refused, 2)


def test_exports_a_folder_of_data_and_lists_what_is_left_out(
    sample_library: SampleLibrary, smysl: Run, tmp_path: Path
) -> None:
    there = ("--library", sample_library.folder)
    for name in ("wood.jpg", "sand.png"):
        smysl("rate", sample_library.photographs / name, "a flower", "--yes", *there)
    (sample_library.photographs / "sand.png").unlink()
    out = tmp_path / "rated"
    done = smysl("ratings", "export", "--out", out, *there)
    assert done.code == 0
    assert done.out == f"{out} holds 1 photograph and 1 text; pairs with grades: 0, with yes and no: 1.\n"
    assert "sand.png, is not there any more" in done.err
    assert read_rated_pairs(out).texts == ["a flower"]
    assert "--force" in error_of(smysl("ratings", "export", "--out", out, *there), 2)
    assert smysl("ratings", "export", "--out", out, "--force", *there).code == 0


def test_a_library_without_ratings_says_so(sample_library: SampleLibrary, smysl: Run, tmp_path: Path) -> None:
    listed = smysl("ratings", "list", "--library", sample_library.folder)
    assert (listed.code, listed.out) == (0, "")
    assert "There are no ratings yet" in listed.err
    assert "has no ratings yet" in error_of(
        smysl("ratings", "export", "--out", tmp_path / "x", "--library", sample_library.folder), 1
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a flower"], "Give one of --grade N, --yes and --no"),
        (["a flower", "--yes", "--no"], "Give one of"),
        (["a flower", "--grade", "3", "--no"], "Give one of"),
        (["a flower", "--grade", "5"], "--grade is 5"),
        (["", "--yes"], "The text is empty"),
        (["a flower", "--yes", "--by", ""], "name has 0 characters"),
    ],
)
def test_rate_reports_wrong_arguments(
    sample_library: SampleLibrary, smysl: Run, arguments: list[str], message: str
) -> None:
    photograph = sample_library.photographs / "wood.jpg"
    assert message in error_of(smysl("rate", photograph, *arguments, "--library", sample_library.folder), 2)


@pytest.mark.parametrize(
    ("photograph", "message"), [("999", "no photograph 999"), ("rose.jpg", "rose.jpg is no photograph")]
)
def test_rate_reports_a_missing_photograph(
    sample_library: SampleLibrary, smysl: Run, photograph: str, message: str
) -> None:
    assert message in error_of(smysl("rate", photograph, "a flower", "--yes", "--library", sample_library.folder), 2)
