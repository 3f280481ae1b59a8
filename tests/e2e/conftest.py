"""Browser tabs on the real service, for tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import RunningService

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.e2e.browser import OpenTab


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from tests.e2e.browser import launched_browser

    with launched_browser() as browser:
        yield browser


@pytest.fixture
def open_tab(browser: Browser, service: RunningService) -> Iterator[OpenTab]:
    """Opens tabs on the service; a script error or a request to another host fails the test."""
    errors: list[str] = []
    contexts = []

    def open_it(width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(base_url=service.url, viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: errors.append(f"script error: {error}"))
        tab.on("request", lambda request: check_host(request.url))
        return tab

    def check_host(address: str) -> None:
        if not address.startswith((service.url, "blob:", "data:")):
            errors.append(f"request to another host: {address}")

    yield open_it
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def tab(open_tab: OpenTab) -> Page:
    return open_tab()
