"""The comparison of indexes: what counts as found, what is measured and what is not, and whether drawn vectors lie as
those of photographs do."""

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
from eval.synthetic_vectors import VectorSet, draw_or_read, draw_vectors, library_vectors, mini_bank
from service.errors import LibraryError, UsageError
from service.types import Float32Array, Int64Array, OnProgress
from tests.service.pictures import save_picture

SIZE, QUERIES = 600, 20


@pytest.fixture(scope="module")
def given() -> VectorSet:
    return draw_vectors(mini_bank(), SIZE, QUERIES)


@pytest.fixture(scope="module")
def report(given: VectorSet) -> NearestReport:
    return bench_nearest(lambda size, shown: given, [SIZE], repeats=2, threads=1)


class Pretended:
    """Finds the right rows and says others, in a time that is known."""

    def __init__(self, says: Callable[[Int64Array], Sequence[int]], clock: list[float], vectors: Float32Array) -> None:
        self._says, self._clock, self._vectors = says, clock, vectors
        self._effort = 1

    def effort(self, value: int) -> None:
        self._effort = value

    def asked(self, query: Float32Array) -> Callable[[], Sequence[int]]:
        effort = self._effort

        def ask() -> Sequence[int]:
            self._clock[0] += 0.002 * effort
            return self._says(np.argsort(-(self._vectors @ query), kind="stable")[:K])

        return ask

    def size(self) -> int:
        return 1234


def pretending(
    given: VectorSet, says: Callable[[Int64Array], Sequence[int]], efforts: tuple[int, ...] = (1,)
) -> NearestReport:
    clock = [0.0]

    def build(vectors: Float32Array, threads: int, shown: OnProgress) -> Pretended:
        clock[0] += 7.5
        return Pretended(says, clock, vectors)

    return bench_nearest(
        lambda size, shown: given,
        [SIZE],
        repeats=3,
        among=[Contender("pretended", "effort", efforts, build)],
        clock=lambda: clock[0],
    )


# -- what counts as found ------------------------------------------------------------------------------


def test_an_index_that_says_what_is_right_has_all(given: VectorSet) -> None:
    assert pretending(given, list).trials[0].recall == 100


def test_an_index_whose_rows_are_shuffled_has_next_to_nothing(given: VectorSet) -> None:
    places = np.random.default_rng(1).permutation(SIZE)
    assert pretending(given, lambda right: [int(places[row]) for row in right]).trials[0].recall < 10


@pytest.mark.parametrize(
    ("says", "recall"),
    [
        (lambda right: right[:4], 40),
        (lambda right: [right[0]] * K, 10),
        (lambda right: [*right[:5], -1, -1, -1, -1, -1], 50),
        (lambda right: [], 0),
    ],
    ids=["four of ten", "one ten times", "five and nothing", "nothing"],
)
def test_what_is_missing_or_said_twice_is_not_found(
    given: VectorSet, says: Callable[[Int64Array], Sequence[int]], recall: float
) -> None:
    assert pretending(given, says).trials[0].recall == pytest.approx(recall)


