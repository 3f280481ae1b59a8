"""The exact scan, against sorting the full matrix."""

from __future__ import annotations

import numpy as np
import pytest

from eval.exact_search import kth_similarity


@pytest.mark.parametrize("chunk", [1, 7, 50])
def test_the_kth_similarity_equals_that_of_the_full_matrix(chunk: int) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(50, 8)).astype(np.float32)
    queries = generator.normal(size=(4, 8)).astype(np.float32)
    found = kth_similarity(queries, (vectors[first : first + chunk] for first in range(0, 50, chunk)), 10)
    assert found == pytest.approx(np.sort(queries @ vectors.T, axis=1)[:, -10], abs=1e-6)


def test_of_fewer_vectors_the_lowest_counts() -> None:
    vectors = np.array([[1.0], [0.25]], np.float32)
    assert kth_similarity(np.ones((1, 1), np.float32), [vectors], 10).tolist() == [0.25]
