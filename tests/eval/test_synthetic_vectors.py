"""Synthetic vectors, and those of a library split into vectors and queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.synthetic_vectors import VectorSet, draw_or_read, draw_vectors, library_vectors, mini_bank
from service.errors import LibraryError, UsageError
from tests.service.pictures import save_picture

SIZE, QUERIES = 600, 20


@pytest.fixture(scope="module")
def data() -> VectorSet:
    return draw_vectors(mini_bank(), SIZE, QUERIES)


def test_the_seed_decides_the_vectors(data: VectorSet) -> None:
    again, other = draw_vectors(mini_bank(), SIZE, QUERIES), draw_vectors(mini_bank(), SIZE, QUERIES, seed=1)
    assert np.array_equal(again.vectors, data.vectors)
    assert np.array_equal(again.queries, data.queries)
    assert not np.array_equal(other.vectors, data.vectors)


def test_queries_are_not_among_the_vectors(data: VectorSet) -> None:
    assert data.vectors.shape == (SIZE, 512)
    assert data.queries.shape == (QUERIES, 512)
    assert np.linalg.norm(data.vectors, axis=1) == pytest.approx(np.ones(SIZE), abs=1e-5)
    assert (data.queries @ data.vectors.T).max() < 0.99


def test_neighbours_are_as_near_as_those_of_photographs() -> None:
    made = draw_vectors(mini_bank(), 6000, 300)
    similarities = np.sort(made.queries @ made.vectors.T, axis=1)
    assert similarities.mean() == pytest.approx(0.0, abs=0.05)
    assert similarities[:, -1].mean() == pytest.approx(0.72, abs=0.03)
    assert similarities[:, -10].mean() == pytest.approx(0.62, abs=0.03)
    assert similarities[:, -100].mean() == pytest.approx(0.45, abs=0.03)
    random = np.random.default_rng(0).standard_normal((6300, 512)).astype(np.float32)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    assert np.sort(random[6000:] @ random[:6000].T, axis=1)[:, -1].mean() < 0.3


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, tiny: Any) -> Path:
    from service.config import Settings
    from service.library import Library

    photographs = tmp_path_factory.mktemp("photographs")
    for seed in range(30):
        save_picture(photographs / f"{seed}.jpg", seed, size=(96, 64))
    folder = tmp_path_factory.mktemp("made") / "library"
    with Library.open(folder, Settings(library=folder), create=True) as opened:
        for _ in opened.index([photographs], encoder=tiny):
            pass
    return folder


def test_the_vectors_of_a_library_are_split_into_vectors_and_queries(library: Path, tiny: Any) -> None:
    own = library_vectors(library, 5)
    assert own.vectors.shape == (25, tiny.dimension)
    assert own.queries.shape == (5, tiny.dimension)
    everything = np.concatenate([own.vectors, own.queries])
    assert len(np.unique(everything, axis=0)) == 30
    assert np.linalg.norm(everything, axis=1) == pytest.approx(np.ones(30), abs=1e-3)


def test_a_library_that_is_too_small_or_missing_is_refused(library: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="holds 30 photographs, too few to hold out 16"):
        library_vectors(library, 16)
    with pytest.raises(LibraryError, match="no library"):
        library_vectors(tmp_path, 16)


def test_sizes_are_for_synthetic_vectors_only(library: Path) -> None:
    sizes, _ = draw_or_read([], None, 5, 0)
    assert sizes == [10_000]
    sizes, draw = draw_or_read([], library, 5, 0)
    assert sizes == [25] == [len(draw(25, lambda done, total: None).vectors)]
    with pytest.raises(UsageError, match="leave out --photos"):
        draw_or_read([1000], library, 5, 0)
    for queries in (0, 10_001):
        with pytest.raises(UsageError, match="--queries is"):
            draw_or_read([], None, queries, 0)