def test_any_of_more_photographs_with_the_same_vector_is_right() -> None:
    vectors = np.eye(32, dtype=np.float32).repeat(12, axis=0)
    given = VectorSet(vectors, np.eye(32, dtype=np.float32)[:3], "twelve of each")
    for first in (0, 2):
        others = pretending(given, lambda right, first=first: range(right[0] // 12 * 12 + first, SIZE)[:K])  # type: ignore[misc]
        assert others.trials[0].recall == 100


# -- what is measured ----------------------------------------------------------------------------------


def test_building_and_asking_are_timed_apart_and_each_effort_by_itself(given: VectorSet) -> None:
    first, second = pretending(given, list, efforts=(1, 4)).trials
    assert first.build_s == second.build_s == pytest.approx(7.5)
    assert (first.ms, first.ms_least, first.ms_most) == pytest.approx((2, 2, 2))
    assert second.ms == pytest.approx(8)
    assert (first.setting, second.setting) == ("effort 1", "effort 4")
    assert first.bytes == 1234


def test_every_index_is_asked_with_every_effort(report: NearestReport) -> None:
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


def test_flat_finds_all_in_half_the_bytes_and_effort_pays(report: NearestReport) -> None:
    flat, half, *graphs = report.trials[: 2 + len(HNSW_SEARCH)]
    assert flat.recall == 100
    assert half.recall >= 99
    assert flat.bytes == pytest.approx(SIZE * 512 * 4, rel=0.01)
    assert half.bytes == pytest.approx(flat.bytes / 2, rel=0.01)
    assert graphs[0].bytes > flat.bytes + SIZE * 32 * 2 * 4
    assert graphs[0].recall <= graphs[-1].recall
    assert graphs[-1].recall > 95


def test_annoy_finds_them_too(given: VectorSet) -> None:
    pytest.importorskip("annoy", reason="annoy is not installed; the extra `bench` brings it")
    (annoy,) = [each for each in contenders() if each.name.startswith("Annoy")]
    trials = bench_nearest(lambda size, shown: given, [SIZE], repeats=1, threads=1, among=[annoy]).trials
    assert trials[-1].recall > 95
    assert trials[0].bytes > SIZE * 512 * 4


def test_without_annoy_a_sentence_says_how_to_get_it(given: VectorSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert [each.name for each in contenders()] == ["FAISS flat fp32", "FAISS flat fp16", "FAISS HNSW32"]
    left_out = pretending(given, list).left_out
    assert left_out is not None
    assert "pip install annoy" in left_out


def test_faiss_has_as_many_threads_afterwards_as_before(given: VectorSet) -> None:
    before = faiss.omp_get_max_threads()
    bench_nearest(lambda size, shown: given, [SIZE], repeats=1, threads=before + 1, among=contenders()[:1])
    assert faiss.omp_get_max_threads() == before


def test_one_sees_how_far_it_is(given: VectorSet) -> None:
    told: list[tuple[str, int, int]] = []
    bench_nearest(
        lambda size, shown: given,
        [SIZE],
        repeats=2,
        threads=1,
        among=contenders()[:1],
        on_stage=lambda what, done, total: told.append((what, done, total)),
    )
    assert [what for what, done, total in told if done == total] == [
        "finding what is right",
        "600: building FAISS flat fp32",
        "600: asking FAISS flat fp32",
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
def test_what_cannot_be_measured_is_refused_before_anything_is_drawn(
    sizes: list[int], repeats: int, threads: int, says: str
) -> None:
    def draw(size: int, shown: OnProgress) -> VectorSet:
        raise AssertionError("nothing may be drawn")

    with pytest.raises(UsageError, match=says):
        bench_nearest(draw, sizes, repeats=repeats, threads=threads)


# -- the vectors ---------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_and_another_seed_others(given: VectorSet) -> None:
    again, other = draw_vectors(mini_bank(), SIZE, QUERIES), draw_vectors(mini_bank(), SIZE, QUERIES, seed=1)
    assert np.array_equal(again.vectors, given.vectors)
    assert np.array_equal(again.queries, given.queries)
    assert not np.array_equal(other.vectors, given.vectors)


def test_queries_are_further_draws_and_no_members(given: VectorSet) -> None:
    assert given.vectors.shape == (SIZE, 512)
    assert given.queries.shape == (QUERIES, 512)
    assert np.linalg.norm(given.vectors, axis=1) == pytest.approx(np.ones(SIZE), abs=1e-5)
    assert (given.queries @ given.vectors.T).max() < 0.99


def test_drawn_vectors_have_neighbours_as_photographs_have_and_random_ones_have_not() -> None:
    made = draw_vectors(mini_bank(), 6000, 300)
    similarities = np.sort(made.queries @ made.vectors.T, axis=1)
    assert similarities.mean() == pytest.approx(0.0, abs=0.05)
    assert similarities[:, -1].mean() == pytest.approx(0.72, abs=0.03)
    assert similarities[:, -10].mean() == pytest.approx(0.62, abs=0.03)
    assert similarities[:, -100].mean() == pytest.approx(0.45, abs=0.03)
    random = np.random.default_rng(0).standard_normal((6300, 512)).astype(np.float32)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    assert np.sort(random[6000:] @ random[:6000].T, axis=1)[:, -1].mean() < 0.3


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


def test_a_librarys_own_vectors_are_parted_into_members_and_queries(library: Path, tiny: Any) -> None:
    own = library_vectors(library, 5)
    assert own.vectors.shape == (25, tiny.dimension)
    assert own.queries.shape == (5, tiny.dimension)
    everything = np.concatenate([own.vectors, own.queries])
    assert len(np.unique(everything, axis=0)) == 30
    assert np.linalg.norm(everything, axis=1) == pytest.approx(np.ones(30), abs=1e-3)


def test_a_library_that_is_too_small_or_not_there_gets_a_sentence(library: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="holds 30 photographs, too few to take 16 out"):
        library_vectors(library, 16)
    with pytest.raises(LibraryError, match="no library"):
        library_vectors(tmp_path, 16)


def test_sizes_are_for_drawn_vectors_alone(library: Path) -> None:
    sizes, _ = draw_or_read([], None, 5, 0)
    assert sizes == [10_000]
    sizes, draw = draw_or_read([], library, 5, 0)
    assert sizes == [25] == [len(draw(25, lambda done, total: None).vectors)]
    with pytest.raises(UsageError, match="leave out --photos"):
        draw_or_read([1000], library, 5, 0)
    for queries in (0, 10_001):
        with pytest.raises(UsageError, match="--queries is"):
            draw_or_read([], None, queries, 0)


# -- the command ---------------------------------------------------------------------------------------


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


def test_what_cannot_be_is_a_sentence_on_the_command_line(smysl: Callable[..., Any]) -> None:
    done = smysl("bench", "nearest", "--photos", 3)
    assert done.code == UsageError.exit_code
    assert "--photos is 3" in done.err
    assert done.out == ""
