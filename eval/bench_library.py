"""How the cost of a library grows: one drawn library, measured at 1,000, 10,000, 100,000 photographs and so on.

At each size: filling it, adding and removing a thousand photographs with the index brought up to date, a service that
starts on it, searches over HTTP beside the text tower alone, a search among one photograph in a hundred, memory, and
bytes on the disk. The library goes through the ordinary catalog and the ordinary command.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.query_texts import texts
from eval.service_process import ServiceClient, ServiceProcess, running_service
from eval.synthetic_library import SyntheticWriter, check_photographs, open_index, save_index
from eval.synthetic_vectors import mini_fingerprint
from service.errors import UsageError
from service.library import Library
from service.types import Float32Array, Int64Array, OnStage

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.store.catalog import Catalog

FIRST_SIZE = 1_000
CHANGED = 1_000
"""Photographs that are added and removed."""
WARM = 20
K = 10
LEFT = 0.01
"""Share of the photographs that the filter leaves."""
_NEAR = 1e-3
"""Similarities so near to one another are of one place: an index may round what an exact scan does not."""
_SAMPLED = 2_000
_MEMORY = {"peak": "peak memory", "own": "memory in no file", "share": "memory, shared pages shared"}


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
    """Grow a library up to `photographs` and measure it at every power of ten from 1,000, and at the end.

    Args:
        photographs: how many in the end, 1 to ten millions; a million takes 20 GB of disk.
        keep: a folder for the library, which stays; one that an earlier run has left is measured from its size on.
            None for a folder that goes away.
        queries: texts of each repeat, no text twice.
        repeats: how often each is measured, but for filling and bytes, which are once.
        seed: of what is drawn.
        load: gives the encoder whose text tower is timed alone; None for that of the library.
        on_stage: follows what is done.

    Raises `UsageError` for numbers that cannot be, and for a folder with a library that was not drawn.
    """
    check_photographs(photographs)
    check_repeats(repeats)
    if queries < 1:
        raise UsageError(f"--queries is {queries}; it must be 1 or more.")
    machine = machine_facts()
    figures: list[Figure] = []
    with _folder(keep) as folder, Library.open(folder, create=True) as library:
        measured = _Measured(
            folder, library.catalog, queries, repeats, seed, load or partial(_encoder, library), on_stage
        )
        sizes = sizes_up_to(photographs, library.catalog.count())
        for size in sizes:
            figures += [Figure(f"{size:,}: {each.name}", each.unit, each.values) for each in measured.at(size)]
        settings = {"model": "mini", "sizes": sizes, "queries": queries, "repeats": repeats, "seed": seed}
        settings |= measured.facts
    return BenchReport(
        "library", figures, settings, _NOTES, machine, versions_of("faiss-cpu", "numpy", "openvino", "torch")
    )


_NOTES = [
    "Vectors are drawn around mini's centres of photographs; files of photographs there are none. Filling counts the "
    "catalog alone, in transactions of 5,000.",
    f"Adding and removing are of {CHANGED:,} photographs, with opening the index, catching up and writing it.",
    "Start is from the command until /health answers, with the files in the page cache if they fit in there.",
    "Searches are GET /search of one client that keeps its connection, matches and photographs included, no text "
    "twice; the text tower is asked alone in between.",
    f"The filter leaves one photograph in a hundred; right is what NumPy finds among these for the first {K}.",
]


def sizes_up_to(photographs: int, there: int = 0) -> list[int]:
    """Powers of ten from 1,000 below `photographs`, and `photographs`; none below what is `there` already.

    Raises `UsageError` where more is there.
    """
    if there > photographs:
        raise UsageError(f"The library that was kept holds {there:,} photographs; --photos must be at least that.")
    sizes = [FIRST_SIZE]
    while sizes[-1] < photographs:
        sizes.append(sizes[-1] * 10)
    return [*(size for size in sizes if there <= size < photographs), photographs]


@dataclass
class _Measured:
    folder: Path
    catalog: Catalog
    queries: int
    repeats: int
    seed: int
    load: Callable[[], Encoder]
    on_stage: OnStage
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._drawer = SyntheticWriter(self.catalog, self.folder / "photographs", seed=self.seed)
        self._texts = texts(self.seed)
        self._random = np.random.default_rng(self.seed)
        self._encoder: Encoder | None = None

    def at(self, size: int) -> list[Figure]:
        """All figures at a size, to which the library is filled first."""
        # Bytes first: what is added and removed again leaves free pages, and a part of the index of its own.
        return self._fill(size) + self._bytes() + self._changes(size) + self._served(size) + self._filtered(size)

    def _fill(self, size: int) -> list[Figure]:
        missing = size - self.catalog.count()
        if not missing:
            # The run that has left it may have been stopped before its end.
            save_index(self.folder, self.catalog)
            return []
        before = self._drawer.writing_s
        self._drawer.add(missing, lambda done, total: self.on_stage(f"{size:,}: filling", done, total))
        filled = (self._drawer.writing_s - before) / missing * 1_000
        index = _seconds(partial(save_index, self.folder, self.catalog))
        return [Figure("filling, a thousand", "s", (filled,)), Figure("making the index", "s", (index,))]

    def _changes(self, size: int) -> list[Figure]:
        adding, removing = [], []
        for turn in range(self.repeats):
            self.on_stage(f"{size:,}: adding and removing {CHANGED:,}", turn, self.repeats)
            before = self._drawer.writing_s
            self._drawer.add(CHANGED)
            written = self._drawer.writing_s - before
            adding.append(written + _seconds(partial(save_index, self.folder, self.catalog)))
            ids = self._some_ids(CHANGED)
            removing.append(_seconds(partial(self._remove, ids)))
        names = (f"adding {CHANGED:,}", f"removing {CHANGED:,}")
        return [Figure(name, "s", tuple(values)) for name, values in zip(names, (adding, removing), strict=True)]

    def _remove(self, ids: Sequence[int]) -> None:
        self.catalog.remove(ids)
        save_index(self.folder, self.catalog)

    def _served(self, size: int) -> list[Figure]:
        started, memory, searches, alone = [], [], [], []
        for turn in range(self.repeats):
            self.on_stage(f"{size:,}: asking a service", turn, self.repeats)
            with running_service(self.folder) as service:
                started.append(service.started_s)
                searches.append(self._ask(service))
                memory.append(service.memory_mb())
            alone.append(self._tower_alone())
        figures = [Figure("start of the service", "s", tuple(started))]
        for name, share in (("p50", 50), ("p95", 95)):
            asked = tuple(float(np.percentile(each, share)) for each in searches)
            tower = tuple(float(np.percentile(each, share)) for each in alone)
            figures += [Figure(f"{name} of GET /search", "ms", asked), Figure(f"{name} of the text tower", "ms", tower)]
        beyond = tuple(float(np.median(a) - np.median(b)) for a, b in zip(searches, alone, strict=True))
        figures.append(Figure("search beyond the text tower", "ms", beyond))
        for key, name in (
            ("peak", "peak memory"),
            ("own", "memory in no file"),
            ("share", "memory, shared pages shared"),
        ):
            if all(key in each for each in memory):
                figures.append(Figure(name, "MB", tuple(each[key] for each in memory)))
        return figures

    def _ask(self, service: ServiceProcess) -> list[float]:
        client = ServiceClient(service.url)
        try:
            for _ in range(WARM):
                client.get("/search", text=next(self._texts))
            return [
                _seconds(partial(client.get, "/search", text=next(self._texts))) * 1_000 for _ in range(self.queries)
            ]
        finally:
            client.close()

    def _tower_alone(self) -> list[float]:
        if self._encoder is None:
            self._encoder = self.load()
            encoder = self._encoder
            self.facts = {
                name: getattr(encoder, name)
                for name in ("runtime", "device", "precision", "text_precision", "fingerprint")
            }
        for _ in range(WARM):
            self._encoder.encode_texts([next(self._texts)])
        return [_seconds(partial(self._encoder.encode_texts, [next(self._texts)])) * 1_000 for _ in range(self.queries)]

    def _filtered(self, size: int) -> list[Figure]:
        left = np.sort(np.array(self._some_ids(max(1, round(size * LEFT))), np.int64))
        fingerprint = mini_fingerprint()
        vectors = np.stack([self.catalog.vector(int(identity), fingerprint) for identity in left])
        index = open_index(self.folder, self.catalog)
        assert self._encoder is not None  # noqa: S101 - the text tower was timed before
        equal, times = [], []
        for turn in range(self.repeats):
            self.on_stage(f"{size:,}: asking with a filter", turn, self.repeats)
            asked = self._encoder.encode_texts([next(self._texts) for _ in range(self.queries)])
            calls = [partial(index.search, vector, K, among=left) for vector in asked]
            times.append(float(np.median([_seconds(call) for call in calls])) * 1_000)
            right = [exactly(vector, vectors, left, call()) for vector, call in zip(asked, calls, strict=True)]
            equal.append(100.0 * float(np.mean(right)))
        return [
            Figure("search that leaves 1 %", "ms", tuple(times)),
            Figure("search that leaves 1 %, as an exact scan", "%", tuple(equal)),
        ]

    def _bytes(self) -> list[Figure]:
        count = self.catalog.count()
        thumbnails = float(np.mean([len(self.catalog.thumbnail(identity)) for identity in self._some_ids(_SAMPLED)]))
        catalog = self._pages_in_use() / count
        index = sum(file.stat().st_size for file in self.folder.glob("vectors*") if file.is_file()) / count
        figures = {"catalog beside thumbnails": catalog - thumbnails, "thumbnails": thumbnails, "index": index}
        return [Figure(f"{name}, a photograph", "bytes", (value,)) for name, value in figures.items()]

    def _pages_in_use(self) -> int:
        """Bytes of the catalog's file that hold something."""
        (size,), (pages,), (free,) = (
            self.catalog.connection.execute(f"PRAGMA {name}").fetchone()
            for name in ("page_size", "page_count", "freelist_count")
        )
        return int(size) * (int(pages) - int(free))

    def _some_ids(self, count: int) -> list[int]:
        ids = [row[0] for row in self.catalog.connection.execute("SELECT id FROM photograph")]
        return [int(each) for each in self._random.choice(ids, min(count, len(ids)), replace=False)]


def exactly(
    vector: Float32Array,
    vectors: Float32Array,
    ids: Int64Array,
    found: tuple[Float32Array, Int64Array],
) -> bool:
    """Whether `found`, similarities (n,) and ids (n,), are the `K` of `ids` (m,) nearest to `vector` (dimension,).

    `vectors` (m, dimension) are those of `ids`. Ids whose similarities are within a thousandth may change places.
    """
    similar = vectors @ vector
    least = np.sort(similar)[-min(K, len(ids))]
    own = dict(zip(ids.tolist(), similar.tolist(), strict=True))
    similarities, named = found
    return (
        len(set(named.tolist())) == min(K, len(ids))
        and all(each in own and own[each] >= least - _NEAR for each in named.tolist())
        and bool(np.all(np.diff(similarities) <= _NEAR))
    )


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _encoder(library: Library) -> Encoder:
    return library.encoder


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep.expanduser()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "library"
