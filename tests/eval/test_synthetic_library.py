"""A library without photographs that works like a real one."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.synthetic_library import DIMENSION, FEATURES, IN_A_FOLDER, SyntheticWriter, make_synthetic_library
from eval.synthetic_vectors import mini_fingerprint
from service.errors import UsageError
from service.library import Library
from service.search.query import Query
from service.store.catalog import Catalog

PHOTOGRAPHS = IN_A_FOLDER + 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "library"
    make_synthetic_library(folder, PHOTOGRAPHS)
    return folder


def test_it_holds_what_indexing_writes(made: Path) -> None:
    with Library.open(made) as library:
        status = library.status()
        catalog = library.catalog
        fingerprint = mini_fingerprint()
        assert (status.photographs, status.model, status.fingerprint) == (PHOTOGRAPHS, "mini", fingerprint)
        assert catalog.count_with_vectors([fingerprint, f"{fingerprint}.features"]) == PHOTOGRAPHS
        last = max(identity for identity, _ in catalog.photographs_under(status.roots[0].id, ""))
        assert catalog.record(last).relative == "00001/IMG_0019.jpg"
        assert np.linalg.norm(catalog.vector(last, fingerprint)) == pytest.approx(1, abs=1e-3)
        assert catalog.vector(last, fingerprint).shape == (DIMENSION,)
        assert catalog.vector(last, f"{fingerprint}.features").shape == (FEATURES,)


def test_thumbnails_are_jpegs_of_many_sizes(made: Path) -> None:
    with Library.open(made) as library:
        jpegs = [library.catalog.thumbnail(identity) for identity in range(1, 101)]
    assert max(Image.open(io.BytesIO(jpegs[0])).size) == 384
    sizes = {len(jpeg) for jpeg in jpegs}
    assert len(sizes) > 24
    assert 8_000 < np.mean([len(jpeg) for jpeg in jpegs]) < 16_000


def test_it_has_an_index_and_can_be_searched(made: Path) -> None:
    written = {file.name for file in made.iterdir()}
    assert {"catalog.sqlite", "vectors.json"} <= written
    with Library.open(made) as library:
        found = library.search(Query(text="two dogs play in the snow", k=5, min_match=0))
        assert len(found.hits) == 5


def test_the_seed_decides_the_vectors(tmp_path: Path) -> None:
    vectors = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_synthetic_library(tmp_path / name, 3, seed=seed, thumbnails=False)
        with sqlite3.connect(tmp_path / name / "catalog.sqlite") as connection:
            vectors[name] = connection.execute("SELECT data FROM vector ORDER BY photograph_id, fingerprint").fetchall()
        connection.close()
    assert vectors["a"] == vectors["b"] != vectors["c"]


def test_photographs_added_later_are_different(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    first = SyntheticWriter(catalog, tmp_path / "photographs", thumbnails=False).add(4)
    second = SyntheticWriter(catalog, tmp_path / "photographs", thumbnails=False).add(4)
    assert len({*first, *second}) == 8
    _, _, chunks = catalog.changes([mini_fingerprint()], 0)
    vectors = np.concatenate([each.astype(np.float32) for _, (each,) in chunks])
    similar = vectors @ vectors.T - np.eye(len(vectors), dtype=np.float32)
    assert similar.max() < 0.99
    catalog.close()


def test_progress_ends_at_its_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make_synthetic_library(
        tmp_path / "library", 7, thumbnails=False, on_progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (7, 7)


@pytest.mark.parametrize("photographs", [0, -1, 10_000_001])
def test_a_number_out_of_range_is_refused(photographs: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--photos"):
        make_synthetic_library(tmp_path / "library", photographs)
    assert not (tmp_path / "library").exists()


def test_an_existing_library_is_left_alone(made: Path) -> None:
    with pytest.raises(UsageError, match="already"):
        make_synthetic_library(made, 1)


def test_a_real_library_is_not_filled_up(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.remove([1])
    with pytest.raises(UsageError, match="real photographs"):
        SyntheticWriter(catalog, tmp_path / "photographs")
    assert catalog.setting("model") is None
    catalog.close()


def test_names_are_not_reused_after_removals(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    first = SyntheticWriter(catalog, tmp_path / "photographs", thumbnails=False).add(4)
    catalog.remove(first[:2])
    SyntheticWriter(catalog, tmp_path / "photographs", thumbnails=False).add(4)
    assert catalog.count() == 6
    catalog.close()
