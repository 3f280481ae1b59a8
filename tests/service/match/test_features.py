"""Features of a text and a photograph are finite, and the same for single pairs and batches."""

from __future__ import annotations

import numpy as np
import pytest

from service.match.artifact import quantised
from service.match.features import BANKS, FEATURES, POWERS, TEMPERATURES, Bank, pair_features, prepare
from service.types import Float32Array
from tests.service.sample_artifacts import make_bank, random_unit_vectors

DIMENSION = 32


def banks() -> tuple[Bank, ...]:
    return tuple(make_bank(DIMENSION, seed) for seed in range(1, len(BANKS) + 1))


def measured(texts: Float32Array, photographs: Float32Array, own: tuple[Bank, ...] | None = None) -> Float32Array:
    """Features of each text with the photograph of the same row."""
    own = own or banks()
    rows = np.arange(len(texts))
    return pair_features(prepare(texts, own), prepare(photographs, own), own, rows, rows)


def test_every_feature_has_a_name_of_its_own() -> None:
    assert len(set(FEATURES)) == len(FEATURES)
    found = measured(random_unit_vectors(7, DIMENSION, 8), random_unit_vectors(7, DIMENSION, 9))
    assert (found.shape, found.dtype) == ((7, len(FEATURES)), np.float32)


def test_the_first_feature_is_the_cosine() -> None:
    texts, photographs = random_unit_vectors(20, DIMENSION, 8), random_unit_vectors(20, DIMENSION, 9)
    assert measured(texts, photographs)[:, 0] == pytest.approx((texts * photographs).sum(axis=1), abs=1e-6)


def test_a_bank_that_holds_vectors_twice_equals_counts_of_two() -> None:
    vectors = random_unit_vectors(12, DIMENSION, 1)
    some = np.array([0, 3, 7])
    counts = np.ones(12, np.float32)
    counts[some] = 2
    texts, photographs = random_unit_vectors(30, DIMENSION, 8), random_unit_vectors(30, DIMENSION, 9)
    twice = Bank(np.concatenate([vectors, vectors[some]]), np.ones(15, np.float32))
    counted = Bank(vectors, counts)
    found = measured(texts, photographs, (twice, twice))
    assert found == pytest.approx(measured(texts, photographs, (counted, counted)), abs=1e-4)
    plain = Bank(vectors, np.ones(12, np.float32))
    assert np.abs(found - measured(texts, photographs, (plain, plain))).max() > 1e-3, "counts make a difference"


def test_only_the_proportions_of_counts_matter() -> None:
    one, other = make_bank(DIMENSION, 1), make_bank(DIMENSION, 1)
    other = Bank(one.vectors, one.counts * 1000)
    texts, photographs = random_unit_vectors(9, DIMENSION, 8), random_unit_vectors(9, DIMENSION, 9)
    found = measured(texts, photographs, (one, one))
    assert found == pytest.approx(measured(texts, photographs, (other, other)), abs=2e-6)


def test_a_batch_of_pairs_equals_single_pairs() -> None:
    texts, photographs = random_unit_vectors(6, DIMENSION, 8), random_unit_vectors(40, DIMENSION, 9)
    own = banks()
    text_rows, photograph_rows = (each.ravel() for each in np.mgrid[0:6, 0:40])
    together = pair_features(prepare(texts, own), prepare(photographs, own), own, text_rows, photograph_rows)
    for row in range(0, len(together), 17):
        text, photograph = texts[text_rows[row]], photographs[photograph_rows[row]]
        assert measured(text[None], photograph[None])[0] == pytest.approx(together[row], abs=2e-6)


def special() -> Float32Array:
    """Vectors along the axes, equal to each other, opposite, and centroids of a bank."""
    axes = np.eye(DIMENSION, dtype=np.float32)
    return np.concatenate([axes[:3], axes[:1], -axes[:2], banks()[0].vectors[:2], banks()[1].vectors[:2]])


def test_features_are_finite_for_orthogonal_equal_and_opposite_vectors() -> None:
    vectors = special()
    own = banks()
    rows, columns = (each.ravel() for each in np.mgrid[0 : len(vectors), 0 : len(vectors)])
    found = pair_features(prepare(vectors, own), prepare(vectors, own), own, rows, columns)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 10


def test_a_bank_of_two_vectors_gives_finite_features() -> None:
    few = Bank(random_unit_vectors(2, DIMENSION, 1), np.ones(2, np.float32))
    found = measured(special(), special()[::-1], (few, few))
    assert np.isfinite(found).all()


def test_readouts_lie_within_the_bank() -> None:
    found = prepare(random_unit_vectors(20, DIMENSION, 8), banks())
    for seen in found.by_bank:
        assert len(seen.readouts) == len(TEMPERATURES)
        for each in seen.readouts:
            assert (np.linalg.norm(each, axis=1) <= 1 + 1e-6).all()


def test_a_centroid_of_the_bank_is_nearer_to_it_than_random_vectors() -> None:
    own = banks()
    assert (
        prepare(own[0].vectors[-1:], own).nearness[0]
        > prepare(random_unit_vectors(20, DIMENSION, 8), own).nearness.max()
    )


def test_the_powers_of_a_covariance_are_symmetric_with_eigenvalues_from_0_to_1() -> None:
    bank = make_bank(DIMENSION, 1)
    assert len(bank.powers) == len(POWERS)
    for power in bank.powers:
        assert power == pytest.approx(power.T, abs=1e-6)
        values = np.linalg.eigvalsh(power)
        assert values.min() > -1e-5
        assert values.max() == pytest.approx(1.0, abs=1e-5)


def test_quantising_changes_vectors_little_and_the_second_time_not_at_all() -> None:
    vectors = random_unit_vectors(50, 512, 4)
    kept = quantised(vectors)
    assert (kept * vectors).sum(axis=1).min() > 0.999
    assert np.linalg.norm(kept, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert quantised(kept) == pytest.approx(kept, abs=1e-7)


def test_a_bank_without_variance_gives_finite_features() -> None:
    alike = np.tile(np.float32([[0.6, 0.8, 0.0]]), (3, 1))
    bank = Bank(alike, np.ones(3, np.float32))
    ready = prepare(np.eye(3, dtype=np.float32), (bank, bank))
    rows = np.arange(3)

    assert np.isfinite(pair_features(ready, ready, (bank, bank), rows, rows)).all()
