"""Calibration of the k-NN vote on held-out photographs: neighbours, confidence, unknown kinds, figures."""

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


def clusters(kinds: int, each: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors scattered around one centre for each kind, and their labels."""
    random = np.random.default_rng(seed)
    centres = unit(random.normal(size=(kinds, 16)))
    labels = np.repeat(np.arange(kinds), each)
    return unit(centres[labels] + spread * random.normal(size=(len(labels), 16))), labels


def held_out(
    vectors: np.ndarray, labels: np.ndarray, chunk: int = 7, excluded: list[frozenset[int]] | None = None
) -> HeldOutNeighbours:
    """The neighbours of every photograph without itself; its id is its row + 100."""
    ids = np.arange(len(labels)) + 100
    chunks = [
        LabelledVectors(ids[first : first + chunk], vectors[first : first + chunk], labels[first : first + chunk])
        for first in range(0, len(ids), chunk)
    ]
    return held_out_neighbours(vectors, labels, chunks, excluded or [frozenset([int(each)]) for each in ids])


def test_neighbours_are_exact_though_photographs_come_in_chunks() -> None:
    vectors, labels = clusters(4, 15, 0.5)
    found = held_out(vectors, labels)
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -np.inf)
    np.testing.assert_allclose(found.any_kind.similarities, -np.sort(-similarities)[:, :10], atol=1e-6)
    similarities[labels[:, None] == labels] = -np.inf
    order = np.argsort(-similarities)[:, :10]
    np.testing.assert_array_equal(found.other_kinds.labels, labels[order])
    assert found.has_same_label.all()


def test_copies_neither_vote_nor_count_as_another_photograph_of_the_kind() -> None:
    vectors = unit(np.eye(3, 4, dtype=np.float32)[[0, 0, 1, 2]])
    copies = [frozenset([100, 101]), frozenset([100, 101]), frozenset([102]), frozenset([103])]
    found = held_out(vectors, np.array([0, 0, 1, 1]), excluded=copies)
    assert found.any_kind.counts.tolist() == [2, 2, 3, 3]
    assert found.any_kind.labels[0].tolist()[:3] == [1, 1, -1]
    assert found.has_same_label.tolist() == [False, False, True, True]


def test_well_separated_kinds_are_recognised_and_unknown_ones_get_low_confidence() -> None:
    close, wide = calibrate(held_out(*clusters(6, 30, 0.15))), calibrate(held_out(*clusters(6, 30, 0.6)))
    assert close.accuracy == 1.0
    assert close.unknown_auroc is not None
    assert close.unknown_auroc > 0.99
    assert wide.accuracy < close.accuracy
    assert 0.0 < close.vote.min_confidence < 1.0
    assert close.photographs == 180


def test_confidence_agrees_with_accuracy_on_new_photographs() -> None:
    vectors, labels = clusters(5, 160, 0.5)
    fitted, new = np.arange(len(labels)) % 2 == 0, np.arange(len(labels)) % 2 == 1
    vote = calibrate(held_out(vectors[fitted], labels[fitted], 64)).vote
    similarities = vectors[new] @ vectors[fitted].T
    order = np.argsort(-similarities, axis=1)[:, : vote.neighbours]
    winners, measures = count_votes(
        np.take_along_axis(similarities, order, axis=1), labels[fitted][order], vote.temperature
    )
    confidence, correct = vote.confidence(measures), winners == labels[new]
    assert 0.5 < correct.mean() < 0.98
    # The calibration expects a tenth of unknown kinds, and there are none here.
    assert -0.12 < float((confidence - correct).mean()) < 0.03
    assert auroc(confidence[correct], confidence[~correct]) > 0.6


def test_calibration_is_deterministic() -> None:
    one, other = (calibrate(held_out(*clusters(3, 12, 0.6))) for _ in range(2))
    assert one == other


def test_a_photograph_alone_of_its_kind_serves_as_an_unknown_one_only() -> None:
    vectors, labels = clusters(3, 10, 0.2)
    labels[0] = 7
    found = calibrate(held_out(vectors, labels))
    assert found.photographs == 29


def test_too_few_photographs_are_an_error() -> None:
    with pytest.raises(LibraryError, match="Too few photographs share their kind with another: 8"):
        calibrate(held_out(*clusters(2, 4, 0.2)))
    with pytest.raises(LibraryError, match="share their kind with another: 0"):
        calibrate(held_out(*clusters(12, 1, 0.2)))


def test_two_kinds_can_vote_even_if_one_is_small() -> None:
    vectors, labels = clusters(2, 10, 0.2)
    keep = np.r_[0:10, 10:13]
    found = calibrate(held_out(vectors[keep], labels[keep]))
    assert found.accuracy > 0.9


def test_auroc_counts_ties_half() -> None:
    assert auroc(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == 1.0
    assert auroc(np.array([0.5]), np.array([0.5, 0.5])) == 0.5
    assert auroc(np.array([0.1, 0.5]), np.array([0.5, 0.9])) == 0.125


def test_calibration_error_averages_the_gap_in_bins() -> None:
    assert calibration_error(np.array([0.25, 0.25, 0.25, 0.25]), np.array([True, False, False, False])) == 0.0
    assert calibration_error(np.array([1.0, 0.05]), np.array([False, False])) == pytest.approx(0.525)
