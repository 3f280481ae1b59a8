"""The benchmark of filters, on a few photographs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from eval.bench_filters import bench_filters
from service.errors import UsageError

pytestmark = pytest.mark.e2e


def test_every_share_has_time_and_recall_beside_the_search_without_a_filter() -> None:
    report = bench_filters([600], queries=3, repeats=2)
    found = {figure.name: figure for figure in report.figures}
    for what in ("texts", "photographs"):
        for share in ("without a filter", "0.1 %", "1 %", "10 %", "50 %"):
            assert len(found[f"600: {what}, {share}"].values) == 2
            assert found[f"600: {what}, {share}"].least > 0
            # One in a thousand of 600 may be none.
            assert share == "0.1 %" or found[f"600: recall@10 of {what}, {share}"].values == (100.0,)
        assert f"600: {what}, without a filter, over that without" not in found
        assert len(found[f"600: {what}, 50 %, over that without"].values) == 2
    assert report.settings["index at 600"] == "SQfp16"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--photos", "0"], "--photos is 0; it must be from 1 to 10,000,000."),
        (["--queries", "1001"], "--queries is 1,001; it must be from 1 to 1,000."),
        (["--repeats", "0"], "--repeats is 0; it must be 1 or more."),
        (["--library", "somewhere"], "--filters measures generated libraries: leave out --library."),
    ],
)
def test_options_out_of_range_are_refused(options: list[str], says: str, smysl: Callable[..., Any]) -> None:
    done = smysl("bench", "search", "--filters", *options)
    assert done.code == UsageError.exit_code
    assert says in done.err


def test_the_command_prints_json(smysl: Callable[..., Any]) -> None:
    done = smysl("bench", "search", "--filters", "--photos", 30, "--queries", 1, "--repeats", 1, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["bench"] == "filters"
