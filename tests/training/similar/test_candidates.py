"""The choice: out of fold, never at the cost of kinds that were not seen, and few encoders rather than many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.similar.pictures import clouds
from training.similar import blend as blending
from training.similar import looks
from training.similar.choice import COSINE, MOST_LOSS, Candidate, CandidateOutcome, Fitted, best, best_of_each, compare
from training.similar.sources import Frozen
from training.similar.splits import folds, left_out

SEED = 0


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "_EPOCHS", 2)


def silent(what: str, done: int, total: int) -> None:
    assert what
    assert 0 <= done <= total


def outcome(
    name: str, map10: float, unseen: float | None = 50.0, *, whole: bool = True, setting: str = ""
) -> CandidateOutcome:
    candidate = Candidate(name, setting, lambda _: looks.cosine(3), whole)
    return CandidateOutcome(candidate, np.array([map10 / 100, np.nan]), unseen, 3, 0.0)


def test_the_best_out_of_fold_is_chosen_of_those_that_harm_no_unseen_kind() -> None:
    raw = outcome(COSINE, 60.0, 50.0)
    harmful = outcome("harmful", 90.0, 50.0 - MOST_LOSS - 0.1)
    no_head = outcome("no head", 85.0, whole=False)
    good = outcome("good", 80.0, 50.0 - MOST_LOSS)
    assert best([raw, harmful, no_head, good]) is good
    assert best([replace(raw, unseen=None), replace(harmful, unseen=None)]).candidate.name == "harmful"


def test_the_table_shows_of_each_name_the_setting_that_would_be_chosen() -> None:
    rows = [outcome(COSINE, 60.0), outcome("a", 70.0, 10.0, setting="1"), outcome("a", 65.0, 60.0, setting="2")]
    assert [(each.candidate.name, each.candidate.setting) for each in best_of_each(rows)] == [(COSINE, ""), ("a", "2")]


def test_candidates_find_kinds_that_the_cosine_does_not_and_their_figures_are_out_of_fold() -> None:
    features, kinds = clouds(5, 20, 40)
    splits = [*folds(kinds), *left_out(kinds, list("abcde"))]
    outcomes = {each.candidate.name: each for each in compare(Frozen("m", "f", features), kinds, splits, SEED, silent)}
    assert outcomes["LDA"].map10 > outcomes[COSINE].map10 + 10
    assert np.isfinite(outcomes["LDA"].precisions).all()
    low, high = outcomes["LDA"].map10_interval
    assert low < outcomes["LDA"].map10 < high

    shuffled = np.random.default_rng(0).permutation(kinds)
    nothing = compare(Frozen("m", "f", features), shuffled, folds(shuffled), SEED, silent)
    # What is fitted on noise must not be found again out of fold: one in five is of the kind by chance.
    assert max(each.map10 for each in nothing) < 35


def test_a_head_that_only_knows_its_own_kinds_loses_those_that_were_left_out() -> None:
    features, kinds = clouds(4, 25, 30)
    splits = [*folds(kinds), *left_out(kinds, list("abcd"))]
    outcomes = {each.candidate.name: each for each in compare(Frozen("m", "f", features), kinds, splits, SEED, silent)}
    lda, both = outcomes["LDA"].unseen, outcomes["whitening within kinds"].unseen
    assert lda is not None
    assert both is not None
    assert lda < both


def test_fitted_photographs_have_their_statistics_once() -> None:
    features, kinds = clouds(3, 5, 10)
    fitted = Fitted(features, kinds, SEED)
    assert fitted.statistics(8, True) is fitted.statistics(8, True)
    assert len(fitted.rows(True)[0]) == 3 * len(fitted.rows(False)[0])


@pytest.fixture
def two_halves() -> tuple[list[Frozen], np.ndarray]:
    """Two encoders that each see half of what tells the kinds apart."""
    features, kinds = clouds(6, 20, 12, apart=1.0, views=2)
    halves = [features[:, :, ::2], features[:, :, 1::2]]
    lengths = [half / np.linalg.norm(half, axis=2, keepdims=True) for half in halves]
    return [Frozen(name, name, half) for name, half in zip("ab", lengths, strict=True)], kinds


def test_two_encoders_that_see_different_things_find_more_together(two_halves: tuple[list[Frozen], np.ndarray]) -> None:
    sources, kinds = two_halves
    splits = folds(kinds)
    tables = {source.model: compare(source, kinds, splits, SEED, silent) for source in sources}
    blend = blending.choose(sources, tables, kinds, splits, SEED)
    alone = max(best(table).map10 for table in tables.values())
    assert sum(blend.weights.values()) == pytest.approx(1.0)
    assert min(blend.weights.values()) > 0
    assert blend.map10 > alone + 0.3
    low, high = blend.map10_interval
    assert low < blend.map10 < high


def test_an_encoder_that_brings_nothing_is_left_out() -> None:
    features, kinds = clouds(5, 30, 12, apart=2.5)
    noise = np.random.default_rng(5).normal(size=features.shape).astype(np.float32)
    pair = [Frozen("a", "a", features), Frozen("noise", "noise", noise / np.linalg.norm(noise, axis=2, keepdims=True))]
    splits = folds(kinds)
    tables = {source.model: compare(source, kinds, splits, SEED, silent) for source in pair}
    blend = blending.choose(pair, tables, kinds, splits, SEED)
    assert blend.weights == {"a": 1.0, "noise": 0.0}
    assert blend.map10 == pytest.approx(best(tables["a"]).map10)
