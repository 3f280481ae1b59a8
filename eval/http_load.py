"""A load generator: clients that search a service at once, in a process of their own.

    python -m eval.http_load < job.json

reads a `Job` and prints a `Load`, both as JSON. It uses sockets directly: a request costs this process a tenth of a
millisecond, a twentieth of what it costs the service.
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

from eval.query_texts import query_texts
from service.errors import UsageError
from service.store.loopback import is_loopback

_HEALTH_EVERY_S = 0.05
"""Pause between two requests to `/health`."""
_TIMEOUT_S = 60.0
MAX_CLIENTS = 256
MAX_SECONDS = 600.0
MAX_REQUESTS = 1_000_000


@dataclass(frozen=True)
class Job:
    """Which service is searched, by how many clients, for how long, and with which texts.

    A client sends its next search as soon as one is answered. The first `skip` texts of `seed` are left out; with
    `known_texts` the next so many are searched once before the clock runs and then again and again. `health` requests
    `/health` every 50 ms meanwhile. Raises `UsageError` for an argument out of range and for a host other than this
    machine.
    """

    host: str
    port: int
    clients: int
    seconds: float
    seed: int = 0
    skip: int = 0
    known_texts: int | None = None
    health: bool = True

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise UsageError(f"{self.host} is not this machine; only a local service can be measured.")
        if not 1 <= self.clients <= MAX_CLIENTS:
            raise UsageError(f"--clients is {self.clients}; it must be from 1 to {MAX_CLIENTS}.")
        if not 0 < self.seconds <= MAX_SECONDS:
            raise UsageError(f"--seconds is {self.seconds:g}; it must be more than 0 and at most {MAX_SECONDS:g}.")


@dataclass(frozen=True)
class Load:
    """Milliseconds of each search and of each request to `/health`, and seconds that the whole job took."""

    searches: list[float]
    health: list[float]
    seconds: float


async def drive(job: Job) -> Load:
    """Run a job; raises `ConnectionError` for any answer but 200 and for none."""
    queries: Iterator[str] = islice(query_texts(job.seed), job.skip, job.skip + MAX_REQUESTS)
    if job.known_texts is not None:
        known = list(islice(queries, job.known_texts))
        await _client(job, iter(known), [], float("inf"))
        queries = cycle(known)
    searches: list[float] = []
    health: list[float] = []
    start = time.perf_counter()
    until = start + job.seconds
    watch = asyncio.create_task(_watch_health(job, health, until)) if job.health else None
    await asyncio.gather(*(_client(job, queries, searches, until) for _ in range(job.clients)))
    seconds = time.perf_counter() - start
    if watch is not None:
        await watch
    return Load(searches, health, seconds)


async def _client(job: Job, queries: Iterator[str], times: list[float], until: float) -> None:
    """Search with one text after the other on one connection, until a moment or until the texts run out."""
    reader, writer = await asyncio.open_connection(job.host, job.port)
    try:
        for text in queries:
            start = time.perf_counter()
            if start >= until or len(times) >= MAX_REQUESTS:
                break
            await _get(reader, writer, f"/search?k=20&text={quote_plus(text)}")
            times.append((time.perf_counter() - start) * 1000)
    finally:
        await _close(writer)


async def _watch_health(job: Job, times: list[float], until: float) -> None:
    reader, writer = await asyncio.open_connection(job.host, job.port)
    try:
        while time.perf_counter() < until:
            start = time.perf_counter()
            await _get(reader, writer, "/health")
            times.append((time.perf_counter() - start) * 1000)
            await asyncio.sleep(_HEALTH_EVERY_S)
    finally:
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii"))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _TIMEOUT_S)
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    body = await asyncio.wait_for(reader.readexactly(length), _TIMEOUT_S)
    if not lines[0].startswith(b"http/1.1 200 "):
        status = lines[0].decode("latin-1")
        raise ConnectionError(f"the service answered {path} with {status}: {body[:200].decode('utf-8', 'replace')}")


def main() -> None:
    """Run the job on standard input and write its load to standard output."""
    job = Job(**json.load(sys.stdin))
    json.dump(asdict(asyncio.run(drive(job))), sys.stdout)


if __name__ == "__main__":
    main()
