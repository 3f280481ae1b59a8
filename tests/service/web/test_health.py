"""The health check runs model and index for real, at most once every few seconds and never behind searches."""

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
from tests.service.conftest import SampleLibrary
from tests.service.pictures import save_picture

_TIMEOUT_S = 30


@pytest.fixture
def library(sample_library: SampleLibrary) -> Iterator[Library]:
    with sample_library.open() as opened:
        yield opened


def health_answers(library: Library, times: int = 1) -> list[tuple[int, object]]:
    async def ask() -> list[tuple[int, object]]:
        application = create_app(library)
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answers = [await client.get("/health") for _ in range(times)]
        return [(answer.status_code, answer.json()) for answer in answers]

    return asyncio.run(ask())


@pytest.fixture
def checks(library: Library, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that model and index were really checked."""
    generations: list[int] = []
    real = library.check

    def check() -> object:
        generations.append(library.catalog.generation())
        return real()

    monkeypatch.setattr(library, "check", check)
    return generations


def test_a_passed_check_is_reused_for_a_while(library: Library, checks: list[int]) -> None:
    assert health_answers(library, 5) == [(200, {"status": "ok", "photographs": 5})] * 5
    assert len(checks) == 1


def test_an_expired_check_is_repeated(library: Library, checks: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_S", 0.0)
    health_answers(library, 3)
    assert len(checks) == 3


def test_a_changed_library_is_checked_at_once(
    library: Library, sample_library: SampleLibrary, checks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask() -> list[dict[str, object]]:
        transport = httpx.ASGITransport(create_app(library))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            before = await client.get("/health")
            save_picture(sample_library.photographs / "new.jpg", 99)
            for _ in library.index():
                pass
            return [before.json(), (await client.get("/health")).json()]

    assert [answer["photographs"] for answer in asyncio.run(ask())] == [5, 6]
    assert len(checks) == 2


def test_a_failed_check_is_not_reused(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(library, "check", broken)
        assert [status for status, _ in health_answers(library, 2)] == [500, 500]
    assert health_answers(library)[0][0] == 200


def test_health_answers_while_searches_occupy_all_worker_threads(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    proceed, searching = threading.Event(), threading.Semaphore(0)
    real = library.search

    def slow(query: Query) -> SearchResult:
        searching.release()
        assert proceed.wait(_TIMEOUT_S)
        return real(query)

    monkeypatch.setattr(library, "search", slow)

    async def ask() -> tuple[int, list[int]]:
        transport = httpx.ASGITransport(create_app(library))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            searches = [asyncio.create_task(client.get("/search", params={"text": "a cat"})) for _ in range(60)]
            while not searching.acquire(blocking=False):
                await asyncio.sleep(0.01)
            try:
                health = await asyncio.wait_for(client.get("/health"), _TIMEOUT_S)
                assert not any(search.done() for search in searches)
            finally:
                proceed.set()
            return health.status_code, [search.status_code for search in await asyncio.gather(*searches)]

    assert asyncio.run(ask()) == (200, [200] * 60)
