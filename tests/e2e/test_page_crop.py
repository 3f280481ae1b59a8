"""Searching with an area of a photo on the page, selected by mouse, finger or keyboard."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image, ImageOps

from tests.e2e.browser import (
    OpenTab,
    drop_or_paste,
    expect,
    first_cat,
    hits,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page


def names_of(tab: Page) -> list[str]:
    return tab.locator("#hits .name").all_inner_texts()


def open_similar_to_cat(tab: Page) -> int:
    """Open the photos similar to the first hit for a cat; returns its id."""
    found = tab.request.get("/search", params={"text": "a cat", "k": 1, "min_match": 0}).json()["hits"][0]
    tab.goto(f"/?photo={found['id']}&k=20")
    expect(tab.locator("#hits .frame.loaded").first).to_be_visible()
    tab.wait_for_function("document.getElementById('crop-picture').naturalWidth > 0")
    return int(found["id"])


def corners(tab: Page, box: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    """Two opposite corners of an area of the query photo, in pixels of the window."""
    stage = tab.locator("#crop-stage").bounding_box()
    assert stage is not None
    points = [(box[0], box[1]), (box[0] + box[2], box[1] + box[3])]
    return [(stage["x"] + x * stage["width"], stage["y"] + y * stage["height"]) for x, y in points]


def box_in(address: str) -> list[float]:
    """The box in an address; empty without one."""
    box = parse_qs(urlsplit(address).query).get("box", [""])[0]
    return [float(number) for number in box.split(",")] if box else []


def test_dragging_a_box_searches_with_that_area(tab: Page) -> None:
    identity = open_similar_to_cat(tab)
    whole = names_of(tab)
    start, stop = corners(tab, (0.55, 0.6, 0.4, 0.35))
    tab.mouse.move(*stop)
    tab.mouse.down()
    tab.mouse.move(*start, steps=4)
    expect(tab.locator("#crop-box")).to_be_visible()
    with tab.expect_response(re.compile(r"/search$")) as answered:
        tab.mouse.up()
    box = box_in(tab.url)
    assert box == pytest.approx([0.55, 0.6, 0.4, 0.35], abs=0.02)
    assert answered.value.request.post_data_json["photo_id"] == identity
    part = [hit["name"] for hit in answered.value.json()["hits"]]
    expect(tab.locator("#hits .name")).to_have_text(part)
    assert part != whole
    expect(tab.locator("#crop-hint")).to_contain_text("selected area")
    tab.reload()
    expect(tab.locator("#crop-box")).to_be_visible()
    expect(tab.locator("#hits .name")).to_have_text(part)
    tab.go_back()
    expect(tab.locator("#crop-box")).to_be_hidden()
    expect(tab.locator("#hits .name")).to_have_text(whole)


@pytest.mark.parametrize("way", ["Escape", "button"])
def test_the_box_can_be_removed(tab: Page, way: str) -> None:
    open_similar_to_cat(tab)
    whole = names_of(tab)
    tab.goto(f"{tab.url}&box=0.1,0.1,0.3,0.3")
    expect(tab.locator("#crop-box")).to_be_visible()
    with tab.expect_response(re.compile(r"/search$")):
        tab.keyboard.press("Escape") if way == "Escape" else tab.click("#crop-whole")
    expect(tab.locator("#crop-box")).to_be_hidden()
    expect(tab.locator("#crop-whole")).to_be_hidden()
    assert box_in(tab.url) == []
    expect(tab.locator("#hits .name")).to_have_text(whole)


def test_escape_and_a_click_cancel_a_drag(tab: Page) -> None:
    open_similar_to_cat(tab)
    address = tab.url
    start, stop = corners(tab, (0.2, 0.2, 0.4, 0.4))
    tab.mouse.move(*start)
    tab.mouse.down()
    tab.mouse.move(*stop)
    tab.keyboard.press("Escape")
    tab.mouse.up()
    tab.mouse.click(*start)
    expect(tab.locator("#crop-box")).to_be_hidden()
    assert tab.url == address


def test_drawing_with_a_finger_does_not_scroll_the_page(open_tab: OpenTab) -> None:
    tab = open_tab(390, 700, has_touch=True, is_mobile=True)
    open_similar_to_cat(tab)
    start, stop = corners(tab, (0.2, 0.8, 0.5, -0.6))
    finger = tab.context.new_cdp_session(tab)
    middle = ((start[0] + stop[0]) / 2, (start[1] + stop[1]) / 2)
    for kind, places in (("Start", [start]), ("Move", [middle]), ("Move", [stop]), ("End", [])):
        points = [{"x": x, "y": y} for x, y in places]
        finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    tab.wait_for_url("**box=*")
    assert box_in(tab.url) == pytest.approx([0.2, 0.2, 0.5, 0.6], abs=0.03)
    assert tab.evaluate("scrollY") == 0


def test_an_area_can_be_entered_in_numbers_with_the_keyboard(tab: Page) -> None:
    open_similar_to_cat(tab)
    tab.locator("#crop summary").focus()
    tab.keyboard.press("Enter")
    for number in ("50", "25", "40", "60"):
        tab.keyboard.press("Tab")
        tab.keyboard.type(number)
    with tab.expect_response(re.compile(r"/search$")) as answered:
        tab.keyboard.press("Enter")
    tab.wait_for_url("**box=*")
    assert box_in(tab.url) == [0.5, 0.25, 0.4, 0.6]
    # Showing an answer fills in the numbers again.
    expect(tab.locator("#hits .name")).to_have_text([hit["name"] for hit in answered.value.json()["hits"]])
    expect(tab.locator("#crop-box")).to_be_visible()
    tab.fill("#crop-width", "80")
    tab.press("#crop-width", "Enter")
    expect(tab.locator("#message-text")).to_contain_text("extends beyond the photograph")


def test_borders_of_an_upload_are_cut_off_unless_kept(tab: Page) -> None:
    name, content = first_cat(tab)
    framed = io.BytesIO()
    with Image.open(io.BytesIO(content)) as photograph:
        bars = (0, photograph.height // 2, 0, photograph.height // 2)
        ImageOps.expand(photograph.convert("RGB"), bars, "black").save(framed, "JPEG")
    tab.goto("/")
    drop_or_paste(tab, "drop", "dataTransfer", framed.getvalue(), "framed.jpg")
    expect(tab.locator("#crop-hint")).to_contain_text("Borders were cut off")
    expect(tab.locator("#crop-box.automatic")).to_be_visible()
    expect(hits(tab).first).to_contain_text(name)
    left_out = float(tab.locator("#hits .match").first.inner_text())
    with tab.expect_response(re.compile(r"/search/image$")) as answered:
        tab.check("#crop-borders")
    assert (answered.value.json()["part"], answered.value.json()["borders_left_out"]) == (None, False)
    expect(tab.locator("#crop-hint")).to_contain_text("Drag a box")
    expect(tab.locator("#crop-box")).to_be_hidden()
    assert "keep_borders" in tab.url
    assert answered.value.json()["best_match"] < left_out


def test_dragging_a_box_on_an_upload_searches_with_that_area(tab: Page) -> None:
    tab.goto("/")
    drop_or_paste(tab, "paste", "clipboardData", first_cat(tab)[1], "upload.jpg")
    expect(hits(tab)).to_have_count(5)
    tab.wait_for_function("document.getElementById('crop-picture').naturalWidth > 0")
    start, stop = corners(tab, (0.1, 0.1, 0.4, 0.4))
    tab.mouse.move(*start)
    tab.mouse.down()
    tab.mouse.move(*stop, steps=3)
    with tab.expect_response(re.compile(r"/search/image$")) as answered:
        tab.mouse.up()
    assert answered.value.json()["part"]["width"] == pytest.approx(0.4, abs=0.02)
    tab.click("#chip-remove")
    expect(tab.locator("#crop")).to_be_hidden()
    tab.go_back()
    expect(tab.locator("#crop-box")).to_be_visible()
