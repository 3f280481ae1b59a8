"""Heads over HTTP: listed, searched with, and errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.web.app import create_app
from tests.service.conftest import SampleLibrary
from tests.service.pictures import jpeg
from tests.service.web.client import client_of


@pytest.fixture
def client(sample_library: SampleLibrary, head_folder: Path) -> Iterator[TestClient]:
    with sample_library.open() as library:
        library.add_head("flowers", head_folder)
        yield client_of(create_app(library))


def test_heads_are_listed_over_http(client: TestClient, sample_library: SampleLibrary) -> None:
    (head,) = client.get("/heads").json()["heads"]
    assert head == {
        "name": "flowers",
        "candidate": "all of it",
        "trained_on": "nothing",
        "kinds": 2,
        "models": [sample_library.model],
        "map10": 91.5,
        "photographs": 5,
        "fault": None,
    }


def test_photographs_are_searched_with_a_head_over_http(client: TestClient, sample_library: SampleLibrary) -> None:
    upload = {"photo": ("moss.tif", (sample_library.photographs / "moss.tif").read_bytes())}
    by_upload = client.post("/search/image", files=upload, data={"head": "flowers", "k": 3}).json()
    assert (by_upload["head"], by_upload["calibration"], by_upload["hits"][0]["name"]) == (
        "flowers",
        "head",
        "moss.tif",
    )
    identity = by_upload["hits"][0]["id"]
    by_id = client.post("/search", json={"photo_id": identity, "head": "flowers", "k": 2}).json()
    assert [hit["id"] for hit in by_id["hits"]] == [hit["id"] for hit in by_upload["hits"][1:]]
    assert client.post("/search", json={"text": "a cat"}).json()["head"] is None


def test_a_search_with_a_head_can_be_filtered_ordered_and_paged(client: TestClient) -> None:
    search = {"photo_id": 1, "head": "flowers", "k": 2}
    filtered = client.post("/search", json={**search, "format": ["webp", "png"]}).json()
    assert sorted(hit["name"] for hit in filtered["hits"]) == ["sand.png", "snow.webp"]
    first = client.post("/search", json=search).json()
    second = client.post("/search", json={**search, "cursor": first["next_cursor"]}).json()
    assert sorted(hit["id"] for page in (first, second) for hit in page["hits"]) == [2, 3, 4, 5]
    by_date = client.post("/search", json={**search, "k": 5, "order": "taken_at"}).json()["hits"]
    assert [hit["taken_at"] for hit in by_date] == sorted(hit["taken_at"] for hit in by_date)
    assert len(by_date) == 4
    main = client.post("/search", json={"photo_id": 1, "cursor": first["next_cursor"]})
    assert "belongs to another search" in main.json()["error"]["message"]


@pytest.mark.parametrize("name", ["", "../../etc", "a/b", "x" * 300, "\u202e"])
def test_a_hostile_name_over_http_is_an_error(client: TestClient, name: str) -> None:
    answer = client.post("/search", json={"photo_id": 1, "head": name})
    assert answer.status_code == 400
    assert "cannot be the name of a head" in answer.json()["error"]["message"]
    upload = client.post("/search/image", files={"photo": ("a.jpg", jpeg(1))}, data={"head": "a/b"})
    assert upload.status_code == 400


def test_a_missing_head_or_a_head_for_a_text_is_an_error(client: TestClient) -> None:
    missing = client.post("/search", json={"photo_id": 1, "head": "trees"})
    assert (missing.status_code, missing.json()["error"]["kind"]) == (404, "not_found")
    text = client.post("/search", json={"text": "a cat", "head": "flowers"})
    assert (text.status_code, text.json()["error"]["kind"]) == (400, "usage")
