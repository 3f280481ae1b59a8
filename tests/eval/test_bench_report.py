"""The figures that every benchmark reports."""

from __future__ import annotations

import json
import math

import pytest

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from service.errors import UsageError


def test_a_figure_has_its_median_and_extremes() -> None:
    figure = Figure("index", "photographs/s", (30.0, 10.0, 20.0, 1000.0))
    assert (figure.median, figure.least, figure.most) == (25.0, 10.0, 1000.0)


def test_a_report_becomes_json_with_all_repeats() -> None:
    report = BenchReport(
        "decode",
        [Figure("small", "photographs/s", (1.23456, 2345.6)), Figure("none", "MB", (math.nan,))],
        {"repeats": 2},
        ["A sentence."],
        machine_facts(),
        versions_of("numpy", "no-such-distribution"),
    )
    printed = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert list(printed) == ["bench", "figures", "settings", "notes", "machine", "versions"]
    assert printed["figures"][0] == {
        "name": "small",
        "unit": "photographs/s",
        "median": 1173,
        "least": 1.235,
        "most": 2346,
        "values": [1.235, 2346],
    }
    assert printed["figures"][1]["median"] is None
    assert set(printed["machine"]) == {"processor", "cores", "memory_gb", "system", "python", "load"}
    assert printed["machine"]["cores"] >= 1
    assert {"smysl", "numpy"} == set(printed["versions"])


@pytest.mark.parametrize("repeats", [0, -1])
def test_zero_repeats_are_refused(repeats: int) -> None:
    with pytest.raises(UsageError, match="--repeats"):
        check_repeats(repeats)
