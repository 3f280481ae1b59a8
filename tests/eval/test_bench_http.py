"""The benchmark of the service: the real service and real clients, briefly on a small library."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.bench_http import bench_http
from eval.http_load import Job, drive
from eval.synthetic_library import make_synthetic_library
from service.errors import LibraryError, UsageError
from tests.conftest import Finished

pytestmark = pytest.mark.e2e

Run = Callable[..., Finished]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "library"
    make_synthetic_library(folder, 300, thumbnails=False)
    return folder


def test_one_client_and_many_are_measured_with_health(smysl: Run, library: Path) -> None:
    command = ("bench", "http", "--clients", 3, "--seconds", 0.5, "--repeats", 2, "--library", library)
    done = smysl(*command, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert (report["bench"], report["settings"]["photographs"], report["settings"]["clients"]) == ("http", 300, 3)
    figures = {figure["name"]: figure for figure in report["figures"]}
    for phase in ("new texts, 1 client", "new texts, 3 clients", "known texts, 1 client", "known texts, 3 clients"):
        shares = [figures[f"{phase}: {share}"] for share in ("p50", "p95", "p99")]
        assert all(each["unit"] == "ms" and len(each["values"]) == 2 for each in shares)
        assert 0 < shares[0]["least"] <= shares[1]["least"] <= shares[2]["least"]
        assert figures[f"{phase}: throughput"]["least"] > 0
    assert (
        figures["new texts, 3 clients: /health worst"]["most"] >= figures["new texts, 3 clients: /health p99"]["most"]
    )
    ratio = figures["new texts, 3 clients: throughput over that of 1 client"]
    alone, many = (figures[f"new texts, {who}: throughput"]["values"] for who in ("1 client", "3 clients"))
    assert ratio["values"] == pytest.approx([several / one for several, one in zip(many, alone, strict=True)], rel=1e-2)
    assert not list(library.glob("serving-*"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--clients", "1"], "--clients is 1; it must be from 2 to 256."),
        (["--clients", "257"], "--clients is 257; it must be from 2 to 256."),
        (["--seconds", "0"], "--seconds is 0; it must be more than 0 and at most 600."),
        (["--seconds", "nan"], "--seconds is nan; it must be more than 0 and at most 600."),
        (["--workers", "0"], "--workers is 0; it must be 1 or more."),
        (["--repeats", "0"], "--repeats is 0; it must be 1 or more."),
    ],
)
def test_options_out_of_range_are_refused(smysl: Run, options: list[str], says: str) -> None:
    done = smysl("bench", "http", *options)
    assert (done.code, done.out, done.err) == (2, "", f"smysl: {says}\n")


def test_an_empty_library_has_nothing_to_search(tmp_path: Path) -> None:
    from service.library import Library

    Library.open(tmp_path / "empty", create=True).close()
    with pytest.raises(LibraryError, match="is empty: there is nothing to search"):
        bench_http(tmp_path / "empty")


@pytest.mark.parametrize("host", ["example.org", "192.0.2.1", "0.0.0.0"])  # noqa: S104 - never bound to
def test_other_machines_are_refused(host: str) -> None:
    with pytest.raises(UsageError, match="is not this machine"):
        Job(host, 80, clients=1, seconds=1)


@pytest.mark.parametrize(("clients", "seconds"), [(0, 1.0), (257, 1.0), (1, 0.0), (1, 601.0), (1, float("nan"))])
def test_jobs_without_end_are_refused(clients: int, seconds: float) -> None:
    with pytest.raises(UsageError, match="must be"):
        Job("127.0.0.1", 80, clients, seconds)


def test_clients_search_each_text_once_or_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            requested.append(line.split()[1].decode())
            await asyncio.sleep(0.002)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()
        await writer.wait_closed()

    async def run(known_texts: int | None) -> tuple[list[str], int, int]:
        requested.clear()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            load = await drive(Job("127.0.0.1", port, clients=4, seconds=0.3, skip=10, known_texts=known_texts))
        return [path for path in requested if path != "/health"], len(load.searches), len(load.health)

    paths, searches, health = asyncio.run(run(None))
    assert len(paths) == len(set(paths)) == searches > 4
    assert health == requested.count("/health") > 0
    paths, searches, _ = asyncio.run(run(3))
    assert len(set(paths)) == 3
    assert len(paths) == searches + 3


def test_a_failing_service_ends_the_clients() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy")
        writer.close()
        await writer.wait_closed()

    async def run() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with server:
            await drive(Job("127.0.0.1", server.sockets[0].getsockname()[1], 1, 1.0, health=False))

    with pytest.raises(ConnectionError, match="503 no: busy"):
        asyncio.run(run())
