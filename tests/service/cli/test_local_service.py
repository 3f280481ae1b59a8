"""`smysl search` with a running service: which services it asks, which answers it believes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from service.cli.local_service import read_search_answer
from service.store.service_registry import SERVICE_HEADER
from tests.service.cli.commands import Run
from tests.service.conftest import SampleLibrary
from tests.service.service_notes import TOKEN, a_note

pytestmark = pytest.mark.e2e


@contextmanager
def answering(folder: Path, status: int, body: bytes, *, signed: bool = True) -> Iterator[list[bytes]]:
    """A program that claims to serve the library and always gives one answer; yields the bodies it received."""
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
_ANSWER |= {"borders_left_out": False, "filtered": None, "without_filters": None, "understood": []}


def test_a_running_service_answers_and_is_named(sample_library: SampleLibrary, smysl: Run) -> None:
    with answering(sample_library.folder, 200, json.dumps(_ANSWER).encode()) as received:
        found = smysl("search", "naïve", "-k", 3, "--min-match", 0.25, "-v", "--library", sample_library.folder)
        quiet = smysl("search", "naïve", "--library", sample_library.folder)
    assert (found.code, found.out) == (0, "0.500\t/photographs/a.jpg\n")
    assert found.err.startswith("The service at http://127.0.0.1:")
    assert found.err.endswith("(process 1) answered.\n")
    assert (quiet.out, quiet.err) == (found.out, "")
    assert json.loads(received[0]) == {"q": "naïve", "k": 3, "min_match": 0.25}


def test_filters_are_sent_and_what_there_is_without_them_is_said(sample_library: SampleLibrary, smysl: Run) -> None:
    answer = _ANSWER | {"hits": [], "filtered": 0, "without_filters": {"hits": 7, "or_more": False}}
    answer |= {"understood": [{"label": "taken in 2019"}]}
    there = ("--library", sample_library.folder)
    with answering(sample_library.folder, 200, json.dumps(answer).encode()) as received:
        found = smysl("search", "beach 2019", "--camera", "canon", "--no-raw", "--order", "-date", *there)
        smysl("search", "--image", sample_library.photographs / "wood.jpg", "--keyword", "a", "--keyword", "b", *there)
    assert (found.code, found.out) == (0, "")
    assert found.err == (
        "Taken in 2019. Quote the words to search for them as they are.\n"
        "No photograph passes the filters; without them 7 would be shown.\n"
    )
    body = {"q": "beach 2019", "k": 5, "min_match": None, "camera": ["canon"], "is_raw": False, "order": "-taken_at"}
    assert json.loads(received[0]) == body
    assert received[1].count(b'name="keyword"') == 2


def test_what_filters_leave_is_listed_without_a_service(shared_library: SampleLibrary, smysl: Run) -> None:
    with answering(shared_library.folder, 200, json.dumps(_ANSWER).encode()) as received:
        listed = smysl("search", "--format", "webp", "--library", shared_library.folder)
    assert (received, [Path(line).name for line in listed.out.splitlines()]) == ([], ["snow.webp"])


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
def test_a_wrong_answer_makes_no_difference(
    shared_library: SampleLibrary, smysl: Run, status: int, body: bytes, json_wanted: bool
) -> None:
    command = ["search", "a cat", "--library", shared_library.folder, *(["--json"] if json_wanted else [])]
    # The first search with a model may print that the model is being prepared.
    smysl(*command)
    alone = smysl(*command)
    with answering(shared_library.folder, status, body) as received:
        beside = smysl(*command)
        found = smysl(*command, "-v")
    assert len(received) == 2
    assert (without_time(beside.out), beside.err, beside.code) == (without_time(alone.out), alone.err, alone.code)
    assert "so the command searches by itself." in found.err


def without_time(out: str) -> str:
    return "\n".join(line for line in out.splitlines() if "took_ms" not in line)


def test_an_answer_of_another_program_is_ignored(shared_library: SampleLibrary, smysl: Run) -> None:
    with answering(shared_library.folder, 200, json.dumps(_ANSWER).encode(), signed=False):
        found = smysl("search", "a cat", "-v", "--library", shared_library.folder)
    assert "/photographs/a.jpg" not in found.out
    assert "(another program answers there)" in found.err


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"version": "0.0.0"}, "it is smysl 0.0.0, and this is"),
        ({"device": "cuda"}, "its device is cuda, and the command was given cpu"),
        ({"device": "cpu", "precision": "fp32", "port": 1}, "Connection refused"),
    ],
)
def test_a_service_that_might_answer_differently_is_not_asked(
    sample_library: SampleLibrary, smysl: Run, facts: dict[str, Any], reason: str
) -> None:
    token = TOKEN
    a_note(sample_library.folder, token, **facts)
    with FileLock(sample_library.folder / f"serving-{token}.lock"):
        found = smysl("search", "a cat", "-v", "--library", sample_library.folder)
    assert found.code == 0
    assert len(found.out.splitlines()) == 5
    assert reason in found.err


def test_contradictory_requests_are_not_sent(shared_library: SampleLibrary, smysl: Run) -> None:
    with answering(shared_library.folder, 200, json.dumps(_ANSWER).encode()) as received:
        both = smysl(
            "search", "a cat", "--image", shared_library.photographs / "wood.jpg", "--library", shared_library.folder
        )
        boxed = smysl("search", "a cat", "--box", "0,0,1,1", "--library", shared_library.folder)
        gone = smysl("search", "--image", "no such file.jpg", "--library", shared_library.folder)
    assert received == []
    assert (both.code, boxed.code, gone.code) == (2, 2, 2)
    assert "There is no file no such file.jpg." in gone.err


def test_a_usage_error_of_the_service_is_the_command_s_own(shared_library: SampleLibrary, smysl: Run) -> None:
    error = {"error": {"kind": "usage", "message": "The text is empty; say what the photograph should show."}}
    with answering(shared_library.folder, 400, json.dumps(error).encode()) as received:
        refused = smysl("search", " ", "--library", shared_library.folder)
    assert len(received) == 1
    alone = smysl("search", " ", "--library", shared_library.folder)
    assert refused == alone
    assert refused.code == 2


def test_a_part_is_printed_with_four_digits() -> None:
    part = {"x": 0.1, "y": 0.0, "width": 0.33333, "height": 1}
    body = json.dumps(_ANSWER | {"part": part, "borders_left_out": True}).encode()
    assert read_search_answer(body).part == "0.1,0,0.3333,1"
