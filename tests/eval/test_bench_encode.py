"""What the benchmark of encoding counts, by a clock that only advances while an encoder works."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from eval.bench_encode import BATCH, CANDIDATES, QUERIES, WARM_BATCHES, bench_encoding, medians_by_name
from eval.bench_report import BenchReport
from service.encoder.encoder import Encoder
from service.encoder.models import bytes_on_disk
from service.errors import UsageError
from service.match.scorer import Scorer
from service.types import Float32Array

pytestmark = pytest.mark.e2e

QUERY_S, PHOTOGRAPH_S, PREPARATION_S, LOADING_S = 0.003, 0.018, 0.002, 1.5


class TimedEncoder:
    """Takes a known time for each call, and a thousand seconds for first calls."""

    name, fingerprint, device, precision, text_precision = "timed", "f00d", "cpu", "fp32", "bf16"
    runtime = "clockwork"
    photograph_side = 8

    def __init__(self) -> None:
        self.now = 0.0
        self.known: set[str] = set()
        self.prepared = self.batches = 0
        self.encoded: list[str] = []

    def clock(self) -> float:
        return self.now

    def load(self) -> Encoder:
        self.now += LOADING_S
        return cast(Encoder, self)

    def encode_texts(self, texts: Sequence[str]) -> None:
        assert len(texts) == 1, "queries are encoded one at a time"
        self.now += QUERY_S if texts[0] in self.known else 1000
        self.known.add(texts[0])
        self.encoded += texts

    def prepare(self, image: Image.Image) -> Float32Array:
        assert image.mode == "RGB"
        assert min(image.size) == 2 * self.photograph_side
        self.prepared += 1
        self.now += PREPARATION_S if self.prepared > BATCH else 1000
        return np.zeros((3, 8, 8), np.float32)

    def encode_prepared(self, prepared: Sequence[Float32Array]) -> None:
        self.batches += 1
        self.now += PHOTOGRAPH_S * len(prepared) if self.batches > WARM_BATCHES else 1000


@pytest.fixture
def timed() -> TimedEncoder:
    return TimedEncoder()


@pytest.fixture
def report(timed: TimedEncoder) -> BenchReport:
    return bench_encoding(timed.load, 2_500_000, queries=50, batches=3, repeats=2, clock=timed.clock)


def figures(report: BenchReport) -> dict[str, tuple[float, ...]]:
    return {figure.name: figure.values for figure in report.figures}


def test_first_calls_are_not_counted(report: BenchReport) -> None:
    found = figures(report)
    assert found["query"] == pytest.approx((3, 3))
    assert found["95 % of queries within"] == pytest.approx((3, 3))
    assert found["photograph"] == pytest.approx((18, 18))
    assert found["resizing"] == pytest.approx((2, 2))


def test_a_scorer_is_timed_on_the_candidates_of_a_search(tiny: Encoder) -> None:
    seen: list[int] = []

    class Counting:
        def match(self, query: Float32Array, photographs: Float32Array, kind: str) -> None:
            assert (query.shape, kind) == ((tiny.dimension,), "text")
            seen.append(len(photographs))

    report = bench_encoding(
        lambda: tiny, 1, scorer_of=lambda _: cast(Scorer, Counting()), queries=1, batches=1, repeats=2
    )
    assert set(seen) == {CANDIDATES}
    assert len(figures(report)["match"]) == 2
    without = bench_encoding(lambda: tiny, 1, queries=1, batches=1, repeats=1)
    assert "match" not in figures(without)
    assert medians_by_name(without)["match_ms"] is None


def test_loading_is_measured_separately_and_once(report: BenchReport) -> None:
    assert figures(report)["loading"] == pytest.approx((LOADING_S,))
    assert figures(report)["size"] == (2.5,)


def test_the_settings_match_what_was_encoded(timed: TimedEncoder, report: BenchReport) -> None:
    assert [report.settings[name] for name in ("queries", "batches", "batch", "repeats")] == [50, 3, BATCH, 2]
    assert report.settings["runtime"] == "clockwork"
    assert len(timed.encoded) == len(QUERIES) + 2 * 50
    assert timed.batches == WARM_BATCHES + 2 * 3
    assert set(timed.encoded[len(QUERIES) :]) == set(QUERIES)


def test_nothing_is_loaded_for_no_repeats(timed: TimedEncoder) -> None:
    with pytest.raises(UsageError, match="--repeats is 0"):
        bench_encoding(timed.load, 0, repeats=0, clock=timed.clock)
    assert timed.now == 0


def test_progress_ends_at_its_total(timed: TimedEncoder) -> None:
    seen: list[tuple[int, int]] = []
    bench_encoding(
        timed.load,
        0,
        queries=5,
        batches=2,
        clock=timed.clock,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total in seen} == {len(seen)}


def test_queries_are_many_and_of_all_lengths() -> None:
    lengths = [len(query.split()) for query in QUERIES]
    assert len(set(QUERIES)) == len(QUERIES) == 20
    assert min(lengths) == 1
    assert max(lengths) >= 15


def test_a_real_encoder_has_positive_figures_in_order(tiny: Encoder) -> None:
    report = bench_encoding(lambda: tiny, 1, queries=30, batches=2, repeats=1)
    found = figures(report)
    assert 0 < found["query"][0] <= found["95 % of queries within"][0]
    assert found["photograph"][0] > 0
    assert found["resizing"][0] > 0
    facts = {name: report.settings[name] for name in ("model", "fingerprint", "device", "precision", "text_precision")}
    assert facts == {
        "model": tiny.name,
        "fingerprint": tiny.fingerprint,
        "device": "cpu",
        "precision": "fp32",
        "text_precision": "fp32",
    }
    assert report.settings["threads"] >= 1


def test_the_command_prints_json(smysl: Callable[..., Any], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMYSL_PRECISION", "fp32")
    done = smysl(
        "bench", "encode", "--model", f"local-dir:{tiny_folder}", "--device", "cpu", "--repeats", "2", "--json"
    )
    assert done.code == 0, done.err
    printed = json.loads(done.out)
    assert list(printed)[:6] == [
        "text_ms_median",
        "text_ms_p95",
        "photograph_ms",
        "preparation_ms",
        "loading_s",
        "disk_mb",
    ]
    assert printed["disk_mb"] == round(sum(file.stat().st_size for file in tiny_folder.iterdir()) / 1e6, 2)
    assert printed["queries"] == 200
    assert printed["precision"] == printed["settings"]["precision"] == "fp32"
    assert printed["bench"] == "encode"
    assert {figure["name"]: len(figure["values"]) for figure in printed["figures"]} == {
        "query": 2,
        "95 % of queries within": 2,
        "photograph": 2,
        "resizing": 2,
        "match": 2,
        "loading": 1,
        "size": 1,
    }
    assert printed["machine"]["cores"] >= 1
    assert {"smysl", "torch", "numpy"} <= set(printed["versions"])


def test_the_command_prints_a_table(smysl: Callable[..., Any], tiny_folder: Path) -> None:
    done = smysl("bench", "encode", "--model", f"local-dir:{tiny_folder}", "--device", "cpu", "--repeats", "2")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["figure", "median", "unit", "least–most"]
    beginnings = ["query", "95", "photograph", "resizing", "match", "loading", "size"]
    assert [line.split()[0] for line in lines[1:8]] == beginnings
    assert "–" in lines[1]
    assert lines[6].split()[-1] == "once"
    rows = {line.split()[0]: line for line in lines[8:] if line.strip()}
    assert list(rows) == ["machine", "versions", "settings", "notes"]
    assert f"local-dir:{tiny_folder}" in rows["settings"]


def test_zero_repeats_are_refused_with_a_sentence(smysl: Callable[..., Any], tiny_folder: Path) -> None:
    done = smysl("bench", "encode", "--model", f"local-dir:{tiny_folder}", "--repeats", "0")
    assert done.code == UsageError.exit_code
    assert "--repeats is 0; it must be 1 or more." in done.err


def test_an_unknown_model_is_refused_with_a_sentence(smysl: Callable[..., Any]) -> None:
    done = smysl("bench", "encode", "--model", "nothing")
    assert done.code == UsageError.exit_code
    assert "nothing" in done.err


def test_a_model_that_is_not_on_this_machine_has_no_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert bytes_on_disk("hf-hub:nobody/nothing") == 0
    assert 10e6 < bytes_on_disk("mini") < 100e6
