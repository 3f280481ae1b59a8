"""Helpers for tests of the page: a browser, searches and uploads in it, and faked answers of the service."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
expect.set_options(timeout=15_000)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

OpenTab = Callable[..., "Page"]

_EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="6" height="4"><rect width="6" height="4"/></svg>'


@contextmanager
def launched_browser() -> Iterator[Browser]:
    """A headless Chromium; skips the test where none is installed."""
    executable = next(filter(None, map(shutil.which, _EXECUTABLES)), None)
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(_EXECUTABLES)} is installed")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=_FLAGS)
        yield browser
        browser.close()


def hits(tab: Page) -> Locator:
    return tab.locator("#hits .hit")


def search_for(tab: Page, text: str) -> None:
    tab.fill("#text", text)
    tab.press("#text", "Enter")


def make_hit(number: int, **fields: Any) -> dict[str, Any]:
    links = {"photo": f"/photos/{number}"} | {kind: f"/photos/{number}/{kind}?v=1" for kind in ("image", "thumbnail")}
    links["preview"] = f"{links['thumbnail']}&size=large"
    hit = {"id": number, "uri": f"/p/{number}.jpg", "name": f"{number}.jpg", "match": 0.5, "similarity": 0.2}
    unknown = dict.fromkeys(("taken_at", "camera", "lens", "place", "location")) | {"keywords": []}
    return hit | unknown | {"width": 600, "height": 400, "format": "JPEG", "links": links} | fields


def make_answer(*found: dict[str, Any], **fields: Any) -> dict[str, Any]:
    best = max((hit["match"] for hit in found if hit["match"] is not None), default=None)
    answer = {"hits": list(found), "took_ms": 7.1, "model": "mini", "calibration": "ratings", "min_match": 0.0}
    answer |= {"answerable": True, "best_match": best, "notice": None, "photographs": 26, "understood": []}
    return answer | dict.fromkeys(("next_cursor", "filtered", "without_filters", "head", "part")) | fields


def fake_searches(tab: Page, answer: dict[str, Any], status: int = 200) -> None:
    """Answer all searches with `answer`, and requests for photos with a drawing."""
    tab.route(re.compile(r"/search(/image)?$"), lambda route: fulfill(route, answer, status))
    tab.route(
        re.compile(r"/photos/\d+/(image|thumbnail)(\?.*)?$"),
        lambda route: route.fulfill(body=PICTURE, content_type="image/svg+xml"),
    )


def fake_photos(tab: Page, photos: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Answer requests for photos by date with those of `photos`, newest first; returns the parameters that are sent."""
    sent = []

    def answer(route: Route) -> None:
        fields = {name: values[0] for name, values in parse_qs(urlsplit(route.request.url).query).items()}
        sent.append(fields)
        listed = list(photos if fields["order"] == "-taken_at" else reversed(photos))
        start = int(fields.get("cursor", 0))
        end = start + int(fields["limit"])
        page = {"photos": listed[start:end], "total": len(listed)}
        fulfill(route, page | {"next_cursor": str(end) if end < len(listed) else None})

    tab.route(re.compile(r"/photos\?"), answer)
    return sent


def hold(tab: Page, address: re.Pattern[str], times: int | None = None) -> list[Route]:
    """Leave requests unanswered, so many of them or all; returns those that have been made."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    tab.route(address, keep, times=times)
    return held


def fulfill(route: Route, answer: dict[str, Any], status: int = 200) -> None:
    route.fulfill(status=status, content_type="application/json", body=json.dumps(answer))


def drop_or_paste(tab: Page, event: str, carrier: str, content: bytes, name: str) -> None:
    """Dispatch a `drop` or `paste` event with a file, whose `carrier` is `dataTransfer` or `clipboardData`."""
    tab.evaluate(
        """([event, carrier, content, name]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(content)], name, {type: "image/jpeg"}));
          const EventClass = carrier === "dataTransfer" ? DragEvent : ClipboardEvent;
          const options = {bubbles: true, cancelable: true, [carrier]: transfer};
          document.body.dispatchEvent(new EventClass(event, options));
        }""",
        [event, carrier, list(content), name],
    )


def first_cat(tab: Page) -> tuple[str, bytes]:
    """Name and content of the first hit for a cat."""
    found = tab.request.get("/search", params={"text": "a cat", "k": 1, "min_match": 0}).json()["hits"][0]
    return found["name"], tab.request.get(found["links"]["image"]).body()
