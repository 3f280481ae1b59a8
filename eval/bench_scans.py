"""From which size on which kind of scan is fastest: a library's index, built in each of its kinds on the same vectors.

The limits in `service.index.Limits` come from here. Vectors are synthetic, distributed like `mini`'s of photographs;
queries are further ones of these, and texts, which lie far from all photographs and are harder for an index of codes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from eval.bench_nearest import MAX_PHOTOGRAPHS, K
from eval.bench_report import BenchReport, Figure, check_range, check_repeats, machine_facts, versions_of
from eval.exact_search import kth_similarity
from eval.query_texts import query_texts
from eval.synthetic_vectors import MAX_QUERIES, draw_vectors, mini_bank
from eval.timing import elapsed_s
from service.index import Limits, VectorIndex
from service.index.rows import to_float32
from service.search.search import MIN_CANDIDATES
from service.store.catalog import Catalog
from service.types import Float16Array, Float32Array, Int64Array, OnStage

SIZES = (10_000, 30_000, 100_000, 300_000)
MIN_PHOTOGRAPHS = 1_000
_NEVER = 10 * MAX_PHOTOGRAPHS
KINDS = {
    "exact": Limits(codes_from=_NEVER),
    "codes": Limits(codes_from=1),
}
_FILTER_DIVISOR = 100
"""A filter passes one photograph in so many."""
_CHUNK = 20_000
_TOLERANCE = 1e-6
"""Similarities that differ by less count as equal."""

Encode = Callable[[Sequence[str]], Float32Array]


@dataclass(frozen=True)
class _QuerySet:
    """Queries (q, dimension) and the similarity of the tenth nearest vector to each (q,)."""

    vectors: Float32Array
    tenth: Float32Array


def bench_scans(
    encode: Encode,
    photographs: Sequence[int] = (),
    *,
    queries: int = 200,
    repeats: int = 3,
    seed: int = 0,
    on_stage: OnStage = lambda what, done, total: None,
) -> BenchReport:
    """Build and search an index of each kind at each size; the kinds take turns.

    Args:
        encode: returns the unit vectors (n, dimension) of texts by the model that the vectors are modelled on.
        photographs: sizes, 1,000 to 10,000,000; empty for SIZES. A million takes 4 GB of disk and of memory.
        queries: photographs, and as many texts, whose 200 nearest are searched.
        repeats: how often all searches are timed.
        seed: seed of the vectors and of the texts.
        on_stage: follows the progress.

    Raises:
        UsageError: an argument is out of range.
    """
    check_repeats(repeats)
    check_range("--queries", queries, 1, MAX_QUERIES)
    for size in photographs:
        check_range("--photos", size, MIN_PHOTOGRAPHS, MAX_PHOTOGRAPHS)
    machine = machine_facts()
    text_queries = encode([*islice(query_texts(seed), queries)])
    figures: list[Figure] = []
    names: dict[str, str] = {}
    for size in sorted(set(photographs or SIZES)):
        found, kinds = _measure(size, text_queries, repeats, seed, on_stage)
        figures += [Figure(f"{size:,}: {each.name}", each.unit, each.values) for each in found]
        names |= {f"{name} at {size:,}": kind for name, kind in kinds.items()}
    settings = {"queries": queries, "repeats": repeats, "seed": seed} | names
    return BenchReport("scans", figures, settings, [_NOTE], machine, versions_of("faiss-cpu", "numpy"))


_NOTE = (
    f"Milliseconds are the median of single queries for the {MIN_CANDIDATES} nearest with their vectors; recall@{K} "
    "is against an exact scan in NumPy."
)


def _measure(
    size: int, texts: Float32Array, repeats: int, seed: int, on_stage: OnStage
) -> tuple[list[Figure], dict[str, str]]:
    rows, photographs = _vectors(size, len(texts), seed, on_stage)
    query_sets = {
        kind: _QuerySet(queries, kth_similarity(queries, _decoded_chunks(rows), K))
        for kind, queries in (("photograph", photographs), ("text", texts))
    }
    few = np.unique(np.random.default_rng(seed).integers(1, size + 1, size // _FILTER_DIVISOR)).astype(np.int64)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        indexes: dict[str, VectorIndex] = {}
        for number, (name, limits) in enumerate(KINDS.items()):
            on_stage(f"{size:,}: building", number, len(KINDS))
            indexes[name], built = _build(Path(folder) / name, rows, limits)
            figures += [Figure(f"{name}, {each.name}", each.unit, each.values) for each in built]
        times: dict[str, list[float]] = {}
        for turn in range(repeats):
            on_stage(f"{size:,}: searching", turn, repeats)
            for name, index in indexes.items():
                for kind, each in query_sets.items():
                    times.setdefault(f"{name}, a {kind}", []).append(_median_ms(index, each.vectors))
                times.setdefault(f"{name}, among 1 %", []).append(_median_ms(index, photographs, few))
        figures += [Figure(what, "ms", tuple(values)) for what, values in times.items()]
        figures += [
            Figure(f"{name}, recall@{K} of a {kind}", "%", (_recall(index, rows, each),))
            for name, index in indexes.items()
            for kind, each in query_sets.items()
        ]
        return figures, {name: index.kind for name, index in indexes.items()}


def _vectors(size: int, queries: int, seed: int, on_stage: OnStage) -> tuple[Float16Array, Float32Array]:
    """Vectors (size, dimension) and further ones as queries (queries, dimension), in parts to spare memory for fp32."""
    bank = mini_bank()
    rows = np.empty((size, bank.vectors.shape[1]), np.float16)
    for start in range(0, size, _CHUNK):
        on_stage(f"{size:,}: making vectors", start, size)
        part = rows[start : start + _CHUNK]
        part[:] = draw_vectors(bank, len(part), 0, seed=seed + 1 + start).vectors
    return rows, draw_vectors(bank, queries, 0, seed=seed).vectors


def _build(folder: Path, rows: Float16Array, limits: Limits) -> tuple[VectorIndex, list[Figure]]:
    """An index that was built, saved and opened again."""
    folder.mkdir()

    def read(catalog: Catalog, since: int) -> tuple[int, list[int], Iterator[tuple[Int64Array, Float16Array]]]:
        ids = np.arange(1, len(rows) + 1)
        chunks = ((ids[at : at + _CHUNK], rows[at : at + _CHUNK]) for at in range(0, len(rows), _CHUNK))
        return catalog.generation(), [], chunks

    with closing(Catalog(folder / "catalog.sqlite")) as catalog:
        # The index of a catalog without a generation is empty.
        catalog.write([])
        started = time.perf_counter()
        VectorIndex.open(folder, catalog, "drawn", rows.shape[1], read, limits).save(folder)
        built = time.perf_counter()
        index = VectorIndex.open(folder, catalog, "drawn", rows.shape[1], read, limits)
        opened = time.perf_counter()
    return index, [
        Figure("made and saved", "s", (built - started,)),
        Figure("opened", "s", (opened - built,)),
        Figure("size", "bytes", (float(index.bytes),)),
    ]


def _decoded_chunks(rows: Float16Array) -> Iterator[Float32Array]:
    return (to_float32(rows[start : start + _CHUNK]) for start in range(0, len(rows), _CHUNK))


def _recall(index: VectorIndex, rows: Float16Array, queries: _QuerySet) -> float:
    """Percent of the `K` nearest that the index finds."""
    right = 0
    for query, tenth in zip(queries.vectors, queries.tenth, strict=True):
        found = np.unique(index.candidates(query, MIN_CANDIDATES)[1][:K])
        right += int((to_float32(rows[found - 1]) @ query >= tenth - _TOLERANCE).sum())
    return 100.0 * right / (K * len(queries.vectors))


def _median_ms(index: VectorIndex, queries: Float32Array, among: Int64Array | None = None) -> float:
    return 1000 * float(
        np.median([elapsed_s(partial(index.candidates, query, MIN_CANDIDATES, among)) for query in queries])
    )
