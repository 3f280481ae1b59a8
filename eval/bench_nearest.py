"""Nearest-neighbour indexes compared: FAISS flat in fp32 and in fp16 (what a library uses), FAISS HNSW, and Annoy.

All get the same unit vectors and the same queries, one query at a time on one thread, for the ten nearest. The ground
truth is an exact scan in NumPy. The approximate indexes are searched with several effort settings, so that they can be
compared at equal recall or at equal speed; each is built once for all of its settings and freed before the next one.
"""

from __future__ import annotations

import gc
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eval.bench_report import check_range, processor
from eval.exact_search import kth_similarity
from eval.synthetic_vectors import VectorSet
from service.compute.cores import usable_cores
from service.errors import UsageError
from service.types import Float32Array, OnProgress, OnStage

K = 10
HNSW_LINKS, HNSW_CONSTRUCTION = 32, 100
"""M and efConstruction: links of a vector, and candidates while one is added (FAISS's default is 40)."""
HNSW_SEARCH = (16, 64, 256)
"""efSearch: candidates per query."""
ANNOY_TREES = 100
ANNOY_SEARCH = (1_000, 10_000, 100_000)
"""search_k: nodes that a query visits, in all trees together."""
WITHOUT_ANNOY = (
    "Annoy is left out because it is not installed. `pip install annoy` installs it; compiling it needs a C++ compiler."
)
MAX_PHOTOGRAPHS = 10_000_000
_CHUNK = 10_000
_BLOCK = 50_000
_TOLERANCE = 1e-6
"""Similarities that differ by less count as equal: a sum of 512 products depends on the order of addition."""

Clock = Callable[[], float]


class Index(Protocol):
    """A built index."""

    def set_effort(self, value: int) -> None:
        """Set how much of the index a query visits; does nothing for an exact index."""

    def search_call(self, query: Float32Array) -> Callable[[], Sequence[int]]:
        """A call that returns the rows of the `K` nearest to a vector, which is converted for the index beforehand."""

    def size(self) -> int:
        """Bytes of its file, about as many as in memory. The index cannot be searched afterwards."""


@dataclass(frozen=True)
class Contender:
    """A kind of index: its name, the name of its effort parameter, the values of it, and how the index is built.

    `build` gets vectors (n, dimension), a number of threads, and a progress callback.
    """

    name: str
    parameter: str
    efforts: tuple[int, ...]
    build: Callable[[Float32Array, int, OnProgress], Index]


@dataclass(frozen=True)
class IndexTrial:
    """One index of so many vectors, searched with one effort setting.

    Attributes:
        recall: percent of the ten nearest that are among the ten found, mean over queries.
        ms: median milliseconds per query; the median over the repeats.
        ms_least, ms_most: the medians of the fastest and the slowest repeat.
        build_s: seconds to build the index, with all threads.
        bytes: size of its file.
    """

    photographs: int
    index: str
    setting: str
    recall: float
    ms: float
    ms_least: float
    ms_most: float
    build_s: float
    bytes: int


@dataclass(frozen=True)
class NearestReport:
    """All trials and their conditions; `left_out` says which index was not available, and why."""

    trials: list[IndexTrial]
    sources: list[str]
    dimension: int
    queries: int
    repeats: int
    build_threads: int
    machine: str
    versions: dict[str, str]
    left_out: str | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """All fields, times and percentages to three decimals."""
        rounded = [
            {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(trial).items()}
            for trial in self.trials
        ]
        return asdict(self) | {"trials": rounded, "seconds": round(self.seconds, 1), "k": K, "search_threads": 1}


def contenders() -> list[Contender]:
    """The indexes that are installed, in the order of the table."""
    exact = (0,)
    links = f"HNSW{HNSW_LINKS}"
    found = [
        Contender("FAISS flat fp32", "", exact, partial(_Faiss, "Flat")),
        Contender("FAISS flat fp16", "", exact, partial(_Faiss, "SQfp16")),
        Contender(f"FAISS {links}", "efSearch", HNSW_SEARCH, partial(_Faiss, f"{links},Flat")),
    ]
    if find_spec("annoy") is not None:
        found.append(Contender(f"Annoy, {ANNOY_TREES} trees", "search_k", ANNOY_SEARCH, _Annoy))
    return found


