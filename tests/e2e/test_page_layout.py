"""Layout and accessibility of the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser import (
    OpenTab,
    expect,
    fake_searches,
    hits,
    make_answer,
    make_hit,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_tiles_have_their_final_size_before_thumbnails_load(tab: Page) -> None:
    shapes = {1: (600, 400), 2: (400, 600), 3: (500, 500)}
    found = [make_hit(number, width=width, height=height) for number, (width, height) in shapes.items()]
    fake_searches(tab, make_answer(*found))
    tab.route("**/thumbnail?*", lambda route: route.abort())
    tab.goto("/?q=anything")
    expect(hits(tab)).to_have_count(3)
    for frame, (width, height) in zip(tab.locator("#hits .frame").all(), shapes.values(), strict=True):
        box = frame.bounding_box()
        assert box is not None
        assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.02)


def test_the_layout_does_not_shift_while_loading(tab: Page) -> None:
    tab.add_init_script(
        """window.shift = 0;
        const add = (list) => list.getEntries().forEach((entry) => (window.shift += entry.value));
        new PerformanceObserver(add).observe({type: "layout-shift", buffered: true});"""
    )
    tab.goto("/?q=a+cat&k=10&min_match=0")
    expect(tab.locator("#hits .frame.loaded").first).to_be_visible()
    tab.wait_for_load_state("networkidle")
    assert tab.evaluate("window.shift") < 0.02


@pytest.mark.parametrize("address", ["/?q=anything", "/?photo=1&box=0.1,0.1,0.5,0.5"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_nothing_is_wider_than_the_window(open_tab: OpenTab, width: int, address: str) -> None:
    tab = open_tab(width=width)
    long_name = "a name without a place to break " * 3 + "x" * 200
    fake_searches(tab, make_answer(*(make_hit(number, name=long_name) for number in range(1, 6))))
    tab.goto(address)
    expect(hits(tab)).to_have_count(5)
    tab.evaluate("document.querySelector('#crop details').open = true")
    root = "document.documentElement"
    assert tab.evaluate(f"{root}.scrollWidth <= {root}.clientWidth + 20 && scrollX === 0")
    assert tab.evaluate(
        f"Math.max(...[...document.body.querySelectorAll('header *, main *')]"
        f".map(e => e.getBoundingClientRect().right)) <= {width}"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/?q=a+cat+from:2000&k=10&min_match=0",
        "/?q=a+cat&min_match=1",
        "/?q=camera:none",
        "/?photo=1&box=0.1,0.1,0.5,0.5",
    ],
)
def test_axe_finds_no_accessibility_violations(open_tab: OpenTab, scheme: str, address: str) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    tab = open_tab(color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    tab.goto(address)
    if address == "/":
        expect(tab.locator("#hits h2").first).to_be_visible()
    else:
        expect(tab.locator("#outcome")).to_contain_text("photos")
    if hits(tab).count():
        tab.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
        assert violations(tab) == []
        hits(tab).first.click()
    tab.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    assert violations(tab) == []


def violations(tab: Page) -> list[str]:
    found = tab.evaluate("axe.run()")["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]
