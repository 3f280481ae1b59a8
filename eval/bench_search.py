"""What a search takes beyond the text tower, and what the index loses: `Library.search` and `GET /search` by size.

All is measured in one run with the same texts, none of which was asked before: the text tower alone, then the library
in this process, then a real service in a process of its own over a connection that is kept, so that what a search
takes beyond the tower can be told text by text. The service is asked the same once more, when it remembers them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.query_texts import texts
from eval.service_process import ServiceClient, ServiceProcess, running_service
from service.errors import LibraryError, UsageError
from service.search.query import Query
from service.search.search import LEAST_CANDIDATES
from service.types import Float32Array, Float64Array, Int64Array, OnStage

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.library import Library
    from service.store.catalog import Catalog

SIZES = (7_000, 100_000)
"""Photographs of the drawn libraries where nobody says another number."""
MOST_QUERIES = 1_000
"""Texts of one repeat: the service remembers 1,024."""
WARM = 20
K = 10
_SAME = 1e-6
"""Photographs whose similarities are so near to one another are of one place."""


def bench_search(
    photographs: Sequence[int] = (),
    library: Path | None = None,
    *,
    queries: int = 200,
    repeats: int = 3,
    seed: int = 0,
    on_stage: OnStage = lambda what, done, total: None,
) -> BenchReport:
    """Search drawn libraries of some sizes, or one that is there.

    Args:
        photographs: how many the drawn libraries hold, smallest first; none for SIZES. A million takes 6 GB of disk.
        library: the folder of a library that is measured as it is, in the place of drawn ones.
        queries: texts of each repeat, from 1 to 1,000, no text twice; and photographs that recall is measured with.
        repeats: how often each is measured, recall once.
        seed: of what is drawn.
        on_stage: follows what is done.

    Raises `UsageError` for numbers that cannot be, `LibraryError` for a library that is empty or not there.
    """
    from eval.synthetic_library import check_photographs

    check_repeats(repeats)
    if not 1 <= queries <= MOST_QUERIES:
        raise UsageError(f"--queries is {queries:,}; it must be from 1 to {MOST_QUERIES:,}.")
    if library is not None and photographs:
        raise UsageError("A library has as many photographs as it has: leave out --photos, or leave out --library.")
    for each in photographs:
        check_photographs(each)
    machine = machine_facts()
    run = _Run(queries, repeats, seed, on_stage)
    for size in [None] if library is not None else sorted(set(photographs or SIZES)):
        with _folder(library, size, seed, on_stage) as folder:
            run.measure(folder)
    settings = {"queries": queries, "repeats": repeats, "seed": seed} | run.facts
    versions = versions_of("faiss-cpu", "numpy", "openvino", "torch", "fastapi", "uvicorn")
    return BenchReport("search", run.figures, settings, _NOTES, machine, versions)


_NOTES = [
    "One client, one text after the other, none asked before; the text tower, the library in this process and the "
    "service are asked the same texts one after the other. Matches are part of a search.",
    f"recall@{K} is of the candidates that matches are made for, against all vectors of the catalog one by one.",
]


@dataclass
class _Run:
    queries: int
    repeats: int
    seed: int
    on_stage: OnStage
    figures: list[Figure] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._texts = texts(self.seed)

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
        rounds: list[_Round] = []
        memory: list[dict[str, float]] = []
        with running_service(folder) as service, closing(ServiceClient(service.url)) as client:
            for turn in range(self.repeats):
                self.on_stage(f"{count:,}: searching", turn, self.repeats)
                warm, asked = ([*islice(self._texts, many)] for many in (WARM, self.queries))
                rounds.append(_round(library, encoder, client, warm, asked))
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
        asked = {
            "texts": np.concatenate([encoder.encode_texts([text]) for text in islice(self._texts, self.queries)]),
            "photographs": _vectors_at(catalog, fingerprint, np.unique(some)),
        }
        figures = []
        for kind, vectors in asked.items():
            least = exact_least(catalog, fingerprint, vectors, K)
            shares = []
            for vector, own in zip(vectors, least, strict=True):
                _, ids, _ = index.candidates(vector, LEAST_CANDIDATES)
                shares.append(found_share(vector, ids[:K], catalog, fingerprint, float(own), min(K, count)))
            figures.append(Figure(f"recall@{K}, {kind}", "%", (100.0 * float(np.mean(shares)),)))
        self.on_stage(f"{count:,}: recall", 1, 1)
        return figures


@dataclass(frozen=True)
class _Round:
    """Milliseconds for the same texts, (n,) each: tower alone, library, service, and service when it remembers."""

    tower: Float64Array
    library: Float64Array
    service: Float64Array
    known: Float64Array


def _round(
    library: Library, encoder: Encoder, client: ServiceClient, warm: Sequence[str], asked: Sequence[str]
) -> _Round:
    """One way after the other, since two processes that compute at once would keep each other's cores."""
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
        times.append(np.array([_milliseconds(partial(way, text)) for text in asked]))
    return _Round(*times)


def _figures(rounds: Sequence[_Round]) -> list[Figure]:
    def figure(name: str, of: Callable[[_Round], Any]) -> Figure:
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


def exact_least(catalog: Catalog, fingerprint: str, queries: Float32Array, k: int) -> Float32Array:
    """The similarity (q,) of the `k`-th nearest photograph to each of `queries` (q, dimension), by looking at all.

    The least of all where there are fewer. Reads the catalog's vectors of `fingerprint` in parts.
    """
    _, _, chunks = catalog.changes([fingerprint], 0)
    best = np.empty((len(queries), 0), np.float32)
    for _, (vectors,) in chunks:
        both = np.concatenate([best, queries @ vectors.astype(np.float32).T], axis=1)
        keep = min(k, both.shape[1])
        best = np.partition(both, -keep, axis=1)[:, -keep:]
    least: Float32Array = best.min(axis=1)
    return least


def found_share(
    query: Float32Array, found: Int64Array, catalog: Catalog, fingerprint: str, least: float, wanted: int
) -> float:
    """How many of the `wanted` nearest to `query` are among the ids `found` (n,), as a share of `wanted`.

    `least` is the similarity of the last of those; equally near ones may stand for each other.
    """
    similar = [float(catalog.vector(int(identity), fingerprint) @ query) for identity in np.unique(found)]
    return sum(each >= least - _SAME for each in similar) / wanted


def _vectors_at(catalog: Catalog, fingerprint: str, places: Int64Array) -> Float32Array:
    """The vectors (n, dimension) of photographs at some places in the order of their ids."""
    ids = [row[0] for row in catalog.connection.execute("SELECT id FROM photograph ORDER BY id")]
    return np.stack([catalog.vector(ids[int(place)], fingerprint) for place in places])


def _memory(service: ServiceProcess) -> dict[str, float]:
    names = {"peak": "most memory", "own": "memory in no file"}
    return {names[key]: value for key, value in service.memory_mb().items() if key in names}


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1_000 * (time.perf_counter() - started)


@contextmanager
def _folder(library: Path | None, size: int | None, seed: int, on_stage: OnStage) -> Iterator[Path]:
    """The library that was named, or a drawn one that goes afterwards."""
    if library is not None or size is None:
        yield (library or Path()).expanduser()
        return
    from eval.synthetic_library import make_synthetic_library

    with tempfile.TemporaryDirectory(prefix="smysl-") as parent:
        folder = Path(parent) / "library"
        make_synthetic_library(
            folder,
            size,
            seed=seed,
            thumbnails=False,
            on_progress=lambda done, all_: on_stage(f"{size:,}: drawing", done, all_),
        )
        yield folder
