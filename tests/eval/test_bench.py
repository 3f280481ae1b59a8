"""What a benchmark counts and what it leaves out, by a clock that stands still unless an encoder is at work."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from eval.bench import BATCH, CANDIDATES, QUERIES, WARM_BATCHES, EncodingReport, bench_encoding
from service.encoder import Encoder
from service.errors import UsageError
from service.models import bytes_on_disk
from service.scorer import Scorer

QUERY_S, PHOTOGRAPH_S, PREPARATION_S, LOADING_S = 0.003, 0.018, 0.002, 1.5


class TimedEncoder:
    """Takes a known time for everything, and a thousand seconds for what it has not done before."""

    name, fingerprint, device, precision, text_precision = "timed", "f00d", "cpu", "fp32", "bf16"
    photograph_side = 8

    def __init__(self) -> None:
        self.now = 0.0
        self.known: set[str] = set()
        self.prepared = self.batches = 0
        self.asked: list[str] = []

    def clock(self) -> float:
        return self.now

    def load(self) -> Encoder:
        self.now += LOADING_S
        return cast(Encoder, self)

    def encode_texts(self, texts: Sequence[str]) -> None:
        assert len(texts) == 1, "a query is asked alone"
        self.now += QUERY_S if texts[0] in self.known else 1000
        self.known.add(texts[0])
        self.asked += texts

    def prepare(self, image: Image.Image) -> npt.NDArray[np.float32]:
        assert image.mode == "RGB"
        assert min(image.size) == 2 * self.photograph_side
        self.prepared += 1
        self.now += PREPARATION_S if self.prepared > BATCH else 1000
        return np.zeros((3, 8, 8), np.float32)

    def encode_prepared(self, prepared: Sequence[npt.NDArray[np.float32]]) -> None:
        self.batches += 1
        self.now += PHOTOGRAPH_S * len(prepared) if self.batches > WARM_BATCHES else 1000


@pytest.fixture
def timed() -> TimedEncoder:
    return TimedEncoder()


@pytest.fixture
def report(timed: TimedEncoder) -> EncodingReport:
    return bench_encoding(timed.load, 2_500_000, queries=50, batches=3, clock=timed.clock)


def test_what_comes_first_is_not_counted(report: EncodingReport) -> None:
    assert report.text_ms_median == pytest.approx(3)
    assert report.text_ms_p95 == pytest.approx(3)
    assert report.photograph_ms == pytest.approx(18)
    assert report.preparation_ms == pytest.approx(2)


def test_a_scorer_is_timed_by_the_candidates_of_a_search(tiny: Encoder) -> None:
    seen: list[int] = []

    class Counting:
        def match(self, query: npt.NDArray[np.float32], photographs: npt.NDArray[np.float32], kind: str) -> None:
            assert (query.shape, kind) == ((tiny.dimension,), "text")
            seen.append(len(photographs))

    report = bench_encoding(lambda: tiny, 1, scorer_of=lambda _: cast(Scorer, Counting()), queries=1, batches=1)
    assert set(seen) == {CANDIDATES}
    assert report.match_ms is not None and report.match_ms >= 0
    assert bench_encoding(lambda: tiny, 1, queries=1, batches=1).match_ms is None


def test_loading_is_counted_by_itself(report: EncodingReport) -> None:
    assert report.loading_s == pytest.approx(LOADING_S)


def test_as_much_is_asked_as_is_reported(timed: TimedEncoder, report: EncodingReport) -> None:
    assert (report.queries, report.batches, report.batch) == (50, 3, BATCH)
    assert len(timed.asked) == len(QUERIES) + 50
    assert timed.batches == WARM_BATCHES + 3
    assert set(timed.asked[len(QUERIES) :]) == set(QUERIES)


def test_progress_ends_where_it_said(timed: TimedEncoder) -> None:
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
    report = bench_encoding(lambda: tiny, 1, queries=30, batches=2)
    assert 0 < report.text_ms_median <= report.text_ms_p95
    assert report.photograph_ms > 0
    assert report.preparation_ms > 0
    assert (report.model, report.fingerprint, report.device) == (tiny.name, tiny.fingerprint, "cpu")
    assert (report.precision, report.text_precision) == ("fp32", "fp32")
    assert report.threads >= 1


def test_the_command_prints_json(smysl: Callable[..., Any], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMYSL_PRECISION", "fp32")
    done = smysl("bench", "encode", "--model", f"local-dir:{tiny_folder}", "--device", "cpu", "--json")
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
    assert printed["precision"] == "fp32"


def test_the_command_prints_rows(smysl: Callable[..., Any], tiny_folder: Path) -> None:
    done = smysl("bench", "encode", "--model", f"local-dir:{tiny_folder}", "--device", "cpu")
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()] == [
        "query",
        "photograph",
        "match",
        "resizing",
        "loading",
        "size",
        "model",
        "machine",
    ]


def test_a_model_that_is_not_known_gets_a_sentence(smysl: Callable[..., Any]) -> None:
    done = smysl("bench", "encode", "--model", "nothing")
    assert done.code == UsageError.exit_code
    assert "nothing" in done.err


def test_a_model_that_is_not_on_this_machine_has_no_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert bytes_on_disk("hf-hub:nobody/nothing") == 0
    assert 10e6 < bytes_on_disk("mini") < 100e6
