"""Candidates are fitted and measured alike, out of fold, so that memorising does not help them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.captions import CaptionedPhotograph
from data.ratings import RatedPairs
from eval.scoring import scoring_figures
from service.match.artifact import sigmoid
from service.match.features import Bank, pair_features, prepare
from service.types import BoolArray, Float32Array, Float64Array, Int64Array
from training import match_candidates
from training.match_candidates import FIGURES, Fit, candidates, compare, grades_of, out_of_fold
from training.match_data import MatchData, UnratedPairs

pytestmark = pytest.mark.e2e

DIMENSION = 16
TEXTS = PHOTOGRAPHS = 40
ALWAYS = [
    "raw cosine",
    "linear regression on both vectors",
    "linear support vector regression on both vectors",
    "three-layer network on both vectors",
]


def unit(vectors: Float64Array) -> Float32Array:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def rated(fitting: Float64Array, generator: np.random.Generator, experts: int, crowd: int) -> RatedPairs:
    """Random pairs, graded and voted on by how well they fit, 0 to 1; the crowd is stricter."""
    index = np.concatenate(
        [generator.permutation(fitting.size)[:experts], generator.permutation(fitting.size)[:crowd]]
    ).astype(np.int64)
    text, photograph = index // PHOTOGRAPHS, index % PHOTOGRAPHS
    voted = np.arange(len(index)) >= experts
    chance = fitting.ravel()[index]
    grades = np.where(voted[:, None], np.nan, 1.0 + generator.binomial(3, chance[:, None], (len(index), 3)))
    yes = np.where(voted, generator.binomial(3, chance**2), 0).astype(np.float64)
    photographs = [CaptionedPhotograph(f"{row}.jpg", Path(f"{row}.jpg"), "test", ()) for row in range(PHOTOGRAPHS)]
    owner = np.arange(TEXTS, dtype=np.int64)
    texts = [f"text {row}" for row in range(TEXTS)]
    return RatedPairs(
        photographs, texts, owner, photograph, text, text == photograph, grades, yes, np.where(voted, 3.0 - yes, 0)
    )


def match_data_of(experts: int = 700, crowd: int = 900, seed: int = 0) -> MatchData:
    """Texts and photographs of a few kinds, whose cosines say with noise how well they fit."""
    generator = np.random.default_rng(seed)
    kinds = generator.normal(size=(6, DIMENSION))

    def vectors(count: int, shift: float) -> Float32Array:
        return unit(kinds[generator.integers(0, 6, count)] + generator.normal(size=(count, DIMENSION)) * 0.4 + shift)

    texts, photographs = vectors(TEXTS, 0.3), vectors(PHOTOGRAPHS, -0.3)
    fitting = 1 / (1 + np.exp(-6 * (texts @ photographs.T - 0.3).astype(np.float64)))
    pairs = rated(fitting, generator, experts, crowd)
    background_texts, background_photographs = vectors(120, 0.3), vectors(60, -0.3)
    banks = (
        Bank(background_texts[:20], np.ones(20, np.float32)),
        Bank(background_photographs[:20], np.ones(20, np.float32)),
    )
    measured = pair_features(prepare(texts, banks), prepare(photographs, banks), banks, pairs.text, pairs.photograph)
    nothing = np.empty(0, np.int64)
    return MatchData(
        pairs=pairs,
        texts=texts,
        photographs=photographs,
        owner_vectors=photographs[pairs.text_owner[pairs.text]],
        background_texts=background_texts,
        background_photographs=background_photographs,
        banks=banks,
        gate=(0.0, 1.0),
        features=measured,
        unrated=UnratedPairs(nothing, nothing, np.empty(0), np.empty(0), measured[:0]),
    )


@pytest.fixture(scope="module")
def match_data() -> MatchData:
    return match_data_of()


def test_all_candidates_are_measured_out_of_fold_in_the_order_of_the_table(
    match_data: MatchData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_candidates, "FOLDS", 3)
    steps: list[tuple[str, int, int]] = []

    rows = compare(match_data, on_stage=lambda name, done, total: steps.append((name, done, total)))

    names = [row["candidate"] for row in rows]
    assert names == list(candidates(match_data)) and len(names) == 10
    assert names[0] == "raw cosine" and names[-1] == "interaction"
    assert all(list(row) == ["candidate", *FIGURES, "seconds"] for row in rows)
    assert [name for name, done, total in steps if done == total] == names
    figures = {str(row["candidate"]): row for row in rows}
    for name in ("raw cosine", "low-rank bilinear", "gradient boosting on features", "interaction"):
        tau, rmse = figures[name]["expert_tau_c"], figures[name]["rmse"]
        assert isinstance(tau, float) and isinstance(rmse, float)
        assert tau > 25 and rmse < 0.3, name


def test_candidates_without_their_data_are_left_out(match_data: MatchData) -> None:
    bare = replace(
        match_data,
        background_texts=match_data.texts[:0],
        background_photographs=match_data.photographs[:0],
        banks=(),
        features=match_data.features[:, :0],
    )

    assert list(candidates(bare)) == ALWAYS


def test_a_fit_scores_only_its_own_rows_and_the_test_rows(match_data: MatchData) -> None:
    pairs = match_data.pairs
    tested = np.zeros(len(pairs), dtype=int)

    def spy(fitted: BoolArray) -> object:
        def scores(rows: BoolArray) -> Float64Array:
            if not np.array_equal(rows, fitted):
                assert not np.isin(pairs.text[rows], pairs.text[fitted]).any()
                assert not np.isin(pairs.photograph[rows], pairs.photograph[fitted]).any()
                tested[rows] += 1
            return match_data.cosine[rows]

        return scores

    out_of_fold(match_data, spy)  # type: ignore[arg-type]

    assert (tested == 1).all()


def test_memorising_texts_and_photographs_does_not_help(match_data: MatchData) -> None:
    pairs = match_data.pairs

    def memorising(fitted: BoolArray) -> object:
        target = grades_of(pairs, fitted)
        mean = target[fitted].mean()

        def known(names: Int64Array, rows: BoolArray) -> Float64Array:
            count = np.bincount(names[fitted], minlength=TEXTS)
            total = np.bincount(names[fitted], target[fitted], minlength=TEXTS)
            return np.where(count > 0, total / np.maximum(count, 1), mean)[names[rows]]

        return lambda rows: known(pairs.text, rows) + known(pairs.photograph, rows)

    match, agreement = out_of_fold(match_data, memorising)  # type: ignore[arg-type]
    figures = scoring_figures(pairs, match, agreement, resamples=0).figures

    assert abs(figures["expert_tau_c"]) < 10 and abs(figures["crowd_tau_b"]) < 10


def test_the_scale_of_a_candidate_does_not_matter(match_data: MatchData) -> None:
    def scaled(factor: float, shift: float) -> Fit:
        return lambda _: lambda rows: match_data.cosine[rows] * factor + shift

    ours, theirs = out_of_fold(match_data, scaled(1, 0)), out_of_fold(match_data, scaled(1000, -70))

    assert np.allclose(ours, theirs, atol=1e-5)


def test_matches_are_calibrated_to_grades_and_agreement_to_votes(match_data: MatchData) -> None:
    pairs = match_data.pairs

    match, agreement = out_of_fold(match_data, candidates(match_data)["interaction"])
    figures = scoring_figures(pairs, match, agreement, resamples=0).figures

    assert match[pairs.expert].mean() == pytest.approx(pairs.grade[pairs.expert].mean(), abs=0.02)
    assert agreement[pairs.crowd].mean() == pytest.approx(pairs.share[pairs.crowd].mean(), abs=0.02)
    assert figures["crowd_brier"] < figures["crowd_brier_base"]


def test_a_score_that_is_a_logit_needs_no_calibration(match_data: MatchData) -> None:
    match, _ = out_of_fold(match_data, lambda _: lambda rows: match_data.cosine[rows] * 3, calibrate=False)

    assert match == pytest.approx(sigmoid(match_data.cosine * 3))


def test_equal_seeds_give_equal_numbers(match_data: MatchData) -> None:
    fitted = np.arange(len(match_data.pairs)) % 2 == 0

    for name, fit in candidates(match_data, seed=3).items():
        again = candidates(match_data, seed=3)[name](fitted)(~fitted)
        assert np.array_equal(fit(fitted)(~fitted), again), name


def test_votes_alone_have_no_figures_for_grades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_candidates, "FOLDS", 2)
    row = compare(match_data_of(experts=0))[0]

    assert row["expert_tau_c"] is None and row["rmse"] is None
    assert isinstance(row["crowd_tau_b"], float) and row["crowd_tau_b"] > 15


def test_shares_of_yes_are_mapped_to_grades_by_the_fitted_rows(match_data: MatchData) -> None:
    pairs = match_data.pairs
    fitted = np.ones(len(pairs), dtype=bool)
    crowd = pairs.crowd

    moved = grades_of(pairs, fitted)

    assert np.array_equal(moved[pairs.expert], pairs.grade[pairs.expert])
    levels = [moved[crowd & np.isclose(pairs.share, share)] for share in (0, 1 / 3, 2 / 3, 1)]
    assert all(len(np.unique(each)) == 1 for each in levels)
    assert np.all(np.diff([each[0] for each in levels]) >= 0)
    # The probability of a yes is the square of that of a grade, so the same share means a better grade.
    assert levels[1][0] > 1 / 3


def test_the_map_of_shares_does_not_depend_on_test_rows(match_data: MatchData) -> None:
    pairs = match_data.pairs
    fitted = pairs.text % 2 == 0
    other = pairs.grades.copy()
    other[~fitted & pairs.expert] = 1.0

    before, after = grades_of(pairs, fitted), grades_of(replace(pairs, grades=other), fitted)

    assert np.array_equal(before[fitted], after[fitted])


def test_without_pairs_that_both_rated_shares_are_kept(match_data: MatchData) -> None:
    pairs = match_data.pairs

    assert np.array_equal(grades_of(pairs, pairs.crowd)[pairs.crowd], pairs.share[pairs.crowd])
