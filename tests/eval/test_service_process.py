"""A service that a benchmark starts, requests and stops."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from eval.service_process import ServiceClient, memory_of, running_service
from eval.synthetic_library import make_synthetic_library
from service.errors import LibraryError

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "library"
    make_synthetic_library(folder, 30, thumbnails=False)
    return folder


def test_it_answers_and_has_ended_afterwards(library: Path) -> None:
    with running_service(library) as service:
        assert service.started_s > 0
        client = ServiceClient(service.url)
        found = client.get("/search", text="two dogs & a cat", k=3, min_match=0)
        assert len(found["hits"]) == 3
        with pytest.raises(LibraryError, match="answered /search"):
            client.get("/search", k=0)
        client.close()
        if sys.platform == "linux":
            memory = service.memory_mb()
            assert memory["peak"] >= memory["own"] > 10
            assert memory["share"] > 10
    assert service.process.returncode is not None


def test_a_service_that_does_not_start_is_reported_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="There is no library"), running_service(tmp_path / "nothing"):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports it in /proc")
def test_memory_is_that_of_the_named_process() -> None:
    assert set(memory_of(os.getpid())) == {"peak", "own", "share"}


def test_a_process_that_has_ended_has_no_memory() -> None:
    assert memory_of(2**31 - 1) == {}
