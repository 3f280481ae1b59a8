"""The benchmark of searches: its figures, what it refuses, and that its recall is recall."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eval.bench_search import MAX_QUERIES, bench_search, exact_lowest, found_share
from eval.synthetic_library import make_synthetic_library
from eval.synthetic_vectors import mini_fingerprint
from service.errors import LibraryError, UsageError
from service.library import Library
from service.store.catalog import Catalog
from tests.conftest import Finished

pytestmark = pytest.mark.e2e

COUNT = 40


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench-search") / "library"
    make_synthetic_library(folder, COUNT, thumbnails=False)
    return folder


@pytest.fixture
def catalog(library: Path) -> Catalog:
    return Catalog(library / "catalog.sqlite")


def test_a_library_is_searched_in_all_ways(library: Path, smysl: Callable[..., Finished]) -> None:
    done = smysl("bench", "search", "--library", library, "--queries", 3, "--repeats", 2, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    figures = {each["name"]: each for each in report["figures"]}
    ways = ["the text tower alone", "Library.search", "GET /search", "GET /search, texts remembered"]
    for way in ways:
        of_way = figures[f"{COUNT}: p50 of {way}"]
        assert len(of_way["values"]) == 2
        assert of_way["unit"] == "ms"
        assert of_way["least"] > 0
    search, tower = (figures[f"{COUNT}: p50 of {way}"]["values"] for way in ("GET /search", "the text tower alone"))
    beyond = figures[f"{COUNT}: GET /search beyond the text tower"]["values"]
    assert beyond == pytest.approx(np.subtract(search, tower), abs=0.01)
    assert figures[f"{COUNT}: recall@10, texts"]["values"] == [100]
    assert figures[f"{COUNT}: recall@10, photographs"]["values"] == [100]
    assert report["settings"][f"index at {COUNT}"]


def test_synthetic_libraries_are_removed_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    stages: list[str] = []
    report = bench_search([25, 12, 25], queries=2, repeats=1, on_stage=lambda what, done, total: stages.append(what))
    assert [each.name for each in report.figures if "GET /search beyond" in each.name] == [
        "12: GET /search beyond the text tower",
        "25: GET /search beyond the text tower",
    ]
    assert "12: making the library" in stages
    assert not [each for each in tmp_path.iterdir() if each.name.startswith("smysl-")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 0}, "--repeats is 0"),
        ({"queries": 0}, "--queries is 0"),
        ({"queries": MAX_QUERIES + 1}, "--queries is 1,001"),
        ({"photographs": [0]}, "--photos is 0"),
        ({"photographs": [7], "library": Path("somewhere")}, "leave out --photos or --library"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bench_search(**options)  # type: ignore[arg-type]


def test_an_empty_library_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with Library.open(tmp_path / "empty", create=True):
        pass
    with pytest.raises(LibraryError, match="is empty"):
        bench_search(library=tmp_path / "empty", queries=1, repeats=1)
    with pytest.raises(LibraryError, match="There is no library"):
        bench_search(library=tmp_path / "nothing", queries=1, repeats=1)


def test_the_exact_scan_finds_the_lowest_similarity_that_counts(catalog: Catalog) -> None:
    fingerprint = mini_fingerprint()
    ids = [row[0] for row in catalog.connection.execute("SELECT id FROM photograph ORDER BY id")]
    vectors = np.stack([catalog.vector(identity, fingerprint) for identity in ids])
    lowest = exact_lowest(catalog, fingerprint, vectors[:3], 5)
    assert lowest == pytest.approx(np.sort(vectors[:3] @ vectors.T, axis=1)[:, -5], abs=1e-6)
    everything = exact_lowest(catalog, fingerprint, vectors[:3], COUNT + 1)
    assert everything == pytest.approx((vectors[:3] @ vectors.T).min(axis=1), abs=1e-6)


def test_a_found_photograph_counts_once(catalog: Catalog) -> None:
    fingerprint = mini_fingerprint()
    ids = np.array([row[0] for row in catalog.connection.execute("SELECT id FROM photograph ORDER BY id")])
    vectors = np.stack([catalog.vector(int(identity), fingerprint) for identity in ids])
    nearest = ids[np.argsort(-(vectors @ vectors[0]))]
    lowest = float(np.sort(vectors @ vectors[0])[-10])

    def share(found: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        return found_share(vectors[0], found, catalog, fingerprint, lowest, 10)

    assert share(nearest[:10]) == 1.0
    assert share(nearest[:9]) == 0.9
    assert share(np.append(nearest[:9], nearest[-1])) == 0.9
    assert share(np.append(nearest[:5], nearest[:5])) == 0.5
