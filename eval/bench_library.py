"""How the cost of a library grows: one synthetic library, measured at 1,000, 10,000, 100,000 photographs and so on.

At each size: filling it, adding and removing a thousand photographs with the index brought up to date, filters, counts
of facets and the first page of the timeline, starting a service on it, searches over HTTP and the text tower alone, a
search filtered to one photograph in a hundred, memory, and bytes on disk. The library uses the ordinary catalog and the
ordinary command.
"""

from __future__ import annotations

import math
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.query_texts import query_texts
from eval.service_process import ServiceClient, ServiceProcess, running_service
from eval.synthetic_library import SyntheticWriter, check_photographs, open_index, save_index
from eval.synthetic_vectors import mini_fingerprint
from eval.timing import elapsed_s
from service.errors import UsageError
from service.index.attributes.files import FILE as ATTRIBUTES_FILE
from service.library import Library
from service.store.filters import Filters, Near
from service.store.sql import placeholders
from service.types import Float32Array, Int64Array, OnStage

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.store.catalog import Catalog

FIRST_SIZE = 1_000
CHANGED = 1_000
"""Photographs that are added and removed."""
ATTRIBUTE_CALLS = 5
"""How often each filter is applied for one median."""
LOADING = "loading the attributes"
WARM = 20
K = 10
FILTERED_SHARE = 0.01
"""Share of the photographs that pass the filter."""
_TOLERANCE = 1e-3
"""Similarities that differ by less count as equal: an index may round what an exact scan does not."""
_SAMPLED = 2_000
_MEMORY = {"peak": "peak memory", "own": "memory in no file", "share": "memory, shared pages shared"}
"""Figures of `ServiceProcess.memory_mb` by name."""


def bench_library(
    photographs: int,
    *,
    keep: Path | None = None,
    queries: int = 100,
    repeats: int = 3,
    seed: int = 0,
    load: Callable[[], Encoder] | None = None,
    on_stage: OnStage = lambda what, done, total: None,
) -> BenchReport:
    """Grow a library to `photographs` and measure it at every power of ten from 1,000, and at the end.

    Args:
        photographs: how many in the end, 1 to ten million; a million takes 20 GB of disk.
        keep: folder in which the library stays; one from an earlier run is measured from its size on. None uses a
            temporary folder.
        queries: texts per repeat, no text twice.
        repeats: how often everything but filling and bytes is measured.
        seed: seed of the synthetic photographs and of the texts.
        load: returns the encoder whose text tower is timed alone; None takes that of the library.
        on_stage: follows the progress.

    Raises:
        UsageError: an argument is out of range, or `keep` has a library of real photographs.
    """
    check_photographs(photographs)
    check_repeats(repeats)
    if queries < 1:
        raise UsageError(f"--queries is {queries}; it must be 1 or more.")
    machine = machine_facts()
    figures: list[Figure] = []
    with _folder(keep) as folder, Library.open(folder, create=True) as library:
        bench = _LibraryBench(
            folder, library.catalog, queries, repeats, seed, load or partial(_encoder, library), on_stage
        )
        sizes = sizes_up_to(photographs, library.catalog.count())
        for size in sizes:
            figures += [Figure(f"{size:,}: {each.name}", each.unit, each.values) for each in bench.figures_at(size)]
        settings = {"model": "mini", "sizes": sizes, "queries": queries, "repeats": repeats, "seed": seed}
        settings |= bench.facts
    return BenchReport(
        "library", figures, settings, _NOTES, machine, versions_of("faiss-cpu", "numpy", "openvino", "torch")
    )


_NOTES = [
    "Vectors are synthetic, around mini's centres of photographs; there are no photograph files. Filling measures the "
    "catalog alone, in transactions of 5,000.",
    f"Adding and removing are of {CHANGED:,} photographs and include opening, updating and writing the index.",
    "Starting the service takes until /health answers, with the files in the page cache if they fit.",
    "Searches are GET /search from one client on one connection, with matches and photographs, no text twice; the text "
    "tower alone is timed in between.",
    "Filters, facets and the timeline are measured in this process: the ids that a filter leaves, all counts, and the "
    "newest 100 photographs with their metadata. Loading is from a file in the page cache.",
    f"The filter passes one photograph in a hundred; its recall compares the first {K} with an exact scan in NumPy.",
]


def sizes_up_to(photographs: int, existing: int = 0) -> list[int]:
    """Powers of ten from 1,000 below `photographs`, and `photographs`; none below the number of `existing` ones.

    Raises `UsageError` where there are more than `photographs` already.
    """
    if existing > photographs:
        raise UsageError(f"The kept library holds {existing:,} photographs; --photos must be at least that.")
    sizes = [FIRST_SIZE]
    while sizes[-1] < photographs:
        sizes.append(sizes[-1] * 10)
    return [*(size for size in sizes if existing <= size < photographs), photographs]


