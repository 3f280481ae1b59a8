"""Photos by date on the start page, page by page, and the order of hits; faked answers show many of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.browser import (
    OpenTab,
    expect,
    fake_photos,
    fake_searches,
    fulfill,
    hits,
    hold,
    make_answer,
    make_hit,
    search_for,
)

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route


def make_photos(count: int, *, a_day: int = 4) -> list[dict[str, Any]]:
    """Photos without a match, newest first, so many of each day."""
    taken = [f"{2023 - day // 28}-05-{28 - day % 28:02}T10:00:00+02:00" for day in range(count // a_day + 1)]
    photos = [make_hit(number, taken_at=taken[(number - 1) // a_day]) for number in range(1, count + 1)]
    return [{name: value for name, value in photo.items() if name not in ("match", "similarity")} for photo in photos]


def days(tab: Page) -> Locator:
    return tab.locator("#hits h2")


def test_the_start_page_shows_the_newest_photos_by_day(tab: Page) -> None:
    fake_searches(tab, make_answer())
    photos = [*make_photos(6), {**make_photos(1)[0], "id": 9, "taken_at": None}]
    sent = fake_photos(tab, photos)
    tab.goto("/")
    expect(hits(tab)).to_have_count(7)
    assert days(tab).all_inner_texts() == ["Sunday, 28 May 2023", "Saturday, 27 May 2023", "Without a date"]
    assert sent == [{"order": "-taken_at", "limit": "100"}]
    expect(tab.locator("#order")).to_have_value("-taken_at")
    expect(tab.locator("#refine")).to_be_hidden()
    expect(tab.locator("#more")).to_be_hidden()
    expect(tab.locator("#text")).to_be_focused()
    expect(hits(tab).first).to_have_accessible_name("1.jpg")


def test_the_real_service_lists_its_photos(tab: Page) -> None:
    tab.goto("/")
    expect(hits(tab)).to_have_count(tab.request.get("/status").json()["photographs"])
    listed = tab.request.get("/photos").json()["photos"]
    assert tab.locator("#hits li[data-id]").evaluate_all("tiles => tiles.map(tile => Number(tile.dataset.id))") == [
        photo["id"] for photo in listed
    ]
    hits(tab).first.click()
    expect(tab.locator("#viewer-name")).to_have_text(listed[0]["name"])
    expect(tab.locator("#viewer-date")).not_to_be_empty()
    expect(tab.locator("#viewer-match-row")).to_be_hidden()
    expect(tab.locator("#viewer-similarity-row")).to_be_hidden()


def test_photos_without_any_date_leave_the_start_page_as_it_is(tab: Page) -> None:
    fake_photos(tab, [{**photo, "taken_at": None} for photo in make_photos(3)])
    with tab.expect_response(re.compile(r"/photos\?")):
        tab.goto("/")
    expect(tab.locator("#library")).to_contain_text("photos")
    expect(hits(tab)).to_have_count(0)
    expect(tab.locator("#order")).to_be_hidden()


def test_more_photos_come_while_scrolling_and_the_address_remembers_them(tab: Page) -> None:
    fake_searches(tab, make_answer(make_hit(1)))
    sent = fake_photos(tab, make_photos(250))
    tab.goto("/")
    expect(hits(tab)).to_have_count(100)
    tab.mouse.wheel(0, 100_000)
    expect(hits(tab)).to_have_count(200)
    tab.mouse.wheel(0, 100_000)
    expect(hits(tab)).to_have_count(250)
    assert [fields.get("cursor") for fields in sent] == [None, "100", "200"]
    ids = tab.locator("#hits li[data-id]").evaluate_all("tiles => tiles.map(tile => Number(tile.dataset.id))")
    assert ids == list(range(1, 251))
    assert len(set(days(tab).all_inner_texts())) == days(tab).count() == 63
    assert "shown=250" in tab.url
    search_for(tab, "a cat")
    expect(hits(tab)).to_have_count(1)
    tab.go_back()
    expect(hits(tab)).to_have_count(250)
    tab.reload()
    expect(hits(tab)).to_have_count(250)
    assert sent[-1] == {"order": "-taken_at", "limit": "250"}
    assert len(sent) == 4


def test_more_photos_come_while_the_viewer_goes_on(tab: Page) -> None:
    fake_searches(tab, make_answer())
    fake_photos(tab, make_photos(130))
    tab.goto("/")
    expect(hits(tab)).to_have_count(100)
    hits(tab).nth(98).focus()
    tab.keyboard.press("Enter")
    expect(tab.locator("#viewer-position")).to_have_text("99 of 130")
    for number in (100, 101, 102):
        tab.keyboard.press("ArrowRight")
        expect(tab.locator("#viewer-name")).to_have_text(f"{number}.jpg")
    tab.keyboard.press("Escape")
    expect(hits(tab).nth(101)).to_be_focused()


def test_the_order_is_part_of_the_address(tab: Page) -> None:
    fake_searches(tab, make_answer())
    fake_photos(tab, make_photos(6))
    tab.goto("/")
    expect(hits(tab).first).to_have_accessible_name("1.jpg")
    tab.select_option("#order", "taken_at")
    expect(hits(tab).first).to_have_accessible_name("6.jpg")
    assert tab.url.endswith("/?order=taken_at")
    tab.reload()
    expect(hits(tab).first).to_have_accessible_name("6.jpg")
    expect(tab.locator("#order")).to_have_value("taken_at")
    tab.go_back()
    expect(hits(tab).first).to_have_accessible_name("1.jpg")
    assert tab.locator("#order option[value=match]").is_disabled()


def test_hits_can_be_ordered_by_date(tab: Page) -> None:
    def answer(route: Route) -> None:
        is_by_date = route.request.post_data_json.get("order") == "-taken_at"
        found = [make_hit(1, match=0.4), make_hit(2, match=0.6)]
        fulfill(route, make_answer(*(found if is_by_date else reversed(found))))

    fake_searches(tab, make_answer())
    tab.route(re.compile(r"/search$"), answer)
    tab.goto("/?q=a+cat&min_match=0.30")
    expect(hits(tab).first).to_contain_text("2.jpg")
    tab.fill("#text", "a cat and")
    tab.select_option("#order", "-taken_at")
    expect(hits(tab).first).to_contain_text("1.jpg")
    expect(tab.locator("#text")).to_have_value("a cat and")
    assert "order=-taken_at" in tab.url
    assert "min_match=0.30" in tab.url
    assert days(tab).count() == 0
    search_for(tab, "a dog")
    expect(tab.locator("#order")).to_have_value("match")
    tab.go_back()
    expect(tab.locator("#order")).to_have_value("-taken_at")
    tab.go_back()
    expect(tab.locator("#order")).to_have_value("match")
    expect(hits(tab).first).to_contain_text("2.jpg")


def test_show_more_adds_the_next_hits(tab: Page) -> None:
    cursors: list[str | None] = []

    def answer(route: Route) -> None:
        body = route.request.post_data_json
        cursors.append(body.get("cursor"))
        start = int(cursors[-1] or 0)
        end = min(60, start + body["k"])
        found = [make_hit(number, match=1 - number / 100) for number in range(start, end)]
        fulfill(route, make_answer(*found, photographs=60, next_cursor=str(end) if end < 60 else None))

    fake_searches(tab, make_answer())
    tab.route(re.compile(r"/search$"), answer)
    tab.goto("/?q=a+cat")
    expect(hits(tab)).to_have_count(5)
    tab.evaluate("document.querySelector('#hits li').dataset.kept = 'yes'")
    tab.click("#more")
    expect(hits(tab)).to_have_count(45)
    expect(tab.locator("#outcome")).to_contain_text("45 of 60 photos")
    tab.click("#more")
    expect(hits(tab)).to_have_count(60)
    expect(tab.locator("#more")).to_be_hidden()
    assert cursors == [None, "5", "45"]
    assert tab.locator("#hits li[data-kept]").count() == 1
    tab.reload()
    expect(hits(tab)).to_have_count(60)
    assert cursors[3:] == [None]


def test_a_page_that_does_not_come_is_reported_and_can_be_asked_for_again(tab: Page) -> None:
    broken = True

    def answer(route: Route) -> None:
        if "cursor" not in route.request.post_data_json:
            fulfill(route, make_answer(make_hit(1), next_cursor="1"))
        elif broken:
            fulfill(route, {"error": {"kind": "usage", "message": "The cursor is of another search."}}, 400)
        else:
            fulfill(route, make_answer(make_hit(2)))

    fake_searches(tab, make_answer())
    tab.route(re.compile(r"/search$"), answer)
    tab.goto("/?q=a+cat")
    tab.click("#more")
    expect(tab.locator("#warning")).to_have_text("The cursor is of another search.")
    expect(hits(tab)).to_have_count(1)
    broken = False
    tab.click("#more")
    expect(hits(tab)).to_have_count(2)
    expect(tab.locator("#warning")).to_be_hidden()


def test_a_page_of_an_earlier_search_is_not_added_to_a_later_one(tab: Page) -> None:
    def answer(route: Route) -> None:
        body = route.request.post_data_json
        if body["q"] == "a dog":
            fulfill(route, make_answer(make_hit(3 if "cursor" in body else 2), next_cursor="1"))
        elif "cursor" not in body:
            fulfill(route, make_answer(make_hit(1), next_cursor="1"))

    fake_searches(tab, make_answer())
    tab.route(re.compile(r"/search$"), answer)
    tab.goto("/?q=a+cat")
    expect(hits(tab)).to_have_count(1)
    with tab.expect_event("requestfailed"):
        tab.click("#more")
        search_for(tab, "a dog")
    expect(hits(tab)).to_have_count(1)
    expect(hits(tab).first).to_contain_text("2.jpg")
    tab.click("#more")
    expect(hits(tab)).to_have_count(2)
    expect(hits(tab).last).to_contain_text("3.jpg")


@pytest.mark.parametrize("address", ["/", "/?q=a+cat"])
def test_a_photo_opens_while_another_order_is_awaited(tab: Page, address: str) -> None:
    fake_searches(tab, make_answer(*(make_hit(number) for number in range(1, 4))))
    fake_photos(tab, make_photos(130))
    tab.goto(address)
    expect(hits(tab).nth(2)).to_be_visible()
    awaited = re.compile(r"/photos\?|/search$")
    held = hold(tab, awaited)
    with tab.expect_request(awaited):
        tab.select_option("#order", "taken_at")
    hits(tab).nth(1).click()
    count = hits(tab).count()
    expect(tab.locator("#viewer-position")).to_have_text(f"2 of {count}")
    held[0].fallback()
    expect(tab.locator("#hits[aria-busy]")).to_have_count(0)
    tab.keyboard.press("ArrowRight")
    expect(tab.locator("#viewer-name")).to_have_text("3.jpg")


def test_more_photos_in_another_order_are_not_added_to_an_open_viewer(tab: Page) -> None:
    fake_searches(tab, make_answer())
    fake_photos(tab, make_photos(130))
    tab.goto("/")
    expect(hits(tab)).to_have_count(100)
    held = hold(tab, re.compile(r"/photos\?"), times=1)
    with tab.expect_request(re.compile(r"/photos\?")):
        tab.select_option("#order", "taken_at")
    hits(tab).nth(97).click()
    held[0].fallback()
    expect(hits(tab).first).to_have_accessible_name("130.jpg")
    tab.keyboard.press("ArrowRight")
    expect(hits(tab)).to_have_count(130)
    expect(tab.locator("#viewer-position")).to_have_text("99 of 100")
    tab.keyboard.press("ArrowRight")
    expect(tab.locator("#viewer-name")).to_have_text("100.jpg")


def test_photos_by_date_that_come_late_do_not_replace_those_of_a_library_that_has_grown(tab: Page) -> None:
    status: dict[str, Any] = {"photographs": 10, "model": None, "indexing": {"done": 10, "total": 90}}
    fake_searches(tab, make_answer(make_hit(50)))
    fake_photos(tab, [])
    tab.route("**/status", lambda route: fulfill(route, status))
    held = hold(tab, re.compile(r"/photos\?"), times=1)
    with tab.expect_request(re.compile(r"/photos\?")):
        tab.goto("/")
    expect(tab.locator("#library")).to_contain_text("10 of 90")
    with tab.expect_event("requestfailed") as stopped:
        status["photographs"] = 20
    assert "/photos?" in stopped.value.url
    assert len(held) == 1
    search_for(tab, "a cat")
    expect(hits(tab).first).to_contain_text("50.jpg")


def test_a_service_that_is_gone_is_reported_where_photos_by_date_were_to_be(tab: Page) -> None:
    fake_searches(tab, make_answer(make_hit(1)))
    tab.goto("/?q=a+cat")
    expect(hits(tab)).to_have_count(1)
    tab.route(re.compile(r"/photos\?"), lambda route: route.abort("connectionrefused"))
    tab.click("#wordmark")
    expect(tab.locator("#message-title")).to_have_text("Cannot reach the service")
    fake_photos(tab, make_photos(6))
    tab.click("#message-action")
    expect(hits(tab)).to_have_count(6)
    expect(tab.locator("#message")).to_be_hidden()


def test_an_empty_search_box_leads_back_to_the_newest_photos(tab: Page) -> None:
    fake_searches(tab, make_answer(make_hit(50)))
    fake_photos(tab, make_photos(6))
    tab.goto("/?q=a+cat")
    expect(hits(tab)).to_have_count(1)
    search_for(tab, "")
    expect(hits(tab)).to_have_count(6)
    assert tab.url.endswith("/")
    expect(days(tab)).to_have_count(2)


def test_photos_by_date_fill_a_phone_in_two_columns_or_more(open_tab: OpenTab) -> None:
    tab = open_tab(width=390, height=800)
    fake_searches(tab, make_answer())
    fake_photos(tab, make_photos(12, a_day=12))
    tab.goto("/")
    expect(hits(tab)).to_have_count(12)
    tops = hits(tab).evaluate_all("tiles => tiles.map(tile => tile.getBoundingClientRect().top)")
    assert tops[0] == tops[1] < tops[-1]
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
