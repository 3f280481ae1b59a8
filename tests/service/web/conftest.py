"""Services over the libraries of tests/service/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from service.library import Library
from service.web.app import create_app
from tests.service.conftest import SampleLibrary
from tests.service.web.client import client_of


@pytest.fixture(scope="module")
def library(shared_library: SampleLibrary) -> Iterator[Library]:
    """A read-only library."""
    with shared_library.open(upload_limit_mb=0.1) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(library: Library) -> Iterator[TestClient]:
    with client_of(create_app(library)) as opened:
        yield opened


@pytest.fixture
def own_client(sample_library: SampleLibrary) -> Iterator[TestClient]:
    """A service over a library of the test's own, whose files it may change."""
    with sample_library.open() as library, client_of(create_app(library)) as opened:
        yield opened
