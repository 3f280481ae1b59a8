"""Limits on the size of uploads, and the check of the host name."""

from __future__ import annotations

import asyncio

import pytest
from starlette.testclient import TestClient

from service.library import Library
from service.web.app import create_app
from tests.service.conftest import SampleLibrary
from tests.service.web.client import client_of, error_message, upload_in_chunks


@pytest.mark.parametrize("path", ["/search/image", "/score", "/search"])
def test_an_upload_with_too_large_a_content_length_is_not_read(library: Library, path: str) -> None:
    read, answer = asyncio.run(upload_in_chunks(library, path, chunks=100, announce=True))
    assert "larger than 0.1 MB" in error_message(answer, 413, "too_large")
    assert read == 0


@pytest.mark.parametrize("path", ["/search/image", "/score"])
def test_an_upload_without_content_length_is_stopped_at_the_limit(library: Library, path: str) -> None:
    read, answer = asyncio.run(upload_in_chunks(library, path, chunks=100, announce=False))
    message = error_message(answer, 413, "too_large")
    assert "SMYSL_UPLOAD_LIMIT_MB" in message
    assert answer.headers["connection"] == "close"
    assert 10 <= read <= 12


def test_an_upload_just_under_the_limit_is_read(library: Library) -> None:
    read, answer = asyncio.run(upload_in_chunks(library, "/search/image", chunks=9, announce=False))
    assert read == 9
    error_message(answer, 415, "photograph")


def test_a_content_length_of_thousands_of_digits_is_refused(client: TestClient) -> None:
    answer = client.post("/search", content=b"{}", headers={"content-length": "9" * 5000})
    error_message(answer, 413, "too_large")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "127.8.8.8", "[::1]", "[::1]:8000"])
def test_requests_to_names_of_this_machine_pass(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "192.168.1.5", "[::2]:80", "", "["]
)
def test_requests_to_other_names_are_refused(client: TestClient, host: str) -> None:
    for path in ("/health", "/", "/page/page.js", "/photos/1/image"):
        message = error_message(client.get(path, headers={"host": host}), 403, "forbidden")
        assert "--host" in message


def test_a_service_open_to_others_accepts_every_name(shared_library: SampleLibrary) -> None:
    with shared_library.open(host="0.0.0.0") as library, client_of(create_app(library)) as client:  # noqa: S104
        assert client.get("/health", headers={"host": "photographs.example"}).status_code == 200