@dataclass
class _LibraryBench:
    """A synthetic library that grows, and its measurements."""

    folder: Path
    catalog: Catalog
    queries: int
    repeats: int
    seed: int
    load: Callable[[], Encoder]
    on_stage: OnStage
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._writer = SyntheticWriter(self.catalog, self.folder / "photographs", seed=self.seed)
        self._texts = query_texts(self.seed)
        self._random = np.random.default_rng(self.seed)
        self._encoder: Encoder | None = None

    def figures_at(self, size: int) -> list[Figure]:
        """Fill the library up to a size and measure everything there."""
        # Bytes first: adding and removing leaves free pages and a further segment of the index.
        return (
            self._fill(size)
            + self._bytes()
            + self._changes(size)
            + self._attributes(size)
            + self._service(size)
            + self._filtered(size)
        )

    def _fill(self, size: int) -> list[Figure]:
        missing = size - self.catalog.count()
        if not missing:
            # The run that made it may have been interrupted before it wrote the index.
            save_index(self.folder, self.catalog)
            return []
        before = self._writer.writing_s
        self._writer.add(missing, lambda done, total: self.on_stage(f"{size:,}: filling", done, total))
        filled = (self._writer.writing_s - before) / missing * 1_000
        index = elapsed_s(partial(save_index, self.folder, self.catalog))
        return [
            Figure("filling, a thousand", "s", (filled,)),
            Figure("making the index and the attributes", "s", (index,)),
        ]

    def _changes(self, size: int) -> list[Figure]:
        adding, removing = [], []
        for turn in range(self.repeats):
            self.on_stage(f"{size:,}: adding and removing {CHANGED:,}", turn, self.repeats)
            before = self._writer.writing_s
            self._writer.add(CHANGED)
            written = self._writer.writing_s - before
            adding.append(written + elapsed_s(partial(save_index, self.folder, self.catalog)))
            ids = self._some_ids(CHANGED)
            removing.append(elapsed_s(partial(self._remove, ids)))
        names = (f"adding {CHANGED:,}", f"removing {CHANGED:,}")
        return [Figure(name, "s", tuple(values)) for name, values in zip(names, (adding, removing), strict=True)]

    def _remove(self, ids: Sequence[int]) -> None:
        self.catalog.remove(ids)
        save_index(self.folder, self.catalog)

    def _service(self, size: int) -> list[Figure]:
        started, memory, searches, alone = [], [], [], []
        for turn in range(self.repeats):
            self.on_stage(f"{size:,}: searching over HTTP", turn, self.repeats)
            with running_service(self.folder) as service:
                started.append(service.started_s)
                searches.append(self._search_times(service))
                memory.append(service.memory_mb())
            alone.append(self._tower_times())
        figures = [Figure("start of the service", "s", tuple(started))]
        for name, percentile in (("p50", 50), ("p95", 95)):
            for what, times in (("GET /search", searches), ("the text tower", alone)):
                values = tuple(float(np.percentile(each, percentile)) for each in times)
                figures.append(Figure(f"{name} of {what}", "ms", values))
        beyond = tuple(float(np.median(a) - np.median(b)) for a, b in zip(searches, alone, strict=True))
        figures.append(Figure("search beyond the text tower", "ms", beyond))
        for key, name in _MEMORY.items():
            if all(key in each for each in memory):
                figures.append(Figure(name, "MB", tuple(each[key] for each in memory)))
        return figures

    def _search_times(self, service: ServiceProcess) -> list[float]:
        client = ServiceClient(service.url)
        try:
            for _ in range(WARM):
                client.get("/search", text=next(self._texts))
            return [
                elapsed_s(partial(client.get, "/search", text=next(self._texts))) * 1_000 for _ in range(self.queries)
            ]
        finally:
            client.close()

    def _tower_times(self) -> list[float]:
        if self._encoder is None:
            self._encoder = self.load()
            encoder = self._encoder
            self.facts = {
                name: getattr(encoder, name)
                for name in ("runtime", "device", "precision", "text_precision", "fingerprint")
            }
        for _ in range(WARM):
            self._encoder.encode_texts([next(self._texts)])
        calls = (partial(self._encoder.encode_texts, [next(self._texts)]) for _ in range(self.queries))
        return [elapsed_s(call) * 1_000 for call in calls]

    def _filtered(self, size: int) -> list[Figure]:
        passing = np.sort(np.array(self._some_ids(max(1, round(size * FILTERED_SHARE))), np.int64))
        fingerprint = mini_fingerprint()
        vectors = np.stack([self.catalog.vector(int(identity), fingerprint) for identity in passing])
        index = open_index(self.folder, self.catalog)
        assert self._encoder is not None  # noqa: S101 - loaded when the text tower was timed
        equal, times = [], []
        for turn in range(self.repeats):
            self.on_stage(f"{size:,}: searching with a filter", turn, self.repeats)
            queries = self._encoder.encode_texts([next(self._texts) for _ in range(self.queries)])
            calls = [partial(index.search, query, K, among=passing) for query in queries]
            times.append(float(np.median([elapsed_s(call) for call in calls])) * 1_000)
            right = [is_exact(query, vectors, passing, call()) for query, call in zip(queries, calls, strict=True)]
            equal.append(100.0 * float(np.mean(right)))
        return [
            Figure("search that leaves 1 %", "ms", tuple(times)),
            Figure("search that leaves 1 %, as an exact scan", "%", tuple(equal)),
        ]

    def _attributes(self, size: int) -> list[Figure]:
        """Filters, counts and the timeline, as the page asks for them, but without HTTP."""
        times: dict[str, list[float]] = {}
        for turn in range(self.repeats):
            self.on_stage(f"{size:,}: filters, facets and the timeline", turn, self.repeats)
            # Opened again, so that the file is loaded each time.
            with Library.open(self.folder) as library:
                for name, call in _attribute_calls(library).items():
                    first = elapsed_s(call)
                    again = [elapsed_s(call) for _ in range(ATTRIBUTE_CALLS)]
                    # The first call of all loads the file, the first of each makes what later ones share.
                    seconds = first if name == LOADING else float(np.median(again))
                    times.setdefault(name, []).append(seconds * 1_000)
        return [Figure(name, "ms", tuple(values)) for name, values in times.items()]

    def _bytes(self) -> list[Figure]:
        count = self.catalog.count()
        thumbnails = float(np.mean([len(self.catalog.thumbnail(identity)) for identity in self._some_ids(_SAMPLED)]))
        catalog = self._pages_in_use() / count
        index = sum(file.stat().st_size for file in self.folder.glob("vectors*") if file.is_file()) / count
        attributes = (self.folder / ATTRIBUTES_FILE).stat().st_size / count
        figures = {
            "catalog beside thumbnails": catalog - thumbnails,
            "metadata in the catalog": self._metadata_bytes() / count,
            "thumbnails": thumbnails,
            "index": index,
            "attributes": attributes,
        }
        return [Figure(f"{name}, a photograph", "bytes", (value,)) for name, value in figures.items()]

    def _pages_in_use(self) -> int:
        """Bytes of the catalog's file without its free pages."""
        (size,), (pages,), (free,) = (
            self.catalog.connection.execute(f"PRAGMA {name}").fetchone()
            for name in ("page_size", "page_count", "freelist_count")
        )
        return int(size) * (int(pages) - int(free))

    def _metadata_bytes(self) -> float:
        """Bytes of the catalog's tables of metadata and of their indexes; NaN where this SQLite does not count them."""
        tables = ("metadata", "keyword", "term")
        try:
            (size,) = self.catalog.connection.execute(
                "SELECT SUM(pgsize) FROM dbstat WHERE aggregate = TRUE AND name IN "  # noqa: S608
                f"(SELECT name FROM sqlite_schema WHERE tbl_name IN ({placeholders(tables)}))",
                tables,
            ).fetchone()
        except sqlite3.OperationalError:
            return math.nan
        return float(size)

    def _some_ids(self, count: int) -> list[int]:
        ids = [row[0] for row in self.catalog.connection.execute("SELECT id FROM photograph")]
        return [int(each) for each in self._random.choice(ids, min(count, len(ids)), replace=False)]


