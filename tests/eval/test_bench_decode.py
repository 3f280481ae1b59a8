"""The benchmark of decoding, on a few photographs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import eval.bench_decode
from eval.bench_decode import bench_decode
from eval.bench_report import BenchReport
from service.errors import UsageError
from tests.conftest import Finished

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def report() -> BenchReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eval.bench_decode, "LARGE", (1600, 1200))
        return bench_decode(side=100, small=6, large=4, threads=2, repeats=2)


def test_each_scale_is_measured_with_one_thread_and_with_all(report: BenchReport) -> None:
    rates = {figure.name: figure.values for figure in report.figures if figure.unit == "photographs/s"}
    scales = ("224 pixels", "12 megapixels, reduced", "12 megapixels, full scale")
    assert set(rates) == {f"{scale}, {threads}" for scale in scales for threads in ("1 thread", "2 threads")}
    assert all(len(values) == 2 and min(values) > 0 for values in rates.values())


def test_rates_times_and_ratios_are_consistent(report: BenchReport) -> None:
    found = {figure.name: figure.values for figure in report.figures}
    for rate, ms in zip(
        found["12 megapixels, reduced, 1 thread"], found["12 megapixels, reduced, one photograph"], strict=True
    ):
        assert rate * ms == pytest.approx(1000)
    faster = zip(found["12 megapixels, reduced, 2 threads"], found["12 megapixels, full scale, 2 threads"], strict=True)
    assert found["12 megapixels: reduced / full scale"] == tuple(one / other for one, other in faster)


def test_the_reduced_scale_is_nearly_the_same(report: BenchReport) -> None:
    difference = next(figure for figure in report.figures if figure.unit == "levels of 255")
    assert 0 < difference.most < 2


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"small": 0}, {"large": -1}, {"side": 0}, {"threads": 0}])
def test_options_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"must be 1 or more"):
        bench_decode(**wrong)  # type: ignore[arg-type]


def test_the_command_prints_json(smysl: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval.bench_decode, "LARGE", (1600, 1200))
    done = smysl("bench", "decode", "--small", 2, "--large", 2, "--repeats", 1, "--threads", 1, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["bench"] == "decode"
    assert report["settings"]["threads"] == 1
