"""Figures of the vote: accuracy, calibration, and whether removed kinds are recognised as unknown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from eval.vote_accuracy import eval_classify
from service.errors import DataError
from service.heads.projection import Head
from service.kinds.vote_calibration import calibration_error
from tests.service.colours import ColourEncoder
from tests.service.kind_folders import COLOURS, make_kind_folders
from tests.service.sample_heads import make_head, make_projection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_kind_folders(tmp_path / "train", each=12)
    make_kind_folders(tmp_path / "test", each=4, first_seed=400)
    return tmp_path


def test_distinct_kinds_are_classified_and_unknown_ones_recognised(folder: Path) -> None:
    report = eval_classify(folder, ColourEncoder())  # type: ignore[arg-type]
    assert (report.photos, report.voting, report.kinds, report.split) == (12, 36, 3, True)
    assert report.figures["accuracy"] == 100.0
    assert report.figures["unknown_auroc"] > 0.95
    assert set(report.by_kind) == set(COLOURS)
    assert report.figures["nearest_right"] == report.figures["recommended_right"] == 100.0
    assert report.figures["ece"] < 0.2
    for name, value in report.figures.items():
        low, high = report.intervals[name]
        assert low <= high
        assert low <= value + 1e-9 or name.startswith("ece")
    facts = json.loads(json.dumps(report.as_json()))
    assert facts["accuracy"] == 100.0
    assert facts["vote"]["neighbours"] == 10
    assert facts["refitted"] is True


def test_without_a_test_folder_each_fifth_is_classified(folder: Path) -> None:
    report = eval_classify(folder / "train", ColourEncoder())  # type: ignore[arg-type]
    assert (report.photos, report.voting, report.split) == (36, 36, False)
    assert report.figures["accuracy"] == 100.0


def test_recommendations_are_more_often_of_the_kind_than_neighbours(tmp_path: Path) -> None:
    reds = {f"red {green}": (200, green, 40) for green in (20, 50, 80)}
    report = eval_classify(make_kind_folders(tmp_path, each=14, kinds=reds), ColourEncoder())  # type: ignore[arg-type]
    assert 60.0 < report.figures["nearest_right"] < report.figures["recommended_right"] < 100.0


def test_copies_lone_and_broken_photographs_are_left_out_and_named(folder: Path) -> None:
    (folder / "test" / "fern" / "copy.png").write_bytes((folder / "train" / "poppy" / "0.png").read_bytes())
    (folder / "test" / "fern" / "broken.png").write_bytes(b"x")
    make_kind_folders(folder / "train", each=1, kinds={"rare": (200, 200, 0)}, first_seed=900)
    report = eval_classify(folder, ColourEncoder())  # type: ignore[arg-type]
    assert report.photos == 12
    assert report.voting == 36
    assert report.left_out == [
        "train/rare/0.png: alone of its kind",
        "test/fern/copy.png: the same photograph as train/poppy/0.png",
        "test/fern/broken.png: it is not a photograph in a format that smysl reads",
    ]


def test_a_head_is_fitted_again_without_each_removed_kind(folder: Path) -> None:
    head = make_head(make_projection(width=4))
    fitted: list[Sequence[str]] = []

    def refit(kinds: Sequence[str]) -> Head:
        fitted.append(kinds)
        return head

    report = eval_classify(folder, ColourEncoder(), head, refit=refit)  # type: ignore[arg-type]
    assert sorted(map(tuple, fitted)) == [("fern", "gentian"), ("fern", "poppy"), ("gentian", "poppy")]
    assert report.vote == head.vote.facts()
    assert (report.refitted, report.head) == (True, "by hand")
    assert report.figures["accuracy"] == 100.0
    assert not eval_classify(folder, ColourEncoder(), head).refitted  # type: ignore[arg-type]


@pytest.mark.parametrize(("each", "kinds", "message"), [(12, 2, "at least 3 are needed"), (2, 3, "is too small")])
def test_too_few_photographs_or_kinds_are_reported(tmp_path: Path, each: int, kinds: int, message: str) -> None:
    make_kind_folders(tmp_path, each=each, kinds=dict(list(COLOURS.items())[:kinds]))
    with pytest.raises(DataError, match=message):
        eval_classify(tmp_path, ColourEncoder())  # type: ignore[arg-type]


def test_calibration_error_is_weighted() -> None:
    confidence, right = np.array([0.9, 0.1]), np.array([True, True])
    assert calibration_error(confidence, right, np.array([1.0, 1.0])) == pytest.approx(0.5)
    assert calibration_error(confidence, right, np.array([9.0, 1.0])) == pytest.approx(0.18)
