"""A vote calibrated on a library's own photographs: nobody votes on itself, and unknown kinds look as they do."""

from __future__ import annotations

import numpy as np
import pytest

from service.errors import LibraryError
from service.heads.projection import unit
from service.kinds.knn_vote import count_votes
from service.kinds.vote_calibration import (
    HeldOutNeighbours,
    LabelledVectors,
    auroc,
    calibrate,
    calibration_error,
    held_out_neighbours,
)


def heaps(kinds: int, each: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around a centre for each kind, and their kinds."""
    random = np.random.default_rng(seed)
    centres = unit(random.normal(size=(kinds, 16)))
    own = np.repeat(np.arange(kinds), each)
    return unit(centres[own] + spread * random.normal(size=(len(own), 16))), own


def asked(
    vectors: np.ndarray, own: np.ndarray, size: int = 7, left_out: list[frozenset[int]] | None = None
) -> HeldOutNeighbours:
    ids = np.arange(len(own)) + 100
    chunks = [
        LabelledVectors(ids[at : at + size], vectors[at : at + size], own[at : at + size])
        for at in range(0, len(ids), size)
    ]
    return held_out_neighbours(vectors, own, chunks, left_out or [frozenset([int(each)]) for each in ids])


def test_the_nearest_of_any_and_of_other_kinds_are_exact_however_the_photographs_come() -> None:
    vectors, own = heaps(4, 15, 0.5)
    found = asked(vectors, own)
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -np.inf)
    np.testing.assert_allclose(found.any_kind.similarities, -np.sort(-similarities)[:, :10], atol=1e-6)
    similarities[own[:, None] == own] = -np.inf
    order = np.argsort(-similarities)[:, :10]
    np.testing.assert_array_equal(found.other_kinds.labels, own[order])
    assert found.has_same_label.all()


def test_copies_do_not_vote_and_are_no_company() -> None:
    vectors = unit(np.eye(3, 4, dtype=np.float32)[[0, 0, 1, 2]])
    copies = [frozenset([100, 101]), frozenset([100, 101]), frozenset([102]), frozenset([103])]
    found = asked(vectors, np.array([0, 0, 1, 1]), left_out=copies)
    assert found.any_kind.counts.tolist() == [2, 2, 3, 3]
    assert found.any_kind.labels[0].tolist()[:3] == [1, 1, -1]
    assert found.has_same_label.tolist() == [False, False, True, True]


def test_kinds_that_lie_apart_are_told_and_unknown_ones_are_found() -> None:
    close, wide = calibrate(asked(*heaps(6, 30, 0.15))), calibrate(asked(*heaps(6, 30, 0.6)))
    assert close.accuracy == 1.0
    assert close.unknown_auroc is not None
    assert close.unknown_auroc > 0.99
    assert wide.accuracy < close.accuracy
    assert 0.0 < close.vote.min_confidence < 1.0
    assert close.photographs == 180


def test_confidence_is_the_share_of_right_votes_on_photographs_that_it_was_not_fitted_on() -> None:
    vectors, own = heaps(5, 160, 0.5)
    fitted, held = np.arange(len(own)) % 2 == 0, np.arange(len(own)) % 2 == 1
    vote = calibrate(asked(vectors[fitted], own[fitted], 64)).vote
    similarities = vectors[held] @ vectors[fitted].T
    order = np.argsort(-similarities, axis=1)[:, : vote.neighbours]
    winners, measures = count_votes(
        np.take_along_axis(similarities, order, axis=1), own[fitted][order], vote.temperature
    )
    confidence, right = vote.confidence(measures), winners == own[held]
    assert 0.5 < right.mean() < 0.98
    # A tenth is calibrated to be of unknown kinds, and none is here.
    assert -0.12 < float((confidence - right).mean()) < 0.03
    assert auroc(confidence[right], confidence[~right]) > 0.6


def test_the_figures_are_the_same_again() -> None:
    one, other = (calibrate(asked(*heaps(3, 12, 0.6))) for _ in range(2))
    assert one == other


def test_kinds_of_one_photograph_are_unknown_ones_only() -> None:
    vectors, own = heaps(3, 10, 0.2)
    own[0] = 7
    found = calibrate(asked(vectors, own))
    assert found.photographs == 29


def test_too_few_photographs_get_a_sentence() -> None:
    with pytest.raises(LibraryError, match="Too few photographs share their kind with another: 8"):
        calibrate(asked(*heaps(2, 4, 0.2)))
    with pytest.raises(LibraryError, match="share their kind with another: 0"):
        calibrate(asked(*heaps(12, 1, 0.2)))


def test_two_kinds_of_which_one_is_small_still_vote() -> None:
    vectors, own = heaps(2, 10, 0.2)
    keep = np.r_[0:10, 10:13]
    found = calibrate(asked(vectors[keep], own[keep]))
    assert found.accuracy > 0.9


def test_auroc_counts_ties_half() -> None:
    assert auroc(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == 1.0
    assert auroc(np.array([0.5]), np.array([0.5, 0.5])) == 0.5
    assert auroc(np.array([0.1, 0.5]), np.array([0.5, 0.9])) == 0.125


def test_calibration_error_is_the_distance_in_bins() -> None:
    assert calibration_error(np.array([0.25, 0.25, 0.25, 0.25]), np.array([True, False, False, False])) == 0.0
    assert calibration_error(np.array([1.0, 0.05]), np.array([False, False])) == pytest.approx(0.525)
