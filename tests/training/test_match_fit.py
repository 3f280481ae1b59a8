"""A match fitted to simulated ratings: it recovers their rule, and is measured on nothing that it was fitted on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

import training.match_fit
from data.ratings import read_rated_pairs
from eval.folds import fold_numbers
from eval.scoring import reliability
from service.errors import DataError, ModelError
from service.match.artifact import MATCH_JSON, ScorerArtifact, sigmoid
from service.match.features import prepare
from tests.service.sample_artifacts import random_unit_vectors
from tests.training.simulated import ColourReader, make_hasty, quiet, write_data
from training.match_data import MatchData, read_match_data
from training.match_fit import add_ratings, fit_logistic, fit_text_match, out_of_fold, train_scorer

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hasty(monkeypatch)


@pytest.fixture(scope="module")
def match_data(tmp_path_factory: pytest.TempPathFactory) -> MatchData:
    """Ratings with enough unrated captions to make banks of, read once."""
    folder = tmp_path_factory.mktemp("simulated")
    with pytest.MonkeyPatch.context() as patch:
        make_hasty(patch)
        return read(write_data(folder / "data", unrated=60, grades=500, votes=900), folder / "cache")


def read(data: Path, cache: Path, base: ScorerArtifact | None = None) -> MatchData:
    return read_match_data(ColourReader(), data, read_rated_pairs(data), cache, quiet, base)  # type: ignore[arg-type]


def train(data: Path, folder: Path, encoder: ColourReader | None = None, **options: Any) -> ScorerArtifact:
    return train_scorer(encoder or ColourReader(), data, folder / "out", folder / "cache", quiet, **options)  # type: ignore[arg-type]


def all_rows(match_data: MatchData) -> Any:
    return np.ones(len(match_data.pairs), dtype=bool)


def matches(artifact: ScorerArtifact, match_data: MatchData) -> Any:
    """Matches (texts, photographs) as in a search."""
    return np.stack([sigmoid(artifact.text.logits(text, match_data.photographs)) for text in match_data.texts])


def test_matches_out_of_fold_correlate_with_the_ratings_and_are_calibrated(match_data: MatchData) -> None:
    judged = out_of_fold(match_data, quiet)
    graded = match_data.pairs.expert
    match, grade = judged.match[graded], match_data.pairs.grade[graded]
    ours, cosine = (kendalltau(each, grade).statistic for each in (match, match_data.cosine[graded]))
    assert ours > 0.4
    assert ours > cosine - 0.02
    assert match.mean() == pytest.approx(grade.mean(), abs=0.03)
    assert reliability(match, grade).error < 0.06
    voted = match_data.pairs.crowd
    assert judged.agreement[voted].mean() == pytest.approx(match_data.pairs.share[voted].mean(), abs=0.03)
    assert judged.agreement[voted].mean() < judged.match[voted].mean(), "the crowd is stricter"


def test_matches_of_rated_pairs_equal_those_of_a_search(match_data: MatchData) -> None:
    text = fit_text_match(match_data, all_rows(match_data))
    logits = training.match_fit._logits(text, match_data, all_rows(match_data))
    for row in range(0, len(match_data.pairs), 97):
        photograph = match_data.photographs[match_data.pairs.photograph[row]][None]
        found = text.logits(match_data.texts[match_data.pairs.text[row]], photograph)
        assert found[0] == pytest.approx(logits[row], abs=1e-3)


def test_a_text_far_from_the_bank_is_matched_without_features(match_data: MatchData) -> None:
    text = fit_text_match(match_data, all_rows(match_data))
    assert text.feature_model is not None
    assert not np.allclose(
        text.logits(match_data.background_texts[0], match_data.photographs),
        replace(text, feature_model=None).logits(match_data.background_texts[0], match_data.photographs),
    )
    others = np.concatenate([random_unit_vectors(200, 8), -match_data.texts])
    far = others[prepare(others, match_data.banks).nearness <= text.feature_model.far]
    assert len(far) > 10
    for query in far[:10]:
        plain = replace(text, feature_model=None).logits(query, match_data.photographs)
        assert np.array_equal(text.logits(query, match_data.photographs), plain)


def test_a_feature_that_is_constant_in_the_ratings_is_not_amplified(tmp_path: Path, match_data: MatchData) -> None:
    rows = match_data.pairs.text == np.bincount(match_data.pairs.text).argmax()
    text = fit_text_match(match_data, rows)
    assert text.feature_model is not None
    assert text.feature_model.deviation.min() >= 1e-3
    found = [text.logits(each, match_data.photographs) for each in match_data.texts]
    assert np.abs(found).max() < 30


def test_each_row_is_matched_once_by_a_fit_without_its_text_and_photograph(
    match_data: MatchData, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, fits, judgements = match_data.pairs, [], []
    fit, judge, joint = fit_text_match, training.match_fit._logits, training.match_fit.fit_joint
    unrated_rows: list[int] = []

    def spy_joint(*arguments: Any, **options: Any) -> Any:
        unrated_rows.append(len(options["unrated"][1]) if options.get("unrated") else 0)
        return joint(*arguments, **options)

    def spy_fit(match_data: MatchData, fitted: Any) -> Any:
        fits.append(fitted.copy())
        text = fit(match_data, fitted)
        judgements.clear()
        return text

    def spy_judge(text: Any, match_data: MatchData, rows: Any) -> Any:
        judgements.append(rows.copy())
        if not np.array_equal(rows, fits[-1]):
            judged.append((fits[-1], rows.copy()))
        return judge(text, match_data, rows)

    judged: list[tuple[Any, Any]] = []
    monkeypatch.setattr(training.match_fit, "fit_joint", spy_joint)
    monkeypatch.setattr(training.match_fit, "fit_text_match", spy_fit)
    monkeypatch.setattr(training.match_fit, "_logits", spy_judge)
    found = out_of_fold(match_data, quiet)

    assert len(judged) == 25
    assert np.array_equal(sum(rows.astype(int) for _, rows in judged), np.ones(len(pairs)))
    unrated = match_data.unrated
    for fitted, rows in judged:
        for each in (pairs.text, pairs.photograph):
            assert not set(each[fitted]) & set(each[rows])
        usable = training.match_fit._usable_unrated(match_data, fitted)
        assert usable.any()
        assert not set(unrated.text[usable]) & set(pairs.text[rows])
        assert not set(unrated.photograph[usable]) & set(pairs.photograph[rows])
        assert int(usable.sum()) in unrated_rows
    assert max(unrated_rows) < len(unrated.text), "the fit of a fold used all unrated pairs"
    assert np.isfinite(found.match).all() and np.isfinite(found.agreement).all()


def test_ratings_of_a_fold_do_not_change_its_own_matches(match_data: MatchData) -> None:
    photograph_fold, text_fold = fold_numbers(match_data.pairs.photograph, match_data.pairs.text)
    cell = (photograph_fold == 2) & (text_fold == 3)
    reversed_ratings = replace(
        match_data.pairs,
        grades=np.where(cell[:, None], 5 - match_data.pairs.grades, match_data.pairs.grades),
        yes=np.where(cell, match_data.pairs.no, match_data.pairs.yes),
        no=np.where(cell, match_data.pairs.yes, match_data.pairs.no),
    )
    one, other = (out_of_fold(replace(match_data, pairs=each), quiet) for each in (match_data.pairs, reversed_ratings))
    assert np.array_equal(one.match[cell], other.match[cell])
    assert not np.array_equal(one.match[~cell], other.match[~cell])


def test_every_text_is_matched_with_every_photograph_rated_or_not(tmp_path: Path) -> None:
    match_data = read(write_data(tmp_path / "data", grades=120, votes=0), tmp_path / "cache")
    keep = ~(
        (fold_numbers(match_data.pairs.photograph, match_data.pairs.text)[0] == 1) & (match_data.pairs.text % 3 > 0)
    )
    pairs = match_data.pairs
    fewer = replace(
        pairs,
        **{name: getattr(pairs, name)[keep] for name in ("photograph", "text", "own", "grades", "yes", "no")},
    )
    matches = out_of_fold(replace(match_data, pairs=fewer), quiet)
    assert (matches.all_pairs > 0).all()
    for row in range(len(fewer)):
        match = matches.all_pairs[fewer.text[row], fewer.photograph[row]]
        assert match == pytest.approx(matches.match[row], abs=1e-4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"grades": 20, "votes": 19}, "39 rated pairs are too few"),
        ({"chance_of_yes": 0.0}, "one-sided: only 0 of 900 say that a text fits"),
        ({"chance_of_yes": 1.0}, "one-sided: only 0 of 900 say that a text does not fit"),
        ({"grades": 0, "votes": 0}, "no ratings"),
    ],
)
def test_too_few_or_one_sided_ratings_are_refused(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        train(write_data(tmp_path / "data", **data), tmp_path)
    assert not (tmp_path / "out").exists()


def test_an_encoder_whose_cosines_fall_with_the_ratings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="do not rise with the ratings"):
        train(write_data(tmp_path / "data"), tmp_path, ColourReader(sign=-1.0))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("grades", "votes", "figure"), [(400, 0, "expert_tau_c"), (0, 900, "crowd_tau_b")])
def test_grades_or_votes_alone_are_enough(tmp_path: Path, grades: int, votes: int, figure: str) -> None:
    artifact = train(write_data(tmp_path / "data", grades=grades, votes=votes), tmp_path)
    assert artifact.figures[figure] > 20
    assert 0 < artifact.min_match < 1
    assert artifact.figures["answerable"]["auroc"] > 0.55


def test_votes_on_texts_without_a_photograph_give_no_default_threshold(tmp_path: Path) -> None:
    artifact = train(write_data(tmp_path / "data", grades=0, owned=False), tmp_path)
    assert artifact.figures["crowd_tau_b"] > 20
    assert "answerable" not in artifact.figures
    assert artifact.min_match == 0.0
    assert artifact.photograph is None


def test_too_few_ratings_for_folds_give_a_match_without_figures(tmp_path: Path) -> None:
    artifact = train(write_data(tmp_path / "data", rated=20, grades=100, votes=100), tmp_path)
    assert artifact.figures == {}
    assert ScorerArtifact.load(tmp_path / "out", "colours in words").text.plain.slope > 0


def test_a_few_equal_grades_do_not_set_the_scale(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", grades=0)
    (data / "expert_ratings.tsv").write_text("image\tcaption_id\texpert1\texpert2\texpert3\n0.png\t0#0\t4\t\t\n")
    artifact = train(data, tmp_path)
    match_data = read(data, tmp_path / "cache")
    assert 0.1 < float(np.mean(matches(artifact, match_data))) < 0.8


def test_a_perfectly_separating_score_does_not_give_a_step() -> None:
    score = np.linspace(-1, 1, 40)
    separated = fit_logistic(score, (score > 0).astype(np.float64), np.ones(40))
    assert 1 < separated.slope < 30
    with pytest.raises(ModelError):
        fit_logistic(score, (score < 0).astype(np.float64), np.ones(40))


def test_a_known_logistic_map_is_recovered() -> None:
    score = np.random.default_rng(0).normal(size=20_000)
    chance = 1 / (1 + np.exp(-(1.7 * score - 0.6)))
    found = fit_logistic(score, np.random.default_rng(1).binomial(3, chance) / 3, np.full(len(score), 3.0))
    assert (found.slope, found.intercept) == pytest.approx((1.7, -0.6), abs=0.05)


def test_without_unrated_captions_the_match_has_no_features(tmp_path: Path) -> None:
    artifact = train(write_data(tmp_path / "data"), tmp_path)
    assert artifact.text.feature_model is None and artifact.precision is None
    assert artifact.plain_precision is not None


def test_the_written_match_loads_with_the_same_matches(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", unrated=60)
    artifact = train(data, tmp_path)
    back = ScorerArtifact.load(tmp_path / "out", "colours in words")
    match_data = read(data, tmp_path / "cache")
    assert back.text.feature_model is not None
    assert matches(back, match_data) == pytest.approx(matches(artifact, match_data), abs=1e-5)
    assert (back.min_match, back.figures, back.trained_on) == (
        artifact.min_match, artifact.figures, "300 pairs graded and 600 pairs voted on, of 40 photographs and 40 texts",
    )  # fmt: skip
    assert back.photograph == artifact.photograph is not None
    again = train(data, tmp_path / "again")
    assert matches(again, match_data) == pytest.approx(matches(artifact, match_data), abs=1e-6)


def mean_change(base: ScorerArtifact, added: MatchData) -> float:
    """The mean absolute change of a base's matches by added ratings."""
    text = add_ratings(added, base)
    return float(np.abs(matches(replace(base, text=text), added) - matches(base, added)).mean())


