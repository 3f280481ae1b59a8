"""Health and status over HTTP: of a full, an empty and a broken library, and during an index run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.errors import SmyslError
from service.indexing.indexer import Event, Scanned
from service.library import Library
from service.web.app import create_app
from tests.service.conftest import SampleLibrary
from tests.service.pictures import jpeg
from tests.service.web.client import client_of, error_message


def test_health_and_status(client: TestClient, shared_library: SampleLibrary) -> None:
    assert client.get("/health").json() == {"status": "ok", "photographs": 5}
    status = client.get("/status").json()
    assert (status["library"], status["photographs"]) == (str(shared_library.folder), 5)
    assert status["roots"] == [str(shared_library.photographs)]
    assert status["model"]["name"] == shared_library.model
    assert status["model"]["dimension"] == 16
    assert status["model"]["runtime"] == "openvino"
    assert status["model"]["precision"] == status["model"]["text_precision"] in ("fp32", "bf16")
    assert status["index"]["photographs"] == 5
    assert (status["writer"], status["indexing"]) == (None, None)


def test_health_reports_a_broken_model(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.errors import ModelError

    def broken() -> None:
        raise ModelError("The model is gone.")

    monkeypatch.setattr(library, "check", broken)
    with client_of(create_app(library)) as client:
        assert error_message(client.get("/health"), 503, "model") == "The model is gone."


def test_an_empty_library_is_reported_with_how_to_fill_it(unindexed_library: SampleLibrary) -> None:
    with unindexed_library.open() as library, client_of(create_app(library)) as client:
        assert client.get("/health").json() == {"status": "empty", "photographs": 0}
        status = client.get("/status").json()
        assert (status["photographs"], status["model"], status["index"]) == (0, None, None)
        assert (status["calibration"], status["trained_on"], status["min_match"]) == (None, None, None)
        fill = f"The library {unindexed_library.folder} is empty. Fill it with `smysl index DIR`."
        for answer in (
            client.get("/search", params={"text": "a cat"}),
            client.post("/search/image", files={"photo": jpeg(1)}),
            client.post("/score", files={"photo": jpeg(1)}, data={"text": "a cat"}),
        ):
            assert error_message(answer, 409, "library") == fill
        error_message(client.get("/photos/1/thumbnail"), 404, "not_found")


def test_a_library_without_photographs_gives_a_notice_and_no_hits(
    unindexed_library: SampleLibrary, tmp_path: Path
) -> None:
    (tmp_path / "nothing").mkdir()
    with unindexed_library.open(model=unindexed_library.model) as library:
        for _ in library.index([tmp_path / "nothing"]):
            pass
        with client_of(create_app(library)) as client:
            answer = client.get("/search", params={"text": "a cat"}).json()
    assert (answer["hits"], answer["best_match"], answer["photographs"]) == ([], None, 0)
    assert "smysl index DIR" in answer["notice"]


def test_status_shows_the_progress_of_a_running_index_run(
    unindexed_library: SampleLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    (unindexed_library.photographs / "bad.jpg").write_bytes(b"no")
    scanned, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    really = Library.index

    def slowly(self: Library, *arguments: Any, **options: Any) -> Iterator[Event]:
        for event in really(self, *arguments, **options):
            yield event
            if isinstance(event, Scanned):
                scanned.set()
                assert go_on.wait(30)
        ended.set()

    monkeypatch.setattr(Library, "index", slowly)
    library = unindexed_library.open(model=unindexed_library.model)
    with library, client_of(create_app(library, folders=[unindexed_library.photographs])) as client:
        assert scanned.wait(30)
        status = client.get("/status").json()
        assert status["indexing"] == {"done": 0, "total": 6, "failed": 0, "error": None}
        assert status["writer"]["doing"] == "smysl index"
        assert client.get("/search", params={"text": "a cat"}).json()["photographs"] == 0
        go_on.set()
        assert ended.wait(30)
        assert client.get("/status").json()["writer"] is None
        assert client.get("/search", params={"text": "a cat"}).json()["photographs"] == 5
        assert client.get("/status").json()["indexing"] is None


@pytest.mark.parametrize(
    ("fault", "says"), [(SmyslError("The drive is gone."), "The drive is gone."), (ZeroDivisionError(), "log")]
)
def test_status_shows_why_an_index_run_failed(
    sample_library: SampleLibrary, monkeypatch: pytest.MonkeyPatch, fault: Exception, says: str
) -> None:
    failed = threading.Event()

    def broken(self: Library, *arguments: Any, **options: Any) -> Iterator[Event]:
        failed.set()
        raise fault

    monkeypatch.setattr(Library, "index", broken)
    with (
        sample_library.open() as library,
        client_of(create_app(library, folders=[sample_library.photographs])) as client,
    ):
        assert failed.wait(30)
        for thread in threading.enumerate():
            if thread.name == "index":
                thread.join(30)
        assert says in client.get("/status").json()["indexing"]["error"]
        assert client.get("/search", params={"text": "a cat"}).status_code == 200
