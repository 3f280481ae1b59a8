"""Searching with a head for flowers, fitted by the test, with the real model, service and tab."""

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
from tests.service.sample_heads import make_head

if TYPE_CHECKING:
    from playwright.sync_api import Page

KINDS = ("daisy", "dandelion", "rose", "sunflower", "tulip")
TRAIN, TEST = 12, 3
"""Photographs of each kind in the library, and query photographs of each kind."""


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
    """A head by linear discriminant analysis of the library's features, with the covariance shrunk by half."""
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
    make_head(Projection("mini", fingerprint, 1.0, center, projection), kinds=KINDS, candidate="LDA").save(folder)
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
    """A service that runs while the head is added."""
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


def precision_at_5(service: RunningService, flowers: Path, head: str | None) -> float:
    """Mean share of the five nearest photographs of a test photograph that are of its kind."""
    is_right = []
    for kind in KINDS:
        for file in (flowers / "test" / kind).iterdir():
            answer = httpx.post(
                f"{service.url}/search/image",
                files={"photo": (file.name, file.read_bytes())},
                data={"k": 5} | ({"head": head} if head else {}),
                timeout=60,
            ).json()
            is_right += [Path(hit["uri"]).parent.name == kind for hit in answer["hits"]]
    assert len(is_right) == 5 * TEST * len(KINDS)
    return sum(is_right) / len(is_right)


def test_a_head_brings_photographs_of_one_kind_together(service: RunningService, flowers: Path) -> None:
    assert httpx.get(f"{service.url}/heads").json()["heads"][0]["name"] == "flowers", (
        "the running service sees the new head"
    )
    without, with_head = precision_at_5(service, flowers, None), precision_at_5(service, flowers, "flowers")
    assert with_head > without + 0.05, (without, with_head)


def test_the_page_offers_heads_for_photos_and_keeps_the_choice(service: RunningService, tab: Page) -> None:
    from tests.e2e.browser import expect

    tab.goto("/?text=a+red+rose")
    expect(tab.locator("#hits .hit").first).to_be_visible()
    expect(tab.get_by_label("Compare by")).to_be_hidden()
    tab.locator("#hits .hit").first.click()
    tab.click("#viewer-similar")
    choice = tab.get_by_label("Compare by")
    expect(choice).to_have_value("")
    expect(tab.locator("#outcome")).not_to_contain_text("head flowers")
    before = tab.locator("#hits .hit").all_inner_texts()
    choice.select_option("flowers")
    expect(tab.locator("#outcome")).to_contain_text("head flowers")
    assert re.search(r"[?&]photo=\d+&head=flowers", tab.url)
    assert tab.locator("#hits .hit").all_inner_texts() != before
    tab.reload()
    expect(tab.locator("#outcome")).to_contain_text("head flowers")
    expect(choice).to_have_value("flowers")
    choice.press("Home")
    expect(tab.locator("#outcome")).not_to_contain_text("head flowers")
    assert "head=" not in tab.url


def test_the_page_reports_an_unknown_head_and_offers_others(service: RunningService, tab: Page) -> None:
    from tests.e2e.browser import expect

    tab.goto("/?photo=1&head=trees")
    expect(tab.locator("#message")).to_contain_text("has no head trees")
    expect(tab.get_by_label("Compare by")).to_have_value("trees")
    tab.get_by_label("Compare by").select_option("flowers")
    expect(tab.locator("#hits .hit")).to_have_count(5)


def test_a_removed_head_is_gone_from_the_running_service(service: RunningService) -> None:
    """Must be the last test, because the others use the head."""
    assert smysl("head", "remove", "flowers", "--library", service.library).returncode == 0
    answer = httpx.post(f"{service.url}/search", json={"photo_id": 1, "head": "flowers"})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (404, "not_found")
    assert httpx.get(f"{service.url}/heads").json() == {"heads": []}
