"""How the figures of a bench are shown."""

from __future__ import annotations

import json
import math

import pytest

from eval.bench_report import BenchReport, Figure
from service.cli.bench import print_report, shown

REPORT = BenchReport(
    "decode",
    [Figure("small, decoded", "photographs/s", (2000.4, 2100.0, 1900.0)), Figure("size", "MB", (1.25,))],
    {"repeats": 3, "sizes": [1000, 2000], "gone": None},
    ["First.", "Second."],
    {"processor": "A processor", "load": None},
    {"smysl": "0.1.0"},
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.01234, "0.0123"), (0.5, "0.500"), (12.34, "12.3"), (99.96, "100.0"), (1234.5, "1,234")],
)
def test_figures_have_three_digits_that_count(value: float, text: str) -> None:
    assert shown(value) == text


def test_what_is_no_number_is_a_dash() -> None:
    assert shown(math.nan) == "–"


def test_a_report_is_a_table_with_what_it_was_made_with(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(REPORT, as_json=False)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[1].split() == ["small,", "decoded", "2,000", "photographs/s", "1,900–2,100"]
    assert lines[2].split() == ["size", "1.25", "MB", "once"]
    assert lines[4:] == [
        "machine   processor A processor",
        "versions  smysl 0.1.0",
        "settings  repeats 3, sizes 1,000 2,000",
        "notes     First.",
        "          Second.",
    ]


def test_a_report_is_json_with_more_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(REPORT, as_json=True, extra=7)
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"extra": 7, **REPORT.as_json()}
