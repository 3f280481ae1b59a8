"""What is measured of a text and a photograph: the same however they are handed over, and always a number."""

from __future__ import annotations

import numpy as np
import pytest

from service.match.artifact import rounded
from service.match.features import BANKS, FEATURES, POWERS, TEMPERATURES, Bank, features, side
from service.types import Float32Array
from tests.service.matches import a_bank, strangers

DIMENSION = 32


def banks() -> tuple[Bank, ...]:
    return tuple(a_bank(DIMENSION, seed) for seed in range(1, len(BANKS) + 1))


def measured(texts: Float32Array, photographs: Float32Array, own: tuple[Bank, ...] | None = None) -> Float32Array:
    """Features of texts and photographs at the same places."""
    own = own or banks()
    rows = np.arange(len(texts))
    return features(side(texts, own), side(photographs, own), own, rows, rows)


def test_every_feature_has_a_name_of_its_own() -> None:
    assert len(set(FEATURES)) == len(FEATURES)
    found = measured(strangers(7, DIMENSION, 8), strangers(7, DIMENSION, 9))
    assert (found.shape, found.dtype) == ((7, len(FEATURES)), np.float32)


def test_the_first_feature_is_the_cosine() -> None:
    texts, photographs = strangers(20, DIMENSION, 8), strangers(20, DIMENSION, 9)
    assert measured(texts, photographs)[:, 0] == pytest.approx((texts * photographs).sum(axis=1), abs=1e-6)


def test_a_bank_that_holds_vectors_twice_equals_counts_of_two() -> None:
    vectors = strangers(12, DIMENSION, 1)
    some = np.array([0, 3, 7])
    counts = np.ones(12, np.float32)
    counts[some] = 2
    texts, photographs = strangers(30, DIMENSION, 8), strangers(30, DIMENSION, 9)
    twice = Bank(np.concatenate([vectors, vectors[some]]), np.ones(15, np.float32))
    counted = Bank(vectors, counts)
    found = measured(texts, photographs, (twice, twice))
    assert found == pytest.approx(measured(texts, photographs, (counted, counted)), abs=1e-4)
    plain = Bank(vectors, np.ones(12, np.float32))
    assert np.abs(found - measured(texts, photographs, (plain, plain))).max() > 1e-3, "counts count for something"


def test_counts_are_shares_whatever_they_sum_to() -> None:
    one, other = a_bank(DIMENSION, 1), a_bank(DIMENSION, 1)
    other = Bank(one.vectors, one.counts * 1000)
    texts, photographs = strangers(9, DIMENSION, 8), strangers(9, DIMENSION, 9)
    found = measured(texts, photographs, (one, one))
    assert found == pytest.approx(measured(texts, photographs, (other, other)), abs=2e-6)


def test_many_at_once_equal_one_by_one() -> None:
    texts, photographs = strangers(6, DIMENSION, 8), strangers(40, DIMENSION, 9)
    own = banks()
    text_rows, photograph_rows = (each.ravel() for each in np.mgrid[0:6, 0:40])
    together = features(side(texts, own), side(photographs, own), own, text_rows, photograph_rows)
    for row in range(0, len(together), 17):
        text, photograph = texts[text_rows[row]], photographs[photograph_rows[row]]
        assert measured(text[None], photograph[None])[0] == pytest.approx(together[row], abs=2e-6)


def special() -> Float32Array:
    """Vectors along the axes, equal to each other, opposite, and members of a bank."""
    axes = np.eye(DIMENSION, dtype=np.float32)
    return np.concatenate([axes[:3], axes[:1], -axes[:2], banks()[0].vectors[:2], banks()[1].vectors[:2]])


def test_features_are_numbers_for_orthogonal_equal_and_opposite_vectors() -> None:
    vectors = special()
    own = banks()
    rows, columns = (each.ravel() for each in np.mgrid[0 : len(vectors), 0 : len(vectors)])
    found = features(side(vectors, own), side(vectors, own), own, rows, columns)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 10


def test_a_bank_of_two_vectors_still_gives_numbers() -> None:
    few = Bank(strangers(2, DIMENSION, 1), np.ones(2, np.float32))
    found = measured(special(), special()[::-1], (few, few))
    assert np.isfinite(found).all()


def test_what_is_seen_lies_within_the_bank() -> None:
    found = side(strangers(20, DIMENSION, 8), banks())
    for seen in found.through:
        assert len(seen.seen) == len(TEMPERATURES)
        for each in seen.seen:
            assert (np.linalg.norm(each, axis=1) <= 1 + 1e-6).all()


def test_a_member_of_the_bank_is_nearer_to_it_than_a_stranger() -> None:
    own = banks()
    assert side(own[0].vectors[-1:], own).nearness[0] > side(strangers(20, DIMENSION, 8), own).nearness.max()


def test_the_powers_of_a_covariance_are_symmetric_with_values_from_0_to_1() -> None:
    bank = a_bank(DIMENSION, 1)
    assert len(bank.powers) == len(POWERS)
    for power in bank.powers:
        assert power == pytest.approx(power.T, abs=1e-6)
        values = np.linalg.eigvalsh(power)
        assert values.min() > -1e-5
        assert values.max() == pytest.approx(1.0, abs=1e-5)


def test_a_file_keeps_vectors_to_the_second_digit_and_again_to_the_last() -> None:
    vectors = strangers(50, 512, 4)
    kept = rounded(vectors)
    assert (kept * vectors).sum(axis=1).min() > 0.999
    assert np.linalg.norm(kept, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert rounded(kept) == pytest.approx(kept, abs=1e-7)


def test_a_bank_that_does_not_vary_gives_finite_features() -> None:
    alike = np.tile(np.float32([[0.6, 0.8, 0.0]]), (3, 1))
    bank = Bank(alike, np.ones(3, np.float32))
    ready = side(np.eye(3, dtype=np.float32), (bank, bank))
    rows = np.arange(3)

    assert np.isfinite(features(ready, ready, (bank, bank), rows, rows)).all()