@pytest.mark.parametrize("unrated", [0, 60])
def test_few_added_ratings_change_a_match_less_than_many(tmp_path: Path, unrated: int) -> None:
    base = train(write_data(tmp_path / "data", unrated=unrated, grades=600, votes=900), tmp_path)
    harsh = [
        read(
            write_data(tmp_path / f"{count}", grades=count, votes=0, owned=False, chance_of_yes=0.02),
            tmp_path / "cache",
            base,
        )
        for count in (5, 400)
    ]
    few, many = (mean_change(base, each) for each in harsh)
    assert 0 < few < 0.06
    assert many > 3 * few
    after = replace(base, text=add_ratings(harsh[1], base))
    assert matches(after, harsh[1]).mean() < matches(base, harsh[1]).mean(), "harsh ratings lower the matches"


def test_ratings_are_added_to_a_base_or_fitted_alone_with_its_banks(tmp_path: Path) -> None:
    base = train(write_data(tmp_path / "data", unrated=60), tmp_path)
    own = write_data(tmp_path / "own", grades=100, votes=0, owned=False, seed=7)
    added = train(own, tmp_path / "added", base=base)
    alone = train(own, tmp_path / "alone", base=base, alone=True)
    assert added.trained_on == f"{base.trained_on}, and {alone.trained_on}"
    assert alone.trained_on.startswith("100 pairs graded, of ")
    assert added.figures == {} and added.min_match == base.min_match
    assert "expert_tau_c" in alone.figures
    assert added.photograph == alone.photograph == base.photograph
    for each in (added, alone):
        assert each.text.feature_model is not None and base.text.feature_model is not None
        assert each.text.feature_model.banks is base.text.feature_model.banks
        assert (tmp_path / ("added" if each is added else "alone") / "out" / MATCH_JSON).is_file()
    match_data = read(own, tmp_path / "cache", base)
    near, far = (np.abs(matches(each, match_data) - matches(base, match_data)).mean() for each in (added, alone))
    assert 0 < near < far
