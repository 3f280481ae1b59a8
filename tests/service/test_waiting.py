"""While one thread updates or writes an index, searches and `/health` go on with the last snapshot.

Events hold the update back, so that a search that waited for it would never end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from service.index import VectorIndex
from service.index.attributes import attribute_index
from service.library import Library
from service.search.query import Query
from service.store.catalog import Catalog
from service.web.app import create_app
from tests.service.conftest import SampleLibrary
from tests.service.pictures import save_picture
from tests.service.sample_heads import make_head, make_projection

WAIT_S = 60
T = TypeVar("T")


@pytest.fixture
def library(sample_library: SampleLibrary) -> Iterator[Library]:
    with sample_library.open() as opened:
        yield opened


@contextmanager
def held_back(monkeypatch: pytest.MonkeyPatch, method: str) -> Iterator[threading.Event]:
    """A method of `VectorIndex` waits until the block ends; the event is set once a thread has called it."""
    entered, released = threading.Event(), threading.Event()
    real = getattr(VectorIndex, method)

    def wait(self: VectorIndex, *arguments: Any) -> Any:
        entered.set()
        assert released.wait(WAIT_S)
        return real(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(VectorIndex, method, wait)
        try:
            yield entered
        finally:
            released.set()


def within_time(work: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(WAIT_S)


def index(library: Library) -> None:
    for _ in library.index():
        pass


def found(library: Library, head: str | None = None) -> int:
    """How many photographs a search with one of the library finds."""
    first = library.catalog.records(range(1, 50))
    return len(library.search(Query(photo_id=min(first), k=50, min_match=0.0, head=head)).hits)


def health(library: Library) -> int:
    async def ask() -> int:
        transport = httpx.ASGITransport(create_app(library))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/health")).status_code

    return asyncio.run(ask())


def test_searches_and_health_go_on_while_the_index_is_written(
    library: Library, sample_library: SampleLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(library)
    save_picture(sample_library.photographs / "new.png", 77)
    with ThreadPoolExecutor(1) as pool, held_back(monkeypatch, "save") as writing:
        run = pool.submit(index, library)
        assert writing.wait(WAIT_S)
        assert within_time(lambda: found(library)) in (before, before + 1)
        assert within_time(lambda: health(library)) == 200
        assert not run.done()
    run.result(WAIT_S)
    assert found(library) == before + 1


def test_searches_and_health_go_on_while_another_thread_catches_up(
    library: Library, sample_library: SampleLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(library)
    save_picture(sample_library.photographs / "new.png", 77)
    with sample_library.open() as writer:
        index(writer)
    with ThreadPoolExecutor(1) as pool, held_back(monkeypatch, "_apply_changes") as catching_up:
        first = pool.submit(found, library)
        assert catching_up.wait(WAIT_S)
        assert within_time(lambda: found(library)) == before
        assert within_time(lambda: health(library)) == 200
        assert not first.done()
    assert first.result(WAIT_S) == before + 1, "the thread that updated the index sees the new photograph"
    assert found(library) == before + 1


def test_no_search_waits_for_a_rebuild(
    library: Library, sample_library: SampleLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(library)
    save_picture(sample_library.photographs / "new.png", 77)
    with sample_library.open() as writer:
        index(writer)
    monkeypatch.setattr("service.index.vector_index._QUICK", 0)
    with held_back(monkeypatch, "_apply_changes") as rebuilding:
        assert within_time(lambda: found(library)) == before
        assert rebuilding.wait(WAIT_S)
        assert within_time(lambda: found(library)) == before
        assert within_time(lambda: health(library)) == 200
    with library._main.latest.turn():
        pass
    assert found(library) == before + 1


def test_filters_use_the_last_attributes_while_another_thread_reads_them(
    library: Library, sample_library: SampleLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(library.photographs().hits)
    save_picture(sample_library.photographs / "new.png", 77)
    with sample_library.open() as writer:
        index(writer)
    reading, released = threading.Event(), threading.Event()
    real = attribute_index.attribute_changes

    def wait(catalog: Catalog, since: int) -> Any:
        reading.set()
        assert released.wait(WAIT_S)
        return real(catalog, since)

    monkeypatch.setattr(attribute_index, "attribute_changes", wait)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(library.photographs)
        assert reading.wait(WAIT_S)
        assert within_time(lambda: len(library.photographs().hits)) == before
        assert within_time(lambda: found(library)) == before
        released.set()
        assert len(first.result(WAIT_S).hits) == before + 1


def test_searches_with_a_head_go_on_while_its_index_is_written(
    library: Library, sample_library: SampleLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = library.encoder
    width = len(library.catalog.vector(1, encoder.features_fingerprint))
    make_head(make_projection(encoder.fingerprint, width, model=encoder.name)).save(tmp_path / "head")
    library.add_head("all", tmp_path / "head")
    before = found(library, "all")
    save_picture(sample_library.photographs / "new.png", 77)
    with ThreadPoolExecutor(1) as pool, held_back(monkeypatch, "save") as writing:
        run = pool.submit(library._heads.save, "all")
        assert writing.wait(WAIT_S)
        assert within_time(lambda: found(library, "all")) == before
        assert not run.done()
    run.result(WAIT_S)
    index(library)
    assert found(library, "all") == before + 1


def test_closing_a_library_waits_for_an_update_in_the_background(
    sample_library: SampleLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = sample_library.open()
    found(library)
    save_picture(sample_library.photographs / "new.png", 77)
    with sample_library.open() as writer:
        index(writer)
    monkeypatch.setattr("service.index.vector_index._QUICK", 0)
    with ThreadPoolExecutor(1) as pool:
        with held_back(monkeypatch, "_apply_changes") as rebuilding:
            found(library)
            assert rebuilding.wait(WAIT_S)
            closing = pool.submit(library.close)
        closing.result(WAIT_S)
    assert library._main.latest._error is None
