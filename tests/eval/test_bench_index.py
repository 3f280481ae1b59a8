"""The benchmark of indexing, on a few photographs and a random model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import eval.bench_index
from eval.bench_index import bench_index
from eval.bench_report import BenchReport
from service.config import Settings
from service.encoder.encoder import Encoder
from service.errors import UsageError
from tests.conftest import Finished

pytestmark = pytest.mark.e2e


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval.bench_index, "_WARM", 4)
    monkeypatch.setattr(eval.bench_index, "LARGE", (1600, 1200))


@pytest.fixture
def report(few: None, tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> BenchReport:
    monkeypatch.setattr(eval.bench_index._IndexBench, "_peak_mb", lambda self, photographs: 123.0)
    return bench_index(tiny, Settings(batch_size=4, decode_threads=2), small=10, large=5, repeats=2)


def test_the_three_rates_and_their_ratios_are_of_the_same_repeat(report: BenchReport) -> None:
    found = {figure.name: figure.values for figure in report.figures}
    for what in ("224 pixels", "12 megapixels"):
        rows = zip(*(found[f"{what}: {name}"] for name in ("decode alone", "tower alone", "index")), strict=True)
        rows = list(rows)
        assert len(rows) == 2
        assert all(min(row) > 0 for row in rows)
        slower = found[f"{what}: index, of the slower"]
        assert slower == tuple(index / min(decode, tower) for decode, tower, index in rows)
        turns = found[f"{what}: index, of both in turn"]
        assert turns == pytest.approx([index * (1 / decode + 1 / tower) for decode, tower, index in rows])
        assert found[f"{what}: peak memory"] == (123.0,)
    assert report.settings["batch"] == 4
    assert report.settings["threads"] == 2


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"small": 0, "large": 0}, {"small": -1}])
def test_options_out_of_range_are_refused(tiny: Encoder, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"must be 1 or more"):
        bench_index(tiny, Settings(), **wrong)


def test_the_command_measures_memory_in_a_process_of_its_own(
    smysl: Callable[..., Finished], few: None, tiny_folder: Path
) -> None:
    model = f"local-dir:{tiny_folder}"
    done = smysl("bench", "index", "--model", model, "--small", 4, "--large", 0, "--repeats", 1, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    figures = {figure["name"]: figure["median"] for figure in report["figures"]}
    assert figures["224 pixels: peak memory"] > 50
    assert report["settings"]["large"] == 0
    assert not any(name.startswith("12 megapixels") for name in figures)
