"""The viewer of the page: opening a hit, moving between hits, similar photos and the way back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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

_HTML_NAME = '<img src=x onerror="document.body.dataset.hacked = 1">.jpg'


def test_back_restores_the_scroll_position(open_tab: OpenTab) -> None:
    tab = open_tab(height=400)
    tab.goto("/?text=a+cat&k=10&min_match=0")
    expect(hits(tab)).to_have_count(10)
    hits(tab).last.click()
    position = tab.evaluate("scrollY")
    assert position > 100
    tab.click("#viewer-similar")
    expect(tab.locator("#chip")).to_be_visible()
    assert tab.evaluate("scrollY") == 0
    tab.go_back()
    expect(tab.locator("#text")).to_have_value("a cat")
    tab.wait_for_function("position => Math.abs(scrollY - position) < 60", arg=position)


def test_hits_open_in_the_viewer_and_the_keyboard_moves_between_them(tab: Page) -> None:
    tab.goto("/?text=a+cat&min_match=0")
    expect(hits(tab)).to_have_count(5)
    hits(tab).first.focus()
    tab.keyboard.press("ArrowRight")
    expect(hits(tab).nth(1)).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.locator("#viewer")).to_be_visible()
    expect(tab.locator("#viewer-position")).to_have_text("2 of 5")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    expect(tab.locator("#viewer-position")).to_have_text("4 of 5")
    fourth = tab.request.get("/search", params={"text": "a cat", "k": 5, "min_match": 0}).json()["hits"][3]
    expect(tab.locator("#viewer-uri")).to_have_text(fourth["uri"])
    expect(tab.locator("#viewer-size")).to_have_text(f"{fourth['width']} × {fourth['height']}")
    expect(tab.locator("#viewer-original")).to_have_attribute("href", fourth["links"]["image"])
    expect(tab.locator("#viewer-picture")).to_have_attribute("src", re.compile(r"/image$"))
    tab.keyboard.press("Escape")
    expect(tab.locator("#viewer")).to_be_hidden()
    expect(hits(tab).nth(3)).to_be_focused()


def test_find_similar_photos_and_go_back(tab: Page) -> None:
    tab.goto("/?text=a+cat&min_match=0")
    name = hits(tab).first.locator(".name").inner_text()
    hits(tab).first.click()
    tab.click("#viewer-similar")
    expect(tab.locator("#chip-name")).to_have_text(name)
    expect(tab.locator("#outcome")).to_contain_text(" of ")
    assert "photo=" in tab.url
    tab.click("#chip-remove")
    expect(tab.locator("#chip")).to_be_hidden()
    expect(hits(tab)).to_have_count(0)
    tab.go_back()
    tab.go_back()
    expect(tab.locator("#text")).to_have_value("a cat")
    expect(hits(tab)).to_have_count(5)


def test_html_in_file_names_is_shown_as_text(tab: Page) -> None:
    fake_searches(tab, make_answer(make_hit(1, name=_HTML_NAME, uri=f"/p/{_HTML_NAME}"), notice=_HTML_NAME))
    tab.goto("/?text=anything")
    expect(hits(tab).first).to_contain_text(_HTML_NAME)
    hits(tab).first.click()
    expect(tab.locator("#viewer-name")).to_have_text(_HTML_NAME)
    expect(tab.locator("#viewer-uri")).to_contain_text(_HTML_NAME)
    assert tab.locator("img[onerror]").count() == 0
    assert tab.evaluate("document.body.dataset.hacked") is None


def test_links_to_other_sites_are_dropped(tab: Page) -> None:
    links = dict.fromkeys(("photo", "image", "thumbnail"), "javascript:alert(1)")
    fake_searches(tab, make_answer(make_hit(1, links=links)))
    tab.goto("/?text=anything")
    hits(tab).first.click()
    assert tab.locator("#viewer-original").get_attribute("href") == ""
