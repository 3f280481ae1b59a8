"""Filters, order, cursors, facets and browsing over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.library import Library
from service.search.filter_values import filters_from_names
from service.store.filters import Filters
from service.store.metadata import Metadata
from service.store.records import Details, FileInfo, FileUpdate
from service.web.app import create_app
from service.web.filter_parameters import FiltersIn
from tests.service.conftest import SampleLibrary
from tests.service.web.client import client_of, error_message

METADATA = {
    "wood.jpg": Metadata(
        taken_at=datetime(2019, 7, 14, 18, 30), camera="Canon EOS 600D", keywords=("Animals/Dog",), stars=4
    ),
    "sand.png": Metadata(
        taken_at=datetime(2019, 8, 1), camera="Nikon D90", latitude=48.85, longitude=2.35, town="Paris", stars=2
    ),
    "moss.tif": Metadata(taken_at=datetime(2021, 1, 5), camera="Canon EOS R5", people=("Anna",), label="Red"),
    "snow.webp": Metadata(taken_at=datetime(2020, 7, 14), lens="EF 50mm", focal_length=50.0),
    "clay.heic": Metadata(),
}


@pytest.fixture
def client(sample_library: SampleLibrary) -> Iterator[TestClient]:
    """A service over five photographs with metadata."""
    with sample_library.open() as library, client_of(create_app(library)) as client:
        describe(library)
        yield client


def describe(library: Library) -> None:
    (root,) = library.catalog.roots()
    records = library.catalog.records(range(1, 6)).values()
    library.catalog.update_files(
        [
            FileUpdate(
                record.id,
                FileInfo(root.id, record.folder, record.name, record.size, record.modified_ns),
                record.content_hash,
                None,
                Details(METADATA[record.name]),
            )
            for record in records
        ]
    )


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return [each["name"] for each in body.get("hits", body.get("photos"))]


CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({"taken_from": "2020"}, {"snow.webp", "moss.tif"}),
    ({"taken_from": "2019-07", "taken_to": "2019-07"}, {"wood.jpg"}),
    ({"month": 7}, {"wood.jpg", "snow.webp"}),
    ({"month": 7, "day": 14}, {"wood.jpg", "snow.webp"}),
    ({"camera": "canon"}, {"wood.jpg", "moss.tif"}),
    ({"camera": ["nikon", "R5"]}, {"sand.png", "moss.tif"}),
    ({"lens": "50mm", "focal_length": "24-70"}, {"snow.webp"}),
    ({"place": "paris"}, {"sand.png"}),
    ({"near": "48.86,2.36,5"}, {"sand.png"}),
    ({"folder": "photographs"}, set(METADATA)),
    ({"keyword": "dog"}, {"wood.jpg"}),
    ({"person": "anna"}, {"moss.tif"}),
    ({"min_stars": 3}, {"wood.jpg"}),
    ({"label": "red"}, {"moss.tif"}),
    ({"format": ["jpeg", "heic"]}, {"wood.jpg", "clay.heic"}),
    ({"is_raw": False}, set(METADATA)),
    ({"orientation": "landscape"}, set(METADATA)),
    ({"has_place": True}, {"sand.png"}),
    ({"camera": "leica"}, set()),
]


@pytest.mark.parametrize(("filters", "wanted"), CASES)
def test_each_filter_is_the_same_in_all_requests(
    client: TestClient, sample_library: SampleLibrary, filters: dict[str, Any], wanted: set[str]
) -> None:
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in filters.items()}
    photo = {"photo": (sample_library.photographs / "sand.png").read_bytes()}
    for answer in (
        client.get("/search", params={"text": "a cat", "min_match": 0, **texts}),
        client.post("/search", json={"text": "a cat", "min_match": 0, **filters}),
        client.post("/search", json={"text": "a cat", "min_match": 0, **texts}),
        client.post("/search/image", files=photo, data=texts),
        client.post("/search", json=filters),
        client.get("/photos", params=texts),
    ):
        assert set(names(answer)) == wanted
    assert client.get("/facets", params=texts).json()["photographs"] == len(wanted)


def test_the_fields_are_those_of_filters() -> None:
    assert list(FiltersIn.model_fields) == list(Filters.__dataclass_fields__)
    assert FiltersIn(month=7, camera=["a", "b"]).filters() == filters_from_names({"month": 7, "camera": ["a", "b"]})


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"taken_from": "yesterday"}, "taken_from is yesterday"),
        ({"taken_from": "2020", "taken_to": "2019"}, "taken_from 2020 is after taken_to 2019"),
        ({"month": "13"}, "month is 13; it must be from 1 to 12"),
        ({"near": "1000,1000,5"}, "near is 1000,1000,5"),
        ({"min_stars": "9"}, "min_stars is 9"),
        ({"orientation": "round"}, "orientation is round; it must be landscape, portrait or square"),
        ({"is_raw": "maybe"}, "is_raw is maybe; it must be true or false"),
    ],
)
def test_values_that_cannot_be_are_refused(client: TestClient, filters: dict[str, str], says: str) -> None:
    for path in ("/search", "/photos", "/facets"):
        assert says in error_message(client.get(path, params={"text": "a"} | filters), 400, "usage")
    assert says in error_message(client.post("/search", json=filters), 400, "usage")


def test_without_anything_to_look_for_photographs_come_newest_first(client: TestClient) -> None:
    newest = ["moss.tif", "snow.webp", "sand.png", "wood.jpg", "clay.heic"]
    assert names(client.get("/photos")) == newest
    assert names(client.get("/photos", params={"order": "taken_at"})) == [*newest[3::-1], "clay.heic"]
    assert names(client.get("/search", params={"order": "-taken_at"})) == newest
    first = client.get("/photos", params={"limit": 2}).json()
    assert (len(first["photos"]), first["total"]) == (2, 5)
    assert first["photos"][0]["camera"] == "Canon EOS R5"
    assert "match" not in first["photos"][0]
    rest = client.get("/photos", params={"limit": 9, "cursor": first["next_cursor"]})
    assert names(rest) == newest[2:]
    assert rest.json()["next_cursor"] is None
    hit = client.get("/search", params={"camera": "nikon"}).json()
    assert (hit["hits"][0]["match"], hit["model"], hit["calibration"], hit["filtered"]) == (None, None, None, 1)


def test_pages_of_a_search(client: TestClient) -> None:
    whole = names(client.get("/search", params={"text": "a cat"}))
    first = client.get("/search", params={"text": "a cat", "limit": 2}).json()
    second = client.post("/search", json={"text": "a cat", "k": 2, "cursor": first["next_cursor"]}).json()
    third = client.get("/search", params={"text": "a cat", "cursor": second["next_cursor"]}).json()
    assert [hit["name"] for page in (first, second, third) for hit in page["hits"]] == whole
    assert third["next_cursor"] is None
    other = client.get("/search", params={"text": "a dog", "cursor": first["next_cursor"]})
    assert "belongs to another search" in error_message(other, 400, "usage")
    broken = client.get("/photos", params={"cursor": "broken"})
    assert "cursor cannot be read" in error_message(broken, 400, "usage")


def test_pages_of_an_uploaded_photograph(client: TestClient, sample_library: SampleLibrary) -> None:
    photo = {"photo": (sample_library.photographs / "sand.png").read_bytes()}
    first = client.post("/search/image", files=photo, data={"limit": "3"}).json()
    second = client.post("/search/image", files=photo, data={"cursor": first["next_cursor"]}).json()
    found = [hit["name"] for page in (first, second) for hit in page["hits"]]
    assert (found[0], sorted(found)) == ("sand.png", sorted(METADATA))


def test_order_by_date_within_what_matches(client: TestClient) -> None:
    newest = ["moss.tif", "snow.webp", "sand.png", "wood.jpg", "clay.heic"]
    found = client.get("/search", params={"text": "a cat", "min_match": 0, "order": "-taken_at", "limit": 5})
    assert names(found) == newest
    assert all(hit["match"] is not None for hit in found.json()["hits"])
    assert "order" in error_message(client.get("/search", params={"text": "a", "order": "size"}), 422, "usage")


def test_what_a_person_types(client: TestClient) -> None:
    answer = client.get("/search", params={"q": "a cat July 2019", "min_match": 0}).json()
    assert [hit["name"] for hit in answer["hits"]] == ["wood.jpg"]
    (chip,) = answer["understood"]
    assert chip == {"field": "taken", "value": "2019-07", "text": "July 2019", "label": "taken in July 2019"}
    literal = client.get("/search", params={"text": "a cat July 2019", "min_match": 0}).json()
    assert (len(literal["hits"]), literal["understood"], literal["filtered"]) == (5, [], None)
    assert names(client.post("/search", json={"q": "camera:nikon"})) == ["sand.png"]
    nothing = client.get("/search", params={"q": "a cat in 1980"}).json()
    assert "so the words were searched as they are" in nothing["notice"]
    assert nothing["hits"]


@pytest.mark.parametrize("q", ["a cat 2019", "camera:canon", "a cat in 1980", "a cat"])
def test_pages_of_what_a_person_types(client: TestClient, q: str) -> None:
    whole = names(client.get("/search", params={"q": q, "limit": 100}))
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = client.get("/search", params={"q": q, "limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        found += [hit["name"] for hit in answer["hits"]]
        cursor = answer["next_cursor"]
    assert found == whole


def test_filters_that_leave_nothing_say_what_there_is_without_them(client: TestClient) -> None:
    answer = client.get("/search", params={"text": "a cat", "min_match": 0, "taken_from": "2030"}).json()
    assert (answer["hits"], answer["filtered"], answer["best_match"]) == ([], 0, None)
    assert answer["without_filters"]["hits"] == 5
    assert answer["without_filters"]["or_more"] is False


def test_facets(client: TestClient) -> None:
    answer = client.get("/facets", params={"camera": "canon"}).json()
    assert answer["photographs"] == 2
    facets = {name: {str(each["value"]): each["count"] for each in values} for name, values in answer["facets"].items()}
    assert facets["camera"] == {"Canon EOS 600D": 1, "Canon EOS R5": 1, "Nikon D90": 1}
    assert facets["year"] == {"2021": 1, "2019": 1}
    assert facets["month"] == {"2021-01": 1, "2019-07": 1}
    assert facets["keyword"] == {"Animals/Dog": 1}
    assert facets["has_place"] == {"False": 2}
    few = client.get("/facets", params={"limit": 1}).json()
    assert len(few["facets"]["camera"]) == 1
    for limit in (0, 1001):
        assert "must be from 1 to 1,000" in error_message(client.get("/facets", params={"limit": limit}), 400, "usage")
    refused = error_message(client.get("/photos", params={"limit": 0}), 400, "usage")
    assert refused == "The limit is 0; it must be from 1 to 1,000."


def test_any_number_or_text_as_a_filter_is_an_answer_or_a_sentence(client: TestClient) -> None:
    for name in Filters.__dataclass_fields__:
        for value in ("", "x", -1, 10**30, 1e308, True, [], ["a"], None, "\x00", "\ud83d\ude00" * 50):
            answer = client.post("/search", content=json.dumps({name: value, "text": "a"}))
            assert answer.status_code in (200, 400, 422), (name, value, answer.text)
