"""What a search takes beyond the text tower, and the recall of the index: `Library.search` and `GET /search` by size.

Everything is measured in one run with the same texts, none of which was searched before: the text tower alone, then the
library in this process, then a real service in a process of its own over one open connection, so that the time beyond
the tower is known text by text. The service is then searched once more with the same texts, which it has cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bench_report import BenchReport, Figure, check_range, check_repeats, machine_facts, versions_of
from eval.exact_search import kth_similarity
from eval.query_texts import query_texts
from eval.service_process import ServiceClient, ServiceProcess, running_service
from eval.timing import elapsed_s
from service.errors import LibraryError, UsageError
from service.search.query import Query
from service.search.search import MIN_CANDIDATES
from service.types import Float32Array, Float64Array, Int64Array, OnStage

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.library import Library
    from service.store.catalog import Catalog

SIZES = (7_000, 100_000)
"""Default sizes of the synthetic libraries, in photographs."""
MAX_QUERIES = 1_000
"""Texts of one repeat: the service caches 1,024."""
WARM = 20
K = 10
_TOLERANCE = 1e-6
"""Similarities that differ by less count as equal."""


def bench_search(
    photographs: Sequence[int] = (),
    library: Path | None = None,
    *,
    queries: int = 200,
    repeats: int = 3,
    seed: int = 0,
    on_stage: OnStage = lambda what, done, total: None,
) -> BenchReport:
    """Search synthetic libraries of some sizes, or an existing one.

    Args:
        photographs: sizes of the synthetic libraries, smallest first; empty for SIZES. A million takes 6 GB of disk.
        library: folder of a library that is measured as it is, instead of synthetic ones.
        queries: texts per repeat, from 1 to 1,000, no text twice; also the photographs that recall is measured with.
        repeats: how often each time is measured; recall is measured once.
        seed: seed of the synthetic libraries and of the texts.
        on_stage: follows the progress.

    Raises:
        UsageError: an argument is out of range.
        LibraryError: `library` is empty or does not exist.
    """
    from eval.synthetic_library import check_photographs

    check_repeats(repeats)
    check_range("--queries", queries, 1, MAX_QUERIES)
    if library is not None and photographs:
        raise UsageError("--photos is for synthetic libraries: leave out --photos or --library.")
    for each in photographs:
        check_photographs(each)
    machine = machine_facts()
    bench = _SearchBench(queries, repeats, seed, on_stage)
    for size in [None] if library is not None else sorted(set(photographs or SIZES)):
        with _library_folder(library, size, seed, on_stage) as folder:
            bench.measure(folder)
    settings = {"queries": queries, "repeats": repeats, "seed": seed} | bench.facts
    versions = versions_of("faiss-cpu", "numpy", "openvino", "torch", "fastapi", "uvicorn")
    return BenchReport("search", bench.figures, settings, _NOTES, machine, versions)


_NOTES = [
    "One client searches with one text after the other, each for the first time; the text tower, the library in this "
    "process and the service get the same texts, one after the other. Searches include matches.",
    f"recall@{K} is of the candidates that matches are computed for, against an exact scan of the catalog's vectors.",
]


@dataclass
class _SearchBench:
    """Figures of one library after the other."""

    queries: int
    repeats: int
    seed: int
    on_stage: OnStage
    figures: list[Figure] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._texts = query_texts(self.seed)

    def measure(self, folder: Path) -> None:
        """Add the figures of one library."""
        from service.library import Library

        with Library.open(folder) as library:
            count = library.catalog.count()
            if not count:
                raise LibraryError(f"The library {folder} is empty. Fill it with `smysl index DIR`.")
            target = library.check()
            encoder, index = target.encoder, target.index
            self.facts |= {
                name: getattr(encoder, name) for name in ("name", "runtime", "text_precision") if hasattr(encoder, name)
            } | {f"index at {count:,}": index.kind}
            found = self._times(folder, library, encoder, count) + self._recall(library, encoder, count)
        self.figures += [Figure(f"{count:,}: {each.name}", each.unit, each.values) for each in found]

    def _times(self, folder: Path, library: Library, encoder: Encoder, count: int) -> list[Figure]:
        self.on_stage(f"{count:,}: starting a service", 0, self.repeats)
        rounds: list[_RoundTimes] = []
        memory: list[dict[str, float]] = []
        with running_service(folder) as service, closing(ServiceClient(service.url)) as client:
            for turn in range(self.repeats):
                self.on_stage(f"{count:,}: searching", turn, self.repeats)
                warm, texts = ([*islice(self._texts, count)] for count in (WARM, self.queries))
                rounds.append(_round(library, encoder, client, warm, texts))
                memory.append(_memory(service))
            self.on_stage(f"{count:,}: searching", self.repeats, self.repeats)
        return _figures(rounds) + [
            Figure(f"service, {name}", "MB", tuple(each[name] for each in memory)) for name in memory[0]
        ]

    def _recall(self, library: Library, encoder: Encoder, count: int) -> list[Figure]:
        self.on_stage(f"{count:,}: recall", 0, 1)
        index = library.check().index
        catalog, fingerprint = library.catalog, encoder.fingerprint
        some = np.random.default_rng(self.seed).integers(0, count, min(self.queries, count))
        queries = {
            "texts": np.concatenate([encoder.encode_texts([text]) for text in islice(self._texts, self.queries)]),
            "photographs": _vectors_in_rows(catalog, fingerprint, np.unique(some)),
        }
        figures = []
        for kind, vectors in queries.items():
            lowest = exact_lowest(catalog, fingerprint, vectors, K)
            shares = []
            for vector, own in zip(vectors, lowest, strict=True):
                _, ids, _ = index.candidates(vector, MIN_CANDIDATES)
                shares.append(found_share(vector, ids[:K], catalog, fingerprint, float(own), min(K, count)))
            figures.append(Figure(f"recall@{K}, {kind}", "%", (100.0 * float(np.mean(shares)),)))
        self.on_stage(f"{count:,}: recall", 1, 1)
        return figures


@dataclass(frozen=True)
class _RoundTimes:
    """Milliseconds for the same texts, (n,) each: tower alone, library, service, and service with texts cached."""

    tower: Float64Array
    library: Float64Array
    service: Float64Array
    known: Float64Array


def _round(
    library: Library, encoder: Encoder, client: ServiceClient, warm: Sequence[str], texts: Sequence[str]
) -> _RoundTimes:
    """Time the four ways one after the other; processes that computed at once would compete for the cores."""
    ways: list[Callable[[str], object]] = [
        lambda text: encoder.encode_texts([text]),
        lambda text: library.search(Query(text=text)),
        lambda text: client.get("/search", text=text),
        lambda text: client.get("/search", text=text),
    ]
    times = []
    for way in ways:
        for text in warm:
            way(text)
        times.append(np.array([1_000 * elapsed_s(partial(way, text)) for text in texts]))
    return _RoundTimes(*times)


def _figures(rounds: Sequence[_RoundTimes]) -> list[Figure]:
    def figure(name: str, of: Callable[[_RoundTimes], Any]) -> Figure:
        return Figure(name, "ms", tuple(float(of(each)) for each in rounds))

    return [
        figure("p50 of the text tower alone", lambda each: np.median(each.tower)),
        figure("p50 of Library.search", lambda each: np.median(each.library)),
        figure("p50 of GET /search", lambda each: np.median(each.service)),
        figure("p95 of GET /search", lambda each: np.percentile(each.service, 95)),
        figure("GET /search beyond the text tower", lambda each: np.median(each.service) - np.median(each.tower)),
        figure(
            "p50 of what GET /search takes beyond it, text by text", lambda each: np.median(each.service - each.tower)
        ),
        figure("p50 of GET /search, texts remembered", lambda each: np.median(each.known)),
    ]


def exact_lowest(catalog: Catalog, fingerprint: str, queries: Float32Array, k: int) -> Float32Array:
    """The similarity (q,) of the `k`-th nearest photograph to each of `queries` (q, dimension), by an exact scan.

    The lowest of all where there are fewer photographs. Reads the catalog's vectors of `fingerprint` in parts.
    """
    _, _, chunks = catalog.changes([fingerprint], 0)
    return kth_similarity(queries, (vectors.astype(np.float32) for _, (vectors,) in chunks), k)


def found_share(
    query: Float32Array, found: Int64Array, catalog: Catalog, fingerprint: str, lowest: float, wanted: int
) -> float:
    """The share of the `wanted` nearest photographs of `query` that are among the ids `found` (n,).

    `lowest` is the similarity of the last of them; photographs that are as similar count as well.
    """
    similarities = [float(catalog.vector(int(identity), fingerprint) @ query) for identity in np.unique(found)]
    return sum(each >= lowest - _TOLERANCE for each in similarities) / wanted


def _vectors_in_rows(catalog: Catalog, fingerprint: str, rows: Int64Array) -> Float32Array:
    """The vectors (n, dimension) of photographs in some rows (n,) of the list ordered by id."""
    ids = [row[0] for row in catalog.connection.execute("SELECT id FROM photograph ORDER BY id")]
    return np.stack([catalog.vector(ids[int(row)], fingerprint) for row in rows])


def _memory(service: ServiceProcess) -> dict[str, float]:
    names = {"peak": "most memory", "own": "memory in no file"}
    return {names[key]: value for key, value in service.memory_mb().items() if key in names}


@contextmanager
def _library_folder(library: Path | None, size: int | None, seed: int, on_stage: OnStage) -> Iterator[Path]:
    """The named library, or a synthetic one that is removed afterwards."""
    if library is not None or size is None:
        yield (library or Path()).expanduser()
        return
    from eval.synthetic_library import temporary_library

    with temporary_library(size, seed=seed, on_progress=partial(on_stage, f"{size:,}: making the library")) as folder:
        yield folder
