"""The comparison of indexes: what counts as found, and what is measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from eval import bench_nearest as module
from eval.bench_nearest import ANNOY_SEARCH, HNSW_SEARCH, Contender, K, NearestReport, bench_nearest, contenders
from eval.synthetic_vectors import VectorSet, draw_vectors, mini_bank
from service.errors import UsageError
from service.types import Float32Array, Int64Array, OnProgress
from tests.service.pictures import save_picture

pytestmark = pytest.mark.e2e

SIZE, QUERIES = 600, 20


@pytest.fixture(scope="module")
def data() -> VectorSet:
    return draw_vectors(mini_bank(), SIZE, QUERIES)


@pytest.fixture(scope="module")
def report(data: VectorSet) -> NearestReport:
    return bench_nearest(lambda size, shown: data, [SIZE], repeats=2, threads=1)


class FakeIndex:
    """Finds the nearest rows, changes them with `answer`, and takes a known time."""

    def __init__(
        self, answer: Callable[[Int64Array], Sequence[int]], clock: list[float], vectors: Float32Array
    ) -> None:
        self._answer, self._clock, self._vectors = answer, clock, vectors
        self._effort = 1

    def set_effort(self, value: int) -> None:
        self._effort = value

    def search_call(self, query: Float32Array) -> Callable[[], Sequence[int]]:
        effort = self._effort

        def search() -> Sequence[int]:
            self._clock[0] += 0.002 * effort
            return self._answer(np.argsort(-(self._vectors @ query), kind="stable")[:K])

        return search

    def size(self) -> int:
        return 1234


def fake_report(
    data: VectorSet, answer: Callable[[Int64Array], Sequence[int]], efforts: tuple[int, ...] = (1,)
) -> NearestReport:
    clock = [0.0]

    def build(vectors: Float32Array, threads: int, shown: OnProgress) -> FakeIndex:
        clock[0] += 7.5
        return FakeIndex(answer, clock, vectors)

    return bench_nearest(
        lambda size, shown: data,
        [SIZE],
        repeats=3,
        among=[Contender("fake", "effort", efforts, build)],
        clock=lambda: clock[0],
    )


# -- what counts as found ------------------------------------------------------------------------------


def test_the_right_rows_have_full_recall(data: VectorSet) -> None:
    assert fake_report(data, list).trials[0].recall == 100


def test_shuffled_rows_have_next_to_no_recall(data: VectorSet) -> None:
    shuffled = np.random.default_rng(1).permutation(SIZE)
    assert fake_report(data, lambda right: [int(shuffled[row]) for row in right]).trials[0].recall < 10


@pytest.mark.parametrize(
    ("answer", "recall"),
    [
        (lambda right: right[:4], 40),
        (lambda right: [right[0]] * K, 10),
        (lambda right: [*right[:5], -1, -1, -1, -1, -1], 50),
        (lambda right: [], 0),
    ],
    ids=["four of ten", "one ten times", "five and nothing", "nothing"],
)
def test_missing_and_repeated_rows_do_not_count(
    data: VectorSet, answer: Callable[[Int64Array], Sequence[int]], recall: float
) -> None:
    assert fake_report(data, answer).trials[0].recall == pytest.approx(recall)


def test_any_of_several_equal_vectors_is_right() -> None:
    vectors = np.eye(32, dtype=np.float32).repeat(12, axis=0)
    data = VectorSet(vectors, np.eye(32, dtype=np.float32)[:3], "twelve of each")
    for first in (0, 2):
        others = fake_report(data, lambda right, first=first: range(right[0] // 12 * 12 + first, SIZE)[:K])  # type: ignore[misc]
        assert others.trials[0].recall == 100


# -- what is measured ----------------------------------------------------------------------------------


def test_building_and_each_effort_are_timed_separately(data: VectorSet) -> None:
    first, second = fake_report(data, list, efforts=(1, 4)).trials
    assert first.build_s == second.build_s == pytest.approx(7.5)
    assert (first.ms, first.ms_least, first.ms_most) == pytest.approx((2, 2, 2))
    assert second.ms == pytest.approx(8)
    assert (first.setting, second.setting) == ("effort 1", "effort 4")
    assert first.bytes == 1234


def test_every_index_is_searched_with_every_effort(report: NearestReport) -> None:
    efforts = {"FAISS flat fp32": 1, "FAISS flat fp16": 1, "FAISS HNSW32": len(HNSW_SEARCH)}
    if find_spec("annoy") is not None:
        efforts["Annoy, 100 trees"] = len(ANNOY_SEARCH)
    counted: dict[str, int] = {}
    for trial in report.trials:
        counted[trial.index] = counted.get(trial.index, 0) + 1
        assert trial.photographs == SIZE
        assert 0 < trial.ms_least <= trial.ms <= trial.ms_most
        assert trial.build_s > 0
    assert counted == efforts


def test_flat_finds_all_in_half_the_bytes_and_effort_raises_recall(report: NearestReport) -> None:
    flat, half, *graphs = report.trials[: 2 + len(HNSW_SEARCH)]
    assert flat.recall == 100
    assert half.recall >= 99
    assert flat.bytes == pytest.approx(SIZE * 512 * 4, rel=0.01)
    assert half.bytes == pytest.approx(flat.bytes / 2, rel=0.01)
    assert graphs[0].bytes > flat.bytes + SIZE * 32 * 2 * 4
    assert graphs[0].recall <= graphs[-1].recall
    assert graphs[-1].recall > 95


def test_annoy_finds_the_nearest(data: VectorSet) -> None:
    pytest.importorskip("annoy", reason="annoy is not installed; the extra `bench` brings it")
    (annoy,) = [each for each in contenders() if each.name.startswith("Annoy")]
    trials = bench_nearest(lambda size, shown: data, [SIZE], repeats=1, threads=1, among=[annoy]).trials
    assert trials[-1].recall > 95
    assert trials[0].bytes > SIZE * 512 * 4


def test_without_annoy_a_sentence_says_how_to_install_it(data: VectorSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert [each.name for each in contenders()] == ["FAISS flat fp32", "FAISS flat fp16", "FAISS HNSW32"]
    left_out = fake_report(data, list).left_out
    assert left_out is not None
    assert "pip install annoy" in left_out


def test_the_threads_of_faiss_are_restored(data: VectorSet) -> None:
    before = faiss.omp_get_max_threads()
    bench_nearest(lambda size, shown: data, [SIZE], repeats=1, threads=before + 1, among=contenders()[:1])
    assert faiss.omp_get_max_threads() == before


def test_stages_are_reported(data: VectorSet) -> None:
    stages: list[tuple[str, int, int]] = []
    bench_nearest(
        lambda size, shown: data,
        [SIZE],
        repeats=2,
        threads=1,
        among=contenders()[:1],
        on_stage=lambda what, done, total: stages.append((what, done, total)),
    )
    assert [what for what, done, total in stages if done == total] == [
        "exact scan",
        "600: building FAISS flat fp32",
        "600: searching FAISS flat fp32",
    ]


@pytest.mark.parametrize(
    ("sizes", "repeats", "threads", "says"),
    [
        ([9], 1, 1, "--photos is 9; it must be from 10"),
        ([100, 10**9], 1, 1, "--photos is 1,000,000,000"),
        ([], 1, 1, "nothing to measure"),
        ([100], 0, 1, "nothing to measure"),
        ([100], 1, 0, "--threads is 0"),
    ],
)
def test_options_out_of_range_are_refused_before_vectors_are_made(
    sizes: list[int], repeats: int, threads: int, says: str
) -> None:
    def draw(size: int, shown: OnProgress) -> VectorSet:
        raise AssertionError("no vectors may be made")

    with pytest.raises(UsageError, match=says):
        bench_nearest(draw, sizes, repeats=repeats, threads=threads)


# -- the command ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, tiny: Any) -> Path:
    from service.config import Settings
    from service.library import Library

    photographs = tmp_path_factory.mktemp("photographs")
    for seed in range(30):
        save_picture(photographs / f"{seed}.jpg", seed, size=(96, 64))
    folder = tmp_path_factory.mktemp("made") / "library"
    with Library.open(folder, Settings(library=folder), create=True) as opened:
        for _ in opened.index([photographs], encoder=tiny):
            pass
    return folder


def test_the_command_prints_json(smysl: Callable[..., Any]) -> None:
    run = partial(smysl, "bench", "nearest", "--queries", 5, "--repeats", 1, "--threads", 1)
    done = run("--photos", 300, "--photos", 400, "--json")
    assert done.code == 0, done.err
    printed = json.loads(done.out)
    assert [trial["photographs"] for trial in printed["trials"]] == sorted(
        trial["photographs"] for trial in printed["trials"]
    )
    assert {trial["photographs"] for trial in printed["trials"]} == {300, 400}
    assert {"recall", "ms", "ms_least", "ms_most", "build_s", "bytes"} <= printed["trials"][0].keys()
    assert (printed["k"], printed["queries"], printed["repeats"], printed["search_threads"]) == (10, 5, 1, 1)
    assert printed["versions"]["faiss"] == faiss.__version__
    assert "cores" in printed["machine"]
    assert ("annoy" in printed["versions"]) == (find_spec("annoy") is not None)
    assert ("pip install annoy" in done.err) == (find_spec("annoy") is None)


def test_the_command_prints_a_table_of_a_library(smysl: Callable[..., Any], library: Path) -> None:
    done = smysl("bench", "nearest", "--library", library, "--queries", 5, "--repeats", 1, "--threads", 1)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split()[:3] == ["photographs", "index", "setting"]
    assert lines[1].split()[:4] == ["25", "FAISS", "flat", "fp32"]
    assert "100.0 %" in lines[1]
    assert f"25 the library {library}" in done.out


def test_the_command_refuses_options_out_of_range(smysl: Callable[..., Any]) -> None:
    done = smysl("bench", "nearest", "--photos", 3)
    assert done.code == UsageError.exit_code
    assert "--photos is 3" in done.err
    assert done.out == ""
