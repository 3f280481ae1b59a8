"""Searching by text on the page; faked answers show states that the real service rarely reaches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.browser import (
    expect,
    fake_photos,
    fake_searches,
    fulfill,
    hits,
    make_answer,
    make_hit,
    search_for,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route


def test_the_start_page_shows_the_number_of_photos(tab: Page) -> None:
    tab.goto("/")
    count = tab.request.get("/status").json()["photographs"]
    expect(tab.locator("#library")).to_contain_text(f"{count} photos")
    expect(tab.locator("#text")).to_be_focused()


def test_enter_searches_and_shows_hits_with_their_match(tab: Page) -> None:
    tab.goto("/?min_match=0")
    search_for(tab, "a cat")
    expect(hits(tab)).to_have_count(5)
    expect(hits(tab).first).to_contain_text("cat")
    matches = [float(text) for text in tab.locator("#hits .match").all_inner_texts()]
    assert all(0 <= match <= 1 for match in matches)
    assert matches == sorted(matches, reverse=True)
    expect(tab.locator("#outcome")).to_contain_text("5 of")
    expect(tab.locator("#outcome")).to_contain_text("mini")
    assert "q=a+cat" in tab.url


def test_the_address_holds_the_whole_query(tab: Page) -> None:
    tab.goto("/?q=a+cat&k=10&min_match=0.05")
    expect(tab.locator("#text")).to_have_value("a cat")
    expect(tab.locator("#k")).to_have_value("10")
    expect(tab.locator("#min-match-value")).to_have_text("0.05")
    expect(tab.locator("#outcome")).to_contain_text(" of ")


def test_an_address_of_an_earlier_version_is_understood(tab: Page) -> None:
    tab.goto("/?text=a+cat&min_match=0")
    expect(tab.locator("#text")).to_have_value("a cat")
    expect(hits(tab)).to_have_count(5)


def test_back_and_forward_restore_earlier_queries(tab: Page) -> None:
    tab.goto("/?min_match=0")
    search_for(tab, "a cat")
    expect(hits(tab)).to_have_count(5)
    name = hits(tab).first.inner_text()
    search_for(tab, "a cup of coffee")
    expect(hits(tab).first).not_to_have_text(name)
    tab.go_back()
    expect(tab.locator("#text")).to_have_value("a cat")
    assert hits(tab).first.inner_text() == name
    tab.go_back()
    expect(tab.locator("#hits h2").first).to_be_visible()
    expect(tab.locator("#text")).to_have_value("")
    tab.go_forward()
    expect(hits(tab)).to_have_count(5)


def test_show_more_adds_hits(tab: Page) -> None:
    tab.goto("/?q=a+cat&min_match=0")
    expect(hits(tab)).to_have_count(5)
    tab.click("#more")
    count = tab.request.get("/status").json()["photographs"]
    expect(hits(tab)).to_have_count(count)
    expect(tab.locator("#more")).to_be_hidden()
    assert f"shown={count}" in tab.url


def test_a_refused_text_stays_in_the_search_box(tab: Page) -> None:
    tab.goto("/")
    search_for(tab, "cat " * 2_500)
    expect(tab.locator("#message-title")).to_have_text("The search failed")
    assert tab.input_value("#text").startswith("cat cat")


@pytest.mark.parametrize(
    ("parameter", "says"), [("&min_match=0.5", "you asked for 0.50 or more"), ("", "only 0.30 or more is shown")]
)
def test_without_matches_the_closest_photos_are_offered(tab: Page, parameter: str, says: str) -> None:
    def answer(route: Route) -> None:
        min_match = route.request.post_data_json.get("min_match", 0.3)
        found = [] if min_match > 0.1 else [make_hit(1, match=0.1)]
        fulfill(route, make_answer(*found, answerable=False, best_match=0.1, min_match=min_match))

    fake_searches(tab, make_answer())
    tab.route(re.compile(r"/search$"), answer)
    tab.goto(f"/?q=a+unicorn{parameter}")
    expect(tab.locator("#message-title")).to_have_text("No matches")
    expect(tab.locator("#message-text")).to_have_text(f"The best match is 0.10; {says}.")
    tab.click("#message-action")
    expect(hits(tab)).to_have_count(1)
    expect(tab.locator("#message")).to_be_hidden()
    expect(tab.locator("#warning")).to_contain_text("No matches")
    expect(tab.locator("#min-match-value")).to_have_text("0.00")
    assert "min_match=0.00" in tab.url


def test_the_slider_shows_the_default_minimum_match_and_returns_to_it(tab: Page) -> None:
    sent: list[float | None] = []

    def answer(route: Route) -> None:
        sent.append(route.request.post_data_json.get("min_match"))
        fulfill(route, make_answer(make_hit(1), min_match=0.35 if sent[-1] is None else sent[-1]))

    fake_searches(tab, make_answer())
    tab.route(re.compile(r"/search$"), answer)
    tab.goto("/?q=a+cat")
    value, slider, auto = (tab.locator(f"#min-match{part}") for part in ("-value", "", "-auto"))
    expect(value).to_have_text("0.35")
    expect(slider).to_have_value("0.35")
    expect(auto).to_have_attribute("aria-pressed", "true")
    assert "min_match" not in tab.url
    slider.focus()
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_url("**min_match=0.30*")
    expect(value).to_have_text("0.30")
    expect(auto).to_have_attribute("aria-pressed", "false")
    tab.reload()
    expect(value).to_have_text("0.30")
    expect(auto).to_have_attribute("aria-pressed", "false")
    auto.click()
    expect(value).to_have_text("0.35")
    expect(auto).to_have_attribute("aria-pressed", "true")
    assert "min_match" not in tab.url
    assert sent == [None, 0.3, 0.3, None]


def test_the_slider_sets_the_minimum_match_and_keeps_typed_text(tab: Page) -> None:
    tab.goto("/?q=a+cat&min_match=0")
    expect(hits(tab)).to_have_count(5)
    tab.fill("#text", "a cat and a half")
    tab.locator("#min-match").focus()
    with tab.expect_request(re.compile(r"/search$")) as sent:
        tab.keyboard.press("ArrowRight")
    assert sent.value.post_data_json["min_match"] == pytest.approx(0.05)
    assert sent.value.post_data_json["q"] == "a cat"
    expect(tab.locator("#text")).to_have_value("a cat and a half")
    assert "min_match=0.05" in tab.url


def test_a_notice_of_the_service_is_shown(tab: Page) -> None:
    fake_searches(tab, make_answer(make_hit(1), notice="mini reads English only."))
    tab.goto("/?q=кошка")
    expect(tab.locator("#notice")).to_have_text("mini reads English only.")
    expect(hits(tab)).to_have_count(1)


def test_a_slow_answer_never_replaces_a_later_one(tab: Page) -> None:
    unanswered: list[Route] = []

    def answer(route: Route) -> None:
        text = route.request.post_data_json["q"]
        if text == "slow":
            unanswered.append(route)
        else:
            fulfill(route, make_answer(make_hit(2, name="second.jpg")))

    fake_searches(tab, make_answer())
    tab.route(re.compile(r"/search$"), answer)
    tab.goto("/")
    search_for(tab, "slow")
    expect(tab.locator("#hits .skeleton").first).to_be_visible()
    with tab.expect_event("requestfailed") as stopped:
        search_for(tab, "fast")
    assert stopped.value.post_data_json["q"] == "slow"
    expect(hits(tab)).to_have_count(1)
    expect(hits(tab).first).to_contain_text("second.jpg")
    assert len(unanswered) == 1


def test_a_search_can_be_retried_when_the_service_is_unreachable(tab: Page) -> None:
    tab.goto("/?min_match=0")
    tab.route(re.compile(r"/search$"), lambda route: route.abort("connectionrefused"))
    search_for(tab, "a cat")
    expect(tab.locator("#message-title")).to_have_text("Cannot reach the service")
    expect(tab.locator("#text")).to_have_value("a cat")
    tab.unroute_all()
    tab.click("#message-action")
    expect(hits(tab)).to_have_count(5)


def test_an_empty_library_shows_how_to_fill_it(tab: Page) -> None:
    empty = {"photographs": 0, "model": {"name": "mini"}}
    tab.route("**/status", lambda route: fulfill(route, empty))
    fake_photos(tab, [])
    fake_searches(tab, make_answer(photographs=0, answerable=False))
    tab.goto("/")
    expect(tab.locator("#message")).to_contain_text("smysl index DIR")
    search_for(tab, "a cat")
    expect(tab.locator("#message")).to_contain_text("smysl index DIR")


def test_a_search_in_an_empty_library_says_so_before_its_status_is_known(tab: Page) -> None:
    fake_searches(tab, make_answer(photographs=0, answerable=False))
    tab.route("**/status", lambda route: None)
    tab.goto("/?q=a+cat")
    expect(tab.locator("#message")).to_contain_text("smysl index DIR")


def test_the_progress_of_indexing_is_shown(tab: Page) -> None:
    status: dict[str, Any] = {"photographs": 0, "model": None, "indexing": {"done": 0, "total": 0}}
    photos: list[dict[str, Any]] = []
    tab.route("**/status", lambda route: fulfill(route, status))
    fake_searches(tab, make_answer())
    fake_photos(tab, photos)
    tab.goto("/")
    expect(tab.locator("#message-title")).to_have_text("Indexing photos")
    photos.append(make_hit(1, match=None, taken_at="2023-05-01T10:00:00"))
    status |= {"photographs": 20, "indexing": {"done": 20, "total": 26}}
    expect(tab.locator("#library")).to_contain_text("indexing 20 of 26")
    expect(hits(tab)).to_have_count(1)
    expect(tab.locator("#message")).to_be_hidden()
    status |= {"photographs": 26, "indexing": None}
    expect(tab.locator("#library")).to_have_text("26 photos")


def test_an_empty_search_box_asks_for_a_description(tab: Page) -> None:
    tab.goto("/")
    tab.press("#text", "Enter")
    expect(tab.locator("#outcome")).to_have_text("Describe what the photo should show.")
    expect(tab.locator("#text")).to_be_focused()


def test_photos_that_come_late_do_not_hide_what_is_asked_for(tab: Page) -> None:
    held: list[Route] = []

    def hold_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    tab.route(re.compile(r"/photos\?"), hold_first)
    with tab.expect_request(re.compile(r"/photos\?")):
        tab.goto("/")
    tab.press("#text", "Enter")
    expect(tab.locator("#outcome")).to_have_text("Describe what the photo should show.")
    held[0].continue_()
    expect(hits(tab).first).to_be_visible()
    expect(tab.locator("#outcome")).to_have_text("Describe what the photo should show.")
    search_for(tab, "a cat")
    expect(tab.locator("#outcome")).to_contain_text("photos")
    tab.click("h1 a")
    expect(hits(tab).first).to_be_visible()
    expect(tab.locator("#outcome")).to_have_text("")


def test_the_api_documentation_needs_no_internet(tab: Page) -> None:
    tab.goto("/docs")

    expect(tab.locator(".opblock-summary-path", has_text="/search/image")).to_be_visible()
