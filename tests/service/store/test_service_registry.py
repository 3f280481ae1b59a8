"""The note of a service: who finds it, when it is believed, and what a command does that cannot use it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from service.cli.search_output import SearchOutput
from service.config import Settings
from service.store.loopback import local_address
from service.store.service_registry import SERVICE_HEADER, announced, own_version, running_services
from tests.conftest import ROOT, Finished
from tests.service.conftest import Shelf

Run = Callable[..., Finished]

TOKEN = "0123456789abcdef"  # noqa: S105 - it only names a note


def a_note(folder: Path, token: str, **facts: Any) -> None:
    note = {"pid": 1, "machine": socket.gethostname(), "address": "127.0.0.1", "port": 9, "version": own_version()}
    note |= {"since": "2026-01-01T00:00:00+00:00", "model": None, "device": None, "precision": None, "runtime": None}
    (folder / f"serving-{token}.json").write_text(json.dumps(note | facts))


def test_a_note_is_there_while_the_service_answers_and_gone_afterwards(tmp_path: Path) -> None:
    settings = Settings(library=tmp_path, host="0.0.0.0", device="cpu")  # noqa: S104 - never bound to
    with announced(tmp_path, settings) as note:
        assert running_services(tmp_path) == []
        note.write(8123)
        ((token, found),) = running_services(tmp_path)
        assert (token, found.pid, found.url) == (note.token, os.getpid(), "http://127.0.0.1:8123")
        assert (found.model, found.device, found.precision) == (None, "cpu", "fp32")
        with announced(tmp_path, settings) as second:
            second.write(8124)
            assert {each.port for _, each in running_services(tmp_path)} == {8123, 8124}
        assert [each.port for _, each in running_services(tmp_path)] == [8123]
    assert list(tmp_path.iterdir()) == []


def test_the_note_of_a_killed_service_is_not_believed_and_goes_with_the_next(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom service.config import Settings\n"
        "from service.store.service_registry import announced\nfolder = Path(sys.argv[1])\n"
        "with announced(folder, Settings(library=folder)) as note:\n"
        "    note.write(8123)\n    print('there', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "there\n"
        assert len(running_services(tmp_path)) == 1
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert len(list(tmp_path.glob("serving-*.json"))) == 1
    assert running_services(tmp_path) == []
    with announced(tmp_path, Settings(library=tmp_path)):
        assert list(tmp_path.glob("serving-*.json")) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"address": "192.0.2.1"},
        {"address": "example.org"},
        {"machine": "another machine"},
        {"port": 0},
        {"port": "80"},
        {"port": True},
        {"address": None},
        {"model": 5},
        {"more": 1},
    ],
)
def test_a_note_that_leads_away_or_makes_no_sense_is_not_followed(tmp_path: Path, facts: dict[str, Any]) -> None:
    token = TOKEN
    a_note(tmp_path, token)
    with FileLock(tmp_path / f"serving-{token}.lock"):
        assert len(running_services(tmp_path)) == 1
        a_note(tmp_path, token, **facts)
        assert running_services(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_notes_that_are_no_files_or_no_json_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "serving-0123456789abcdef.json")
    (tmp_path / "serving-0123456789abcdee.json").write_text("[" * 4000)
    (tmp_path / "serving-0123456789abcded.json").write_bytes(b"\xff")
    assert running_services(tmp_path) == []
    assert running_services(tmp_path / "not there") == []


def test_addresses_of_this_machine() -> None:
    assert [local_address(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost", "0.0.0.0", "::")] == [  # noqa: S104
        *("127.0.0.1", "127.1.2.3", "::1", "localhost", "127.0.0.1", "::1")
    ]
    assert [local_address(host) for host in ("192.168.0.1", "localhost.example.org", "", "127.0.0.1@example.org")] == [
        None
    ] * 4


@contextmanager
def answering(folder: Path, status: int, body: bytes, *, signed: bool = True) -> Iterator[list[bytes]]:
    """A program that says it serves the library in `folder` and answers everything alike; the bodies it received."""
    token = TOKEN
    received: list[bytes] = []

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header(SERVICE_HEADER, token if signed else "another")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    a_note(folder, token, port=server.server_port, device="cpu", precision="fp32")
    try:
        with FileLock(folder / f"serving-{token}.lock"):
            yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_HIT = {"match": 0.5, "uri": "/photographs/a.jpg"}
_ANSWER = {"hits": [_HIT], "min_match": 0.1, "answerable": True, "best_match": 0.5, "notice": None, "part": None}
_ANSWER |= {"borders_left_out": False}


def test_a_service_that_serves_the_library_is_asked_and_named(shelf: Shelf, smysl: Run) -> None:
    with answering(shelf.library, 200, json.dumps(_ANSWER).encode()) as received:
        found = smysl("search", "naïve", "-k", 3, "--min-match", 0.25, "-v", "--library", shelf.library)
        quiet = smysl("search", "naïve", "--library", shelf.library)
    assert (found.code, found.out) == (0, "0.500\t/photographs/a.jpg\n")
    assert found.err.startswith("The service at http://127.0.0.1:")
    assert found.err.endswith("(process 1) was asked.\n")
    assert (quiet.out, quiet.err) == (found.out, "")
    assert json.loads(received[0]) == {"text": "naïve", "k": 3, "min_match": 0.25}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, json.dumps(_ANSWER | {"hits": [{"match": "0.5", "uri": "/a"}]}).encode()),
        (200, json.dumps(_ANSWER | {"best_match": float("nan")}).encode()),
        (200, json.dumps(_ANSWER | {"part": {"x": 0}}).encode()),
        (400, b"{}"),
        (400, b'{"error": {"kind": "library", "message": "No."}}'),
        (409, b'{"error": {"kind": "usage", "message": "No."}}'),
        (500, b""),
        (302, b""),
    ],
)
@pytest.mark.parametrize("json_wanted", [False, True])
def test_a_service_that_answers_nonsense_makes_no_difference(
    standing: Shelf, smysl: Run, status: int, body: bytes, json_wanted: bool
) -> None:
    command = ["search", "a cat", "--library", standing.library, *(["--json"] if json_wanted else [])]
    # What is made ready for the first search of a model is told once.
    smysl(*command)
    alone = smysl(*command)
    with answering(standing.library, status, body) as received:
        beside = smysl(*command)
        told = smysl(*command, "-v")
    assert len(received) == 2
    assert (without_time(beside.out), beside.err, beside.code) == (without_time(alone.out), alone.err, alone.code)
    assert "so the command searches by itself." in told.err


def without_time(out: str) -> str:
    return "\n".join(line for line in out.splitlines() if "took_ms" not in line)


def test_another_program_at_the_port_is_not_believed(standing: Shelf, smysl: Run) -> None:
    with answering(standing.library, 200, json.dumps(_ANSWER).encode(), signed=False):
        told = smysl("search", "a cat", "-v", "--library", standing.library)
    assert "/photographs/a.jpg" not in told.out
    assert "(another program answers there)" in told.err


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"version": "0.0.0"}, "it is smysl 0.0.0, and this is"),
        ({"device": "cuda"}, "it was started with the device cuda, not with cpu"),
        ({"device": "cpu", "precision": "fp32", "port": 1}, "Connection refused"),
    ],
)
def test_a_service_that_would_answer_otherwise_is_left_aside(
    shelf: Shelf, smysl: Run, facts: dict[str, Any], reason: str
) -> None:
    token = TOKEN
    a_note(shelf.library, token, **facts)
    with FileLock(shelf.library / f"serving-{token}.lock"):
        told = smysl("search", "a cat", "-v", "--library", shelf.library)
    assert told.code == 0
    assert len(told.out.splitlines()) == 5
    assert reason in told.err


def test_a_question_that_cannot_be_asked_is_not_sent(standing: Shelf, smysl: Run) -> None:
    with answering(standing.library, 200, json.dumps(_ANSWER).encode()) as received:
        both = smysl("search", "a cat", "--image", standing.photographs / "wood.jpg", "--library", standing.library)
        boxed = smysl("search", "a cat", "--box", "0,0,1,1", "--library", standing.library)
        gone = smysl("search", "--image", "no such file.jpg", "--library", standing.library)
    assert received == []
    assert (both.code, boxed.code, gone.code) == (2, 2, 2)
    assert "There is no file no such file.jpg." in gone.err


def test_the_refusal_of_a_service_is_the_command_s_own(standing: Shelf, smysl: Run) -> None:
    error = {"error": {"kind": "usage", "message": "The text is empty; say what the photograph should show."}}
    with answering(standing.library, 400, json.dumps(error).encode()) as received:
        refused = smysl("search", " ", "--library", standing.library)
    assert len(received) == 1
    alone = smysl("search", " ", "--library", standing.library)
    assert refused == alone
    assert refused.code == 2


def test_what_is_shown_of_a_part() -> None:
    part = {"x": 0.1, "y": 0.0, "width": 0.33333, "height": 1}
    body = json.dumps(_ANSWER | {"part": part, "borders_left_out": True}).encode()
    assert SearchOutput.read(body).part == "0.1,0,0.3333,1"
