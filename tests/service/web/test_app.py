"""The application as a whole: unknown paths, wrong methods, unexpected errors, the page and its OpenAPI description."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.library import Library
from service.search.query import Query
from service.store.filters import Filters
from service.web.app import create_app
from tests.service.web.client import error_message


@pytest.mark.parametrize(
    "path",
    [
        "/photos/../../etc/passwd",
        "/photos/%2e%2e/%2e%2e/etc/passwd",
        "/photos/..%2f..%2fetc%2fpasswd",
        "/photos/1/image/../../../etc/passwd",
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e%2fapp.py",
        "/page/....//app.py",
        "/page//etc/passwd",
        "/page/%00",
        "/page/" + "a" * 5000,
        "/page/",
        "/nothing",
        "/photos/1/nothing",
    ],
)
def test_unknown_paths_are_not_found_and_leak_nothing(library: Library, path: str) -> None:
    # HTTP clients normalise a path before they send it, so the application is called directly.
    status, body = asyncio.run(get_raw_path(library, path))
    assert status in (404, 422), body
    error = json.loads(body)["error"]
    assert error["kind"] in ("not_found", "usage")
    assert error["message"].endswith(".")
    assert b"import" not in body
    assert b"root:" not in body


async def get_raw_path(library: Library, path: str) -> tuple[int, bytes]:
    from urllib.parse import unquote

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": unquote(path), "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await create_app(library)(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/health"), ("DELETE", "/photos/1"), ("PUT", "/search"), ("GET", "/score"), ("POST", "/page/page.js")],
)
def test_methods_that_are_not_allowed(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert error_message(answer, 405, "usage") == f"This address does not answer {method}; /docs lists what it answers."
    assert method not in answer.headers["allow"]


def test_the_page_is_served_with_a_content_security_policy(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert client.get("/page/page.js").headers["content-type"].startswith("text/javascript")
    assert client.head("/").status_code == 200


def test_an_unexpected_exception_is_an_error_message_without_details(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Library, query: Query) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Library, "search", broken)
    message = error_message(client.get("/search", params={"text": "a cat"}), 500, "error")
    assert "secret" not in message


ROUTES = {
    ("get", "/search"), ("post", "/search"), ("post", "/search/image"), ("post", "/score"),
    ("get", "/facets"), ("get", "/photos"),
    ("get", "/photos/{photo_id}"), ("get", "/photos/{photo_id}/image"), ("get", "/photos/{photo_id}/thumbnail"),
    ("post", "/ratings"), ("get", "/ratings"), ("get", "/health"), ("get", "/heads"),
    ("get", "/status"), ("post", "/classify"),
}  # fmt: skip


def test_openapi_describes_every_route_with_its_response(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    described = {
        (method, path): route for path, routes in description["paths"].items() for method, route in routes.items()
    }
    assert described.keys() == ROUTES
    assert client.get("/docs").status_code == 200
    for (_, path), route in described.items():
        assert route["description"].endswith(".") or "multipart" in route["description"], path
        answers = route["responses"]
        assert answers["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorOut")
        content = answers.get("200", answers.get("201"))["content"]
        if path.endswith(("/image", "/thumbnail")) and path.startswith("/photos"):
            assert all(kind.startswith("image/") for kind in content), path
        elif path == "/classify":
            assert set(content) == {"application/x-ndjson"}
        else:
            assert content["application/json"]["schema"]["$ref"].endswith("Out"), path


def test_openapi_contains_the_bounds_of_parameters(client: TestClient) -> None:
    parameters = client.get("/openapi.json").json()["paths"]["/search"]["get"]["parameters"]
    bounds = {one["name"]: (one["schema"].get("minimum"), one["schema"].get("maximum")) for one in parameters}
    assert {name: each for name, each in bounds.items() if each != (None, None)} == {
        "k": (1, 1000),
        "min_match": (0, 1),
    }
    assert {"text", "q", "limit", "order", "cursor", *Filters.__dataclass_fields__} <= bounds.keys()
