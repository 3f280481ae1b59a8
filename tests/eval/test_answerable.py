"""The test of the cut: what counts as right, how galleries differ, and detectors with a known AUROC."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.captions import CaptionedPhotograph
from data.ratings import RatedPairs, read_rated_pairs
from eval.answerable import Tops, answerability, right_photographs
from service.errors import DataError

PHOTOGRAPHS = 40


def some_pairs(ratings: list[tuple[int, int, list[float], int, int]], split: str = "test") -> RatedPairs:
    """40 photographs with a text each; ratings are (photograph, text, grades, yes, no)."""
    rows = sorted(ratings, key=lambda row: not row[2])
    grades = np.full((len(rows), 3), np.nan)
    for row, rating in enumerate(rows):
        grades[row, : len(rating[2])] = rating[2]
    photograph, text = (np.array([row[column] for row in rows], dtype=np.int64) for column in (0, 1))
    return RatedPairs(
        photographs=[CaptionedPhotograph(f"{row}.jpg", Path(f"{row}.jpg"), split, ()) for row in range(PHOTOGRAPHS)],
        texts=[f"text {row}" for row in range(PHOTOGRAPHS)],
        text_owner=np.arange(PHOTOGRAPHS),
        photograph=photograph,
        text=text,
        own=photograph == text,
        grades=grades,
        yes=np.array([float(row[3]) for row in rows]),
        no=np.array([float(row[4]) for row in rows]),
    )


RATINGS: list[tuple[int, int, list[float], int, int]] = [
    (1, 0, [3, 3, 3], 0, 0),
    (2, 0, [3, 3, 2], 0, 0),
    (3, 0, [], 2, 1),
    (4, 0, [], 1, 1),
    (5, 0, [1, 1, 1], 0, 0),
    (5, 0, [], 3, 0),
]


def truth(pairs: RatedPairs) -> Any:
    return right_photographs(pairs)[0].astype(np.float32)


def test_own_photographs_and_grades_from_three_are_right_and_yes_majorities_doubtful() -> None:
    right, doubtful = right_photographs(some_pairs(RATINGS))
    assert np.flatnonzero(right[0]).tolist() == [0, 1]
    assert np.flatnonzero(doubtful[0]).tolist() == [0, 1, 3, 5]
    assert (right[1:] == np.eye(PHOTOGRAPHS, dtype=bool)[1:]).all()


def test_a_perfect_detector_gets_one_and_a_random_one_half() -> None:
    pairs = some_pairs(RATINGS)
    noise = np.random.default_rng(0).random((PHOTOGRAPHS, PHOTOGRAPHS)).astype(np.float32)
    found = answerability(pairs, truth(pairs), noise, resamples=100)
    assert found.auroc == 1.0
    assert found.cosine_auroc == pytest.approx(0.5, abs=0.1)
    assert found.difference == pytest.approx(found.auroc - found.cosine_auroc)
    assert found.difference_interval[0] > 0.2
    assert found.cosine_auroc_interval[0] < found.cosine_auroc < found.cosine_auroc_interval[1]
    assert (found.min_match, found.answerable_pass, found.unanswerable_pass) == (1.0, 1.0, 0.0)
    assert (found.queries, found.gallery, found.galleries, found.balanced_accuracy) == (40, 20, 5, 1.0)
    json.dumps(found.as_json(), allow_nan=False)


def test_paired_galleries_differ_in_one_right_photograph() -> None:
    """A score that is high for doubtful photographs must not separate the galleries: none contains any."""
    pairs = some_pairs(RATINGS)
    generator = np.random.default_rng(1)
    flat = np.zeros((PHOTOGRAPHS, PHOTOGRAPHS), dtype=np.float32)
    assert answerability(pairs, flat, flat, resamples=2).auroc == 0.5
    # Of the photographs that are doubtful for text 0, only its own is in its galleries.
    spiked = generator.random((PHOTOGRAPHS, PHOTOGRAPHS)).astype(np.float32)
    spiked[0, [1, 3, 5]] = 9.0
    tops = answerability(pairs, spiked, flat, galleries=8, gallery=30, resamples=2).match
    assert tops.answerable.shape == tops.unanswerable.shape == (PHOTOGRAPHS, 8)
    assert max(tops.answerable[0].max(), tops.unanswerable[0].max()) < 9


def test_scores_that_shift_with_the_query_do_worse() -> None:
    pairs = some_pairs(RATINGS)
    generator = np.random.default_rng(2)
    even = truth(pairs) + generator.normal(0, 0.2, (PHOTOGRAPHS, PHOTOGRAPHS)).astype(np.float32)
    shifted = even + generator.normal(0, 2, (PHOTOGRAPHS, 1)).astype(np.float32)
    found = answerability(pairs, even, shifted, resamples=200)
    assert found.auroc > 0.9
    assert found.cosine_auroc < 0.75
    assert found.difference_interval[0] > 0


def test_a_text_without_its_own_photograph_uses_the_best_graded() -> None:
    pairs = some_pairs([(1, 0, [3, 3, 3], 0, 0), (2, 0, [4, 4, 3], 0, 0)])
    pairs.text_owner[:] = -1
    scores = np.zeros((PHOTOGRAPHS, PHOTOGRAPHS), dtype=np.float32)
    scores[0, 2] = 1.0
    found = answerability(pairs, scores, scores, resamples=2)
    assert (found.queries, found.auroc) == (1, 1.0)


def test_the_seed_decides_the_figures() -> None:
    pairs = some_pairs(RATINGS)
    scores = truth(pairs) + np.random.default_rng(3).normal(0, 0.5, (PHOTOGRAPHS, PHOTOGRAPHS)).astype(np.float32)
    first, again, other = (answerability(pairs, scores, scores, resamples=20, seed=seed) for seed in (1, 1, 2))
    assert first.as_json() == again.as_json()
    assert first.auroc != other.auroc


def test_scores_equal_to_the_cut_pass() -> None:
    tops = Tops(np.array([[0.6], [0.9], [0.3]]), np.array([[0.1], [0.6], [0.2]]))
    assert tops.passing(0.6) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert tops.best_cut() == 0.3
    assert tops.passing(tops.best_cut()) == (1.0, pytest.approx(1 / 3))


@pytest.mark.parametrize("options", [{"gallery": PHOTOGRAPHS}, {"split": "train", "gallery": 5}])
def test_too_few_photographs_are_reported(options: dict[str, Any]) -> None:
    pairs = some_pairs(RATINGS)
    with pytest.raises(DataError, match="No rated text has both"):
        answerability(pairs, truth(pairs), truth(pairs), resamples=1, **options)


def test_invalid_arguments_are_refused() -> None:
    pairs = some_pairs(RATINGS)
    with pytest.raises(ValueError, match="one for each text and photograph"):
        answerability(pairs, truth(pairs)[:-1], truth(pairs))
    with pytest.raises(ValueError, match="a gallery needs 2"):
        answerability(pairs, truth(pairs), truth(pairs), gallery=1)


def test_every_text_of_the_public_ratings_is_a_query(shared_data: Path) -> None:
    pairs = read_rated_pairs(shared_data / "flickr8k")
    found = answerability(pairs, truth(pairs), truth(pairs), split="test", galleries=1, resamples=1)
    assert (found.queries, found.gallery, found.auroc) == (1000, 500, 1.0)
