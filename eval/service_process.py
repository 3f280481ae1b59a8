"""A service in a process of its own, as `smysl serve` starts it: how soon it answers, how fast, and in what memory."""

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

_ANNOUNCED = "smysl is at "
_PATIENCE_S = 300.0
_LOOK_EVERY_S = 0.005


@dataclass(frozen=True)
class ServiceProcess:
    """A service that answers at `url`, `started_s` seconds after its process was started."""

    url: str
    started_s: float
    process: subprocess.Popen[bytes]

    def memory_mb(self) -> dict[str, float]:
        """Memory of the process in MB of 1,000,000 bytes; empty where the system does not say (other than Linux).

        "peak" is the most that has been resident so far, pages of mapped files among it; "own" what is resident now
        and in no file; "share" (PSS) what is resident now, pages that several processes have in use divided by them.
        """
        return memory_of(self.process.pid)


@contextmanager
def running_service(library: Path, *arguments: str) -> Iterator[ServiceProcess]:
    """Start `smysl serve` on a library, wait until `/health` answers that it is well, and end it afterwards.

    `arguments` are further ones of the command. Raises `LibraryError` with what the service said where it ends
    before, or says nothing for five minutes.
    """
    command = [sys.executable, "-c", "from service.cli.app import main; main()", "serve", "--library", str(library)]
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said.txt"
        with said.open("wb") as out:
            started = time.perf_counter()
            process = subprocess.Popen([*command, "--port", "0", *arguments], stdout=out, stderr=out)  # noqa: S603
        try:
            url = _announced(process, said, started)
            _await_health(url, process, said, started)
            yield ServiceProcess(url, time.perf_counter() - started, process)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class ServiceClient:
    """One client that keeps its connection, as a browser does."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_PATIENCE_S)

    def get(self, path: str, **query: object) -> Any:
        """What the service answers, from JSON; raises `LibraryError` for a refusal."""
        asked = f"{path}?{urlencode(query)}" if query else path
        self._connection.request("GET", asked)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise LibraryError(f"The service answered {asked} with {answer.status}: {content[:300]!r}.")
        return json.loads(content)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def memory_of(process: int) -> dict[str, float]:
    """Memory of a process by its id; see `ServiceProcess.memory_mb`."""
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


def _announced(process: subprocess.Popen[bytes], said: Path, started: float) -> str:
    while time.perf_counter() - started < _PATIENCE_S:
        text = said.read_text(encoding="utf-8", errors="replace")
        if _ANNOUNCED in text and "\n" in text.split(_ANNOUNCED, 1)[1]:
            return text.split(_ANNOUNCED, 1)[1].split()[0]
        if process.poll() is not None:
            raise LibraryError(f"The service ended before it answered: {text.strip()}")
        time.sleep(_LOOK_EVERY_S)
    raise LibraryError(f"The service did not say within {_PATIENCE_S:.0f} s where it is.")


def _await_health(url: str, process: subprocess.Popen[bytes], said: Path, started: float) -> None:
    while time.perf_counter() - started < _PATIENCE_S:
        client = ServiceClient(url)
        try:
            client.get("/health")
            return
        except OSError:
            if process.poll() is not None:
                text = said.read_text(encoding="utf-8", errors="replace")
                raise LibraryError(f"The service ended before it answered: {text.strip()}") from None
        finally:
            client.close()
        time.sleep(_LOOK_EVERY_S)
    raise LibraryError(f"The service at {url} did not answer within {_PATIENCE_S:.0f} s.")
