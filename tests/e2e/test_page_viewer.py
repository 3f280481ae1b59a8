"""The viewer of the page: opening a hit, moving between hits, similar photos and the way back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser import (
    PICTURE,
    OpenTab,
    expect,
    fake_searches,
    hits,
    make_answer,
    make_hit,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

_HTML_NAME = '<img src=x onerror="document.body.dataset.hacked = 1">.jpg'


def test_back_restores_the_scroll_position(open_tab: OpenTab) -> None:
    tab = open_tab(height=400)
    tab.goto("/?q=a+cat&k=10&min_match=0")
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
    tab.goto("/?q=a+cat&min_match=0")
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
    expect(tab.locator("#viewer-picture")).to_have_attribute("src", fourth["links"]["image"])
    tab.keyboard.press("Escape")
    expect(tab.locator("#viewer")).to_be_hidden()
    expect(hits(tab).nth(3)).to_be_focused()


def test_find_similar_photos_and_go_back(tab: Page) -> None:
    tab.goto("/?q=a+cat&min_match=0")
    name = hits(tab).first.locator(".name").inner_text()
    hits(tab).first.click()
    tab.click("#viewer-similar")
    expect(tab.locator("#chip-name")).to_have_text(name)
    expect(tab.locator("#outcome")).to_contain_text(" of ")
    assert "photo=" in tab.url
    tab.click("#chip-remove")
    expect(tab.locator("#chip")).to_be_hidden()
    expect(tab.locator("#hits h2").first).to_be_visible()
    tab.go_back()
    tab.go_back()
    expect(tab.locator("#text")).to_have_value("a cat")
    expect(hits(tab)).to_have_count(5)


def test_html_in_file_names_is_shown_as_text(tab: Page) -> None:
    fake_searches(tab, make_answer(make_hit(1, name=_HTML_NAME, uri=f"/p/{_HTML_NAME}"), notice=_HTML_NAME))
    tab.goto("/?q=anything")
    expect(hits(tab).first).to_contain_text(_HTML_NAME)
    hits(tab).first.click()
    expect(tab.locator("#viewer-name")).to_have_text(_HTML_NAME)
    expect(tab.locator("#viewer-uri")).to_contain_text(_HTML_NAME)
    assert tab.locator("img[onerror]").count() == 0
    assert tab.evaluate("document.body.dataset.hacked") is None


def test_links_to_other_sites_are_dropped(tab: Page) -> None:
    links = dict.fromkeys(("photo", "image", "thumbnail"), "javascript:alert(1)")
    fake_searches(tab, make_answer(make_hit(1, links=links)))
    tab.goto("/?q=anything")
    hits(tab).first.click()
    assert tab.locator("#viewer-original").get_attribute("href") == ""


@pytest.mark.parametrize(("density", "shown"), [(1, "thumbnail?v=1"), (3, "thumbnail?v=1&size=large")])
def test_screens_with_a_high_density_get_larger_thumbnails(open_tab: OpenTab, density: int, shown: str) -> None:
    tab = open_tab(device_scale_factor=density)
    fake_searches(tab, make_answer(make_hit(1, width=6000, height=4000)))
    tab.goto("/?q=anything")
    expect(tab.locator("#hits .frame.loaded")).to_have_count(1)
    assert tab.evaluate("document.querySelector('#hits img').currentSrc").endswith(f"/photos/1/{shown}")


def test_a_photo_no_larger_than_its_thumbnail_is_loaded_once(open_tab: OpenTab) -> None:
    tab = open_tab(device_scale_factor=3)
    fake_searches(tab, make_answer(make_hit(1, width=300, height=200)))
    tab.goto("/?q=anything")
    expect(tab.locator("#hits .frame.loaded")).to_have_count(1)
    assert tab.locator("#hits img").get_attribute("srcset") is None


def test_the_viewer_shows_the_preview_until_the_original_has_come(tab: Page) -> None:
    originals: list[Route] = []
    fake_searches(tab, make_answer(make_hit(1), make_hit(2)))

    def hold(route: Route) -> None:
        originals.append(route)

    tab.route(re.compile(r"/photos/\d+/image"), hold)
    tab.goto("/?q=anything")
    hits(tab).first.click()
    picture = tab.locator("#viewer-picture")
    expect(picture).to_have_attribute("src", "/photos/1/thumbnail?v=1&size=large")
    with tab.expect_event("requestfailed") as stopped:
        tab.keyboard.press("ArrowRight")
    assert stopped.value.url.endswith("/photos/1/image?v=1")
    expect(picture).to_have_attribute("src", "/photos/2/thumbnail?v=1&size=large")
    originals[-1].fulfill(body=PICTURE, content_type="image/svg+xml")
    expect(picture).to_have_attribute("src", "/photos/2/image?v=1")


def test_an_original_that_does_not_come_leaves_the_preview(tab: Page) -> None:
    fake_searches(tab, make_answer(make_hit(1)))
    tab.route(re.compile(r"/photos/\d+/image"), lambda route: route.fulfill(status=404))
    tab.goto("/?q=anything")
    hits(tab).first.click()
    expect(tab.locator("#viewer-error")).to_be_visible()
    expect(tab.locator("#viewer-picture")).to_have_attribute("src", re.compile("size=large$"))


def test_the_viewer_shows_when_where_and_with_what_a_photo_was_taken(tab: Page) -> None:
    place = {"town": "Monaco", "region": None, "country": "Monaco"}
    described = make_hit(1, taken_at="2023-07-14T18:30:05+13:00", camera="Canon EOS 600D", lens="50mm", place=place)
    fake_searches(tab, make_answer(described, make_hit(2, taken_at="no date", camera=None, place=None)))
    tab.goto("/?q=anything")
    hits(tab).first.click()
    expect(tab.locator("#viewer-date")).to_have_text("14 July 2023 at 18:30")
    expect(tab.locator("#viewer-place")).to_have_text("Monaco")
    expect(tab.locator("#viewer-camera")).to_have_text("Canon EOS 600D, 50mm")
    tab.keyboard.press("ArrowRight")
    for name in ("date", "place", "camera"):
        expect(tab.locator(f"#viewer-{name}")).to_be_hidden()


def test_thumbnails_come_from_the_cache_of_the_browser_the_second_time(tab: Page) -> None:
    for transferred in (False, True):
        tab.goto("/?q=a+cat&min_match=0")
        expect(tab.locator("#hits .frame.loaded")).to_have_count(5)
        sizes = tab.evaluate(
            """performance.getEntriesByType("resource")
            .filter((each) => each.name.includes("/thumbnail")).map((each) => each.transferSize)"""
        )
        assert len(sizes) == 5
        assert (sum(sizes) == 0) is transferred
