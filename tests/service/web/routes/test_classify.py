"""Classifying over HTTP: a form of many files in, one line per file out, within bounded memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import service.search.classify
import service.web.multipart
from service.web.app import create_app
from tests.service.cli.test_classify import shared_sorted_library, sorted_library
from tests.service.conftest import SampleLibrary
from tests.service.kind_folders import COLOURS, paint_speckled
from tests.service.web.client import client_of, error_message, upload_in_chunks

__all__ = ["shared_sorted_library", "sorted_library"]


@pytest.fixture
def client(sorted_library: SampleLibrary) -> Iterator[TestClient]:
    with (
        sorted_library.open(upload_limit_mb=0.1, form_limit_mb=0.3) as library,
        client_of(create_app(library)) as opened,
    ):
        yield opened


@pytest.fixture
def fern(tmp_path: Path) -> bytes:
    return paint_speckled(tmp_path / "fern.png", COLOURS["fern"], 9).read_bytes()


def form(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("photo", each) for each in files]


def part(name: str, file: str | None = None) -> bytes:
    """The headers of a part of a form whose boundary is x."""
    named = f'; filename="{file}"' if file else ""
    return f'--x\r\ncontent-disposition: form-data; name="{name}"{named}\r\n\r\n'.encode()


def lines(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.text.endswith("\n")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_one_line_per_photograph_in_the_order_of_the_form(client: TestClient, fern: bytes, tmp_path: Path) -> None:
    poppy = paint_speckled(tmp_path / "poppy.png", COLOURS["poppy"], 9).read_bytes()
    answer = client.post(
        "/classify",
        files=form(("a.png", fern), ("b.jpg", b"broken"), ("c.jpg", b""), ("собака 1.png", poppy)),
        data={"k": "3"},
    )
    first, broken, empty, last = lines(answer)
    assert (first["file"], first["kind"], first["known"], first["in_library"]) == ("a.png", "fern", True, False)
    assert len(first["neighbours"]) == len(first["recommended"]) == 3
    assert first["neighbours"][0]["links"]["thumbnail"].startswith("/photos/")
    assert (last["kind"], last["file"]) == ("poppy", "собака 1.png")
    assert broken["error"] == {
        "kind": "photograph",
        "message": "The photograph cannot be classified: it is not a photograph in a format that smysl reads.",
    }
    assert empty["error"]["message"].endswith("the file is empty.")


def test_more_files_than_a_batch_keep_their_order(client: TestClient, fern: bytes) -> None:
    names = [f"{number}.png" for number in range(40)]
    answer = client.post("/classify", files=form(*((name, fern) for name in names)))
    assert [line["file"] for line in lines(answer)] == names


def test_a_photograph_of_the_library_is_marked_as_in_library(client: TestClient, sorted_library: SampleLibrary) -> None:
    content = (sorted_library.photographs / "gentian" / "0.png").read_bytes()
    (line,) = lines(client.post("/classify", files=form(("x.png", content)), data={"k": "200"}))
    assert line["in_library"]
    assert len(line["neighbours"]) == 17


def test_too_large_a_file_fails_alone_and_too_large_a_form_as_a_whole(client: TestClient, fern: bytes) -> None:
    large = b"x" * 150_000
    answers = lines(client.post("/classify", files=form(("large.jpg", large), ("fern.png", fern))))
    assert [line.get("kind") for line in answers] == [None, "fern"]
    assert answers[0]["error"]["kind"] == "too_large"
    assert "larger than 0.1 MB" in answers[0]["error"]["message"]
    message = error_message(client.post("/classify", files=form(*[("large.jpg", large)] * 3)), 413, "too_large")
    assert "The form is larger than 0.3 MB" in message
    assert "SMYSL_FORM_LIMIT_MB" in message


def test_an_endless_form_is_stopped_at_the_limit(sorted_library: SampleLibrary) -> None:
    with sorted_library.open(upload_limit_mb=0.1, form_limit_mb=0.3) as library:
        read, answer = asyncio.run(upload_in_chunks(library, "/classify", chunks=1000, announce=False))
    assert "The form is larger" in error_message(answer, 413, "too_large")
    assert 30 <= read <= 32


def test_other_routes_keep_their_own_limit(client: TestClient) -> None:
    message = error_message(client.post("/search/image", files={"photo": ("a.jpg", b"x" * 150_000)}), 413, "too_large")
    assert "SMYSL_UPLOAD_LIMIT_MB" in message


@pytest.mark.parametrize(
    ("fields", "status", "kind", "says"),
    [
        ({"k": "0"}, 400, "usage", "k is 0"),
        ({"k": "many"}, 400, "usage", "`k` is 'many'; it must be a whole number"),
        ({"min_confidence": "high"}, 400, "usage", "`min_confidence` is 'high'"),
        ({"min_confidence": "1.1"}, 400, "usage", "The least confidence is 1.1"),
        ({"keep_borders": "perhaps"}, 400, "usage", "must be true or false"),
        ({"colour": "red"}, 400, "usage", "`colour` is not a known field"),
        ({"head": "none"}, 404, "not_found", "no head none"),
        ({"head": "x" * 20_000}, 400, "usage", "longer than 10,000 bytes"),
    ],
)
def test_invalid_fields_are_refused_before_the_first_line(
    client: TestClient, fern: bytes, fields: dict[str, str], status: int, kind: str, says: str
) -> None:
    assert says in error_message(client.post("/classify", files=form(("a.png", fern)), data=fields), status, kind)


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"{}", "application/json", "multipart/form-data"),
        (b"", "multipart/form-data", "multipart/form-data"),
        (b"not a form", "multipart/form-data; boundary=x", "The form is broken"),
        (part("photo", "a") + b"abc", "multipart/form-data; boundary=x", "its end is missing"),
        (part("k") + b"3\r\n--x--\r\n", "multipart/form-data; boundary=x", "has no file"),
        (
            part("file", "a") + b"3\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
            "in the field `photo`, not in `file`",
        ),
    ],
)
def test_bodies_that_are_not_a_form_of_photographs_are_refused(
    client: TestClient, content: bytes, kind: str, says: str
) -> None:
    assert says in error_message(
        client.post("/classify", content=content, headers={"content-type": kind}), 400, "usage"
    )


def test_too_many_files_are_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.web.multipart, "MAX_FILES", 3)
    assert "more than 3 files" in error_message(
        client.post("/classify", files=form(*[("a.jpg", b"x")] * 4)), 400, "usage"
    )


def test_a_library_without_kinds_is_refused(shared_library: SampleLibrary, fern: bytes) -> None:
    with shared_library.open() as library, client_of(create_app(library)) as client:
        assert "No photograph of the library has a kind" in error_message(
            client.post("/classify", files=form(("a.png", fern))), 409, "library"
        )


def test_an_error_after_the_first_lines_is_the_last_line(
    client: TestClient, fern: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.errors import MismatchError

    real = service.search.classify.neighbours_of
    calls = 0

    def once(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise MismatchError("The model has been changed.")
        return real(*arguments)

    monkeypatch.setattr(service.search.classify, "neighbours_of", once)
    *first, last = lines(client.post("/classify", files=form(*[("a.png", fern)] * 20)))
    assert len(first) == 16
    assert last == {"file": None, "error": {"kind": "mismatch", "message": "The model has been changed."}}
