"""The report of kinds: complete, self-contained, and safe against markup in names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from data.kinds import LeftOut
from eval.similar import GalleryHit, GallerySearch, KindFigure, SimilarReport
from eval.similar_page import similar_page
from tests.eval.outline import HOSTILE, Outline


@pytest.fixture
def report(tmp_path: Path) -> SimilarReport:
    """Three kinds, one with a hostile name; one search, in which the first photograph is wrong."""
    files = [tmp_path / f"{place}<b>.jpg" for place in range(3)]
    for place, file in enumerate(files):
        Image.new("RGB", (400 + place, 300), "red").save(file)
    found = (GalleryHit(files[1], HOSTILE, False, 0.91), GalleryHit(files[2], "rose", True, -0.125))
    return SimilarReport(
        figures={"map10": 76.44, "r1": 88.6, "vote_accuracy": 90.0},
        intervals={"map10": (72.8, 79.96), "r1": (85.0, 92.0), "vote_accuracy": (86.0, 93.0)},
        photos=12,
        searched=1000,
        leave_one_out=False,
        by_kind=(KindFigure("rose", 8, 80.0), KindFigure(HOSTILE, 3, 40.06), KindFigure("lily", 1, 100.0)),
        confusions={("rose", "rose"): 6, ("rose", HOSTILE): 2, (HOSTILE, HOSTILE): 3, ("lily", "lily"): 1},
        worst=(GallerySearch(files[0], "rose", HOSTILE, 12.5, found),),
        left_out=(LeftOut(files[2], f"it is the same photograph as {HOSTILE}"),),
        skipped=0,
        seconds=1.0,
        models={"mini & co": "0" * 32},
        head=None,
        folder=tmp_path,
    )


def many_kinds(report: SimilarReport, count: int) -> SimilarReport:
    names = [f"kind{number:05}" for number in range(count)]
    confusions = {(name, name): 1 for name in names} | {
        (name, names[(place + 1) % count]): 1 + place for place, name in enumerate(names)
    }
    by_kind = tuple(KindFigure(name, 2, 100 * place / count) for place, name in enumerate(names))
    return replace(report, by_kind=by_kind, confusions=confusions)


def test_nothing_is_fetched_and_no_name_becomes_markup(report: SimilarReport) -> None:
    page = similar_page(report)
    outline = Outline(page)
    assert "script" not in outline.tags
    assert len(outline.addresses) == 3
    assert all(address.startswith("data:image/jpeg;base64,") for address in outline.addresses)
    assert HOSTILE in outline.text
    assert "Photographs of a kind, found by mini & co" in outline.text
    assert "default-src 'none'" in page
    assert "url(" not in page


def test_figures_are_shown_with_their_intervals(report: SimilarReport) -> None:
    text = Outline(similar_page(report)).text
    assert "12 photographs of test/ searched the 1,000 of train/; 3 kinds." in text
    assert "76.4 %72.8 to 80.0" in text
    assert "it is the same photograph as" in text


def test_the_worst_kinds_come_first(report: SimilarReport) -> None:
    text = Outline(similar_page(report)).text
    assert f"{HOSTILE}340.1 %rose880.0 %lily1100.0 %" in text


def test_the_matrix_counts_photographs_by_kind_and_vote(report: SimilarReport) -> None:
    page = similar_page(report)
    assert (
        '<td style="--share:0.500">2</td><td style="--share:0.000">–</td><td class="own" style="--share:0.866">6'
        in page
    )


def test_right_and_wrong_hits_differ_by_more_than_colour(report: SimilarReport) -> None:
    page = similar_page(report)
    text = Outline(page).text
    assert f"✗ {HOSTILE}0.91✓ rose−0.12" in text
    assert "1&lt;b&gt;.jpg, of another kind" in page
    assert f"AP@10 12.5 % · voted {HOSTILE}" in text


def test_ten_thousand_kinds_make_a_page_that_can_be_opened(report: SimilarReport) -> None:
    page = similar_page(many_kinds(report, 10_000))
    text = Outline(page).text
    assert len(page) < 200_000
    assert "The 30 kinds with the lowest MAP@10; 9,970 more are not shown." in text
    assert "The pairs that were confused most. 9,970 more pairs are not shown." in text
    assert "kind09999kind0000010,000" in text


def test_thirty_kinds_still_have_their_matrix(report: SimilarReport) -> None:
    assert '<div class="matrix many">' in similar_page(many_kinds(report, 30))
    assert "Framed cells" not in similar_page(many_kinds(report, 31))


def test_a_report_without_faults_has_no_empty_sections(report: SimilarReport) -> None:
    text = Outline(similar_page(replace(report, worst=(), left_out=(), leave_one_out=True, head="LDA"))).text
    assert "Worst searches" not in text
    assert "Left out" not in text
    assert "each searched all others" in text
    assert "found by the head “LDA” on mini & co" in text
