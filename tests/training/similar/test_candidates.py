"""Choosing a candidate: by MAP@10 out of fold, without harm to unseen kinds, and with few encoders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.similar.pictures import clouds
from training.similar import projections
from training.similar.candidates import (
    COSINE,
    MOST_LOSS,
    Candidate,
    CandidateOutcome,
    FitData,
    best,
    best_of_each,
    compare,
)
from training.similar.ensemble import choose_ensemble
from training.similar.feature_sources import FrozenEncoder
from training.similar.splits import folds, left_out

pytestmark = pytest.mark.e2e

SEED = 0


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "_EPOCHS", 2)


def silent(stage: str, done: int, total: int) -> None:
    assert stage
    assert 0 <= done <= total


def outcome(
    name: str, map10: float, unseen: float | None = 50.0, *, fits_head: bool = True, setting: str = ""
) -> CandidateOutcome:
    candidate = Candidate(name, setting, lambda _: projections.cosine(3), fits_head)
    return CandidateOutcome(candidate, np.array([map10 / 100, np.nan]), unseen, 3, 0.0)


def test_the_best_candidate_that_harms_no_unseen_kind_is_chosen() -> None:
    raw = outcome(COSINE, 60.0, 50.0)
    harmful = outcome("harmful", 90.0, 50.0 - MOST_LOSS - 0.1)
    no_head = outcome("no head", 85.0, fits_head=False)
    good = outcome("good", 80.0, 50.0 - MOST_LOSS)
    assert best([raw, harmful, no_head, good]) is good
    assert best([replace(raw, unseen=None), replace(harmful, unseen=None)]).candidate.name == "harmful"


def test_the_table_shows_the_best_setting_of_each_name() -> None:
    rows = [outcome(COSINE, 60.0), outcome("a", 70.0, 10.0, setting="1"), outcome("a", 65.0, 60.0, setting="2")]
    assert [(each.candidate.name, each.candidate.setting) for each in best_of_each(rows)] == [(COSINE, ""), ("a", "2")]


def test_lda_beats_the_cosine_and_figures_are_out_of_fold() -> None:
    features, kinds = clouds(5, 20, 40)
    splits = [*folds(kinds), *left_out(kinds, list("abcde"))]
    outcomes = {
        each.candidate.name: each for each in compare(FrozenEncoder("m", "f", features), kinds, splits, SEED, silent)
    }
    assert outcomes["LDA"].map10 > outcomes[COSINE].map10 + 10
    assert np.isfinite(outcomes["LDA"].precisions).all()
    low, high = outcomes["LDA"].map10_interval
    assert low < outcomes["LDA"].map10 < high

    shuffled = np.random.default_rng(0).permutation(kinds)
    nothing = compare(FrozenEncoder("m", "f", features), shuffled, folds(shuffled), SEED, silent)
    # A fit to noise must not carry over out of fold: one in five is of the same kind by chance.
    assert max(each.map10 for each in nothing) < 35


def test_lda_is_worse_on_unseen_kinds_than_whitening_within_kinds() -> None:
    features, kinds = clouds(4, 25, 30)
    splits = [*folds(kinds), *left_out(kinds, list("abcd"))]
    outcomes = {
        each.candidate.name: each for each in compare(FrozenEncoder("m", "f", features), kinds, splits, SEED, silent)
    }
    lda, whitening = outcomes["LDA"].unseen, outcomes["whitening within kinds"].unseen
    assert lda is not None
    assert whitening is not None
    assert lda < whitening


def test_statistics_are_computed_once() -> None:
    features, kinds = clouds(3, 5, 10)
    data = FitData(features, kinds, SEED)
    assert data.statistics(8, True) is data.statistics(8, True)
    assert len(data.rows(True)[0]) == 3 * len(data.rows(False)[0])


@pytest.fixture
def two_halves() -> tuple[list[FrozenEncoder], np.ndarray]:
    """Two encoders that each have half of the dimensions that separate the kinds."""
    features, kinds = clouds(6, 20, 12, apart=1.0, views=2)
    halves = [features[:, :, ::2], features[:, :, 1::2]]
    lengths = [half / np.linalg.norm(half, axis=2, keepdims=True) for half in halves]
    return [FrozenEncoder(name, name, half) for name, half in zip("ab", lengths, strict=True)], kinds


def test_two_complementary_encoders_find_more_together(
    two_halves: tuple[list[FrozenEncoder], np.ndarray],
) -> None:
    sources, kinds = two_halves
    splits = folds(kinds)
    tables = {source.model: compare(source, kinds, splits, SEED, silent) for source in sources}
    ensemble = choose_ensemble(sources, tables, kinds, splits, SEED)
    alone = max(best(table).map10 for table in tables.values())
    assert sum(ensemble.weights.values()) == pytest.approx(1.0)
    assert min(ensemble.weights.values()) > 0
    assert ensemble.map10 > alone + 0.3
    low, high = ensemble.map10_interval
    assert low < ensemble.map10 < high


def test_an_encoder_of_noise_is_left_out() -> None:
    features, kinds = clouds(5, 30, 12, apart=2.5)
    noise = np.random.default_rng(5).normal(size=features.shape).astype(np.float32)
    pair = [
        FrozenEncoder("a", "a", features),
        FrozenEncoder("noise", "noise", noise / np.linalg.norm(noise, axis=2, keepdims=True)),
    ]
    splits = folds(kinds)
    tables = {source.model: compare(source, kinds, splits, SEED, silent) for source in pair}
    ensemble = choose_ensemble(pair, tables, kinds, splits, SEED)
    assert ensemble.weights == {"a": 1.0, "noise": 0.0}
    assert ensemble.map10 == pytest.approx(best(tables["a"]).map10)
