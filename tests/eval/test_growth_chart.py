"""The picture of cost against size."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

from eval.bench_report import BenchReport, Figure
from eval.growth_chart import LEFT, WIDTH, curves, growth_svg

SVG = "{http://www.w3.org/2000/svg}"


def report(*figures: Figure) -> BenchReport:
    return BenchReport("library", list(figures), {}, [], {}, {})


SIZES = ("1,000", "10,000", "100,000")
REPORT = report(
    *(Figure(f"{size}: start of the service", "s", (0.5, 0.7, 0.6)) for size in SIZES),
    *(Figure(f"{size}: p50 of GET /search", "ms", (5.0 * n,)) for n, size in enumerate(SIZES, 1)),
    *(Figure(f"{size}: p50 of the text tower", "ms", (5.0 * n,)) for n, size in enumerate(SIZES, 1)),
    *(Figure(f"{size}: peak memory", "MB", (300.0,)) for size in SIZES),
    Figure("something else", "s", (1.0,)),
)


def test_curves_are_medians_by_size_in_one_unit() -> None:
    found = curves(REPORT)
    assert found["start of the service"] == [(1_000, 600), (10_000, 600), (100_000, 600)]
    assert found["p50 of GET /search"] == [(1_000, 5), (10_000, 10), (100_000, 15)]
    assert "something else" not in found


def test_the_picture_has_a_ground_and_a_line_with_its_name_for_each_figure() -> None:
    root = ElementTree.fromstring(growth_svg(REPORT))  # noqa: S314 - of this program
    ground = root.find(f"{SVG}rect")
    assert ground is not None
    assert (ground.get("width"), ground.get("fill")) == ("100%", "#ffffff")
    assert len(root.findall(f"{SVG}g")) == 2
    assert len(root.findall(f".//{SVG}polyline")) == 4
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert {"start of the service", "p50 of GET /search", "peak memory", "Time", "100,000"} <= set(words)


def test_names_do_not_lie_on_one_another() -> None:
    root = ElementTree.fromstring(growth_svg(REPORT))  # noqa: S314
    for panel in root.findall(f"{SVG}g"):
        names = [each for each in panel.iter(f"{SVG}text") if float(each.get("x", 0)) > LEFT + WIDTH]
        heights = sorted(float(each.get("y", 0)) for each in names)
        assert all(after - before >= 14.9 for before, after in pairwise(heights))


def test_one_size_and_costs_of_nothing_can_be_drawn() -> None:
    root = ElementTree.fromstring(  # noqa: S314
        growth_svg(report(Figure("10: adding 1,000", "s", (0.5,)), Figure("10: p50 of GET /search", "ms", (0.0,))))
    )
    assert len(root.findall(f".//{SVG}polyline")) == 1
