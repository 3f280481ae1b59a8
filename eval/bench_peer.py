"""smysl and rclip 3.3 in one run on the same synthetic photographs: indexing, a query in a new process, memory.

Both run as their own commands. Three take turns in every repeat: rclip, smysl with a model of rclip's architecture and
the same random weights, and smysl with `mini`. The time to index a single photograph is subtracted, so that neither
process start nor model loading counts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.peer_commands import FinishedCommand, Peer, find_peer, run_command
from eval.peer_model import ARCHITECTURE
from eval.query_texts import query_texts
from eval.synthetic_library import CatalogModel, SyntheticWriter, save_index
from eval.synthetic_photographs import LARGE, SMALL, draw_photographs
from service.errors import DataError, UsageError
from service.library import Library
from service.store.catalog import Catalog
from service.types import OnStage

SEARCHED = 7_000
"""Photographs in the library that a query in a new process searches."""
MIN_PHOTOGRAPHS = 2
RCLIP, SAME, MINI = "rclip", f"smysl, {ARCHITECTURE}", "smysl, mini"
_SMYSL = (sys.executable, "-c", "from service.cli.app import main; main()")
_FILL_SCRIPT = """
import sys, numpy as np
from rclip.db import DB
database = DB(sys.argv[1])
vectors = np.random.default_rng(0).normal(size=(int(sys.argv[3]), 512)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
for number, vector in enumerate(vectors):
    path = f"{sys.argv[2]}/{number:05d}.jpg"
    database.upsert_image(
        dict(filepath=path, modified_at=0.0, size=1, vector=vector.tobytes(), hash=str(number)), commit=False
    )
database.close()
"""


def bench_peer(
    rclip: Path,
    *,
    small: int = 2_000,
    large: int = 200,
    searched: int = SEARCHED,
    queries: int = 5,
    repeats: int = 3,
    seed: int = 0,
    on_stage: OnStage = lambda what, done, total: None,
) -> BenchReport:
    """Compare smysl with the rclip at `rclip`, which is its command or the folder of its environment.

    Args:
        rclip: where rclip is installed.
        small, large: photographs of 224 pixels square and of twelve megapixels that are indexed; 0 skips a size.
        searched: photographs in the libraries that are searched, whose vectors are synthetic.
        queries: new processes of each per repeat; their median counts.
        repeats: how often everything is measured, in turn.
        seed: seed of the synthetic photographs and of the texts.
        on_stage: follows the progress.

    Raises:
        UsageError: an argument is out of range, there is no rclip, or a command fails.
    """
    check_repeats(repeats)
    _check(small, large, searched, queries)
    peer = find_peer(rclip)
    machine = machine_facts()
    with tempfile.TemporaryDirectory() as folder:
        bench = _PeerBench(peer, Path(folder), seed, on_stage)
        bench.make_models()
        figures: list[Figure] = []
        for name, count, size in (("small", small, SMALL), ("12 megapixels", large, LARGE)):
            if count:
                figures += bench.indexing(name, count, size, repeats)
        figures += bench.querying(searched, queries, repeats)
        figures += bench.memory()
    settings = {
        "architecture": ARCHITECTURE,
        "weights": "random",
        "small": small,
        "large": large,
        "searched": searched,
        "queries": queries,
        "repeats": repeats,
        "seed": seed,
    }
    versions = versions_of("torch", "openvino", "open_clip_torch", "faiss-cpu", "pillow")
    versions |= {f"{name} (rclip's)": number for name, number in peer.versions.items()}
    return BenchReport("peer", figures, settings, _NOTES, machine, versions)


_NOTES = [
    "Photographs per second are of the commands `rclip` and `smysl index` on a new library, less the time of the same "
    "command on one photograph. rclip stores vectors; smysl stores vectors, features, thumbnails and facts.",
    f"Both models are a {ARCHITECTURE} with the same random weights, since rclip's own are on a model hub; rclip runs "
    "it as ONNX in fp32.",
    "A query is the whole command in a new process, over libraries filled with synthetic vectors.",
    "Ratios compare figures of the same repeat.",
]


def _check(small: int, large: int, searched: int, queries: int) -> None:
    for name, value in (("--small", small), ("--large", large)):
        if value and value < MIN_PHOTOGRAPHS:
            raise UsageError(
                f"{name} is {value}; it must be 0 or at least {MIN_PHOTOGRAPHS}: the time of one is subtracted."
            )
    for name, value in (("--searched", searched), ("--queries", queries)):
        if value < 1:
            raise UsageError(f"{name} is {value}; it must be 1 or more.")


@dataclass
class _PeerBench:
    """Runs the commands of both programs below `folder` and collects their peak memory."""

    peer: Peer
    folder: Path
    seed: int
    on_stage: OnStage
    peaks: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._runs = 0
        self._texts = query_texts(self.seed)
        self._datadir = self.folder / "models" / "rclip"
        # Else the converted model would stay in the user's cache.
        self._variables = {"SMYSL_CACHE": str(self.folder / "cache"), "RCLIP_DATADIR": str(self._datadir)}
        self._model = f"local-dir:{self.folder / 'models' / 'model'}"

    def make_models(self) -> None:
        """Write the models, and let smysl convert its own, which it does once per model."""
        self.on_stage("making models", 0, 2)
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "eval.peer_model",
            self.folder / "models",
            self.peer.packages,
        ]
        project = Path(__file__).parents[1]
        run_command(command, folder=project, variables={})
        self.on_stage("making models", 1, 2)
        draw_photographs(self.folder / "one", 1, SMALL, seed=self.seed)
        for name in (SAME, MINI):
            self._index(name, self.folder / "one")
        self.on_stage("making models", 2, 2)

    def indexing(self, kind: str, count: int, size: tuple[int, int], repeats: int) -> list[Figure]:
        """Photographs per second of each program, and the ratios."""
        photographs, one = self.folder / kind, self.folder / f"{kind}, one"
        draw_photographs(
            photographs,
            count,
            size,
            seed=self.seed,
            on_progress=lambda done, total: self.on_stage(f"{kind}: making photographs", done, total),
        )
        draw_photographs(one, 1, size, seed=self.seed + 1)
        rates: dict[str, list[float]] = {RCLIP: [], SAME: [], MINI: []}
        turns = [(name, each) for _ in range(repeats) for name, each in rates.items()]
        for done, (name, each) in enumerate(turns):
            self.on_stage(f"{kind}: indexing", done, len(turns))
            start = self._index(name, one).seconds
            whole = self._index(name, photographs)
            self._note(f"indexing {count:,} of {kind}, {name}", whole)
            taken = whole.seconds - start
            if taken <= 0:
                raise DataError(f"{count} photographs are too few: they index as fast as one. Index more of them.")
            each.append((count - 1) / taken)
        return _compared(f"{kind}: ", "photographs/s", rates, over=lambda ours, theirs: ours / theirs)

    def querying(self, searched: int, queries: int, repeats: int) -> list[Figure]:
        """Seconds per query in a new process of each program, and the ratios."""
        commands = dict(self._query_commands(searched))
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(repeats):
            self.on_stage("searching in new processes", turn, repeats)
            times: dict[str, list[float]] = {name: [] for name in commands}
            for text in [next(self._texts) for _ in range(queries + 1)]:
                for name, (command, folder) in commands.items():
                    done = self._run([*command, text], folder)
                    self._note(f"a query, {name}", done)
                    if len(done.out.splitlines()) < min(10, searched):
                        raise DataError(f"{name} answered a query with {done.out!r}, which is not a list of hits.")
                    times[name].append(done.seconds)
            for name, each in times.items():
                # The first run is left out: its files are not in the page cache.
                seconds[name].append(sorted(each[1:])[(len(each) - 1) // 2])
        return _compared("a query in a new process: ", "s", seconds, over=lambda ours, theirs: theirs / ours)

    def memory(self) -> list[Figure]:
        """Peak resident memory of each kind of command."""
        return [Figure(f"peak memory of {name}", "MB", tuple(values)) for name, values in self.peaks.items()]

    def _index(self, name: str, photographs: Path) -> FinishedCommand:
        if name == RCLIP:
            for file in self._datadir.glob("db.sqlite3*"):
                file.unlink()
            return self._run([self.peer.command, "-f", "-t", "1", "a photograph"], photographs)
        self._runs += 1
        library = self.folder / f"library {self._runs}"
        model = self._model if name == SAME else "mini"
        return self._run([*_SMYSL, "index", photographs, "--library", library, "--model", model], self.folder)

    def _run(self, command: Sequence[str | Path], folder: Path) -> FinishedCommand:
        return run_command(command, folder=folder, variables=self._variables)

    def _note(self, what: str, done: FinishedCommand) -> None:
        self.peaks.setdefault(what, []).append(done.peak_mb)

    def _query_commands(self, searched: int) -> Iterator[tuple[str, tuple[list[str | Path], Path]]]:
        """Each program with its search command, to which a text is appended, and the folder to run it in."""
        database = self._datadir / "db.sqlite3"
        database.unlink(missing_ok=True)
        photographs = self.folder / "searched"
        photographs.mkdir()
        fill = [str(self.peer.python), "-c", _FILL_SCRIPT, str(database), str(photographs.resolve()), str(searched)]
        subprocess.run(fill, check=True, capture_output=True)  # noqa: S603
        yield RCLIP, ([self.peer.command, "--no-indexing", "-f", "-t", "10"], photographs)
        for name in (SAME, MINI):
            library = self._library(name, searched)
            yield name, ([*_SMYSL, "search", "-k", "10", "--min-match", "0", "--library", library], self.folder)

    def _library(self, name: str, searched: int) -> Path:
        """A synthetic library of so many photographs for the model of `name`."""
        self._index(name, self.folder / "one")
        with Library.open(self.folder / f"library {self._runs}") as made:
            fingerprint = made.catalog.setting("fingerprint") or ""
            features = made.catalog.setting("features") or fingerprint
            model = CatalogModel(made.catalog.setting("model") or "", fingerprint, features)
        folder = self.folder / f"searched, {name}"
        folder.mkdir()
        catalog = Catalog(folder / "catalog.sqlite")
        try:
            SyntheticWriter(catalog, folder / "photographs", seed=self.seed, thumbnails=False, model=model).add(
                searched
            )
            save_index(folder, catalog)
        finally:
            catalog.close()
        return folder


def _compared(
    prefix: str, unit: str, values: dict[str, list[float]], *, over: Callable[[float, float], float]
) -> list[Figure]:
    """The figures, and how many times better smysl is than rclip."""
    figures = [Figure(f"{prefix}{name}", unit, tuple(each)) for name, each in values.items()]
    for name in (SAME, MINI):
        ratios = tuple(over(ours, theirs) for ours, theirs in zip(values[name], values[RCLIP], strict=True))
        figures.append(Figure(f"{prefix}{name} against rclip", "x", ratios))
    return figures
