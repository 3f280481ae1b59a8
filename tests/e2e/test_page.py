"""The page in a real browser; routed answers show the states that the real service rarely reaches."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image, ImageOps

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="6" height="4"><rect width="6" height="4"/></svg>'
HOSTILE = '<img src=x onerror="document.body.dataset.hacked = 1">.jpg'


class RunningService(Protocol):
    """What the `service` fixture yields, as far as the page needs it."""

    url: str


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, headless=True, args=FLAGS)
        yield launched
        launched.close()


OpenTab = Callable[..., "Page"]


@pytest.fixture
def open_tab(browser: Browser, service: RunningService) -> Iterator[OpenTab]:
    """Opens tabs on the service; each fails its test for a script error or a request to elsewhere."""
    troubles: list[str] = []
    contexts = []

    def open_it(width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(base_url=service.url, viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
        tab.on("request", lambda request: note_stranger(request.url))
        return tab

    def note_stranger(address: str) -> None:
        if not address.startswith((service.url, "blob:", "data:")):
            troubles.append(f"request to elsewhere: {address}")

    yield open_it
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def tab(open_tab: OpenTab) -> Page:
    return open_tab()


def hits(tab: Page) -> Locator:
    return tab.locator("#hits .hit")


def look_for(tab: Page, text: str) -> None:
    tab.fill("#text", text)
    tab.press("#text", "Enter")


def a_hit(number: int, **facts: Any) -> dict[str, Any]:
    links = {"photo": f"/photos/{number}"} | {kind: f"/photos/{number}/{kind}" for kind in ("image", "thumbnail")}
    hit = {"id": number, "uri": f"/p/{number}.jpg", "name": f"{number}.jpg", "match": 0.5, "similarity": 0.2}
    return hit | {"width": 600, "height": 400, "format": "JPEG", "links": links} | facts


def an_answer(*found: dict[str, Any], **facts: Any) -> dict[str, Any]:
    best = max((hit["match"] for hit in found), default=None)
    answer = {"hits": list(found), "took_ms": 7.1, "model": "mini", "calibration": "ratings", "min_match": 0.0}
    return answer | {"answerable": True, "best_match": best, "notice": None, "photographs": 26} | facts


def answer_searches(tab: Page, answer: dict[str, Any], status: int = 200) -> None:
    tab.route(re.compile(r"/search(/image)?$"), lambda route: fulfill(route, answer, status))
    tab.route(
        re.compile(r"/photos/\d+/(image|thumbnail)$"),
        lambda route: route.fulfill(body=PICTURE, content_type="image/svg+xml"),
    )


def fulfill(route: Route, answer: dict[str, Any], status: int = 200) -> None:
    route.fulfill(status=status, content_type="application/json", body=json.dumps(answer))


def hand_over(tab: Page, event: str, kind: str, content: bytes, name: str) -> None:
    """Drop or paste a file, as the browser's own drag or clipboard would."""
    tab.evaluate(
        """([event, carrier, content, name]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(content)], name, {type: "image/jpeg"}));
          const Kind = carrier === "dataTransfer" ? DragEvent : ClipboardEvent;
          const facts = {bubbles: true, cancelable: true, [carrier]: transfer};
          document.body.dispatchEvent(new Kind(event, facts));
        }""",
        [event, kind, list(content), name],
    )


def first_photograph(tab: Page) -> tuple[str, bytes]:
    """Name and file of the photograph that the service finds first for a cat."""
    found = tab.request.get("/search", params={"text": "a cat", "k": 1, "min_match": 0}).json()["hits"][0]
    return found["name"], tab.request.get(found["links"]["image"]).body()


def test_the_start_page_says_what_the_library_holds(tab: Page) -> None:
    tab.goto("/")
    count = tab.request.get("/status").json()["photographs"]
    expect(tab.locator("#library")).to_contain_text(f"{count} photographs")
    expect(tab.locator("#text")).to_be_focused()
    expect(hits(tab)).to_have_count(0)


