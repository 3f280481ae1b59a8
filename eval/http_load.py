"""Clients that search a service all at once, in a process of their own, so that what is measured is the service.

    python -m eval.http_load < job.json

reads a `Job` and prints a `Load`, both as JSON. Sockets are spoken to directly: a request costs this process a tenth
of a millisecond, a twentieth of what it costs the service.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from urllib.parse import quote_plus

from eval.query_texts import texts
from service.errors import UsageError
from service.store.loopback import is_loopback

_LOOK_AFTER_S = 0.05
"""Between two questions to `/health`."""
_PATIENCE_S = 60.0
MOST_CLIENTS = 256
MOST_SECONDS = 600.0
MOST_REQUESTS = 1_000_000


@dataclass(frozen=True)
class Job:
    """Who is asked, by how many clients, how long, and for what.

    Clients that are done begin again at once. Of the different texts of `seed` the first `skip` are left out; with
    `same` the next `same` of them are asked again and again, after each was asked once. `health` asks `/health` beside
    them, every 50 ms. Raises `UsageError` for a job without end and for a host that is not this machine.
    """

    host: str
    port: int
    clients: int
    seconds: float
    seed: int = 0
    skip: int = 0
    same: int | None = None
    health: bool = True

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise UsageError(f"{self.host} is not this machine, and no other is measured.")
        if not 1 <= self.clients <= MOST_CLIENTS:
            raise UsageError(f"--clients is {self.clients}; it must be from 1 to {MOST_CLIENTS}.")
        if not 0 < self.seconds <= MOST_SECONDS:
            raise UsageError(f"--seconds is {self.seconds:g}; it must be more than 0 and at most {MOST_SECONDS:g}.")


@dataclass(frozen=True)
class Load:
    """What the clients saw: milliseconds of each search and of each look at `/health`, and how long all took."""

    searches: list[float]
    health: list[float]
    seconds: float


async def drive(job: Job) -> Load:
    """Run a job; raises `ConnectionError` where the service answers anything but 200, or not at all."""
    asked: Iterator[str] = islice(texts(job.seed), job.skip, job.skip + MOST_REQUESTS)
    if job.same is not None:
        again = list(islice(asked, job.same))
        warm: list[float] = []
        await _client(job, iter(again), warm, float("inf"))
        asked = cycle(again)
    searches: list[float] = []
    health: list[float] = []
    start = time.perf_counter()
    until = start + job.seconds
    look = asyncio.create_task(_watch(job, health, until)) if job.health else None
    await asyncio.gather(*(_client(job, asked, searches, until) for _ in range(job.clients)))
    seconds = time.perf_counter() - start
    if look is not None:
        await look
    return Load(searches, health, seconds)


async def _client(job: Job, asked: Iterator[str], times: list[float], until: float) -> None:
    """Search one text after the other on one connection, until then or until there are no more."""
    reader, writer = await asyncio.open_connection(job.host, job.port)
    try:
        for text in asked:
            start = time.perf_counter()
            if start >= until or len(times) >= MOST_REQUESTS:
                break
            await _get(reader, writer, f"/search?k=20&text={quote_plus(text)}")
            times.append((time.perf_counter() - start) * 1000)
    finally:
        await _hang_up(writer)


async def _watch(job: Job, times: list[float], until: float) -> None:
    reader, writer = await asyncio.open_connection(job.host, job.port)
    try:
        while time.perf_counter() < until:
            start = time.perf_counter()
            await _get(reader, writer, "/health")
            times.append((time.perf_counter() - start) * 1000)
            await asyncio.sleep(_LOOK_AFTER_S)
    finally:
        await _hang_up(writer)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii"))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE_S)
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    body = await asyncio.wait_for(reader.readexactly(length), _PATIENCE_S)
    if not lines[0].startswith(b"http/1.1 200 "):
        said = lines[0].decode("latin-1")
        raise ConnectionError(f"the service answered {path} with {said}: {body[:200].decode('utf-8', 'replace')}")


def main() -> None:
    """Run the job of standard input and write what was seen to standard output."""
    job = Job(**json.load(sys.stdin))
    json.dump(asdict(asyncio.run(drive(job))), sys.stdout)


if __name__ == "__main__":
    main()
