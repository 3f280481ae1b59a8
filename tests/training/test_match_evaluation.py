"""The figures of a match: out of fold, the ranking of hits, answerability, and a page with all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.errors import DataError
from tests.training.simulated import ColourReader, make_hasty, quiet, write_data
from training.match_evaluation import SHIPPED, MatchReport, candidate_rows, interval_text, measure_match
from training.match_evaluation import _order as order

pytestmark = pytest.mark.e2e

Measure = Callable[..., MatchReport]


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Measures a match on data from `write_data`, without the candidates."""
    make_hasty(monkeypatch)

    def measured(**data: object) -> MatchReport:
        folder = write_data(tmp_path / "data", **data)  # type: ignore[arg-type]
        return measure_match(ColourReader(), folder, tmp_path / "cache", quiet, compare=False)  # type: ignore[arg-type]

    return measured


def test_a_match_is_compared_with_the_cosine(measure: Measure) -> None:
    measured = measure(rated=60, unrated=60, grades=600, votes=900)
    figures = measured.scoring.figures
    assert figures["expert_tau_c"] > 30 and figures["crowd_tau_b"] > 20
    assert figures["rmse"] < 0.3
    assert measured.differences.keys() == {"expert_tau_c", "crowd_tau_b"}
    assert [each.gallery for each in measured.answerable] == [20]
    assert measured.answerable[0].auroc > 0.55
    assert measured.order.keys() == {f"{name}_r{depth}" for name in ("match", "cosine") for depth in (1, 5, 10)}
    assert measured.order["cosine_r10"] > 100 * 10 / 60, "better than chance"
    assert [row["candidate"] for row in measured.candidates] == [SHIPPED]
    assert measured.candidates[0]["expert_tau_c"] == figures["expert_tau_c"]


def test_json_has_the_figures_at_the_top_level(measure: Measure) -> None:
    measured = measure()
    facts = json.loads(json.dumps(measured.as_json(), allow_nan=False))
    assert facts["expert_tau_c"] == round(measured.scoring.figures["expert_tau_c"], 4)
    assert (facts["model"], facts["fingerprint"]) == ("mini", "colours in words")
    assert facts["against_cosine"]["crowd_tau_b"].keys() == {"value", "interval"}
    assert facts["answerable"][0]["gallery"] == 20
    assert facts["order"] == measured.order


def test_the_page_shows_the_figures(measure: Measure) -> None:
    measured = measure()
    page = measured.page()
    assert f"{measured.scoring.figures['rmse']:.3f}" in page
    assert f"{measured.scoring.figures['expert_tau_c']:.1f}" in page
    assert f"{measured.answerable[0].auroc:.3f}" in page
    assert SHIPPED in page
    assert "The match of mini" in page


def test_ratings_of_a_library_have_no_ranking_and_votes_alone_no_answerability(measure: Measure) -> None:
    measured = measure(grades=0, owned=False)
    assert measured.order == {}
    assert measured.answerable == []
    assert measured.differences.keys() == {"crowd_tau_b"}
    json.dumps(measured.as_json(), allow_nan=False)
    assert "<html" in measured.page()


def test_too_few_ratings_are_refused(measure: Measure) -> None:
    with pytest.raises(DataError, match="30 rated pairs are too few"):
        measure(grades=20, votes=10)


def test_the_ranking_of_a_known_table() -> None:
    owner = np.array([0, 2, -1])
    cosine = np.array([[0.9, 0.1, 0.2], [0.8, 0.7, 0.5], [0.9, 0.9, 0.9]], np.float32)
    match = np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.5], [0.0, 0.0, 0.0]], np.float32)
    found = order(owner, match, cosine)
    assert [found[f"cosine_r{depth}"] for depth in (1, 5, 10)] == [50.0, 100.0, 100.0]
    assert [found[f"match_r{depth}"] for depth in (1, 5, 10)] == [100.0, 100.0, 100.0]


def test_equal_scores_find_nothing_first() -> None:
    same = np.full((2, 20), 0.5, np.float32)
    found = order(np.array([3, 4]), same, same)
    assert set(found.values()) == {0.0}


def test_without_texts_of_photographs_there_is_no_ranking() -> None:
    assert order(np.array([-1, -1]), np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)) == {}


def test_the_table_has_the_columns_of_the_first_candidate() -> None:
    rows = candidate_rows(
        [
            {"candidate": "raw cosine", "expert_tau_c": 47.871, "rmse": 0.1949, "crowd_brier": None, "seconds": 0.25},
            {"candidate": SHIPPED, "expert_tau_c": 50.94, "rmse": 0.1664},
        ]
    )
    assert rows[0] == ["candidate", "expert_tau_c", "rmse", "crowd_brier", "seconds"]
    assert rows[1] == ["raw cosine", "47.9", "0.195", "", "0.250"], "nobody voted, so there is no Brier score"
    assert rows[2] == [SHIPPED, "50.9", "0.166", "", ""]
    assert {len(row) for row in rows} == {5}


def test_an_interval_is_printed_from_lower_to_upper_end() -> None:
    assert interval_text((0.12345, 1.5), 2) == "0.12 to 1.50"