def test_enter_searches_and_shows_each_hit_with_its_match(tab: Page) -> None:
    tab.goto("/?min_match=0")
    look_for(tab, "a cat")
    expect(hits(tab)).to_have_count(5)
    expect(hits(tab).first).to_contain_text("cat")
    matches = [float(text) for text in tab.locator("#hits .match").all_inner_texts()]
    assert all(0 <= match <= 1 for match in matches)
    assert matches == sorted(matches, reverse=True)
    expect(tab.locator("#outcome")).to_contain_text("5 of")
    expect(tab.locator("#outcome")).to_contain_text("mini")
    assert "text=a+cat" in tab.url


def test_an_address_carries_the_whole_query(tab: Page) -> None:
    tab.goto("/?text=a+cat&k=10&min_match=0.05")
    expect(tab.locator("#text")).to_have_value("a cat")
    expect(tab.locator("#k")).to_have_value("10")
    expect(tab.locator("#min-match-value")).to_have_text("0.05")
    expect(tab.locator("#outcome")).to_contain_text(" of ")


def test_back_and_forward_bring_earlier_queries_again(tab: Page) -> None:
    tab.goto("/?min_match=0")
    look_for(tab, "a cat")
    expect(hits(tab)).to_have_count(5)
    name = hits(tab).first.inner_text()
    look_for(tab, "a cup of coffee")
    expect(hits(tab).first).not_to_have_text(name)
    tab.go_back()
    expect(tab.locator("#text")).to_have_value("a cat")
    assert hits(tab).first.inner_text() == name
    tab.go_back()
    expect(hits(tab)).to_have_count(0)
    expect(tab.locator("#text")).to_have_value("")
    tab.go_forward()
    expect(hits(tab)).to_have_count(5)


def test_show_more_keeps_what_is_there_and_adds_to_it(tab: Page) -> None:
    tab.goto("/?text=a+cat&min_match=0")
    expect(hits(tab)).to_have_count(5)
    tab.click("#more")
    expect(hits(tab)).to_have_count(10)
    assert "k=10" in tab.url


def test_tiles_have_their_final_size_before_a_thumbnail_is_there(tab: Page) -> None:
    shapes = {1: (600, 400), 2: (400, 600), 3: (500, 500)}
    found = [a_hit(number, width=width, height=height) for number, (width, height) in shapes.items()]
    answer_searches(tab, an_answer(*found))
    tab.route("**/thumbnail", lambda route: route.abort())
    tab.goto("/?text=anything")
    expect(hits(tab)).to_have_count(3)
    for frame, (width, height) in zip(tab.locator("#hits .frame").all(), shapes.values(), strict=True):
        box = frame.bounding_box()
        assert box is not None
        assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.02)


def test_nothing_jumps_while_an_address_loads(tab: Page) -> None:
    tab.add_init_script(
        """window.shift = 0;
        const add = (list) => list.getEntries().forEach((entry) => (window.shift += entry.value));
        new PerformanceObserver(add).observe({type: "layout-shift", buffered: true});"""
    )
    tab.goto("/?text=a+cat&k=10&min_match=0")
    expect(tab.locator("#hits .frame.loaded").first).to_be_visible()
    tab.wait_for_load_state("networkidle")
    assert tab.evaluate("window.shift") < 0.02


def test_the_way_back_leads_to_the_same_place(open_tab: OpenTab) -> None:
    tab = open_tab(height=400)
    tab.goto("/?text=a+cat&k=10&min_match=0")
    expect(hits(tab)).to_have_count(10)
    hits(tab).last.click()
    place = tab.evaluate("scrollY")
    assert place > 100
    tab.click("#viewer-like")
    expect(tab.locator("#chip")).to_be_visible()
    assert tab.evaluate("scrollY") == 0
    tab.go_back()
    expect(tab.locator("#text")).to_have_value("a cat")
    tab.wait_for_function("place => Math.abs(scrollY - place) < 60", arg=place)


