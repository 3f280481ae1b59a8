"""Which index finds the nearest photographs: FAISS flat in fp32 and in fp16 (what a library uses), FAISS HNSW, Annoy.

All get the same unit vectors and the same queries, one query at a time on one thread, for the ten nearest. What is
right comes from NumPy, not from one of those that are compared. The approximate ones are asked with several efforts,
so that they can be compared at equal recall or at equal speed; each index is built once for all of its efforts and
is freed before the next one is built.
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

from eval.bench_report import processor
from eval.synthetic_vectors import VectorSet
from service.compute.cores import usable_cores
from service.errors import UsageError
from service.types import Float32Array, OnProgress, OnStage

K = 10
HNSW_LINKS, HNSW_CONSTRUCTION = 32, 100
"""M and efConstruction: links of a photograph, and candidates while one is put in (FAISS's own default is 40)."""
HNSW_SEARCH = (16, 64, 256)
"""efSearch: candidates of a query."""
ANNOY_TREES = 100
ANNOY_SEARCH = (1_000, 10_000, 100_000)
"""search_k: nodes that a query looks at, in all trees together."""
WITHOUT_ANNOY = (
    "Annoy is left out, since it is not installed: `pip install annoy` brings it (and compiles it, which needs a C++ "
    "compiler)."
)
MOST_PHOTOGRAPHS = 10_000_000
_CHUNK = 10_000
_BLOCK = 50_000
_SAME = 1e-6
"""Similarities so near to the tenth count as the tenth: sums of 512 products differ by the order of adding."""

Clock = Callable[[], float]


class Index(Protocol):
    """A built index that can be asked."""

    def effort(self, value: int) -> None:
        """Set how much a query looks at; an exact index has nothing to set."""

    def asked(self, query: Float32Array) -> Callable[[], Sequence[int]]:
        """A call that finds the rows of the `K` nearest to one vector, whose form is changed beforehand if need be."""

    def size(self) -> int:
        """Bytes of the file that it is kept in; in memory it is as large. The last thing to ask of it."""


@dataclass(frozen=True)
class Contender:
    """A kind of index: its name, what its effort is called, the efforts to ask with, and how it is built.

    `build` gets vectors (n, dimension), a number of threads, and a callback with what is done and the total.
    """

    name: str
    parameter: str
    efforts: tuple[int, ...]
    build: Callable[[Float32Array, int, OnProgress], Index]


@dataclass(frozen=True)
class IndexTrial:
    """One index, of so many photographs, asked with one effort.

    Attributes:
        recall: percent of the ten nearest that were among the ten found, mean over queries.
        ms: median milliseconds of a query; the median of that over the repeats.
        ms_least, ms_most: the quickest and the slowest repeat's median.
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
    """All trials, and what they were made with; `left_out` says what there was not, and why."""

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
        """All fields, times and percents to three digits after the point."""
        rounded = [
            {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(trial).items()}
            for trial in self.trials
        ]
        return asdict(self) | {"trials": rounded, "seconds": round(self.seconds, 1), "k": K, "search_threads": 1}


def contenders() -> list[Contender]:
    """What is compared on this machine, in the order of the table."""
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
    """Build and ask every index at every size.

    Args:
        draw: gives the vectors and queries of a size, and tells how far it is. They stay beside every index, 2 kB a
            photograph of 512 dimensions.
        sizes: numbers of photographs, `K` to `MOST_PHOTOGRAPHS`.
        repeats: how often all queries are asked with each effort; once more before, which is not counted.
        threads: what an index is built with; None for as many as the process may use.
        among: the indexes; None for all that there are here.
        on_stage: follows what is done.
        clock: seconds from any beginning.

    Raises `UsageError` for a size or a number of repeats that cannot be.
    """
    _check(sizes, repeats, threads)
    started = clock()
    threads = threads or usable_cores()
    trials: list[IndexTrial] = []
    sources: list[str] = []
    for size in sizes:
        given = draw(size, partial(on_stage, f"{size:,}: drawing vectors"))
        sources.append(f"{len(given.vectors):,} {given.source}")
        tenth = _tenth(given, on_stage)
        for contender in contenders() if among is None else among:
            trials += _tried(contender, given, tenth, repeats, threads, on_stage, clock)
            gc.collect()
        queries, dimension = given.queries.shape
        # Before the next size is drawn: two of them need not lie in memory.
        del given
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
        if not K <= size <= MOST_PHOTOGRAPHS:
            raise UsageError(f"--photos is {size:,}; it must be from {K} to {MOST_PHOTOGRAPHS:,}.")
    if not sizes or repeats < 1:
        raise UsageError("There is nothing to measure: name a number of photographs, and repeat at least once.")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads is {threads}; it must be 1 or more.")


def _tenth(given: VectorSet, on_stage: OnStage) -> Float32Array:
    """The `K`-th highest similarity of each query (q,), by multiplying with all vectors."""
    best = np.full((len(given.queries), K), -np.inf, np.float32)
    for start in range(0, len(given.vectors), _BLOCK):
        block = given.queries @ given.vectors[start : start + _BLOCK].T
        joined = np.concatenate([best, block], axis=1)
        best = np.partition(joined, joined.shape[1] - K, axis=1)[:, -K:]
        on_stage("finding what is right", min(start + _BLOCK, len(given.vectors)), len(given.vectors))
    tenth: Float32Array = best.min(axis=1)
    return tenth


def _tried(
    contender: Contender,
    given: VectorSet,
    tenth: Float32Array,
    repeats: int,
    threads: int,
    on_stage: OnStage,
    clock: Clock,
) -> list[IndexTrial]:
    count = f"{len(given.vectors):,}"
    started = clock()
    index = contender.build(
        given.vectors, threads, lambda done, total: on_stage(f"{count}: building {contender.name}", done, total)
    )
    build_s = clock() - started
    measured: list[tuple[int, float, list[float]]] = []
    for effort in contender.efforts:
        index.effort(effort)
        asking = f"{count}: asking {contender.name} {_setting(contender, effort)}".rstrip()
        asked = [index.asked(query) for query in given.queries]
        recall = _recall([ask() for ask in asked], given, tenth)
        medians = []
        for turn in range(repeats):
            medians.append(_median_ms(asked, clock))
            on_stage(asking, turn + 1, repeats)
        measured.append((effort, recall, medians))
    size = index.size()
    return [
        IndexTrial(
            photographs=len(given.vectors),
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


def _recall(answers: Sequence[Sequence[int]], given: VectorSet, tenth: Float32Array) -> float:
    """Percent of the `K` nearest that were found: as near as the tenth, a row that is named twice counted once."""
    right = 0
    for rows, query, least in zip(answers, given.queries, tenth, strict=True):
        found = np.unique([row for row in rows if row >= 0]).astype(np.int64)
        right += int((given.vectors[found] @ query >= least - _SAME).sum())
    return 100.0 * right / (K * len(answers))


def _median_ms(asked: Sequence[Callable[[], object]], clock: Clock) -> float:
    with _one_thread():
        times = []
        for ask in asked:
            started = clock()
            ask()
            times.append(1000 * (clock() - started))
    return float(np.median(times))


@contextmanager
def _one_thread() -> Iterator[None]:
    """FAISS with one thread, and with as many as before in the end."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class _Faiss:
    """An index of FAISS's factory, by inner product, put together in parts so that one can see how far it is."""

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

    def effort(self, value: int) -> None:
        if hasattr(self._faiss, "hnsw"):
            self._faiss.hnsw.efSearch = value

    def asked(self, query: Float32Array) -> Callable[[], Sequence[int]]:
        row = query.reshape(1, -1)
        return lambda: self._faiss.search(row, K)[1][0]

    def size(self) -> int:
        import faiss

        written = 0

        def count(part: bytes) -> None:
            nonlocal written
            written += len(part)

        # Counted as it would be written: a file of two gigabytes would only be removed again.
        faiss.write_index(self._faiss, faiss.PyCallbackIOWriter(count, 1 << 20))  # type: ignore[attr-defined]
        return written


class _Annoy:
    """Annoy by angle, which orders unit vectors as the inner product does; it takes lists, one vector at a time."""

    def __init__(self, vectors: Float32Array, threads: int, on_progress: OnProgress) -> None:
        from annoy import AnnoyIndex

        self._annoy = AnnoyIndex(vectors.shape[1], "angular")
        self._annoy.set_seed(1)
        # The trees take most of the time and tell nothing; half the way is as good a guess as any.
        for start in range(0, len(vectors), _CHUNK):
            for row, vector in enumerate(vectors[start : start + _CHUNK].tolist(), start):
                self._annoy.add_item(row, vector)
            on_progress(min(start + _CHUNK, len(vectors)), 2 * len(vectors))
        self._annoy.build(ANNOY_TREES, n_jobs=threads)
        on_progress(2 * len(vectors), 2 * len(vectors))
        self._effort = -1

    def effort(self, value: int) -> None:
        self._effort = value

    def asked(self, query: Float32Array) -> Callable[[], Sequence[int]]:
        vector, effort = query.tolist(), self._effort
        return lambda: self._annoy.get_nns_by_vector(vector, K, search_k=effort)

    def size(self) -> int:
        # Saving is the only way to learn it.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "annoy"
            self._annoy.save(str(file))
            # It reads from its file from then on.
            self._annoy.unload()
            return file.stat().st_size


def versions() -> dict[str, str]:
    """What was measured with, by name."""
    import faiss

    found = {"faiss": faiss.__version__, "numpy": np.__version__, "python": platform.python_version()}
    return found | ({"annoy": version("annoy")} if find_spec("annoy") is not None else {})