def bench_nearest(
    draw: Callable[[int, OnProgress], VectorSet],
    sizes: Sequence[int],
    *,
    repeats: int = 5,
    threads: int | None = None,
    among: Sequence[Contender] | None = None,
    on_stage: OnStage = lambda what, done, total: None,
    clock: Clock = time.perf_counter,
) -> NearestReport:
    """Build and search every index at every size.

    Args:
        draw: returns the vectors and queries of a size and reports its progress. They stay in memory beside every
            index, 2 kB per vector of 512 dimensions.
        sizes: numbers of vectors, `K` to `MAX_PHOTOGRAPHS`.
        repeats: how often all queries are timed with each effort setting, after a first round that is not counted.
        threads: threads to build an index with; None is one per core.
        among: the indexes; None for all that are installed.
        on_stage: follows the progress.
        clock: seconds since any moment.

    Raises:
        UsageError: an argument is out of range.
    """
    _check(sizes, repeats, threads)
    started = clock()
    threads = threads or usable_cores()
    trials: list[IndexTrial] = []
    sources: list[str] = []
    for size in sizes:
        data = draw(size, partial(on_stage, f"{size:,}: making vectors"))
        sources.append(f"{len(data.vectors):,} {data.source}")
        tenth = _tenth_similarity(data, on_stage)
        for contender in contenders() if among is None else among:
            trials += _trials(contender, data, tenth, repeats, threads, on_stage, clock)
            gc.collect()
        queries, dimension = data.queries.shape
        # Freed before the next size is made, so that only one is in memory.
        del data
    return NearestReport(
        trials=trials,
        sources=sources,
        dimension=dimension,
        queries=queries,
        repeats=repeats,
        build_threads=threads,
        machine=f"{processor()}, {usable_cores()} cores",
        versions=versions(),
        left_out=None if find_spec("annoy") is not None else WITHOUT_ANNOY,
        seconds=clock() - started,
    )


def _check(sizes: Sequence[int], repeats: int, threads: int | None) -> None:
    for size in sizes:
        check_range("--photos", size, K, MAX_PHOTOGRAPHS)
    if not sizes or repeats < 1:
        raise UsageError("There is nothing to measure: --photos needs a number and --repeats must be 1 or more.")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads is {threads}; it must be 1 or more.")


def _tenth_similarity(data: VectorSet, on_stage: OnStage) -> Float32Array:
    """The `K`-th highest similarity of each query (q,), by an exact scan."""
    count = len(data.vectors)

    def blocks() -> Iterator[Float32Array]:
        for start in range(0, count, _BLOCK):
            yield data.vectors[start : start + _BLOCK]
            on_stage("exact scan", min(start + _BLOCK, count), count)

    return kth_similarity(data.queries, blocks(), K)


def _trials(
    contender: Contender,
    data: VectorSet,
    tenth: Float32Array,
    repeats: int,
    threads: int,
    on_stage: OnStage,
    clock: Clock,
) -> list[IndexTrial]:
    count = f"{len(data.vectors):,}"
    started = clock()
    index = contender.build(
        data.vectors, threads, lambda done, total: on_stage(f"{count}: building {contender.name}", done, total)
    )
    build_s = clock() - started
    measured: list[tuple[int, float, list[float]]] = []
    for effort in contender.efforts:
        index.set_effort(effort)
        stage = f"{count}: searching {contender.name} {_setting(contender, effort)}".rstrip()
        searches = [index.search_call(query) for query in data.queries]
        recall = _recall([search() for search in searches], data, tenth)
        medians = []
        for turn in range(repeats):
            medians.append(_median_ms(searches, clock))
            on_stage(stage, turn + 1, repeats)
        measured.append((effort, recall, medians))
    size = index.size()
    return [
        IndexTrial(
            photographs=len(data.vectors),
            index=contender.name,
            setting=_setting(contender, effort),
            recall=recall,
            ms=float(np.median(medians)),
            ms_least=min(medians),
            ms_most=max(medians),
            build_s=build_s,
            bytes=size,
        )
        for effort, recall, medians in measured
    ]


