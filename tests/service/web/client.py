"""A test client of the service, and helpers for the tests of its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
from starlette.testclient import TestClient

from service.library import Library
from service.store.filters import Filters
from service.web.app import create_app

if TYPE_CHECKING:
    from fastapi import FastAPI


def client_of(app: FastAPI) -> TestClient:
    """A client that gets a response for every exception, as over the network."""
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def photo_ids(client: TestClient) -> dict[str, int]:
    """The id of each photograph by its name."""
    hits = client.get("/search", params={"text": "a cat", "k": 200}).json()["hits"]
    return {hit["name"]: hit["id"] for hit in hits}


PARAMETERS = {"k", "min_match", *Filters.__dataclass_fields__}
"""Names with which a sentence may begin."""


def error_message(answer: httpx.Response, status: int, kind: str) -> str:
    """The message of an error response, after checking its shape, status and kind."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"kind", "message"}
    assert body["error"]["kind"] == kind
    message = body["error"]["message"]
    assert isinstance(message, str)
    assert message.endswith(".")
    assert message[0].isupper() or message[0] == "`" or message.split()[0] in PARAMETERS
    assert "Traceback" not in message
    return message


async def upload_in_chunks(library: Library, path: str, *, chunks: int, announce: bool) -> tuple[int, httpx.Response]:
    """Send a form in `chunks` pieces of 10,000 bytes; returns how many of them were read, and the response."""
    read = 0
    head = b'--x\r\ncontent-disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    tail = b"\r\n--x--\r\n"

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        yield head
        for _ in range(chunks):
            read += 1
            yield b"x" * 10_000
        yield tail

    headers = {"content-type": "multipart/form-data; boundary=x"}
    if announce:
        headers["content-length"] = str(len(head) + chunks * 10_000 + len(tail))
    transport = httpx.ASGITransport(create_app(library))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post(path, content=body(), headers=headers)
    return read, answer
