"""Ratings over HTTP: stored, listed, validated, and refused for pages of other sites."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.web.app import create_app
from tests.service.conftest import SampleLibrary
from tests.service.web.client import client_of, error_message, photo_ids


@pytest.fixture
def client(sample_library: SampleLibrary) -> Iterator[TestClient]:
    with sample_library.open() as library, client_of(create_app(library)) as opened:
        yield opened


@pytest.fixture
def ids(client: TestClient) -> dict[str, int]:
    return photo_ids(client)


def test_a_grade_is_returned_with_its_time_and_listed(client: TestClient, ids: dict[str, int]) -> None:
    body = {"photo_id": ids["wood.jpg"], "text": " a red  flower", "grade": 3, "rater": "Ada"}
    answer = client.post("/ratings", json=body)
    assert answer.status_code == 201
    stored = answer.json()
    assert stored.pop("time").endswith("Z")
    assert stored == {**body, "text": "a red flower", "fits": None}
    listed = client.get("/ratings").json()
    assert listed["total"] == 1
    time = datetime.fromisoformat(listed["ratings"][0].pop("time"))
    assert abs((datetime.now(UTC) - time).total_seconds()) < 600
    assert listed["ratings"] == [stored]


def test_a_later_rating_replaces_the_earlier_one(client: TestClient, ids: dict[str, int]) -> None:
    for fits in (True, False):
        body = {"photo_id": ids["wood.jpg"], "text": "a flower", "fits": fits, "grade": None}
        assert client.post("/ratings", json=body).json()["fits"] is fits
    (rating,) = client.get("/ratings").json()["ratings"]
    assert (rating["fits"], rating["grade"], rating["rater"]) == (False, None, "me")


def test_ratings_are_listed_by_photograph_by_text_and_in_pages(client: TestClient, ids: dict[str, int]) -> None:
    for name in ("wood.jpg", "sand.png"):
        for text in ("a flower", "a cat"):
            client.post("/ratings", json={"photo_id": ids[name], "text": text, "fits": True})

    def read(**parameters: Any) -> tuple[list[tuple[int, str]], int]:
        answer = client.get("/ratings", params=parameters).json()
        return [(each["photo_id"], each["text"]) for each in answer["ratings"]], answer["total"]

    wood, sand = ids["wood.jpg"], ids["sand.png"]
    assert read(photo_id=wood) == ([(wood, "a flower"), (wood, "a cat")], 2)
    assert read(text="a cat") == ([(wood, "a cat"), (sand, "a cat")], 2)
    assert read(photo_id=sand, text="a cat") == ([(sand, "a cat")], 1)
    assert read(limit=1, offset=3) == ([(sand, "a cat")], 4)


@pytest.mark.parametrize(
    ("change", "status", "kind", "says"),
    [
        ({"grade": 5}, 400, "usage", "The grade is 5; it must be from 1"),
        ({"grade": 0}, 400, "usage", "The grade is 0"),
        ({"grade": None}, 400, "usage", "one of the two"),
        ({"fits": True}, 400, "usage", "one of the two"),
        ({"text": "  "}, 400, "usage", "The text is empty"),
        ({"text": "x" * 1001}, 400, "usage", "at most 1,000"),
        ({"rater": ""}, 400, "usage", "name has 0 characters"),
        ({"photo_id": 10**6}, 404, "not_found", "no photograph 1000000"),
        ({"photo_id": 10**30}, 404, "not_found", "no photograph"),
        ({"grade": "4"}, 422, "usage", "`grade`"),
        ({"grade": True}, 422, "usage", "`grade`"),
        ({"grade": 3.5}, 422, "usage", "`grade`"),
        ({"grade": None, "fits": 1}, 422, "usage", "`fits`"),
        ({"stars": 5}, 422, "usage", "`stars` is not a known field"),
        ({"text": None}, 422, "usage", "`text`"),
    ],
)
def test_invalid_ratings_are_refused(
    client: TestClient, ids: dict[str, int], change: dict[str, object], status: int, kind: str, says: str
) -> None:
    body = {"photo_id": ids["wood.jpg"], "text": "a flower", "grade": 3} | change
    assert says in error_message(client.post("/ratings", json=body), status, kind)
    assert client.get("/ratings").json() == {"ratings": [], "total": 0}


@pytest.mark.parametrize(
    ("parameters", "status", "kind"),
    [
        ({"limit": 0}, 400, "usage"),
        ({"limit": 1001}, 400, "usage"),
        ({"offset": -1}, 400, "usage"),
        ({"offset": 1 << 70}, 400, "usage"),
        ({"text": ""}, 400, "usage"),
        ({"photo_id": 999}, 404, "not_found"),
        ({"photo_id": "x"}, 422, "usage"),
    ],
)
def test_invalid_list_parameters_are_refused(
    client: TestClient, parameters: dict[str, Any], status: int, kind: str
) -> None:
    error_message(client.get("/ratings", params=parameters), status, kind)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "null"},
    ],
)
def test_pages_of_other_sites_cannot_rate(client: TestClient, ids: dict[str, int], headers: dict[str, str]) -> None:
    body = {"photo_id": ids["wood.jpg"], "text": "a flower", "grade": 3}
    answer = client.post("/ratings", json=body, headers=headers)
    assert "another page" in error_message(answer, 403, "forbidden")
    assert client.get("/ratings").json()["total"] == 0


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": "http://localhost"}]
)
def test_the_own_page_can_rate(client: TestClient, ids: dict[str, int], headers: dict[str, str]) -> None:
    body = {"photo_id": ids["wood.jpg"], "text": "a flower", "grade": 3}
    assert client.post("/ratings", json=body, headers=headers).status_code == 201


@pytest.mark.parametrize("form", [{"content-type": "text/plain"}, {}])
def test_a_body_that_is_not_declared_as_json_is_refused(
    client: TestClient, ids: dict[str, int], form: dict[str, str]
) -> None:
    """Browsers send plain text to other sites without a preflight request, but not JSON."""
    body = b'{"photo_id": %d, "text": "a flower", "grade": 3}' % ids["wood.jpg"]
    error_message(client.post("/ratings", content=body, headers=form), 422, "usage")
    assert client.get("/ratings").json()["total"] == 0