def _setting(contender: Contender, effort: int) -> str:
    return f"{contender.parameter} {effort:,}" if contender.parameter else ""


def _recall(answers: Sequence[Sequence[int]], data: VectorSet, tenth: Float32Array) -> float:
    """Percent of the `K` nearest that were found; a row that is returned twice counts once."""
    right = 0
    for rows, query, lowest in zip(answers, data.queries, tenth, strict=True):
        found = np.unique([row for row in rows if row >= 0]).astype(np.int64)
        right += int((data.vectors[found] @ query >= lowest - _TOLERANCE).sum())
    return 100.0 * right / (K * len(answers))


def _median_ms(searches: Sequence[Callable[[], object]], clock: Clock) -> float:
    with _one_thread():
        times = []
        for search in searches:
            started = clock()
            search()
            times.append(1000 * (clock() - started))
    return float(np.median(times))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let FAISS use one thread; restores the number of threads afterwards."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class _Faiss:
    """An index of FAISS's factory, by inner product, filled in parts to report progress."""

    def __init__(self, kind: str, vectors: Float32Array, threads: int, on_progress: OnProgress) -> None:
        import faiss

        self._faiss = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        if hasattr(self._faiss, "hnsw"):
            self._faiss.hnsw.efConstruction = HNSW_CONSTRUCTION
        before = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(threads)
        try:
            for start in range(0, len(vectors), _CHUNK):
                self._faiss.add(vectors[start : start + _CHUNK])
                on_progress(min(start + _CHUNK, len(vectors)), len(vectors))
        finally:
            faiss.omp_set_num_threads(before)

    def set_effort(self, value: int) -> None:
        if hasattr(self._faiss, "hnsw"):
            self._faiss.hnsw.efSearch = value

    def search_call(self, query: Float32Array) -> Callable[[], Sequence[int]]:
        row = query.reshape(1, -1)
        return lambda: self._faiss.search(row, K)[1][0]

    def size(self) -> int:
        import faiss

        written = 0

        def count(part: bytes) -> None:
            nonlocal written
            written += len(part)

        # Counts what would be written, which spares a file of gigabytes.
        faiss.write_index(self._faiss, faiss.PyCallbackIOWriter(count, 1 << 20))  # type: ignore[attr-defined]
        return written


class _Annoy:
    """Annoy by angle, which orders unit vectors as the inner product does; it takes one vector at a time, as a list."""

    def __init__(self, vectors: Float32Array, threads: int, on_progress: OnProgress) -> None:
        from annoy import AnnoyIndex

        self._annoy = AnnoyIndex(vectors.shape[1], "angular")
        self._annoy.set_seed(1)
        # Building the trees takes most of the time and reports nothing, so adding counts as half of the progress.
        for start in range(0, len(vectors), _CHUNK):
            for row, vector in enumerate(vectors[start : start + _CHUNK].tolist(), start):
                self._annoy.add_item(row, vector)
            on_progress(min(start + _CHUNK, len(vectors)), 2 * len(vectors))
        self._annoy.build(ANNOY_TREES, n_jobs=threads)
        on_progress(2 * len(vectors), 2 * len(vectors))
        self._effort = -1

    def set_effort(self, value: int) -> None:
        self._effort = value

    def search_call(self, query: Float32Array) -> Callable[[], Sequence[int]]:
        vector, effort = query.tolist(), self._effort
        return lambda: self._annoy.get_nns_by_vector(vector, K, search_k=effort)

    def size(self) -> int:
        # Annoy reports its size only as a saved file.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "annoy"
            self._annoy.save(str(file))
            # After saving, the index is mapped from the file.
            self._annoy.unload()
            return file.stat().st_size


def versions() -> dict[str, str]:
    """Versions of the libraries that are compared, by name."""
    import faiss

    found = {"faiss": faiss.__version__, "numpy": np.__version__, "python": platform.python_version()}
    return found | ({"annoy": version("annoy")} if find_spec("annoy") is not None else {})
