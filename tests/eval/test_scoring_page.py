"""The report of a match: complete, self-contained, and safe against markup in captions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from data.captions import CaptionedPhotograph
from data.ratings import RatedPairs
from eval.answerable import answerability
from eval.charts import Line, density_chart, line_chart
from eval.scoring import scoring_figures
from eval.scoring_page import scoring_page
from tests.eval.outline import HOSTILE, Outline

LARGE = 30


@pytest.fixture
def pairs(tmp_path: Path) -> RatedPairs:
    """Thirty photographs and texts, rated by experts and crowd; the first text and name are hostile."""
    generator = np.random.default_rng(0)
    n = 400
    names = [f"{row}<b>.jpg" for row in range(LARGE)]
    for name in names:
        Image.new("RGB", (64, 48), "red").save(tmp_path / name)
    grades = np.full((n, 3), np.nan)
    grades[:200] = generator.integers(1, 5, (200, 3))
    grades[0] = 4
    yes = np.where(np.arange(n) < 200, 0, generator.integers(0, 4, n)).astype(float)
    photograph, text = generator.integers(0, LARGE, n), generator.integers(0, LARGE, n)
    text[0] = 0
    return RatedPairs(
        photographs=[CaptionedPhotograph(name, tmp_path / name, "test", ()) for name in names],
        texts=[HOSTILE, *(f"text {row}" for row in range(1, LARGE))],
        text_owner=np.arange(LARGE),
        photograph=photograph,
        text=text,
        own=photograph == text,
        grades=grades,
        yes=yes,
        no=np.where(np.arange(n) < 200, 0, 3 - yes),
    )


def match_of(pairs: RatedPairs) -> Any:
    match = np.random.default_rng(1).random(len(pairs)) * 0.9
    match[0] = 0.0
    return match


def whole_page(pairs: RatedPairs) -> str:
    match = match_of(pairs)
    scores = np.random.default_rng(2).random((LARGE, LARGE)).astype(np.float32)
    tests = [answerability(pairs, scores, scores, gallery=size, resamples=3) for size in (8, 4)]
    candidates = [
        {"head": "raw cosine", "expert_tau_c": 47.87, "rmse": None, "ece": float("nan"), "difference": (-0.5, 1.25)},
        {"head": "head <i>", "expert_tau_c": 50.04, "rmse": 0.1661, "ece": 0.02, "difference": "best"},
    ]
    report = scoring_figures(pairs, match, resamples=3)
    return scoring_page(
        "mini & co", pairs, match, report, candidates=candidates, chosen="head <i>", answerable=tests, examples=6
    )


def test_nothing_is_fetched_and_no_caption_becomes_markup(pairs: RatedPairs) -> None:
    page = whole_page(pairs)
    outline = Outline(page)
    assert "script" not in outline.tags
    assert len(outline.addresses) == 6
    assert all(address.startswith("data:image/jpeg;base64,") for address in outline.addresses)
    assert HOSTILE in outline.text
    assert "The match of mini & co against people's ratings" in outline.text
    assert "default-src 'none'" in page
    assert "url(" not in page


def test_figures_are_shown_with_their_intervals(pairs: RatedPairs) -> None:
    report = scoring_figures(pairs, match_of(pairs), resamples=3)
    text = Outline(whole_page(pairs)).text
    low, high = report.intervals["rmse"]
    assert f"{report.figures['rmse']:.3f}{low:.3f} to {high:.3f}" in text
    assert "200 pairs graded by experts and 200 pairs voted on by a crowd, 30 photographs, 30 texts." in text


def test_candidates_keep_their_decimals_and_the_chosen_one_is_marked(pairs: RatedPairs) -> None:
    page = whole_page(pairs)
    assert "raw cosine47.9––−0.500 to 1.250" in Outline(page).text
    assert '<tr class="chosen"><th scope="row">head &lt;i&gt;</th><td>50.0</td><td>0.166</td>' in page
    assert page.count('class="chosen"') == 1


def test_sections_without_content_are_left_out(pairs: RatedPairs) -> None:
    match = match_of(pairs)
    page = scoring_page("mini", pairs, match, scoring_figures(pairs, match, resamples=2), examples=0)
    text = Outline(page).text
    assert "Candidate heads" not in text
    assert "Is there an answer" not in text
    assert "Worst pairs" not in text
    assert page.count("<svg") == 3


def test_a_page_of_one_kind_of_ratings(pairs: RatedPairs) -> None:
    rows = np.flatnonzero(pairs.crowd)
    arrays = {name: getattr(pairs, name)[rows] for name in ("photograph", "text", "own", "grades", "yes", "no")}
    crowd = RatedPairs(pairs.photographs, pairs.texts, pairs.text_owner, **arrays)
    match = match_of(crowd)
    page = scoring_page("mini", crowd, match, scoring_figures(crowd, match, resamples=2))
    text = Outline(page).text
    assert page.count("<svg") == 1
    assert "experts" not in text
    assert "200 pairs voted on by a crowd, 30 photographs" in text


def test_the_worst_are_shown_first_on_both_sides(pairs: RatedPairs) -> None:
    text = Outline(whole_page(pairs)).text
    low, high = text.split("Too low")[1].split("Too high")
    assert low.strip().startswith(HOSTILE)
    assert "match 0.00 · grades 4 4 4" in low
    said = [float(value) for value in re.findall(r"match (\d\.\d\d)", high)]
    assert len(said) == 3
    assert min(said) > 0.5


def points(drawing: str, kind: str) -> list[ElementTree.Element]:
    svg = ElementTree.fromstring(drawing[: drawing.index("</svg>") + 6])  # noqa: S314 - made by the test
    return [element for element in svg.iter() if element.get("class") == kind]


def test_lines_are_drawn_where_they_belong() -> None:
    line = Line("a < b", np.array([0.0, 1.0]), np.array([0.0, 0.5]), dots=True)
    drawing = line_chart('says "this"', "across", "up", [line], mark=(0.5, 1.0))
    first, last = points(drawing, "dot first")
    assert (first.get("cx"), first.get("cy")) == ("52.0", "312.0")
    assert (last.get("cx"), last.get("cy")) == ("352.0", "162.0")
    assert [ring.get("cy") for ring in points(drawing, "mark")] == ["12.0"]
    assert "a &lt; b" in drawing


def test_a_density_is_shaded_by_the_share_of_its_column() -> None:
    grade = np.array([0.0] * 4 + [1.0])
    cells = points(density_chart("says", "across", "up", grade, np.array([0.1, 0.1, 0.1, 0.9, 1.7])), "cell")
    shades = [float(cell.get("fill-opacity") or 0) for cell in cells]
    assert shades == [pytest.approx(0.9), pytest.approx(0.35, abs=0.01), pytest.approx(0.9)]
    assert float(cells[0].get("y") or 0) > float(cells[1].get("y") or 0)
    assert float(cells[2].get("x") or 0) > 300
