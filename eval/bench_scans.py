"""From which size on which kind of scan: a library's own index, made of the same vectors in each of its two ways.

What `service.index.Limits` says comes from here. The vectors are drawn as `mini` gives them for photographs; asked
are further ones of these, and texts, which lie far from all photographs and are the harder question to codes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from eval.bench_nearest import MOST_PHOTOGRAPHS, K
from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.query_texts import texts
from eval.synthetic_vectors import MOST_QUERIES, draw_vectors, mini_bank
from service.errors import UsageError
from service.index import Limits, VectorIndex
from service.index.rows import decoded
from service.search.search import LEAST_CANDIDATES
from service.store.catalog import Catalog
from service.types import Float16Array, Float32Array, Int64Array, OnStage

SIZES = (10_000, 30_000, 100_000, 300_000)
LEAST_PHOTOGRAPHS = 1_000
_NEVER = 10 * MOST_PHOTOGRAPHS
KINDS = {
    "exact": Limits(coarse_from=_NEVER),
    "codes": Limits(coarse_from=1),
}
_AMONG = 100
"""A filter leaves one in so many."""
_CHUNK = 20_000
_SAME = 1e-6

Encode = Callable[[Sequence[str]], Float32Array]


@dataclass(frozen=True)
class _Asked:
    """Queries (q, dimension) and the similarity of the tenth nearest to each (q,)."""

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
    """Make and ask an index of each kind at each size; all kinds are asked in turn.

    Args:
        encode: gives the unit vectors (n, dimension) of texts, of the model that the photographs are drawn after.
        photographs: sizes, 1,000 to 10,000,000; none for SIZES. A million takes 4 GB of disk and of memory.
        queries: photographs that are asked for 200 nearest, and as many texts.
        repeats: how often all are asked.
        seed: of what is drawn.
        on_stage: follows what is done.

    Raises `UsageError` for numbers that cannot be.
    """
    check_repeats(repeats)
    if not 1 <= queries <= MOST_QUERIES:
        raise UsageError(f"--queries is {queries:,}; it must be from 1 to {MOST_QUERIES:,}.")
    for size in photographs:
        if not LEAST_PHOTOGRAPHS <= size <= MOST_PHOTOGRAPHS:
            raise UsageError(f"--photos is {size:,}; it must be from {LEAST_PHOTOGRAPHS:,} to {MOST_PHOTOGRAPHS:,}.")
    machine = machine_facts()
    asked = encode([*islice(texts(seed), queries)])
    figures: list[Figure] = []
    names: dict[str, str] = {}
    for size in sorted(set(photographs or SIZES)):
        found, kinds = _measured(size, asked, repeats, seed, on_stage)
        figures += [Figure(f"{size:,}: {each.name}", each.unit, each.values) for each in found]
        names |= {f"{name} at {size:,}": kind for name, kind in kinds.items()}
    settings = {"queries": queries, "repeats": repeats, "seed": seed} | names
    return BenchReport("scans", figures, settings, [_NOTE], machine, versions_of("faiss-cpu", "numpy"))


_NOTE = (
    f"Milliseconds are of one query for {LEAST_CANDIDATES} nearest with their vectors, one after the other, median; "
    f"recall@{K} is of a comparison with all vectors by NumPy."
)


def _measured(
    size: int, texts_: Float32Array, repeats: int, seed: int, on_stage: OnStage
) -> tuple[list[Figure], dict[str, str]]:
    rows, photographs = _drawn(size, len(texts_), seed, on_stage)
    asked = {"photograph": photographs, "text": texts_}
    told = {name: _Asked(vectors, _tenth(rows, vectors)) for name, vectors in asked.items()}
    few = np.unique(np.random.default_rng(seed).integers(1, size + 1, size // _AMONG)).astype(np.int64)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        indexes: dict[str, VectorIndex] = {}
        for number, (name, limits) in enumerate(KINDS.items()):
            on_stage(f"{size:,}: making", number, len(KINDS))
            indexes[name], made = _made(Path(folder) / name, rows, limits)
            figures += [Figure(f"{name}, {each.name}", each.unit, each.values) for each in made]
        times: dict[str, list[float]] = {}
        for turn in range(repeats):
            on_stage(f"{size:,}: asking", turn, repeats)
            for name, index in indexes.items():
                for kind, each in told.items():
                    times.setdefault(f"{name}, a {kind}", []).append(_median_ms(index, each.vectors))
                times.setdefault(f"{name}, among 1 %", []).append(_median_ms(index, photographs, few))
        figures += [Figure(what, "ms", tuple(values)) for what, values in times.items()]
        figures += [
            Figure(f"{name}, recall@{K} of a {kind}", "%", (_recall(index, rows, each),))
            for name, index in indexes.items()
            for kind, each in told.items()
        ]
        return figures, {name: index.kind for name, index in indexes.items()}


def _drawn(size: int, queries: int, seed: int, on_stage: OnStage) -> tuple[Float16Array, Float32Array]:
    """Rows (size, dimension) and further ones to ask with (queries, dimension), in parts: fp32 would be twice that."""
    bank = mini_bank()
    rows = np.empty((size, bank.vectors.shape[1]), np.float16)
    for start in range(0, size, _CHUNK):
        on_stage(f"{size:,}: drawing vectors", start, size)
        part = rows[start : start + _CHUNK]
        part[:] = draw_vectors(bank, len(part), 0, seed=seed + 1 + start).vectors
    return rows, draw_vectors(bank, queries, 0, seed=seed).vectors


def _made(folder: Path, rows: Float16Array, limits: Limits) -> tuple[VectorIndex, list[Figure]]:
    """An index as it is after it was made, saved and opened again."""
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
        made = time.perf_counter()
        index = VectorIndex.open(folder, catalog, "drawn", rows.shape[1], read, limits)
        opened = time.perf_counter()
    return index, [
        Figure("made and saved", "s", (made - started,)),
        Figure("opened", "s", (opened - made,)),
        Figure("size", "bytes", (float(index.bytes),)),
    ]


def _tenth(rows: Float16Array, queries: Float32Array) -> Float32Array:
    best = np.full((len(queries), K), -np.inf, np.float32)
    for start in range(0, len(rows), _CHUNK):
        joined = np.concatenate([best, queries @ decoded(rows[start : start + _CHUNK]).T], axis=1)
        best = np.partition(joined, joined.shape[1] - K, axis=1)[:, -K:]
    tenth: Float32Array = best.min(axis=1)
    return tenth


def _recall(index: VectorIndex, rows: Float16Array, asked: _Asked) -> float:
    right = 0
    for query, tenth in zip(asked.vectors, asked.tenth, strict=True):
        found = np.unique(index.candidates(query, LEAST_CANDIDATES)[1][:K])
        right += int((decoded(rows[found - 1]) @ query >= tenth - _SAME).sum())
    return 100.0 * right / (K * len(asked.vectors))


def _median_ms(index: VectorIndex, queries: Float32Array, among: Int64Array | None = None) -> float:
    times = []
    for query in queries:
        started = time.perf_counter()
        index.candidates(query, LEAST_CANDIDATES, among)
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times))
