"""How close indexing comes to the speed of its slower half: decoding alone, the tower alone, and `smysl index`.

All three run in turn on the same synthetic photographs in every repeat. Decoding alone is what indexing does in its
threads (read, hash, identify, decode, preprocess, thumbnail); the tower alone encodes preprocessed photographs in full
batches. Where both use the same cores, indexing cannot be faster than their work one after the other.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.peer_commands import run_command
from eval.synthetic_photographs import LARGE, SMALL, draw_photographs
from service.compute.cores import usable_cores
from service.errors import UsageError
from service.indexing.decoder import Decoder, EncodingTask, File, PreparedPhotograph
from service.library import Library
from service.store.catalog import Catalog
from service.store.records import FileInfo
from service.types import AnyArray, OnStage

if TYPE_CHECKING:
    from service.config import Settings
    from service.encoder.encoder import Encoder

QUALITY = 90
_WARM = 64
"""Photographs of the warm-up."""
_PREPARED = 256
"""The most preprocessed photographs kept for timing the tower alone, which encodes them again and again."""


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
    """Photographs per second of the three, how close indexing comes to what is possible, and its peak memory.

    Args:
        encoder: encodes the photographs.
        settings: batch size and threads, as for indexing, and the device, precision and runtime that `encoder` uses,
            for the separate process whose memory is measured.
        small, large: photographs of 224 pixels square and of twelve megapixels; 0 skips a size.
        repeats: how often each of the three is measured.
        seed: seed of the synthetic photographs.
        on_stage: follows the progress.

    Raises:
        UsageError: an argument is out of range.
    """
    check_repeats(repeats)
    if min(small, large) < 0 or not (small or large):
        raise UsageError(f"--small is {small} and --large is {large}; one must be 1 or more, none less than 0.")
    machine = machine_facts()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="smysl-bench-") as folder:
        bench = _IndexBench(encoder, settings, Path(folder), on_stage)
        bench.warm_up(seed)
        for what, count, size in (("224 pixels", small, SMALL), ("12 megapixels", large, LARGE)):
            if count:
                figures += bench.figures(what, count, size, repeats, seed)
    used: dict[str, Any] = {"model": encoder.name, "runtime": encoder.runtime, "device": encoder.device}
    used |= {"precision": encoder.precision, "batch": bench.batch, "threads": bench.threads}
    requested = {"small": small, "large": large, "quality": QUALITY, "repeats": repeats, "seed": seed}
    versions = versions_of("torch", "openvino", "open_clip_torch", "pillow", "faiss-cpu")
    return BenchReport("index", figures, used | requested, _NOTES, machine, versions)


_NOTES = [
    "`decode alone` and `index` read the files from the page cache; `index` makes a new library and writes its index.",
    "`of the slower` divides `index` by the lower rate of the other two; `of both in turn` divides it by the rate of "
    "both sharing the same cores, 1 / (1 / decode + 1 / tower).",
    "Peak memory is that of `smysl index` on the same photographs in a process of its own, run once.",
]


@dataclass
class _IndexBench:
    """Runs the three measurements in new libraries below `folder`."""

    encoder: Encoder
    settings: Settings
    folder: Path
    on_stage: OnStage

    def __post_init__(self) -> None:
        self.batch = self.settings.batch_size or self.encoder.batch_size
        self.threads = self.settings.decode_threads or usable_cores()
        self._runs = 0

    def warm_up(self, seed: int) -> None:
        """Run everything once, so that imports, compilation and first allocations are not counted."""
        photographs = self.folder / "warm"
        draw_photographs(photographs, max(_WARM, 2 * self.batch), SMALL, seed=seed + 1, quality=QUALITY)
        self._decode_alone(photographs)
        self._tower_alone(self._prepared(photographs), 4 * self.batch)
        self._index(photographs)

    def figures(self, what: str, count: int, size: tuple[int, int], repeats: int, seed: int) -> list[Figure]:
        """The figures of photographs of one size."""
        photographs = self.folder / what
        draw_photographs(
            photographs,
            count,
            size,
            seed=seed,
            quality=QUALITY,
            on_progress=lambda done, total: self.on_stage(f"making photographs of {what}", done, total),
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
            # Counting drops each decoded photograph at once, so that memory stays bounded.
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
                raise UsageError(f"Only {library.catalog.count()} of {count} synthetic photographs could be indexed.")
        return count / seconds

    def _prepared(self, photographs: Path) -> list[AnyArray]:
        with self._decoder(photographs) as (decoder, files), ThreadPoolExecutor(self.threads) as pool:
            outcomes = pool.map(decoder.decode, islice(files, max(_PREPARED, self.batch)))
            return [outcome.inputs[0] for outcome in outcomes if isinstance(outcome, PreparedPhotograph)]

    def _decoder(self, photographs: Path) -> AbstractContextManager[tuple[Decoder, Iterator[File]]]:
        return _decoding(self.encoder, self._new_folder(), photographs)

    def _new_folder(self) -> Path:
        self._runs += 1
        return self.folder / f"library {self._runs}"

    def _peak_mb(self, photographs: Path) -> float:
        """Peak memory of `smysl index` in a process of its own; NaN where the system does not report it (Windows)."""
        if sys.platform == "win32":
            return float("nan")
        command = [sys.executable, "-c", "from service.cli.app import main; main()", "index", str(photographs)]
        options: dict[str, Any] = {
            "model": self.encoder.name,
            "device": self.encoder.device,
            "precision": self.settings.precision,
        }
        options |= {"batch_size": self.settings.batch_size, "decode_threads": self.settings.decode_threads}
        variables = {f"SMYSL_{name.upper()}": str(value) for name, value in options.items() if value is not None}
        return run_command(
            [*command, "--library", str(self._new_folder())], folder=Path(__file__).parents[1], variables=variables
        ).peak_mb


@contextmanager
def _decoding(encoder: Encoder, library: Path, photographs: Path) -> Iterator[tuple[Decoder, Iterator[File]]]:
    """A decoder over a new catalog in `library`, and the files of a folder as indexing finds them."""
    library.mkdir(parents=True)
    catalog = Catalog(library / "catalog.sqlite")
    try:
        yield Decoder(catalog, [EncodingTask.main(encoder)]), _files(catalog, photographs)
    finally:
        catalog.close()


def _files(catalog: Catalog, photographs: Path) -> Iterator[File]:
    root, folder = catalog.add_root(photographs.resolve())
    for path in sorted(photographs.iterdir()):
        yield File(root, FileInfo.of(root.id, folder, path.name, path.stat()), None)


def _figures(what: str, rows: list[tuple[float, float, float]], peak_mb: float) -> list[Figure]:
    decode, tower, index = (tuple(row[column] for row in rows) for column in range(3))
    rate = "photographs/s"
    return [
        Figure(f"{what}: decode alone", rate, decode),
        Figure(f"{what}: tower alone", rate, tower),
        Figure(f"{what}: index", rate, index),
        Figure(f"{what}: index, of the slower", "x", tuple(run / min(one, other) for one, other, run in rows)),
        Figure(f"{what}: index, of both in turn", "x", tuple(run * (1 / one + 1 / other) for one, other, run in rows)),
        Figure(f"{what}: peak memory", "MB", (peak_mb,)),
    ]
