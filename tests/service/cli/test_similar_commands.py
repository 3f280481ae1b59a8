"""`smysl eval similar` as a person meets it: what it prints, the report that it writes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Finished

Run = Callable[..., Finished]


@pytest.fixture
def few_flowers(shared_data: Path, tmp_path: Path) -> Path:
    """Six photographs of two kinds to be searched and three of each to search, one of them a copy."""
    flowers = shared_data / "flowers"
    if not flowers.is_dir():
        pytest.skip(f"no photographs of flowers in {flowers}")
    folder = tmp_path / "flowers"
    for part, count in (("train", 6), ("test", 3)):
        for kind in ("sunflower", "tulip"):
            (folder / part / kind).mkdir(parents=True)
            for file in sorted((flowers / part / kind).iterdir())[:count]:
                (folder / part / kind / file.name).write_bytes(file.read_bytes())
    copied = next((folder / "train/tulip").iterdir())
    (folder / "test/tulip/copy.jpg").write_bytes(copied.read_bytes())
    (folder / "test/tulip/notes.txt").write_text("no photograph")
    return folder


def test_figures_are_printed_and_the_report_is_written(few_flowers: Path, tmp_path: Path, smysl: Run) -> None:
    page, cache = tmp_path / "report.html", tmp_path / "cache"
    said = smysl("eval", "similar", "--data", few_flowers, "--report", page, "--cache", cache)
    assert said.code == 0, said.err
    names = [line.split("  ")[0] for line in said.out.splitlines()]
    assert names[:5] == ["map10", "r1", "vote_accuracy", "photos", "kinds"]
    assert "95 % interval" in said.out
    assert "6, searched 12 of train/" in said.out
    assert "copy.jpg: it is the same photograph as" in said.out
    assert "1 file that is no photograph" in said.out
    assert f"The report is in {page}." in said.err
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")

    facts = json.loads(smysl("eval", "similar", "--data", few_flowers, "--json", "--cache", cache).out)
    assert (facts["photos"], facts["kinds"], len(facts["left_out"])) == (6, 2, 1)
    assert facts["map10"] > 50
    assert set(facts["models"]) == {"mini"}


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--model", "mini", "--model", "ViT-B-32/openai"], "Without --head"),
        (["--head", "nowhere"], "There is no head in nowhere"),
        (["--report", "nowhere/report.html"], "The report cannot be written to nowhere"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_loaded(
    tmp_path: Path, smysl: Run, extra: list[str], said: str
) -> None:
    finished = smysl("eval", "similar", "--data", tmp_path, *extra)
    assert finished.code != 0
    assert said in finished.err
    assert finished.out == ""


def test_a_folder_without_kinds_is_refused_with_a_sentence(tmp_path: Path, smysl: Run) -> None:
    finished = smysl("eval", "similar", "--data", tmp_path)
    assert finished.code == 1
    assert "holds no kinds" in finished.err
