"""What the service understood of a text as filters: chips that can be taken off, and searches that they leave empty."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.browser import OpenTab, expect, fake_photos, fake_searches, fulfill, hits, make_answer, make_hit

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

YEAR = {"field": "taken", "value": "2019", "text": "2019", "label": "taken in 2019"}
PLACE = {"field": "place", "value": "Paris", "text": "in Paris", "label": "taken in Paris"}
CAMERA = {"field": "camera", "value": "canon", "text": "camera:canon", "label": "camera canon"}


def chips(tab: Page) -> Locator:
    return tab.locator("#understood button")


def fake_understanding(tab: Page, *known: dict[str, str], **fields: Any) -> list[str]:
    """Answer searches as if those of `known` were understood that are in the text; returns the texts that are sent."""
    sent: list[str] = []

    def answer(route: Route) -> None:
        sent.append(route.request.post_data_json["q"])
        understood = [chip for chip in known if chip["text"] in sent[-1]]
        found = [] if understood and fields else [make_hit(1)]
        fulfill(route, make_answer(*found, understood=understood, **(fields if understood else {})))

    fake_searches(tab, make_answer())
    tab.route(re.compile(r"/search$"), answer)
    return sent


def test_what_was_understood_is_shown_and_can_be_taken_off(tab: Page) -> None:
    sent = fake_understanding(tab, PLACE, YEAR, CAMERA)
    tab.goto("/?q=a+dog+in+Paris,+2019+camera:canon")
    expect(chips(tab)).to_have_count(3)
    for chip, shown in zip((PLACE, YEAR, CAMERA), chips(tab).all(), strict=True):
        expect(shown).to_have_accessible_name(re.compile(rf"^{chip['label']} ?: remove from the search$"))
    chips(tab).nth(1).click()
    expect(chips(tab)).to_have_count(2)
    expect(tab.locator("#text")).to_have_value("a dog in Paris, camera:canon")
    chips(tab).last.focus()
    tab.keyboard.press("Enter")
    expect(chips(tab)).to_have_count(1)
    expect(tab.locator("#text")).to_have_value("a dog in Paris")
    chips(tab).first.click()
    expect(tab.locator("#understood")).to_be_hidden()
    assert sent == ["a dog in Paris, 2019 camera:canon", "a dog in Paris, camera:canon", "a dog in Paris", "a dog"]
    assert "q=a+dog" in tab.url
    tab.go_back()
    expect(chips(tab)).to_have_count(1)
    tab.go_back()
    expect(chips(tab)).to_have_count(2)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("IMG2019 2019", "IMG2019"),
        ("2019", ""),
        ("2019, dogs", "dogs"),
        ("dogs   2019   on grass", "dogs on grass"),
        ("201920 a2019", "20 a2019"),
    ],
)
def test_only_the_words_of_the_filter_are_removed(tab: Page, text: str, rest: str) -> None:
    tab.goto("/page/understood.js")
    removed = tab.evaluate(
        """async ([text, filter]) => {
          const { withoutFilter } = await import("/page/understood.js");
          return withoutFilter(text, [filter], filter);
        }""",
        [text, YEAR],
    )
    assert removed == rest


def test_the_last_filter_of_a_text_leads_back_to_the_newest_photos(tab: Page) -> None:
    fake_understanding(tab, YEAR)
    fake_photos(tab, [make_hit(7, taken_at="2023-07-14T18:30:05", match=None)])
    tab.goto("/?q=2019&order=taken_at")
    chips(tab).first.click()
    expect(hits(tab).first).to_have_accessible_name("7.jpg")
    assert tab.url.endswith("/")


def test_filters_alone_list_photos_by_day(tab: Page) -> None:
    taken = {"taken_at": "2019-07-14T18:30:05", "match": None, "similarity": None}
    found = [make_hit(number, **taken) for number in (1, 2)]
    fake_searches(tab, make_answer(*found, model=None, calibration=None, filtered=2, understood=[YEAR]))
    tab.goto("/?q=2019")
    expect(hits(tab)).to_have_count(2)
    assert tab.locator("#hits h2").all_inner_texts() == ["Sunday, 14 July 2019"]
    expect(tab.locator("#outcome strong")).to_have_text("2 photos")
    expect(tab.locator("#refine")).to_be_hidden()
    expect(tab.locator("#order")).to_have_value("-taken_at")


@pytest.mark.parametrize(
    ("known", "without", "says"),
    [
        ([YEAR], {"hits": 12, "or_more": False}, "Nothing with the filter “taken in 2019”. Without it: 12 photos."),
        (
            [PLACE, YEAR],
            {"hits": 200, "or_more": True},
            "Nothing with the filters “taken in Paris” and “taken in 2019”. Without them: at least 200 photos.",
        ),
        (
            [YEAR],
            {"hits": 0, "or_more": False},
            "Nothing with the filter “taken in 2019”, and no good match without it.",
        ),
    ],
)
def test_where_filters_leave_nothing_they_can_be_removed(
    tab: Page, known: list[dict[str, str]], without: dict[str, Any], says: str
) -> None:
    fake_understanding(tab, *known, answerable=False, best_match=None, without_filters=without | {"best_match": 0.1})
    words = " ".join(chip["text"] for chip in known)
    tab.goto(f"/?q=a+dog+{words.replace(' ', '+')}+on+grass")
    expect(tab.locator("#message-title")).to_have_text("No matches")
    expect(tab.locator("#message-text")).to_have_text(says)
    tab.click("#message-action")
    expect(hits(tab)).to_have_count(1)
    expect(tab.locator("#text")).to_have_value("a dog on grass")
    tab.go_back()
    expect(tab.locator("#message-text")).to_have_text(says)


def test_filters_alone_that_leave_nothing(tab: Page) -> None:
    fake_searches(tab, make_answer(model=None, calibration=None, filtered=0, understood=[CAMERA]))
    tab.goto("/?q=camera:canon")
    expect(tab.locator("#message-text")).to_have_text("Nothing with the filter “camera canon”.")
    expect(tab.locator("#outcome strong")).to_have_text("0 photos")


def test_the_real_service_understands_a_year(tab: Page) -> None:
    year = tab.request.get("/photos").json()["photos"][0]["taken_at"][:4]
    tab.goto(f"/?q=a+cat+{year}&min_match=0")
    expect(chips(tab)).to_have_count(1)
    expect(chips(tab)).to_contain_text(f"taken in {year}")
    expect(hits(tab)).to_have_count(5)
    chips(tab).click()
    expect(tab.locator("#understood")).to_be_hidden()
    expect(tab.locator("#text")).to_have_value("a cat")


def test_a_filter_that_cannot_be_is_explained(tab: Page) -> None:
    tab.goto("/?q=month:13")
    expect(tab.locator("#message-title")).to_have_text("The search failed")
    expect(tab.locator("#message-text")).to_contain_text("month:13")
    expect(tab.locator("#text")).to_have_value("month:13")


@pytest.mark.parametrize("width", [320, 1280])
def test_long_filters_fit_into_the_window(open_tab: OpenTab, width: int) -> None:
    tab = open_tab(width=width)
    long = {**CAMERA, "label": "camera " + "x" * 300}
    fake_searches(tab, make_answer(make_hit(1), understood=[long, YEAR, PLACE]))
    tab.goto("/?q=camera:canon+2019+in+Paris")
    expect(chips(tab)).to_have_count(3)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
