"""`smysl rate` and `smysl ratings` as a stranger meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data.ratings import read_rated_pairs
from tests.conftest import Finished
from tests.service.cli.test_app import told
from tests.service.conftest import Shelf

Run = Callable[..., Finished]


def test_rates_by_file_and_by_id_and_lists_what_was_said(shelf: Shelf, smysl: Run) -> None:
    there = ("--library", shelf.library)
    wood = shelf.photographs / "wood.jpg"
    first = smysl("rate", wood, "a red flower", "--grade", 3, "--by", "Ada", *there)
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


def test_exports_a_folder_of_data_and_names_what_is_left_out(shelf: Shelf, smysl: Run, tmp_path: Path) -> None:
    there = ("--library", shelf.library)
    for name in ("wood.jpg", "sand.png"):
        smysl("rate", shelf.photographs / name, "a flower", "--yes", *there)
    (shelf.photographs / "sand.png").unlink()
    out = tmp_path / "rated"
    done = smysl("ratings", "export", "--out", out, *there)
    assert done.code == 0
    assert done.out == f"{out} holds 1 photograph and 1 text; pairs with grades: 0, with yes and no: 1.\n"
    assert "sand.png, is not there any more" in done.err
    assert read_rated_pairs(out).texts == ["a flower"]
    assert "--force" in told(smysl("ratings", "export", "--out", out, *there), 2)
    assert smysl("ratings", "export", "--out", out, "--force", *there).code == 0


def test_no_ratings_are_said_to_be_none(shelf: Shelf, smysl: Run, tmp_path: Path) -> None:
    listed = smysl("ratings", "list", "--library", shelf.library)
    assert (listed.code, listed.out) == (0, "")
    assert "There are no ratings yet" in listed.err
    assert "has no ratings yet" in told(
        smysl("ratings", "export", "--out", tmp_path / "x", "--library", shelf.library), 1
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a flower"], "Say one of --grade N, --yes and --no"),
        (["a flower", "--yes", "--no"], "Say one of"),
        (["a flower", "--grade", "3", "--no"], "Say one of"),
        (["a flower", "--grade", "5"], "The grade is 5"),
        (["", "--yes"], "The text is empty"),
        (["a flower", "--yes", "--by", ""], "name has 0 characters"),
    ],
)
def test_what_is_no_rating_gets_a_sentence(shelf: Shelf, smysl: Run, arguments: list[str], said: str) -> None:
    photograph = shelf.photographs / "wood.jpg"
    assert said in told(smysl("rate", photograph, *arguments, "--library", shelf.library), 2)


@pytest.mark.parametrize(
    ("photograph", "said"), [("999", "no photograph 999"), ("rose.jpg", "rose.jpg is no photograph")]
)
def test_a_photograph_that_is_not_there_gets_a_sentence(shelf: Shelf, smysl: Run, photograph: str, said: str) -> None:
    assert said in told(smysl("rate", photograph, "a flower", "--yes", "--library", shelf.library), 2)