def test_a_hit_opens_large_and_the_keyboard_walks_through(tab: Page) -> None:
    tab.goto("/?text=a+cat&min_match=0")
    expect(hits(tab)).to_have_count(5)
    hits(tab).first.focus()
    tab.keyboard.press("ArrowRight")
    expect(hits(tab).nth(1)).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.locator("#viewer")).to_be_visible()
    expect(tab.locator("#viewer-place")).to_have_text("2 of 5")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    expect(tab.locator("#viewer-place")).to_have_text("4 of 5")
    fourth = tab.request.get("/search", params={"text": "a cat", "k": 5, "min_match": 0}).json()["hits"][3]
    expect(tab.locator("#viewer-uri")).to_have_text(fourth["uri"])
    expect(tab.locator("#viewer-size")).to_have_text(f"{fourth['width']} × {fourth['height']}")
    expect(tab.locator("#viewer-original")).to_have_attribute("href", fourth["links"]["image"])
    expect(tab.locator("#viewer-picture")).to_have_attribute("src", re.compile(r"/image$"))
    tab.keyboard.press("Escape")
    expect(tab.locator("#viewer")).to_be_hidden()
    expect(hits(tab).nth(3)).to_be_focused()


def test_photographs_like_a_hit_and_the_way_back(tab: Page) -> None:
    tab.goto("/?text=a+cat&min_match=0")
    name = hits(tab).first.locator(".name").inner_text()
    hits(tab).first.click()
    tab.click("#viewer-like")
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


def names_of(tab: Page) -> list[str]:
    return tab.locator("#hits .name").all_inner_texts()


def like_a_cat(tab: Page) -> int:
    """Open the photographs like the first that is found for a cat; its id."""
    found = tab.request.get("/search", params={"text": "a cat", "k": 1, "min_match": 0}).json()["hits"][0]
    tab.goto(f"/?photo={found['id']}&k=20")
    expect(tab.locator("#hits .frame.loaded").first).to_be_visible()
    tab.wait_for_function("document.getElementById('part-picture').naturalWidth > 0")
    return int(found["id"])


