"""Searching with uploaded photos on the page: chosen, dropped or pasted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser import (
    drop_or_paste,
    expect,
    first_cat,
    hits,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_chosen_file_finds_itself(tab: Page, tmp_path: Path) -> None:
    tab.goto("/")
    photograph = tmp_path / "мой кот.jpg"
    name, content = first_cat(tab)
    photograph.write_bytes(content)
    tab.set_input_files("#file", photograph)
    expect(tab.locator("#chip-name")).to_have_text("мой кот.jpg")
    expect(hits(tab).first).to_contain_text(name)


@pytest.mark.parametrize(("event", "carrier"), [("drop", "dataTransfer"), ("paste", "clipboardData")])
def test_photos_can_be_dropped_and_pasted(tab: Page, event: str, carrier: str) -> None:
    tab.goto("/")
    name, content = first_cat(tab)
    drop_or_paste(tab, event, carrier, content, "upload.jpg")
    expect(tab.locator("#chip-name")).to_have_text("upload.jpg")
    expect(hits(tab).first).to_contain_text(name)


def test_more_photos_like_an_uploaded_one_can_be_shown(tab: Page) -> None:
    tab.goto("/")
    drop_or_paste(tab, "drop", "dataTransfer", first_cat(tab)[1], "upload.jpg")
    expect(hits(tab)).to_have_count(5)
    tab.click("#more")
    expect(hits(tab)).to_have_count(tab.request.get("/status").json()["photographs"])
    ids = tab.locator("#hits li").evaluate_all("tiles => tiles.map(tile => tile.dataset.id)")
    assert len(set(ids)) == len(ids)
    expect(tab.locator("#more")).to_be_hidden()


def test_after_a_reload_an_uploaded_photo_is_reported_as_gone(tab: Page) -> None:
    tab.goto("/")
    drop_or_paste(tab, "drop", "dataTransfer", first_cat(tab)[1], "upload.jpg")
    expect(hits(tab)).to_have_count(5)
    tab.reload()
    expect(tab.locator("#message")).to_contain_text("upload.jpg")
    expect(hits(tab)).to_have_count(0)


def test_an_upload_over_the_limit_is_refused_with_a_message(tab: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(b"\xff\xd8\xff" + bytes(30_000_000))
    tab.goto("/")
    tab.set_input_files("#file", large)
    expect(tab.locator("#message")).to_be_visible()
    expect(tab.locator("#message")).to_contain_text("MB")
    expect(tab.locator("#message")).not_to_contain_text("Cannot reach")


def test_a_file_that_is_not_a_photo_is_refused_with_a_message(tab: Page, tmp_path: Path) -> None:
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear photographer,")
    tab.goto("/")
    tab.set_input_files("#file", letter)
    expect(tab.locator("#message-title")).to_have_text("The search failed")
    expect(tab.locator("#message-text")).not_to_be_empty()


def test_an_upload_uses_the_default_minimum_match(tab: Page) -> None:
    tab.goto("/")
    with tab.expect_request(re.compile(r"/search/image$")) as sent:
        drop_or_paste(tab, "drop", "dataTransfer", first_cat(tab)[1], "upload.jpg")
    assert b"min_match" not in (sent.value.post_data_buffer or b"")
    expect(hits(tab)).to_have_count(5)
    expect(tab.locator("#min-match-value")).to_have_text("0.00")
