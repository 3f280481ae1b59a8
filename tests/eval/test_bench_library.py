"""The benchmark of a growing library, on a few photographs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval import bench_library as bench
from eval.bench_library import bench_library, is_exact, sizes_up_to
from eval.bench_report import BenchReport
from eval.query_texts import COUNT, query_texts
from service.errors import UsageError
from service.library import Library
from service.store.catalog import Catalog

pytestmark = pytest.mark.e2e

SIZES = (20, 60)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "library"


@pytest.fixture(scope="module")
def report(kept: Path) -> BenchReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "FIRST_SIZE", SIZES[0])
        patch.setattr(bench, "CHANGED", 5)
        patch.setattr(bench, "WARM", 1)
        return bench_library(SIZES[1], keep=kept, queries=3, repeats=2)


def test_every_size_has_every_figure_with_all_repeats(report: BenchReport) -> None:
    found = {figure.name: figure for figure in report.figures}
    for size in SIZES:
        once = [
            "filling, a thousand",
            "making the index and the attributes",
            "catalog beside thumbnails, a photograph",
            "thumbnails, a photograph",
            "metadata in the catalog, a photograph",
            "index, a photograph",
            "attributes, a photograph",
        ]
        repeated = [
            "adding 5",
            "removing 5",
            "loading the attributes",
            "filter by every July",
            "filter by four conditions",
            "facets",
            "first page of the timeline",
            "start of the service",
            "p50 of GET /search",
            "p95 of GET /search",
            "p50 of the text tower",
            "search that leaves 1 %",
        ]
        assert {len(found[f"{size}: {name}"].values) for name in once} == {1}
        assert {len(found[f"{size}: {name}"].values) for name in repeated} == {2}
        assert all(found[f"{size}: {name}"].least > 0 for name in once + repeated)
        assert found[f"{size}: search that leaves 1 %, as an exact scan"].values == (100, 100)
    assert report.settings["sizes"] == list(SIZES)
    assert report.machine["cores"] >= 1


def test_the_kept_library_has_the_last_size(report: BenchReport, kept: Path) -> None:
    with Library.open(kept) as library:
        assert library.catalog.count() == report.settings["sizes"][-1]


def test_a_kept_library_is_measured_again_without_filling(
    report: BenchReport, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "CHANGED", 5)
    again = bench_library(SIZES[1], keep=kept, queries=2, repeats=1)
    assert again.settings["sizes"] == [SIZES[1]]
    assert not any("filling" in figure.name for figure in again.figures)
    with pytest.raises(UsageError, match="holds 60"):
        bench_library(10, keep=kept, queries=2, repeats=1)


@pytest.mark.parametrize(
    ("photographs", "existing", "sizes"),
    [
        (1_000_000, 0, [1_000, 10_000, 100_000, 1_000_000]),
        (5_000, 0, [1_000, 5_000]),
        (1_000, 0, [1_000]),
        (30, 0, [30]),
        (1_000_000, 60_000, [100_000, 1_000_000]),
        (1_000_000, 1_000_000, [1_000_000]),
    ],
)
def test_sizes_are_powers_of_ten_and_the_last(photographs: int, existing: int, sizes: list[int]) -> None:
    assert sizes_up_to(photographs, existing) == sizes


def test_exact_results_differ_from_approximate_ones() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(50, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(100, 150, dtype=np.int64)
    similarities = vectors @ vectors[0]
    order = np.argsort(-similarities)[:10]
    assert is_exact(vectors[0], vectors, ids, (similarities[order], ids[order]))
    swapped = np.append(order[:9], np.argsort(-similarities)[20])
    assert not is_exact(vectors[0], vectors, ids, (similarities[swapped], ids[swapped]))
    assert not is_exact(vectors[0], vectors, ids, (similarities[order[:9]], ids[order[:9]]))
    assert not is_exact(vectors[0], vectors, ids, (similarities[order], np.full(10, ids[order[0]])))
    assert not is_exact(vectors[0], vectors, ids, (similarities[order], ids[order] + 1000))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--photos", "0"], "--photos is 0; it must be from 1 to 10,000,000."),
        (["--repeats", "0"], "--repeats is 0; it must be 1 or more."),
        (["--queries", "0"], "--queries is 0; it must be 1 or more."),
        (["--plot", "no/such/folder.svg"], "cannot be written"),
    ],
)
def test_options_out_of_range_are_refused_with_a_sentence(
    options: list[str], says: str, smysl: Callable[..., Any]
) -> None:
    done = smysl("bench", "library", *options)
    assert done.code == UsageError.exit_code
    assert says in done.err


def test_a_library_of_real_photographs_is_left_alone(tmp_path: Path, smysl: Callable[..., Any]) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.remove([1])
    catalog.close()
    done = smysl("bench", "library", "--photos", 10, "--keep", tmp_path)
    assert done.code == UsageError.exit_code
    assert "real photographs" in done.err


def test_the_command_prints_json_and_draws(
    report: BenchReport, kept: Path, tmp_path: Path, smysl: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "CHANGED", 5)
    plot = tmp_path / "growth.svg"
    options = ["--photos", SIZES[1], "--keep", kept, "--queries", 2, "--repeats", 1, "--plot", plot, "--json"]
    done = smysl("bench", "library", *options)
    assert done.code == 0, done.err
    assert json.loads(done.out)["bench"] == "library"
    assert plot.read_text().startswith("<svg")


def test_no_text_repeats() -> None:
    texts = query_texts(1)
    some = [next(texts) for _ in range(COUNT + 100)]
    assert len(set(some)) == len(some)
    assert 15 < max(len(text.split()) for text in some) < 25
