"""A head for flowers, from features to the page: fitted here by hand, searched with the real model and service."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from service.types import AnyArray, Float32Array, Float64Array
from tests.conftest import SMYSL, RunningService, _address
from tests.service.heads_by_hand import a_head

if TYPE_CHECKING:
    from playwright.sync_api import Page

KINDS = ("daisy", "dandelion", "rose", "sunflower", "tulip")
TRAIN, TEST = 12, 3
"""Photographs of a kind in the library, and those that are looked for with."""


def smysl(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SMYSL, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def flowers(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = shared_data / "flowers"
    if not source.is_dir():
        pytest.skip(f"no flowers in {shared_data}")
    folder = tmp_path_factory.mktemp("flowers")
    for part, count in (("train", TRAIN), ("test", TEST)):
        for kind in KINDS:
            (folder / part / kind).mkdir(parents=True)
            for file in sorted((source / part / kind).iterdir())[:count]:
                shutil.copy(file, folder / part / kind)
    return folder


@pytest.fixture(scope="module")
def library(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads") / "library"
    done = smysl("index", flowers / "train", "--library", folder, "--model", "mini")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def head(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Linear discriminants of the library's own features, with half of the within-kind scatter taken for round."""
    from service.heads.projection import Projection
    from service.library import Library

    with Library.open(library) as opened:
        fingerprint = opened.status().fingerprint
        assert fingerprint is not None
        _, _, chunks = opened.catalog.changes([f"{fingerprint}.features"], 0)
        ((ids, (features,)),) = chunks
        records = opened.catalog.records(ids.tolist())
    kinds = np.array([records[int(identity)].folder for identity in ids])
    center, projection = discriminants(features.astype(np.float64), kinds)
    folder = tmp_path_factory.mktemp("head")
    a_head(Projection("mini", fingerprint, 1.0, center, projection), kinds=KINDS, candidate="LDA").save(folder)
    return folder


def discriminants(features: Float64Array, kinds: AnyArray) -> tuple[Float32Array, Float32Array]:
    center = features.mean(axis=0)
    means = {kind: features[kinds == kind].mean(axis=0) for kind in set(kinds)}
    within = np.cov((features - np.stack([means[kind] for kind in kinds])).T)
    within = 0.5 * within + 0.5 * np.trace(within) / len(within) * np.eye(len(within))
    between = np.stack(list(means.values())) - center
    directions = np.linalg.solve(within, between.T)
    return center.astype(np.float32), directions.astype(np.float32)


@pytest.fixture(scope="module")
def service(library: Path, head: Path) -> Iterator[RunningService]:
    """A service that was started before the head was added."""
    process = subprocess.Popen(
        [*SMYSL, "serve", "--library", str(library), "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        running = RunningService(_address(process), library, process)
        added = smysl("head", "add", "flowers", head, "--library", library)
        assert added.returncode == 0, added.stderr
        assert f"finds {TRAIN * len(KINDS)} photographs" in added.stdout
        yield running
    finally:
        process.terminate()
        process.wait(30)
        if process.stderr:
            process.stderr.close()


def right(service: RunningService, flowers: Path, head: str | None) -> float:
    """The share of the nearest five to each test photograph that are of its kind."""
    hits = []
    for kind in KINDS:
        for file in (flowers / "test" / kind).iterdir():
            answer = httpx.post(
                f"{service.url}/search/image",
                files={"photo": (file.name, file.read_bytes())},
                data={"k": 5} | ({"head": head} if head else {}),
                timeout=60,
            ).json()
            hits += [Path(hit["uri"]).parent.name == kind for hit in answer["hits"]]
    assert len(hits) == 5 * TEST * len(KINDS)
    return sum(hits) / len(hits)


def test_a_head_brings_photographs_of_one_kind_together(service: RunningService, flowers: Path) -> None:
    assert httpx.get(f"{service.url}/heads").json()["heads"][0]["name"] == "flowers", "it was added while this ran"
    plain, by_head = right(service, flowers, None), right(service, flowers, "flowers")
    assert by_head > plain + 0.05, (plain, by_head)


def test_the_page_offers_the_heads_for_photographs_and_keeps_the_choice(service: RunningService, page: Page) -> None:
    from playwright.sync_api import expect

    page.goto("/?text=a+red+rose")
    expect(page.locator("#hits .hit").first).to_be_visible()
    expect(page.get_by_label("Compare by")).to_be_hidden()
    page.locator("#hits .hit").first.click()
    page.click("#viewer-like")
    choice = page.get_by_label("Compare by")
    expect(choice).to_have_value("")
    expect(page.locator("#outcome")).not_to_contain_text("head flowers")
    before = page.locator("#hits .hit").all_inner_texts()
    choice.select_option("flowers")
    expect(page.locator("#outcome")).to_contain_text("head flowers")
    assert re.search(r"[?&]photo=\d+&head=flowers", page.url)
    assert page.locator("#hits .hit").all_inner_texts() != before
    page.reload()
    expect(page.locator("#outcome")).to_contain_text("head flowers")
    expect(choice).to_have_value("flowers")
    choice.press("Home")
    expect(page.locator("#outcome")).not_to_contain_text("head flowers")
    assert "head=" not in page.url


def test_a_head_that_is_gone_is_said_and_another_can_be_chosen(service: RunningService, page: Page) -> None:
    from playwright.sync_api import expect

    page.goto("/?photo=1&head=trees")
    expect(page.locator("#message")).to_contain_text("has no head trees")
    expect(page.get_by_label("Compare by")).to_have_value("trees")
    page.get_by_label("Compare by").select_option("flowers")
    expect(page.locator("#hits .hit")).to_have_count(5)


@pytest.fixture(scope="module")
def page(service: RunningService) -> Iterator[Page]:
    from tests.e2e.test_page import BROWSERS, FLAGS

    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=FLAGS)
        context = browser.new_context(base_url=service.url, viewport={"width": 1280, "height": 900})
        context.set_default_timeout(15_000)
        yield context.new_page()
        browser.close()


def test_removed_it_is_no_longer_there_for_anybody(service: RunningService) -> None:
    """The last of these tests, since the others search with it."""
    assert smysl("head", "remove", "flowers", "--library", service.library).returncode == 0
    answer = httpx.post(f"{service.url}/search", json={"photo_id": 1, "head": "flowers"})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (404, "not_found")
    assert httpx.get(f"{service.url}/heads").json() == {"heads": []}
