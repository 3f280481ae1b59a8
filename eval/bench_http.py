"""How a service answers many clients at once, beside how it answers one: latency, throughput, `/health` meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.http_load import MOST_CLIENTS, MOST_SECONDS, Job, Load
from eval.service_process import running_service
from service.errors import LibraryError, UsageError
from service.types import OnStage

PHOTOGRAPHS = 7_000
"""Of the library that is drawn where none is named."""
SAME = 32
"""Different texts of the clients whose texts the service remembers."""
_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class _Phase:
    """One of the ways in which the service is asked: by how many clients, and whether it has seen the texts."""

    name: str
    clients: int
    same: int | None


def bench_http(
    library: Path | None = None,
    *,
    clients: int = 32,
    seconds: float = 5.0,
    workers: int = 1,
    repeats: int = 3,
    seed: int = 0,
    on_stage: OnStage = lambda what, done, total: None,
) -> BenchReport:
    """Start the real service and search it by one client, then by `clients`, in turn, `seconds` each.

    Texts are new to the service, and in two further phases such as it remembers. `library` is served as it is; without
    one 7,000 photographs are drawn. Raises `UsageError` for numbers that cannot be, `LibraryError` for a library that
    is empty or cannot be served.
    """
    _check(clients, seconds, workers, repeats)
    machine = machine_facts()
    phases = [
        _Phase("new texts, 1 client", 1, None),
        _Phase(f"new texts, {clients} clients", clients, None),
        _Phase("known texts, 1 client", 1, SAME),
        _Phase(f"known texts, {clients} clients", clients, SAME),
    ]
    loads: dict[str, list[Load]] = {phase.name: [] for phase in phases}
    with _library(library, seed, on_stage) as folder, running_service(folder, "--workers", str(workers)) as service:
        photographs = _photographs(folder)
        _drive(service.url, 1, 1.0, seed + 1, 0, None)
        done, asked = 0, 0
        for _ in range(repeats):
            for phase in phases:
                on_stage("searching", done, repeats * len(phases))
                load = _drive(service.url, phase.clients, seconds, seed, asked, phase.same)
                loads[phase.name].append(load)
                asked += len(load.searches) if phase.same is None else phase.same
                done += 1
        on_stage("searching", done, repeats * len(phases))
    return BenchReport(
        "http",
        _figures(phases, loads),
        {"photographs": photographs, "clients": clients, "seconds": seconds, "workers": workers, "repeats": repeats},
        ["Clients ask again as soon as they are answered, and run on the same machine as the service."],
        machine,
        versions_of("torch", "openvino", "faiss-cpu", "fastapi", "uvicorn"),
    )


def _check(clients: int, seconds: float, workers: int, repeats: int) -> None:
    check_repeats(repeats)
    if not 2 <= clients <= MOST_CLIENTS:
        raise UsageError(f"--clients is {clients}; it must be from 2 to {MOST_CLIENTS}.")
    if not 0 < seconds <= MOST_SECONDS:
        raise UsageError(f"--seconds is {seconds:g}; it must be more than 0 and at most {MOST_SECONDS:g}.")
    if workers < 1:
        raise UsageError(f"--workers is {workers}; it must be 1 or more.")


@contextmanager
def _library(library: Path | None, seed: int, on_stage: OnStage) -> Iterator[Path]:
    """The library that was named, or a drawn one that goes afterwards."""
    if library is not None:
        yield library
        return
    from eval.synthetic_library import make_synthetic_library

    with tempfile.TemporaryDirectory(prefix="smysl-") as folder:
        drawn = Path(folder) / "library"
        make_synthetic_library(
            drawn, PHOTOGRAPHS, seed=seed, thumbnails=False, on_progress=partial(on_stage, "drawing")
        )
        yield drawn


def _photographs(folder: Path) -> int:
    from service.library import Library

    with Library.open(folder) as opened:
        photographs = opened.status().photographs
    if not photographs:
        raise LibraryError(f"The library {folder} is empty: there is nothing to search. Name another with --library.")
    return photographs


def _drive(url: str, clients: int, seconds: float, seed: int, skip: int, same: int | None) -> Load:
    """Run clients in a process of their own; raises `LibraryError` with its last line where it fails."""
    parts = urlsplit(url)
    job = Job(parts.hostname or "", parts.port or 0, clients, seconds, seed, skip, same)
    done = subprocess.run(
        [sys.executable, "-m", "eval.http_load"],
        input=json.dumps(asdict(job)),
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 300,
    )
    if done.returncode:
        raise LibraryError(f"The clients ended early: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return Load(**json.loads(done.stdout))


def _figures(phases: Sequence[_Phase], loads: dict[str, list[Load]]) -> list[Figure]:
    figures = []
    for phase in phases:
        runs = loads[phase.name]
        for share in (50, 95, 99):
            figures.append(Figure(f"{phase.name}: p{share}", "ms", _each(runs, lambda load: load.searches, share)))
        figures.append(Figure(f"{phase.name}: throughput", "searches/s", _rates(runs)))
        if phase.clients > 1:
            for name, share in (("p99", 99), ("worst", 100)):
                values = _each(runs, lambda load: load.health, share)
                figures.append(Figure(f"{phase.name}: /health {name}", "ms", values))
    for alone, many in (phases[:2], phases[2:]):
        ratios = zip(_rates(loads[many.name]), _rates(loads[alone.name]), strict=True)
        name = f"{many.name}: throughput over that of 1 client"
        figures.append(Figure(name, "x", tuple(several / one for several, one in ratios)))
    return figures


def _each(runs: Sequence[Load], times: Callable[[Load], list[float]], share: int) -> tuple[float, ...]:
    """Below which time (ms) a share (per cent) of them lies, in each run; raises `LibraryError` for a run of none."""
    if not all(times(load) for load in runs):
        raise LibraryError("No search was answered in the time that there was; give more with --seconds.")
    return tuple(float(np.percentile(times(load), share)) for load in runs)


def _rates(runs: Sequence[Load]) -> tuple[float, ...]:
    return tuple(len(load.searches) / load.seconds for load in runs)
