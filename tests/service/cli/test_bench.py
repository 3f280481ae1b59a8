"""How the figures of a bench are printed."""

from __future__ import annotations

import json
import math

import pytest

from eval.bench_report import BenchReport, Figure
from service.cli.bench import format_figure, print_report

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
def test_figures_have_three_significant_digits(value: float, text: str) -> None:
    assert format_figure(value) == text


def test_nan_is_a_dash() -> None:
    assert format_figure(math.nan) == "–"


def test_a_report_is_a_table_with_machine_versions_settings_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_report_is_json_with_further_entries_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(REPORT, as_json=True, extra=7)
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"extra": 7, **REPORT.as_json()}
