"""What similarities mean is told by photographs that nothing was fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.similar.pictures import clouds
from training.similar import calibration
from training.similar.looks import cosine
from training.similar.splits import Split, folds, left_out


@pytest.fixture(scope="module")
def material() -> tuple[np.ndarray, np.ndarray, list[Split]]:
    features, kinds = clouds(5, 60, 8, apart=4.0)
    return features[:, 0], kinds, [*folds(kinds), *left_out(kinds, list("abcde"))]


def vectors(features: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
    look = cosine(features.shape[1])
    return look.asked(features[split.asked]), look.searched(features[split.gallery])


def test_the_match_is_how_often_a_neighbour_is_of_the_kind(
    material: tuple[np.ndarray, np.ndarray, list[Split]],
) -> None:
    features, kinds, splits = material
    match = calibration.same_kind(splits, kinds, lambda split: vectors(features, split))
    likeness = features @ features.T
    near = (likeness > 0.8) & ~np.eye(len(kinds), dtype=bool)
    same = kinds[:, None] == kinds
    assert abs(match(likeness[near]).mean() - same[near].mean()) < 0.1
    assert match(np.array(0.9)) > match(np.array(0.2))


def test_a_vote_is_sure_of_known_kinds_and_not_of_those_left_out(
    material: tuple[np.ndarray, np.ndarray, list[Split]],
) -> None:
    features, kinds, splits = material
    made = calibration.vote(splits, kinds, lambda split: vectors(features, split))
    assert made.accuracy > 0.9
    assert made.unknown_auroc is not None
    assert made.unknown_auroc > 0.9
    vote = made.vote
    assert vote.neighbours == 10
    known, unknown = [], []
    for kind in range(5):
        asked = features[kinds == kind][0]
        others, own = features[kinds != kind], kinds[kinds != kind]
        for gallery, names, said in ((features, kinds, known), (others, own, unknown)):
            likeness = gallery @ asked
            # Itself is left out where it is there.
            nearest = [row for row in np.argsort(-likeness) if likeness[row] < 0.99999][:10]
            said.append(vote(likeness[nearest], [str(names[row]) for row in nearest]).confidence)
    assert min(known) > max(unknown)
    assert min(known) > vote.min_confidence


def test_no_kind_left_out_leaves_a_vote_on_known_kinds_alone() -> None:
    features, kinds = clouds(2, 30, 6, apart=4.0)
    made = calibration.vote(folds(kinds), kinds, lambda split: vectors(features[:, 0], split))
    assert made.unknown_auroc is None
    assert 0.0 <= made.vote.min_confidence <= 1.0
