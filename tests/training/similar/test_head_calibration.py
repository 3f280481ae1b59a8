"""Calibrating a head: the match of two photographs, and the confidence of the vote."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.similar.pictures import clouds
from training.similar import head_calibration
from training.similar.projections import cosine
from training.similar.splits import Split, folds, left_out


@pytest.fixture(scope="module")
def labelled() -> tuple[np.ndarray, np.ndarray, list[Split]]:
    features, kinds = clouds(5, 60, 8, apart=4.0)
    return features[:, 0], kinds, [*folds(kinds), *left_out(kinds, list("abcde"))]


def vectors(features: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
    raw = cosine(features.shape[1])
    return raw.query_vectors(features[split.queries]), raw.gallery_vectors(features[split.gallery])


def test_the_match_is_the_share_of_neighbours_of_the_same_kind(
    labelled: tuple[np.ndarray, np.ndarray, list[Split]],
) -> None:
    features, kinds, splits = labelled
    match = head_calibration.same_kind(splits, kinds, lambda split: vectors(features, split))
    similarity = features @ features.T
    near = (similarity > 0.8) & ~np.eye(len(kinds), dtype=bool)
    same = kinds[:, None] == kinds
    assert abs(match(similarity[near]).mean() - same[near].mean()) < 0.1
    assert match(np.array(0.9)) > match(np.array(0.2))


def test_confidence_is_high_for_known_kinds_and_low_for_kinds_left_out(
    labelled: tuple[np.ndarray, np.ndarray, list[Split]],
) -> None:
    features, kinds, splits = labelled
    made = head_calibration.vote(splits, kinds, lambda split: vectors(features, split))
    assert made.accuracy > 0.9
    assert made.unknown_auroc is not None
    assert made.unknown_auroc > 0.9
    vote = made.vote
    assert vote.neighbours == 10
    known, unknown = [], []
    for kind in range(5):
        query = features[kinds == kind][0]
        others, own = features[kinds != kind], kinds[kinds != kind]
        for gallery, names, confidences in ((features, kinds, known), (others, own, unknown)):
            similarity = gallery @ query
            # The query itself is left out.
            nearest = [row for row in np.argsort(-similarity) if similarity[row] < 0.99999][:10]
            confidences.append(vote(similarity[nearest], [str(names[row]) for row in nearest]).confidence)
    assert min(known) > max(unknown)
    assert min(known) > vote.min_confidence


def test_without_kinds_left_out_there_is_no_auroc_of_unknown_kinds() -> None:
    features, kinds = clouds(2, 30, 6, apart=4.0)
    made = head_calibration.vote(folds(kinds), kinds, lambda split: vectors(features[:, 0], split))
    assert made.unknown_auroc is None
    assert 0.0 <= made.vote.min_confidence <= 1.0