def ends_of(tab: Page, box: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    """Two opposite corners of a part of the picture, in pixels of the window."""
    stage = tab.locator("#part-stage").bounding_box()
    assert stage is not None
    corners = [(box[0], box[1]), (box[0] + box[2], box[1] + box[3])]
    return [(stage["x"] + x * stage["width"], stage["y"] + y * stage["height"]) for x, y in corners]


def part_in(address: str) -> list[float]:
    """The part that an address names; nothing without one."""
    box = parse_qs(urlsplit(address).query).get("box", [""])[0]
    return [float(number) for number in box.split(",")] if box else []


def test_a_box_that_is_dragged_searches_with_that_part_alone(tab: Page) -> None:
    identity = like_a_cat(tab)
    whole = names_of(tab)
    start, stop = ends_of(tab, (0.55, 0.6, 0.4, 0.35))
    tab.mouse.move(*stop)
    tab.mouse.down()
    tab.mouse.move(*start, steps=4)
    expect(tab.locator("#part-box")).to_be_visible()
    with tab.expect_response(re.compile(r"/search$")) as answered:
        tab.mouse.up()
    box = part_in(tab.url)
    assert box == pytest.approx([0.55, 0.6, 0.4, 0.35], abs=0.02)
    assert answered.value.request.post_data_json["photo_id"] == identity
    part = [hit["name"] for hit in answered.value.json()["hits"]]
    expect(tab.locator("#hits .name")).to_have_text(part)
    assert part != whole
    expect(tab.locator("#part-told")).to_contain_text("part in the box")
    tab.reload()
    expect(tab.locator("#part-box")).to_be_visible()
    expect(tab.locator("#hits .name")).to_have_text(part)
    tab.go_back()
    expect(tab.locator("#part-box")).to_be_hidden()
    expect(tab.locator("#hits .name")).to_have_text(whole)


@pytest.mark.parametrize("way", ["Escape", "button"])
def test_the_whole_photograph_can_be_taken_again(tab: Page, way: str) -> None:
    like_a_cat(tab)
    whole = names_of(tab)
    tab.goto(f"{tab.url}&box=0.1,0.1,0.3,0.3")
    expect(tab.locator("#part-box")).to_be_visible()
    with tab.expect_response(re.compile(r"/search$")):
        tab.keyboard.press("Escape") if way == "Escape" else tab.click("#part-whole")
    expect(tab.locator("#part-box")).to_be_hidden()
    expect(tab.locator("#part-whole")).to_be_hidden()
    assert part_in(tab.url) == []
    expect(tab.locator("#hits .name")).to_have_text(whole)


def test_escape_and_a_click_leave_a_drag_undone(tab: Page) -> None:
    like_a_cat(tab)
    address = tab.url
    start, stop = ends_of(tab, (0.2, 0.2, 0.4, 0.4))
    tab.mouse.move(*start)
    tab.mouse.down()
    tab.mouse.move(*stop)
    tab.keyboard.press("Escape")
    tab.mouse.up()
    tab.mouse.click(*start)
    expect(tab.locator("#part-box")).to_be_hidden()
    assert tab.url == address


def test_a_finger_draws_a_box_and_does_not_move_the_page(open_tab: OpenTab) -> None:
    tab = open_tab(390, 700, has_touch=True, is_mobile=True)
    like_a_cat(tab)
    start, stop = ends_of(tab, (0.2, 0.8, 0.5, -0.6))
    finger = tab.context.new_cdp_session(tab)
    middle = ((start[0] + stop[0]) / 2, (start[1] + stop[1]) / 2)
    for kind, places in (("Start", [start]), ("Move", [middle]), ("Move", [stop]), ("End", [])):
        points = [{"x": x, "y": y} for x, y in places]
        finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    tab.wait_for_url("**box=*")
    assert part_in(tab.url) == pytest.approx([0.2, 0.2, 0.5, 0.6], abs=0.03)
    assert tab.evaluate("scrollY") == 0


def test_a_part_can_be_given_in_numbers_with_the_keyboard_alone(tab: Page) -> None:
    like_a_cat(tab)
    tab.locator("#part summary").focus()
    tab.keyboard.press("Enter")
    for number in ("50", "25", "40", "60"):
        tab.keyboard.press("Tab")
        tab.keyboard.type(number)
    with tab.expect_response(re.compile(r"/search$")) as answered:
        tab.keyboard.press("Enter")
    tab.wait_for_url("**box=*")
    assert part_in(tab.url) == [0.5, 0.25, 0.4, 0.6]
    # What is shown of an answer writes the numbers anew.
    expect(tab.locator("#hits .name")).to_have_text([hit["name"] for hit in answered.value.json()["hits"]])
    expect(tab.locator("#part-box")).to_be_visible()
    tab.fill("#part-width", "80")
    tab.press("#part-width", "Enter")
    expect(tab.locator("#message-text")).to_contain_text("extends beyond the photograph")


def test_borders_of_an_upload_are_left_out_until_they_are_kept(tab: Page) -> None:
    name, content = first_photograph(tab)
    framed = io.BytesIO()
    with Image.open(io.BytesIO(content)) as photograph:
        bars = (0, photograph.height // 2, 0, photograph.height // 2)
        ImageOps.expand(photograph.convert("RGB"), bars, "black").save(framed, "JPEG")
    tab.goto("/")
    hand_over(tab, "drop", "dataTransfer", framed.getvalue(), "framed.jpg")
    expect(tab.locator("#part-told")).to_contain_text("borders were left out")
    expect(tab.locator("#part-box.found")).to_be_visible()
    expect(hits(tab).first).to_contain_text(name)
    left_out = float(tab.locator("#hits .match").first.inner_text())
    with tab.expect_response(re.compile(r"/search/image$")) as answered:
        tab.check("#part-borders")
    assert (answered.value.json()["part"], answered.value.json()["borders_left_out"]) == (None, False)
    expect(tab.locator("#part-told")).to_contain_text("Drag a box")
    expect(tab.locator("#part-box")).to_be_hidden()
    assert "keep_borders" in tab.url
    assert answered.value.json()["best_match"] < left_out


def test_a_part_of_an_upload_searches(tab: Page) -> None:
    tab.goto("/")
    hand_over(tab, "paste", "clipboardData", first_photograph(tab)[1], "handed.jpg")
    expect(hits(tab)).to_have_count(5)
    tab.wait_for_function("document.getElementById('part-picture').naturalWidth > 0")
    start, stop = ends_of(tab, (0.1, 0.1, 0.4, 0.4))
    tab.mouse.move(*start)
    tab.mouse.down()
    tab.mouse.move(*stop, steps=3)
    with tab.expect_response(re.compile(r"/search/image$")) as answered:
        tab.mouse.up()
    assert answered.value.json()["part"]["width"] == pytest.approx(0.4, abs=0.02)
    tab.click("#chip-remove")
    expect(tab.locator("#part")).to_be_hidden()
    tab.go_back()
    expect(tab.locator("#part-box")).to_be_visible()


def test_a_chosen_photograph_finds_itself(tab: Page, tmp_path: Path) -> None:
    tab.goto("/")
    photograph = tmp_path / "мой кот.jpg"
    name, content = first_photograph(tab)
    photograph.write_bytes(content)
    tab.set_input_files("#file", photograph)
    expect(tab.locator("#chip-name")).to_have_text("мой кот.jpg")
    expect(hits(tab).first).to_contain_text(name)


@pytest.mark.parametrize(("event", "carrier"), [("drop", "dataTransfer"), ("paste", "clipboardData")])
def test_a_photograph_can_be_dropped_and_pasted(tab: Page, event: str, carrier: str) -> None:
    tab.goto("/")
    name, content = first_photograph(tab)
    hand_over(tab, event, carrier, content, "handed.jpg")
    expect(tab.locator("#chip-name")).to_have_text("handed.jpg")
    expect(hits(tab).first).to_contain_text(name)


def test_a_reload_says_that_an_uploaded_photograph_is_gone(tab: Page) -> None:
    tab.goto("/")
    hand_over(tab, "drop", "dataTransfer", first_photograph(tab)[1], "handed.jpg")
    expect(hits(tab)).to_have_count(5)
    tab.reload()
    expect(tab.locator("#message")).to_contain_text("handed.jpg")
    expect(hits(tab)).to_have_count(0)


def test_an_upload_over_the_limit_is_refused_in_words(tab: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(b"\xff\xd8\xff" + bytes(30_000_000))
    tab.goto("/")
    tab.set_input_files("#file", large)
    expect(tab.locator("#message")).to_be_visible()
    expect(tab.locator("#message")).to_contain_text("MB")
    expect(tab.locator("#message")).not_to_contain_text("cannot be reached")


def test_a_file_that_is_no_photograph_is_refused_in_words(tab: Page, tmp_path: Path) -> None:
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear photographer,")
    tab.goto("/")
    tab.set_input_files("#file", letter)
    expect(tab.locator("#message-title")).to_have_text("That search did not work")
    expect(tab.locator("#message-text")).not_to_be_empty()


def test_a_text_that_the_service_refuses_stays_in_the_box(tab: Page) -> None:
    tab.goto("/")
    look_for(tab, "cat " * 2_500)
    expect(tab.locator("#message-title")).to_have_text("That search did not work")
    assert tab.input_value("#text").startswith("cat cat")


@pytest.mark.parametrize(
    ("asked_for", "says"), [("&min_match=0.5", "you asked for 0.50 or more"), ("", "only 0.30 or more is shown")]
)
def test_a_match_that_nothing_reaches_offers_the_nearest(tab: Page, asked_for: str, says: str) -> None:
    def answer(route: Route) -> None:
        asked = route.request.post_data_json.get("min_match", 0.3)
        found = [] if asked > 0.1 else [a_hit(1, match=0.1)]
        fulfill(route, an_answer(*found, answerable=False, best_match=0.1, min_match=asked))

    answer_searches(tab, an_answer())
    tab.route(re.compile(r"/search$"), answer)
    tab.goto(f"/?text=a+unicorn{asked_for}")
    expect(tab.locator("#message-title")).to_have_text("Nothing here shows that")
    expect(tab.locator("#message-text")).to_have_text(f"The best match is 0.10; {says}.")
    tab.click("#message-action")
    expect(hits(tab)).to_have_count(1)
    expect(tab.locator("#message")).to_be_hidden()
    expect(tab.locator("#doubt")).to_contain_text("Nothing here shows that")
    expect(tab.locator("#min-match-value")).to_have_text("0.00")
    assert "min_match=0.00" in tab.url


def test_the_slider_starts_where_the_match_itself_cuts_and_goes_back_there(tab: Page) -> None:
    sent: list[float | None] = []

    def answer(route: Route) -> None:
        sent.append(route.request.post_data_json.get("min_match"))
        fulfill(route, an_answer(a_hit(1), min_match=0.35 if sent[-1] is None else sent[-1]))

    answer_searches(tab, an_answer())
    tab.route(re.compile(r"/search$"), answer)
    tab.goto("/?text=a+cat")
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


def test_an_upload_too_leaves_the_cut_to_the_match(tab: Page) -> None:
    tab.goto("/")
    with tab.expect_request(re.compile(r"/search/image$")) as sent:
        hand_over(tab, "drop", "dataTransfer", first_photograph(tab)[1], "handed.jpg")
    assert b"min_match" not in (sent.value.post_data_buffer or b"")
    expect(hits(tab)).to_have_count(5)
    expect(tab.locator("#min-match-value")).to_have_text("0.00")


def test_the_slider_cuts_by_match_and_leaves_the_box_alone(tab: Page) -> None:
    tab.goto("/?text=a+cat&min_match=0")
    expect(hits(tab)).to_have_count(5)
    tab.fill("#text", "a cat and a half")
    tab.locator("#min-match").focus()
    with tab.expect_request(re.compile(r"/search$")) as sent:
        tab.keyboard.press("ArrowRight")
    assert sent.value.post_data_json["min_match"] == pytest.approx(0.05)
    assert sent.value.post_data_json["text"] == "a cat"
    expect(tab.locator("#text")).to_have_value("a cat and a half")
    assert "min_match=0.05" in tab.url


def test_a_notice_of_the_service_stands_above_the_hits(tab: Page) -> None:
    answer_searches(tab, an_answer(a_hit(1), notice="mini reads English only."))
    tab.goto("/?text=кошка")
    expect(tab.locator("#notice")).to_have_text("mini reads English only.")
    expect(hits(tab)).to_have_count(1)


def test_names_are_shown_and_never_run(tab: Page) -> None:
    answer_searches(tab, an_answer(a_hit(1, name=HOSTILE, uri=f"/p/{HOSTILE}"), notice=HOSTILE))
    tab.goto("/?text=anything")
    expect(hits(tab).first).to_contain_text(HOSTILE)
    hits(tab).first.click()
    expect(tab.locator("#viewer-name")).to_have_text(HOSTILE)
    expect(tab.locator("#viewer-uri")).to_contain_text(HOSTILE)
    assert tab.locator("img[onerror]").count() == 0
    assert tab.evaluate("document.body.dataset.hacked") is None


def test_links_to_elsewhere_are_not_followed(tab: Page) -> None:
    links = dict.fromkeys(("photo", "image", "thumbnail"), "javascript:alert(1)")
    answer_searches(tab, an_answer(a_hit(1, links=links)))
    tab.goto("/?text=anything")
    hits(tab).first.click()
    assert tab.locator("#viewer-original").get_attribute("href") == ""


def test_a_slow_answer_never_covers_a_later_one(tab: Page) -> None:
    held: list[Route] = []

    def answer(route: Route) -> None:
        text = route.request.post_data_json["text"]
        if text == "slow":
            held.append(route)
        else:
            fulfill(route, an_answer(a_hit(2, name="second.jpg")))

    answer_searches(tab, an_answer())
    tab.route(re.compile(r"/search$"), answer)
    tab.goto("/")
    look_for(tab, "slow")
    expect(tab.locator("#hits .skeleton").first).to_be_visible()
    with tab.expect_event("requestfailed") as stopped:
        look_for(tab, "fast")
    assert stopped.value.post_data_json["text"] == "slow"
    expect(hits(tab)).to_have_count(1)
    expect(hits(tab).first).to_contain_text("second.jpg")
    assert len(held) == 1


def test_a_service_that_is_gone_loses_nothing_and_can_be_tried_again(tab: Page) -> None:
    tab.goto("/?min_match=0")
    tab.route(re.compile(r"/search$"), lambda route: route.abort("connectionrefused"))
    look_for(tab, "a cat")
    expect(tab.locator("#message-title")).to_have_text("The service cannot be reached")
    expect(tab.locator("#text")).to_have_value("a cat")
    tab.unroute_all()
    tab.click("#message-action")
    expect(hits(tab)).to_have_count(5)


def test_an_empty_library_says_how_to_fill_it(tab: Page) -> None:
    empty = {"photographs": 0, "model": {"name": "mini"}}
    tab.route("**/status", lambda route: fulfill(route, empty))
    answer_searches(tab, an_answer(photographs=0, answerable=False))
    tab.goto("/")
    expect(tab.locator("#message")).to_contain_text("smysl index DIR")
    look_for(tab, "a cat")
    expect(tab.locator("#message")).to_contain_text("smysl index DIR")


def test_photographs_that_are_being_read_are_counted(tab: Page) -> None:
    progress = iter([{"done": 0, "total": 0}, {"done": 20, "total": 26}])

    def answer(route: Route) -> None:
        indexing = next(progress, None)
        facts = {"photographs": indexing["done"] if indexing else 26, "model": None, "indexing": indexing}
        fulfill(route, facts)

    tab.route("**/status", answer)
    tab.goto("/")
    expect(tab.locator("#message-title")).to_have_text("The photographs are being read")
    expect(tab.locator("#library")).to_contain_text("reading 20 of 26")
    expect(tab.locator("#message")).to_be_hidden()
    expect(tab.locator("#library")).to_have_text("26 photographs")


def test_an_empty_box_asks_for_words(tab: Page) -> None:
    tab.goto("/")
    tab.press("#text", "Enter")
    expect(tab.locator("#outcome")).to_have_text("Write what the photograph should show.")
    expect(tab.locator("#text")).to_be_focused()


def test_the_description_of_the_api_needs_no_network(tab: Page) -> None:
    tab.goto("/docs")

    expect(tab.locator(".opblock-summary-path", has_text="/search/image")).to_be_visible()


@pytest.mark.parametrize("address", ["/?text=anything", "/?photo=1&box=0.1,0.1,0.5,0.5"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_nothing_is_wider_than_the_window(open_tab: OpenTab, width: int, address: str) -> None:
    tab = open_tab(width=width)
    long_name = "a name without a place to break " * 3 + "x" * 200
    answer_searches(tab, an_answer(*(a_hit(number, name=long_name) for number in range(1, 6))))
    tab.goto(address)
    expect(hits(tab)).to_have_count(5)
    tab.evaluate("document.querySelector('#part details').open = true")
    root = "document.documentElement"
    assert tab.evaluate(f"{root}.scrollWidth <= {root}.clientWidth + 20 && scrollX === 0")
    assert tab.evaluate(
        f"Math.max(...[...document.body.querySelectorAll('header *, main *')]"
        f".map(e => e.getBoundingClientRect().right)) <= {width}"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "address", ["/", "/?text=a+cat&k=10&min_match=0", "/?text=a+cat&min_match=1", "/?photo=1&box=0.1,0.1,0.5,0.5"]
)
def test_axe_finds_no_violation(open_tab: OpenTab, scheme: str, address: str) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    tab = open_tab(color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    tab.goto(address)
    if address != "/":
        expect(tab.locator("#outcome")).to_contain_text(" of ")
    if hits(tab).count():
        tab.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
        assert violations(tab) == []
        hits(tab).first.click()
    tab.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    assert violations(tab) == []


def violations(tab: Page) -> list[str]:
    found = tab.evaluate("axe.run()")["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]
