"""The real service with several worker processes: one address, one announcement, one index run, a common end."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.conftest import SMYSL
from tests.e2e.test_serve import Running, reaches, serving
from tests.service.pictures import save_picture

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

_TIMEOUT_S = 60

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


@pytest.fixture
def library(tmp_path: Path, tiny: Encoder) -> Path:
    """A library of six photographs for one test, which may change it."""
    from service.config import Settings
    from service.library import Library

    photographs, folder = tmp_path / "photographs", tmp_path / "library"
    photographs.mkdir()
    for seed in range(6):
        save_picture(photographs / f"{seed}.jpg", seed, size=(64, 48))
    with Library.open(folder, Settings(library=folder), create=True) as opened:
        for _ in opened.index([photographs], encoder=tiny):
            pass
    return folder


def workers_of(service: Running) -> list[int]:
    """Process ids of the workers of a service."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + _TIMEOUT_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def answers(service: Running) -> bool:
    try:
        return httpx.get(f"{service.url}/search", params={"text": "a cat"}, timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def test_workers_answer_at_one_address_and_stop_together(library: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--library", library, "--workers", "2") as service:
        workers = workers_of(service)
        assert len(workers) == 2
        assert all(answers(service) for _ in range(5))
        environments = [Path(f"/proc/{worker}/environ").read_bytes() for worker in workers]
        assert all(b"OMP_NUM_THREADS=" in each and b"SMYSL_THREADS=" in each for each in environments)
        (note,) = library.glob("serving-*.json")
        found = subprocess.run(
            [*SMYSL, "search", "a cat", "-v", "--library", str(library)], capture_output=True, text=True, check=True
        )
        assert "(process " in found.stderr and " answered." in found.stderr
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(_TIMEOUT_S) == 0
        assert service.log().count("smysl is at") == 1
        assert "Traceback" not in service.log()
        assert not reaches("127.0.0.1", service.port)
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
        assert not note.exists()


def test_a_worker_that_dies_is_restarted_and_reported(library: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--library", library, "--workers", "2") as service:
        first, other = workers_of(service)
        os.kill(other, signal.SIGKILL)
        eventually(lambda: f"Worker {other} ended unexpectedly (exit code -9) and was restarted." in service.log())
        eventually(lambda: len(workers_of(service)) == 2 and other not in workers_of(service))
        os.kill(first, signal.SIGKILL)
        eventually(lambda: answers(service))
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(_TIMEOUT_S) in (0, -signal.SIGTERM)


def test_the_supervisor_indexes_and_all_workers_report_its_progress(library: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    for seed in range(100, 500):
        save_picture(more / f"{seed}.jpg", seed, size=(64, 48))
    (more / "broken.jpg").write_bytes(b"no photograph")
    with serving(tmp_path / "log", more, "--library", library, "--workers", "2", SMYSL_BATCH_SIZE="1") as service:
        statuses = [httpx.get(f"{service.url}/status", timeout=30).json() for _ in range(8)]
        # Each request has its own connection, so that both workers get some.
        running = [each for each in statuses if each["writer"]]
        assert all(each["writer"]["pid"] == service.process.pid for each in running)
        assert all(each["indexing"] for each in running[:-1])

        def done() -> bool:
            status = httpx.get(f"{service.url}/status", timeout=30).json()
            return bool(status["photographs"] == 406 and status["indexing"] is None)

        eventually(done)
        # Both workers have loaded what the supervisor wrote.
        for _ in range(6):
            assert httpx.get(f"{service.url}/search", params={"text": "a cat"}).json()["photographs"] == 406
        assert service.log().count("broken.jpg") == 1


def test_a_startup_error_of_the_workers_is_reported_once(library: Path) -> None:
    with closing(sqlite3.connect(library / "catalog.sqlite")) as catalog:
        catalog.execute("UPDATE setting SET value = 'another' WHERE key = 'fingerprint'")
        catalog.commit()
    command = [*SMYSL, "serve", "--library", str(library), "--port", "0", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("were encoded with another version of the model") == 1
    assert "Traceback" not in done.stderr
    assert not list(library.glob("serving-*"))


@pytest.mark.parametrize("workers", ["0", "-1", "65", "two"])
def test_invalid_numbers_of_workers_are_refused(library: Path, workers: str) -> None:
    command = [*SMYSL, "serve", "--library", str(library)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"SMYSL_WORKERS": workers}
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"smysl: --workers (or SMYSL_WORKERS) is '{workers}': ")
    assert len(done.stderr.splitlines()) == 1


def test_workers_serve_an_empty_library(library: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(library / "catalog.sqlite", empty)
    with closing(sqlite3.connect(empty / "catalog.sqlite")) as catalog:
        catalog.execute("DELETE FROM setting WHERE key IN ('model', 'fingerprint')")
        catalog.commit()
    with serving(tmp_path / "log", "--library", empty, "--workers", "2") as service:
        assert httpx.get(f"{service.url}/health").json() == {"status": "empty", "photographs": 0}
