"""Whether the service is well: asked for real, but neither at each look nor behind the searches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest

from service.library import Library
from service.search.hits import SearchResult
from service.search.query import Query
from service.web import health
from service.web.app import create_app
from tests.service.conftest import Shelf
from tests.service.pictures import save_picture

_PATIENCE_S = 30


@pytest.fixture
def library(shelf: Shelf) -> Iterator[Library]:
    with shelf.open() as opened:
        yield opened


def looked(library: Library, times: int = 1) -> list[tuple[int, object]]:
    async def look() -> list[tuple[int, object]]:
        application = create_app(library)
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answers = [await client.get("/health") for _ in range(times)]
        return [(answer.status_code, answer.json()) for answer in answers]

    return asyncio.run(look())


@pytest.fixture
def checks(library: Library, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that model and index were asked for real."""
    asked: list[int] = []
    real = library.check

    def check() -> object:
        asked.append(library.catalog.generation())
        return real()

    monkeypatch.setattr(library, "check", check)
    return asked


def test_model_and_index_are_asked_once_in_a_while(library: Library, checks: list[int]) -> None:
    assert looked(library, 5) == [(200, {"status": "ok", "photographs": 5})] * 5
    assert len(checks) == 1


def test_they_are_asked_each_time_where_an_answer_is_no_longer_fresh(
    library: Library, checks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FRESH_S", 0.0)
    looked(library, 3)
    assert len(checks) == 3


def test_a_library_that_has_changed_is_asked_at_once(
    library: Library, shelf: Shelf, checks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look() -> list[dict[str, object]]:
        transport = httpx.ASGITransport(create_app(library))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            before = await client.get("/health")
            save_picture(shelf.photographs / "new.jpg", 99)
            for _ in library.index():
                pass
            return [before.json(), (await client.get("/health")).json()]

    assert [answer["photographs"] for answer in asyncio.run(look())] == [5, 6]
    assert len(checks) == 2


def test_what_is_wrong_is_not_remembered(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(library, "check", broken)
        assert [status for status, _ in looked(library, 2)] == [500, 500]
    assert looked(library)[0][0] == 200


def test_it_answers_while_every_thread_for_searches_is_taken(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    go, searching = threading.Event(), threading.Semaphore(0)
    real = library.search

    def slow(query: Query) -> SearchResult:
        searching.release()
        assert go.wait(_PATIENCE_S)
        return real(query)

    monkeypatch.setattr(library, "search", slow)

    async def ask() -> tuple[int, list[int]]:
        transport = httpx.ASGITransport(create_app(library))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            searches = [asyncio.create_task(client.get("/search", params={"text": "a cat"})) for _ in range(60)]
            while not searching.acquire(blocking=False):
                await asyncio.sleep(0.01)
            try:
                well = await asyncio.wait_for(client.get("/health"), _PATIENCE_S)
                assert not any(search.done() for search in searches)
            finally:
                go.set()
            return well.status_code, [search.status_code for search in await asyncio.gather(*searches)]

    assert asyncio.run(ask()) == (200, [200] * 60)
