"""How a service copes with many clients at once, compared with one: latency, throughput, and `/health` meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.http_load import MAX_CLIENTS, MAX_SECONDS, Job, Load
from eval.service_process import running_service
from service.errors import LibraryError, UsageError
from service.types import OnStage

PHOTOGRAPHS = 7_000
"""Photographs of the synthetic library that is served where none is named."""
KNOWN_TEXTS = 32
"""Different texts in the phases with texts that the service has cached."""
_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class _LoadPhase:
    """How many clients search, and among how many known texts; None searches with new texts only."""

    name: str
    clients: int
    known_texts: int | None


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
    """Start the real service and search it from one client and from `clients` at once, in phases of `seconds` each.

    Two phases search with texts that are new to the service, two with texts that it has cached. `library` is served as
    it is; None serves a synthetic library of 7,000 photographs. Raises `UsageError` for an argument out of range,
    `LibraryError` for a library that is empty or cannot be served.
    """
    _check(clients, seconds, workers, repeats)
    machine = machine_facts()
    phases = [
        _LoadPhase("new texts, 1 client", 1, None),
        _LoadPhase(f"new texts, {clients} clients", clients, None),
        _LoadPhase("known texts, 1 client", 1, KNOWN_TEXTS),
        _LoadPhase(f"known texts, {clients} clients", clients, KNOWN_TEXTS),
    ]
    loads: dict[str, list[Load]] = {phase.name: [] for phase in phases}
    with (
        _served_library(library, seed, on_stage) as folder,
        running_service(folder, "--workers", str(workers)) as service,
    ):
        photographs = _photographs(folder)
        _drive(service.url, 1, 1.0, seed + 1, 0, None)
        done, used_texts = 0, 0
        for _ in range(repeats):
            for phase in phases:
                on_stage("searching", done, repeats * len(phases))
                load = _drive(service.url, phase.clients, seconds, seed, used_texts, phase.known_texts)
                loads[phase.name].append(load)
                used_texts += len(load.searches) if phase.known_texts is None else phase.known_texts
                done += 1
        on_stage("searching", done, repeats * len(phases))
    return BenchReport(
        "http",
        _figures(phases, loads),
        {"photographs": photographs, "clients": clients, "seconds": seconds, "workers": workers, "repeats": repeats},
        ["Clients send the next request as soon as one is answered, and run on the same machine as the service."],
        machine,
        versions_of("torch", "openvino", "faiss-cpu", "fastapi", "uvicorn"),
    )


def _check(clients: int, seconds: float, workers: int, repeats: int) -> None:
    check_repeats(repeats)
    if not 2 <= clients <= MAX_CLIENTS:
        raise UsageError(f"--clients is {clients}; it must be from 2 to {MAX_CLIENTS}.")
    if not 0 < seconds <= MAX_SECONDS:
        raise UsageError(f"--seconds is {seconds:g}; it must be more than 0 and at most {MAX_SECONDS:g}.")
    if workers < 1:
        raise UsageError(f"--workers is {workers}; it must be 1 or more.")


@contextmanager
def _served_library(library: Path | None, seed: int, on_stage: OnStage) -> Iterator[Path]:
    """The named library, or a synthetic one that is removed afterwards."""
    if library is not None:
        yield library
        return
    from eval.synthetic_library import temporary_library

    with temporary_library(PHOTOGRAPHS, seed=seed, on_progress=partial(on_stage, "making the library")) as folder:
        yield folder


def _photographs(folder: Path) -> int:
    from service.library import Library

    with Library.open(folder) as opened:
        photographs = opened.status().photographs
    if not photographs:
        raise LibraryError(f"The library {folder} is empty: there is nothing to search. Name another with --library.")
    return photographs


def _drive(url: str, clients: int, seconds: float, seed: int, skip: int, known_texts: int | None) -> Load:
    """Run the clients in a process of their own; raises `LibraryError` with its last line where it fails."""
    parts = urlsplit(url)
    job = Job(parts.hostname or "", parts.port or 0, clients, seconds, seed, skip, known_texts)
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


def _figures(phases: Sequence[_LoadPhase], loads: dict[str, list[Load]]) -> list[Figure]:
    figures = []
    for phase in phases:
        runs = loads[phase.name]
        for percentile in (50, 95, 99):
            times = _percentiles(runs, lambda load: load.searches, percentile)
            figures.append(Figure(f"{phase.name}: p{percentile}", "ms", times))
        figures.append(Figure(f"{phase.name}: throughput", "searches/s", _rates(runs)))
        if phase.clients > 1:
            for name, percentile in (("p99", 99), ("worst", 100)):
                values = _percentiles(runs, lambda load: load.health, percentile)
                figures.append(Figure(f"{phase.name}: /health {name}", "ms", values))
    for alone, many in (phases[:2], phases[2:]):
        ratios = zip(_rates(loads[many.name]), _rates(loads[alone.name]), strict=True)
        name = f"{many.name}: throughput over that of 1 client"
        figures.append(Figure(name, "x", tuple(several / one for several, one in ratios)))
    return figures


def _percentiles(runs: Sequence[Load], times: Callable[[Load], list[float]], percentile: int) -> tuple[float, ...]:
    """A percentile of the times (ms) in each run; raises `LibraryError` for a run without an answer."""
    if not all(times(load) for load in runs):
        raise LibraryError("No search was answered in time; allow more with --seconds.")
    return tuple(float(np.percentile(times(load), percentile)) for load in runs)


def _rates(runs: Sequence[Load]) -> tuple[float, ...]:
    """Searches per second of each run."""
    return tuple(len(load.searches) / load.seconds for load in runs)
