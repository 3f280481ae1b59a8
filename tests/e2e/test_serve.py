"""The real service in its own process: where it listens, how it handles many or broken requests, how it stops."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.conftest import SMYSL
from tests.service.pictures import jpeg, save_picture

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

CLIENTS = 16


@dataclass(frozen=True)
class Running:
    """A started service: its address, its log up to the announcement, and the file with all of its log."""

    url: str
    port: int
    process: subprocess.Popen[str]
    startup_log: str
    log_file: Path

    def log(self) -> str:
        return self.log_file.read_text()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(12):
        save_picture(folder / f"{seed}.jpg", seed, size=(200, 150))
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, photographs: Path, tiny: Encoder) -> Path:
    from service.config import Settings
    from service.library import Library

    folder = tmp_path_factory.mktemp("made") / "library"
    with Library.open(folder, Settings(library=folder), create=True) as opened:
        for _ in opened.index([photographs], encoder=tiny):
            pass
    return folder


@contextmanager
def serving(log: Path, *arguments: object, **variables: str) -> Iterator[Running]:
    """Start the service and wait for its announcement; kill it at the end if it still runs."""
    environment = os.environ | {"SMYSL_DEVICE": "cpu", "SMYSL_PRECISION": "fp32"} | variables
    with log.open("w") as stderr:
        command = [*SMYSL, "serve", "--port", "0", *map(str, arguments)]
        process = subprocess.Popen(command, stderr=stderr, stdout=stderr, text=True, env=environment)
    try:
        for _ in range(600):
            output = log.read_text()
            if found := re.search(r"smysl is at (http://[^ ]+:(\d+))", output):
                break
            assert process.poll() is None, output
            time.sleep(0.1)
        else:
            raise AssertionError(f"the service did not start: {output}")
        yield Running(found[1], int(found[2]), process, output, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


@pytest.fixture(scope="module")
def running(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp("log") / "service.log"
    with serving(log, "--library", library, SMYSL_UPLOAD_LIMIT_MB="1") as service:
        yield service


def received(client: socket.socket) -> bytes:
    """Everything until the service closes the connection."""
    answer = b""
    with suppress(ConnectionResetError):
        while piece := client.recv(65536):
            answer += piece
    return answer


def reaches(address: str, port: int) -> bool:
    with closing(socket.socket()) as client:
        client.settimeout(5)
        return client.connect_ex((address, port)) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives 127.0.0.2 to every machine")
def test_it_listens_on_loopback_only_unless_host_is_given(running: Running, library: Path, tmp_path: Path) -> None:
    assert running.url == f"http://127.0.0.1:{running.port}"
    assert "Warning" not in running.startup_log
    assert reaches("127.0.0.1", running.port)
    assert not reaches("127.0.0.2", running.port)
    with serving(tmp_path / "log", "--library", library, "--host", "0.0.0.0") as open_to_all:  # noqa: S104
        warning = open_to_all.startup_log.splitlines()[0]
        assert warning.startswith("Warning: listening on 0.0.0.0, so everybody who can reach this machine can search")
        assert warning.endswith(".")
        assert open_to_all.url == f"http://localhost:{open_to_all.port}"
        assert reaches("127.0.0.2", open_to_all.port)


def test_a_port_in_use_is_reported(library: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [*SMYSL, "serve", "--library", str(library), "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"smysl: Port {port} is in use. Choose another with --port (0 takes any free one), or stop the program that "
        "uses it.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "no.such.host.invalid"], "Cannot listen on no.such.host.invalid:8000"),
        (["--host", "192.0.2.1"], "Choose an address of this machine with --host, such as 127.0.0.1."),
        (["/no/such/folder"], "There is no folder /no/such/folder"),
    ],
)
def test_hosts_and_folders_that_do_not_exist_are_reported(library: Path, arguments: list[str], says: str) -> None:
    command = [*SMYSL, "serve", "--library", str(library), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_health_notices_vectors_of_another_model(library: Path, tmp_path: Path) -> None:
    copy = tmp_path / "library"
    shutil.copytree(library, copy)
    with serving(tmp_path / "log", "--library", copy) as service:
        assert httpx.get(f"{service.url}/health").json() == {"status": "ok", "photographs": 12}
        with closing(sqlite3.connect(copy / "catalog.sqlite")) as catalog:
            query = "UPDATE setting SET value = ? WHERE key = 'fingerprint'"
            (own,) = catalog.execute("SELECT value FROM setting WHERE key = 'fingerprint'").fetchone()
            catalog.execute(query, ("another model's",))
            catalog.commit()
            answer = httpx.get(f"{service.url}/health")
            assert answer.status_code == 409
            assert answer.json()["error"]["kind"] == "mismatch"
            assert httpx.get(f"{service.url}/search", params={"text": "a cat"}).status_code == 409
            catalog.execute(query, (own,))
            catalog.commit()
        assert httpx.get(f"{service.url}/health").status_code == 200
        assert "Traceback" not in service.log()


def ask(client: httpx.Client, number: int) -> tuple[dict[int, float], str, float, bytes]:
    """Results of four different requests: similarities by id, name of the best hit, similarity, thumbnail."""
    question = f"photograph {number} of something"
    hits = client.get("/search", params={"text": question, "k": 12}).json()["hits"]
    photo = {"photo": jpeg(number % 12, (200, 150))}
    like = client.post("/search/image", files=photo, data={"k": "1"}).json()["hits"][0]
    score = client.post("/score", json={"photo_id": hits[0]["id"], "text": question}).json()
    thumbnail = client.get(hits[0]["links"]["thumbnail"]).content
    return {hit["id"]: hit["similarity"] for hit in hits}, like["name"], score["similarity"], thumbnail


def test_concurrent_clients_get_the_same_answers_as_a_single_one(running: Running) -> None:
    with httpx.Client(base_url=running.url) as client:
        alone = [ask(client, number) for number in range(CLIENTS)]
    assert [name for _, name, _, _ in alone] == [f"{number % 12}.jpg" for number in range(CLIENTS)]
    assert len({tuple(similarities.values()) for similarities, _, _, _ in alone}) == CLIENTS

    def one(number: int) -> None:
        similarities, name, score, thumbnail = alone[number]
        with httpx.Client(base_url=running.url, timeout=60) as client:
            for _ in range(3):
                again = ask(client, number)
                assert again[0] == pytest.approx(similarities, abs=1e-4)
                assert again[2] == pytest.approx(score, abs=1e-4)
                assert (again[1], again[3]) == (name, thumbnail)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, range(CLIENTS)))
    assert "Traceback" not in running.log()


def test_an_endless_upload_is_stopped(running: Running) -> None:
    head = (
        b"POST /search/image HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    form = b'--x\r\ncontent-disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    piece = b"x" * 10_000
    sent = 0
    with closing(socket.create_connection(("127.0.0.1", running.port), timeout=30)) as client:
        client.sendall(head + b"%x\r\n%s\r\n" % (len(form), form))
        with suppress(ConnectionResetError, BrokenPipeError):
            while sent < 100_000_000 and not select.select([client], [], [], 0.001)[0]:
                client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                sent += len(piece)
        answer = received(client)
    # If data arrives after the connection was closed, the operating system may drop the response.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    # The limit is 1 MB; the rest was in buffers before the response came.
    assert 900_000 < sent < 30_000_000
    assert httpx.get(f"{running.url}/health").status_code == 200
    assert "Traceback" not in running.log()


def test_raw_paths_cannot_leave_the_page_folder(running: Running) -> None:
    for path in (
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2f..%2f..%2fetc/passwd",
        "/photos/../../etc/passwd",
    ):
        with closing(socket.create_connection(("127.0.0.1", running.port), timeout=30)) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = received(client)
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b'"kind":"not_found"' in answer


@pytest.mark.parametrize(("number", "codes"), [(signal.SIGTERM, (0, -signal.SIGTERM)), (signal.SIGINT, (0,))])
def test_it_stops_cleanly_on_a_signal(
    library: Path, tmp_path: Path, photographs: Path, number: signal.Signals, codes: tuple[int, ...]
) -> None:
    copy, more = tmp_path / "library", tmp_path / "more"
    shutil.copytree(library, copy)
    more.mkdir()
    for seed in range(100, 400):
        save_picture(more / f"{seed}.jpg", seed, size=(16, 16))
    with serving(tmp_path / "log", more, "--library", copy, SMYSL_BATCH_SIZE="1") as service:
        with httpx.Client(base_url=service.url) as client:
            assert client.get("/search", params={"text": "a cat"}).json()["photographs"] >= 12
            service.process.send_signal(number)
            assert service.process.wait(30) in codes
        assert "Traceback" not in service.log()
        assert not reaches("127.0.0.1", service.port)
        assert not list(copy.glob("serving-*"))
    with closing(sqlite3.connect(copy / "catalog.sqlite")) as catalog:
        assert catalog.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        counts = "SELECT (SELECT COUNT(*) FROM photograph), (SELECT COUNT(DISTINCT photograph_id) FROM vector)"
        photographs_stored, encoded = catalog.execute(counts).fetchone()
    assert photographs_stored == encoded >= 12
