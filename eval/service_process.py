"""`smysl serve` in a process of its own: how soon it answers, how fast, and how much memory it takes."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from service.errors import LibraryError

_ANNOUNCEMENT = "smysl is at "
_TIMEOUT_S = 300.0
_POLL_S = 0.005


@dataclass(frozen=True)
class ServiceProcess:
    """A service that answers at `url`, `started_s` seconds after its process was started."""

    url: str
    started_s: float
    process: subprocess.Popen[bytes]

    def memory_mb(self) -> dict[str, float]:
        """Memory of the process in MB (1,000,000 bytes); empty on systems other than Linux, which do not report it.

        "peak" is the peak resident memory so far, with pages of mapped files; "own" is the anonymous memory that is
        resident now; "share" (PSS) is the memory resident now, with each shared page divided among its processes.
        """
        return memory_of(self.process.pid)


@contextmanager
def running_service(library: Path, *arguments: str) -> Iterator[ServiceProcess]:
    """Start `smysl serve` on a library, wait until `/health` answers 200, and stop the service afterwards.

    `arguments` are added to the command. Raises `LibraryError` with the service's output where it exits first, and
    where it does not answer within five minutes.
    """
    command = [sys.executable, "-c", "from service.cli.app import main; main()", "serve", "--library", str(library)]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output.txt"
        with output.open("wb") as out:
            started = time.perf_counter()
            process = subprocess.Popen([*command, "--port", "0", *arguments], stdout=out, stderr=out)  # noqa: S603
        try:
            url = _announced_url(process, output, started)
            _await_health(url, process, output, started)
            yield ServiceProcess(url, time.perf_counter() - started, process)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class ServiceClient:
    """An HTTP client that keeps its connection open, as a browser does."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)

    def get(self, path: str, **query: object) -> Any:
        """The parsed JSON answer; raises `LibraryError` for any status but 200."""
        target = f"{path}?{urlencode(query)}" if query else path
        self._connection.request("GET", target)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise LibraryError(f"The service answered {target} with {answer.status}: {content[:300]!r}.")
        return json.loads(content)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def memory_of(process: int) -> dict[str, float]:
    """Memory of a process by its id, as `ServiceProcess.memory_mb` describes it."""
    found: dict[str, float] = {}
    for file, names in (
        ("status", {"VmHWM": "peak", "RssAnon": "own"}),
        ("smaps_rollup", {"Pss": "share"}),
    ):
        with suppress(OSError):
            facts = _kibibytes(Path(f"/proc/{process}/{file}").read_text(encoding="ascii"))
            found |= {ours: facts[theirs] * 1024 / 1e6 for theirs, ours in names.items() if theirs in facts}
    return found


def _kibibytes(facts: str) -> Mapping[str, int]:
    rows = (line.split() for line in facts.splitlines())
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) == 3 and row[2] == "kB"}


def _announced_url(process: subprocess.Popen[bytes], output: Path, started: float) -> str:
    """The URL that the service prints once it listens."""
    while time.perf_counter() - started < _TIMEOUT_S:
        text = output.read_text(encoding="utf-8", errors="replace")
        if _ANNOUNCEMENT in text and "\n" in text.split(_ANNOUNCEMENT, 1)[1]:
            return text.split(_ANNOUNCEMENT, 1)[1].split()[0]
        if process.poll() is not None:
            raise LibraryError(f"The service exited before it answered: {text.strip()}")
        time.sleep(_POLL_S)
    raise LibraryError(f"The service did not print its address within {_TIMEOUT_S:.0f} s.")


def _await_health(url: str, process: subprocess.Popen[bytes], output: Path, started: float) -> None:
    while time.perf_counter() - started < _TIMEOUT_S:
        client = ServiceClient(url)
        try:
            client.get("/health")
            return
        except OSError:
            if process.poll() is not None:
                text = output.read_text(encoding="utf-8", errors="replace")
                raise LibraryError(f"The service exited before it answered: {text.strip()}") from None
        finally:
            client.close()
        time.sleep(_POLL_S)
    raise LibraryError(f"The service at {url} did not answer within {_TIMEOUT_S:.0f} s.")
