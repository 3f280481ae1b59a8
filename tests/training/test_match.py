"""The match: a map that is fitted right, judged out of fold, and refused where it would mean nothing."""

from __future__ import annotations

import numpy as np
import pytest

from service.errors import ModelError
from training.match import LogisticMap, RatedPairs, figures_of, fit_logistic, out_of_fold


def some_pairs(slope: float = 20.0, intercept: float = -6.0, count: int = 20_000) -> RatedPairs:
    generator = np.random.default_rng(0)
    similarity = generator.normal(0.2, 0.1, count)
    yes = generator.binomial(3, LogisticMap(slope, intercept)(similarity)).astype(float)
    return RatedPairs(similarity, yes, 3 - yes, generator.integers(0, 200, count), generator.integers(0, 150, count))


def test_finds_the_map_that_made_the_votes() -> None:
    pairs = some_pairs()
    fitted = fit_logistic(pairs.similarity, pairs.yes, pairs.no)
    assert fitted.slope == pytest.approx(20.0, rel=0.05)
    assert fitted.intercept == pytest.approx(-6.0, rel=0.05)


def test_out_of_fold_matches_are_calibrated_where_the_votes_are_logistic() -> None:
    pairs = some_pairs()
    figures = figures_of(pairs, out_of_fold(pairs))
    assert figures["ece"] < 0.01
    assert figures["brier"] < 0.75 * figures["brier_base"]
    assert figures["pairs"] == 20_000


def test_a_row_is_judged_by_a_map_that_saw_neither_its_photograph_nor_its_caption() -> None:
    pairs = some_pairs(count=2000)
    before = out_of_fold(pairs)
    touched = (pairs.photograph == pairs.photograph[0]) | (pairs.caption == pairs.caption[0])
    turned = RatedPairs(
        pairs.similarity,
        np.where(touched, 3 - pairs.yes, pairs.yes),
        np.where(touched, 3 - pairs.no, pairs.no),
        pairs.photograph,
        pairs.caption,
    )
    after = out_of_fold(turned)
    assert after[0] == pytest.approx(before[0], abs=1e-12)
    assert not np.allclose(after, before)


def test_figures_of_a_constant_match_are_those_of_the_base() -> None:
    pairs = some_pairs(count=2000)
    base = float(pairs.yes.sum() / (pairs.yes + pairs.no).sum())
    figures = figures_of(pairs, np.full(2000, base))
    assert figures["brier"] == figures["brier_base"]
    assert figures["ece"] == pytest.approx(0.0, abs=1e-4)
    assert figures["tau_b"] > 30


def test_cosines_that_fall_with_the_ratings_are_refused() -> None:
    pairs = some_pairs()
    with pytest.raises(ModelError, match="do not rise"):
        fit_logistic(-pairs.similarity, pairs.yes, pairs.no)