def _attribute_calls(library: Library) -> dict[str, Callable[[], object]]:
    """What is measured of filters, by name; the first call loads the attributes."""
    combined = Filters(taken_from=date(2015, 1, 1), camera=("canon",), has_place=True, keyword=("one in ten",))
    filters = {
        "a year": Filters(taken_from=date(2019, 1, 1), taken_to=date(2019, 12, 31)),
        "every July": Filters(month=7),
        "a camera": Filters(camera=("canon",)),
        "a country": Filters(place=("Russia",)),
        "a circle of 500 km": Filters(near=Near(48.85, 2.35, 500.0)),
        "a folder": Filters(folder=("00000",)),
        "a keyword": Filters(keyword=("Group 3",)),
        "four conditions": combined,
    }
    calls: dict[str, Callable[[], object]] = {LOADING: library.select}
    calls |= {f"filter by {name}": partial(_selected, library, each) for name, each in filters.items()}
    calls |= {
        "facets": library.facets,
        "facets with four conditions": partial(library.facets, combined),
        "first page of the timeline": library.photographs,
        "first page of the timeline, four conditions": partial(library.photographs, combined),
    }
    return calls


def _selected(library: Library, filters: Filters) -> Int64Array:
    return library.select(filters).ids


def is_exact(
    query: Float32Array,
    vectors: Float32Array,
    ids: Int64Array,
    found: tuple[Float32Array, Int64Array],
) -> bool:
    """Whether `found`, similarities (n,) and ids (n,), are the `K` nearest to `query` (dimension,) among `ids` (m,).

    `vectors` (m, dimension) are those of `ids`. Similarities within a thousandth of each other count as equal.
    """
    exact = vectors @ query
    lowest = np.sort(exact)[-min(K, len(ids))]
    similarity_of = dict(zip(ids.tolist(), exact.tolist(), strict=True))
    similarities, found_ids = found
    return (
        len(set(found_ids.tolist())) == min(K, len(ids))
        and all(similarity_of.get(each, -np.inf) >= lowest - _TOLERANCE for each in found_ids.tolist())
        and bool(np.all(np.diff(similarities) <= _TOLERANCE))
    )


def _encoder(library: Library) -> Encoder:
    return library.encoder


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep.expanduser()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "library"
