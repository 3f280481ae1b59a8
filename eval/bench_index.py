"""How near an index run comes to its slower part: decoding alone, the tower alone, and `smysl index` as a whole.

All three in turn, on the same drawn photographs, in every repeat. Decoding alone is what the run does in its threads
(read, hash, recognise, decode, prepare, thumbnail); the tower alone encodes prepared photographs in full batches. Where
both compute on the same cores, the run cannot be faster than their work one after the other.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.peer_commands import ran
from eval.synthetic_photographs import LARGE, SMALL, draw_photographs
from service.compute.cores import usable_cores
from service.errors import UsageError
from service.indexing.decoder import Decoder, EncodingTask, File, PreparedPhotograph
from service.library import Library
from service.store.catalog import Catalog
from service.types import AnyArray, OnStage

if TYPE_CHECKING:
    from service.config import Settings
    from service.encoder.encoder import Encoder

QUALITY = 90
_WARM = 64
"""Photographs that go through everything before anything counts."""
_PREPARED = 256
"""Prepared photographs that the tower alone is given, at most, again and again."""


def bench_index(
    encoder: Encoder,
    settings: Settings,
    *,
    small: int = 2_000,
    large: int = 200,
    repeats: int = 3,
    seed: int = 0,
    on_stage: OnStage = lambda what, done, total: None,
) -> BenchReport:
    """Photographs a second of the three, what share of the possible the run reaches, and its memory.

    Args:
        encoder: what encodes.
        settings: batch size and threads, as for an index run; device, precision and runtime that `encoder` has, for
            the process whose memory is measured.
        small, large: photographs of 224 pixels square and of twelve megapixels; 0 leaves them out.
        repeats: how often the three take their turn.
        seed: of what is drawn.
        on_stage: follows what is done.

    Raises `UsageError` for numbers that cannot be.
    """
    check_repeats(repeats)
    if min(small, large) < 0 or not (small or large):
        raise UsageError(f"--small is {small} and --large is {large}; one must be 1 or more, none less than 0.")
    machine = machine_facts()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="smysl-bench-") as folder:
        bench = _Bench(encoder, settings, Path(folder), on_stage)
        bench.warm_up(seed)
        for what, count, size in (("224 pixels", small, SMALL), ("12 megapixels", large, LARGE)):
            if count:
                figures += bench.measured(what, count, size, repeats, seed)
    said: dict[str, Any] = {"model": encoder.name, "runtime": encoder.runtime, "device": encoder.device}
    said |= {"precision": encoder.precision, "batch": bench.batch, "threads": bench.threads}
    sizes = {"small": small, "large": large, "quality": QUALITY, "repeats": repeats, "seed": seed}
    versions = versions_of("torch", "openvino", "open_clip_torch", "pillow", "faiss-cpu")
    return BenchReport("index", figures, said | sizes, _NOTES, machine, versions)


_NOTES = [
    "`decode alone` and `index` read the files from the system's cache of files; `index` makes a new library, its "
    "index on the disk included.",
    "`of the slower` divides `index` by the lesser of the two others; `of both in turn` by what is left where they "
    "take turns on the same cores, 1 / (1 / decode + 1 / tower).",
    "The peak of memory is of a process of its own, `smysl index` on the same photographs, once.",
]


@dataclass
class _Bench:
    encoder: Encoder
    settings: Settings
    folder: Path
    on_stage: OnStage

    def __post_init__(self) -> None:
        self.batch = self.settings.batch_size or self.encoder.batch_size
        self.threads = self.settings.decode_threads or usable_cores()
        self._runs = 0

    def warm_up(self, seed: int) -> None:
        """Let everything run once: modules are imported, graphs compiled, memory fetched."""
        photographs = self.folder / "warm"
        draw_photographs(photographs, max(_WARM, 2 * self.batch), SMALL, seed=seed + 1, quality=QUALITY)
        self._decode_alone(photographs)
        self._tower_alone(self._prepared(photographs), 4 * self.batch)
        self._index(photographs)

    def measured(self, what: str, count: int, size: tuple[int, int], repeats: int, seed: int) -> list[Figure]:
        """The figures of photographs of one size."""
        photographs = self.folder / what
        draw_photographs(
            photographs,
            count,
            size,
            seed=seed,
            quality=QUALITY,
            on_progress=lambda done, total: self.on_stage(f"drawing photographs of {what}", done, total),
        )
        prepared = self._prepared(photographs)
        rows: list[tuple[float, float, float]] = []
        for repeat in range(repeats):
            self.on_stage(f"indexing photographs of {what}", repeat, repeats)
            decode = self._decode_alone(photographs)
            tower = self._tower_alone(prepared, count)
            rows.append((decode, tower, self._index(photographs)))
        peak = self._peak_mb(photographs)
        self.on_stage(f"indexing photographs of {what}", repeats, repeats)
        return _figures(what, rows, peak)

    def _decode_alone(self, photographs: Path) -> float:
        with self._decoder(photographs) as (decoder, files), ThreadPoolExecutor(self.threads) as pool:
            started = time.perf_counter()
            # What is decoded is dropped, or all of it would be in memory.
            decoded = sum(pool.map(lambda file: isinstance(decoder.decode(file), PreparedPhotograph), files))
            return decoded / (time.perf_counter() - started)

    def _tower_alone(self, prepared: list[AnyArray], count: int) -> float:
        batches = [prepared[first : first + self.batch] for first in range(0, len(prepared), self.batch)]
        full = [batch for batch in batches if len(batch) == self.batch] or batches
        done = number = 0
        started = time.perf_counter()
        while done < count:
            self.encoder.encode_with_features(full[number % len(full)])
            done += len(full[number % len(full)])
            number += 1
        return done / (time.perf_counter() - started)

    def _index(self, photographs: Path) -> float:
        count = len(list(photographs.iterdir()))
        with Library.open(self._new_folder(), self.settings, create=True) as library:
            started = time.perf_counter()
            for _ in library.index([photographs], encoder=self.encoder, additional=[]):
                pass
            seconds = time.perf_counter() - started
            if library.catalog.count() != count:
                raise UsageError(f"Only {library.catalog.count()} of {count} drawn photographs could be indexed.")
        return count / seconds

    def _prepared(self, photographs: Path) -> list[AnyArray]:
        with self._decoder(photographs) as (decoder, files), ThreadPoolExecutor(self.threads) as pool:
            outcomes = pool.map(decoder.decode, islice(files, max(_PREPARED, self.batch)))
            return [outcome.inputs[0] for outcome in outcomes if isinstance(outcome, PreparedPhotograph)]

    def _decoder(self, photographs: Path) -> _Decoding:
        return _Decoding(self.encoder, self._new_folder(), photographs)

    def _new_folder(self) -> Path:
        self._runs += 1
        return self.folder / f"library {self._runs}"

    def _peak_mb(self, photographs: Path) -> float:
        """The most memory of `smysl index` in a process of its own; NaN where the system does not say (Windows)."""
        if sys.platform == "win32":
            return float("nan")
        command = [sys.executable, "-c", "from service.cli.app import main; main()", "index", str(photographs)]
        given: dict[str, Any] = {
            "model": self.encoder.name,
            "device": self.encoder.device,
            "precision": self.settings.precision,
        }
        given |= {"batch_size": self.settings.batch_size, "decode_threads": self.settings.decode_threads}
        variables = {f"SMYSL_{name.upper()}": str(value) for name, value in given.items() if value is not None}
        return ran(
            [*command, "--library", str(self._new_folder())], folder=Path(__file__).parents[1], variables=variables
        ).peak_mb


class _Decoding:
    """A decoder over a new catalog, and the files of a folder as a walk finds them."""

    def __init__(self, encoder: Encoder, library: Path, photographs: Path) -> None:
        library.mkdir(parents=True)
        self._catalog = Catalog(library / "catalog.sqlite")
        self._decoder = Decoder(self._catalog, [EncodingTask.main(encoder)])
        self._photographs = photographs

    def __enter__(self) -> tuple[Decoder, Iterable[File]]:
        return self._decoder, self._files()

    def __exit__(self, *failed: object) -> None:
        self._catalog.close()

    def _files(self) -> Iterator[File]:
        root, folder = self._catalog.add_root(self._photographs.resolve())
        for path in sorted(self._photographs.iterdir()):
            facts = path.stat()
            yield File(root, folder, path.name, facts.st_size, facts.st_mtime_ns, None)


def _figures(what: str, rows: list[tuple[float, float, float]], peak_mb: float) -> list[Figure]:
    decode, tower, index = (tuple(row[place] for row in rows) for place in range(3))
    rate = "photographs/s"
    return [
        Figure(f"{what}: decode alone", rate, decode),
        Figure(f"{what}: tower alone", rate, tower),
        Figure(f"{what}: index", rate, index),
        Figure(f"{what}: index, of the slower", "x", tuple(run / min(one, other) for one, other, run in rows)),
        Figure(f"{what}: index, of both in turn", "x", tuple(run * (1 / one + 1 / other) for one, other, run in rows)),
        Figure(f"{what}: peak memory", "MB", (peak_mb,)),
    ]
