"""Index runs beside the request handlers: what `/status` says of them, and that a watch follows the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.errors import LibraryError
from service.indexing.decoder import Failure
from service.indexing.indexer import Advanced, Finished, Scanned, Summary
from service.indexing.watch_events import Notice, Ran, WatchEvent, Watching, WatchOptions
from service.library import Library
from service.web.app import create_app
from service.web.background_index import BackgroundIndex
from service.web.background_schemas import BackgroundOut
from tests.service.conftest import SampleLibrary
from tests.service.pictures import save_picture
from tests.service.web.client import client_of

PATIENCE_S = 60.0


def eventually(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def serving(sample: SampleLibrary, **settings: object) -> Iterator[TestClient]:
    with sample.open(model=sample.model, **settings) as library, client_of(create_app(library)) as client:
        yield client


def status(client: TestClient) -> Any:
    return client.get("/status").json()


def test_without_watch_nothing_is_watched(sample_library: SampleLibrary) -> None:
    with serving(sample_library) as client:
        answer = status(client)
    assert (answer["indexing"], answer["watching"], answer["away"], answer["last_run"]) == (None, [], [], None)


def test_a_run_at_the_start_is_the_last_run(sample_library: SampleLibrary) -> None:
    save_picture(sample_library.photographs / "new.png", 77)
    with (
        sample_library.open(model=sample_library.model) as library,
        client_of(create_app(library, folders=[sample_library.photographs])) as client,
    ):
        eventually(lambda: status(client)["last_run"])
        answer = status(client)
    assert (answer["last_run"]["added"], answer["last_run"]["missing"]) == (1, 0)
    assert (answer["watching"], answer["indexing"]) == ([], None)


def test_a_service_that_watches_finds_new_photographs(sample_library: SampleLibrary) -> None:
    folder = sample_library.photographs
    with serving(sample_library, watch=True) as client:
        eventually(lambda: status(client)["watching"])
        assert status(client)["watching"] == [str(folder.resolve())]
        (folder / "2020").mkdir()
        save_picture(folder / "2020" / "new.png", 77)
        eventually(lambda: client.get("/search", params={"text": "a cat"}).json()["photographs"] == 6)
        eventually(lambda: status(client)["last_run"]["added"] == 1)
        away = folder.rename(folder.with_name("away"))
        eventually(lambda: status(client)["away"] == [str(folder.resolve())])
        assert status(client)["watching"] == []
        assert client.get("/search", params={"text": "a cat"}).json()["photographs"] == 6
        away.rename(folder)
        eventually(lambda: status(client)["watching"] == [str(folder.resolve())])
    for thread in threading.enumerate():
        assert thread.name != "index", "the thread has ended with the service"


def test_a_service_that_watches_an_empty_library_waits_for_folders(
    unindexed_library: SampleLibrary,
) -> None:
    with serving(unindexed_library, watch=True) as client:
        assert status(client)["photographs"] == 0
        with unindexed_library.open(model=unindexed_library.model) as other:
            for _ in other.index([unindexed_library.photographs]):
                pass
        eventually(lambda: status(client)["watching"] == [str(unindexed_library.photographs.resolve())])
        assert status(client)["photographs"] == 5


class FakeWatch:
    """Events in place of a real watch, given one by one, and the states that they lead to."""

    def __init__(self, library: Library, monkeypatch: pytest.MonkeyPatch, *events: WatchEvent | Exception) -> None:
        self.states: list[BackgroundOut] = []
        self.options: WatchOptions | None = None

        def watch(
            library: Library, folders: object, options: WatchOptions, **others: object
        ) -> Generator[WatchEvent, None, None]:
            self.options = options
            for event in events:
                if isinstance(event, Exception):
                    raise event
                yield event

        monkeypatch.setattr(Library, "watch", watch)
        index = BackgroundIndex(library, [], self.states.append)
        index.start()
        eventually(lambda: not index._thread.is_alive())
        self.last = index.state()


@pytest.fixture
def watching(sample_library: SampleLibrary) -> Iterator[Library]:
    with sample_library.open(watch=True, poll=7) as library:
        yield library


def test_what_happens_is_in_the_state_and_in_the_log(
    watching: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="smysl")
    summary = Summary(added=1, moved=2, missing=3, failed=[Failure("/a.jpg", "no photograph")])
    fake = FakeWatch(
        watching,
        monkeypatch,
        Notice("/b is back."),
        Scanned(3, 4),
        Advanced(2, 3),
        Failure("/a.jpg", "no photograph"),
        Finished(summary),
        Ran(summary, 1, 3),
        Watching((Path("/a"),), (Path("/b"),)),
    )
    assert fake.options == WatchOptions(poll_s=7)
    progress = [state.indexing and state.indexing.model_dump() for state in fake.states]
    assert progress == [
        {"done": 0, "total": 3, "failed": 0, "error": None},
        {"done": 2, "total": 3, "failed": 0, "error": None},
        {"done": 2, "total": 3, "failed": 1, "error": None},
        None,
        None,
    ]
    assert (fake.last.watching, fake.last.away) == (["/a"], ["/b"])
    assert fake.last.last_run is not None
    run = fake.last.last_run.model_dump(exclude={"at"})
    assert run == {"added": 1, "changed": 0, "moved": 2, "revived": 0, "removed": 0, "missing": 3, "failed": 1}
    assert [record.getMessage() for record in caplog.records] == ["/b is back.", "/a.jpg: no photograph"]


def test_a_later_run_that_fails_is_not_going_on(watching: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    started = (Scanned(100, 0), Advanced(16, 100))
    fake = FakeWatch(watching, monkeypatch, Finished(Summary()), *started, Notice("The disk is full."))
    assert fake.last.indexing is None
    fake = FakeWatch(watching, monkeypatch, Notice("Changes are not reported."), *started)
    assert fake.last.indexing is not None


def test_a_folder_to_index_that_is_away_is_waited_for(sample_library: SampleLibrary) -> None:
    folder = sample_library.photographs
    away = folder.rename(folder.with_name("away"))
    with (
        sample_library.open(model=sample_library.model, watch=True) as library,
        client_of(create_app(library, folders=[folder])) as client,
    ):
        eventually(lambda: status(client)["away"] == [str(folder)])
        assert status(client)["indexing"] is None
    away.rename(folder)


@pytest.mark.parametrize(
    ("fault", "says"), [(LibraryError("Another model."), "Another model."), (ZeroDivisionError(), "a bug in smysl")]
)
def test_a_watch_that_fails_says_why_and_watches_nothing_any_more(
    watching: Library, monkeypatch: pytest.MonkeyPatch, fault: Exception, says: str
) -> None:
    fake = FakeWatch(watching, monkeypatch, Finished(Summary()), Watching((Path("/a"),), ()), fault)
    assert fake.last.indexing is not None
    assert says in str(fake.last.indexing.error)
    assert (fake.last.watching, fake.last.last_run is None) == ([], False)


def test_processes_that_share_a_service_share_its_state(tmp_path: Path) -> None:
    from service.web.workers import _SharedState

    shared = _SharedState(tmp_path)
    assert shared.read() == BackgroundOut()
    state = BackgroundOut(watching=["/a"], away=["/b"])
    shared.write(state)
    assert shared.read() == state
    (tmp_path / "background.json").write_text("{")
    assert shared.read() == BackgroundOut()


def test_a_worker_of_several_does_not_index_itself(sample_library: SampleLibrary) -> None:
    state = BackgroundOut(watching=["/elsewhere"])
    with (
        sample_library.open(watch=True) as library,
        client_of(create_app(library, background=lambda: state)) as client,
    ):
        assert status(client)["watching"] == ["/elsewhere"]
        assert "index" not in {thread.name for thread in threading.enumerate()}
