"""A match fitted on simulated people: it finds their rule, and it is judged on nothing that it has seen."""

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
from tests.service.matches import strangers
from tests.training.simulated import ColourReader, make_hasty, quiet, write_data
from training.match_data import MatchData, read_match_data
from training.match_fit import add_ratings, fit_logistic, fit_text_match, out_of_fold, train_scorer


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hasty(monkeypatch)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> MatchData:
    """Ratings with enough captions beside them to make banks of, read once."""
    folder = tmp_path_factory.mktemp("simulated")
    with pytest.MonkeyPatch.context() as patch:
        make_hasty(patch)
        return read(write_data(folder / "data", beside=60, grades=500, votes=900), folder / "cache")


def read(data: Path, cache: Path, base: ScorerArtifact | None = None) -> MatchData:
    return read_match_data(ColourReader(), data, read_rated_pairs(data), cache, quiet, base)  # type: ignore[arg-type]


def train(data: Path, folder: Path, encoder: ColourReader | None = None, **options: Any) -> ScorerArtifact:
    return train_scorer(encoder or ColourReader(), data, folder / "out", folder / "cache", quiet, **options)  # type: ignore[arg-type]


def everything(material: MatchData) -> Any:
    return np.ones(len(material.pairs), dtype=bool)


def matches(artifact: ScorerArtifact, material: MatchData) -> Any:
    """Matches (texts, photographs) as search finds them."""
    return np.stack([sigmoid(artifact.text.logits(text, material.photographs)) for text in material.texts])


# -- what is fitted ------------------------------------------------------------------------------------


def test_matches_out_of_fold_follow_the_ratings_and_are_on_the_scale_of_grades(material: MatchData) -> None:
    judged = out_of_fold(material, quiet)
    graded = material.pairs.expert
    match, grade = judged.match[graded], material.pairs.grade[graded]
    ours, cosine = (kendalltau(each, grade).statistic for each in (match, material.cosine[graded]))
    assert ours > 0.4
    assert ours > cosine - 0.02
    assert match.mean() == pytest.approx(grade.mean(), abs=0.03)
    assert reliability(match, grade).error < 0.06
    voted = material.pairs.crowd
    assert judged.agreement[voted].mean() == pytest.approx(material.pairs.share[voted].mean(), abs=0.03)
    assert judged.agreement[voted].mean() < judged.match[voted].mean(), "the crowd is the stricter one"


def test_a_match_says_of_rated_pairs_what_search_will_say(material: MatchData) -> None:
    text = fit_text_match(material, everything(material))
    logits = training.match_fit._logits(text, material, everything(material))
    for row in range(0, len(material.pairs), 97):
        photograph = material.photographs[material.pairs.photograph[row]][None]
        found = text.logits(material.texts[material.pairs.text[row]], photograph)
        assert found[0] == pytest.approx(logits[row], abs=1e-3)


def test_a_text_far_from_the_bank_is_judged_without_features(material: MatchData) -> None:
    text = fit_text_match(material, everything(material))
    assert text.feature_model is not None
    assert not np.allclose(
        text.logits(material.background_texts[0], material.photographs),
        replace(text, feature_model=None).logits(material.background_texts[0], material.photographs),
    )
    others = np.concatenate([strangers(200, 8), -material.texts])
    far = others[prepare(others, material.banks).nearness <= text.feature_model.far]
    assert len(far) > 10
    for query in far[:10]:
        plain = replace(text, feature_model=None).logits(query, material.photographs)
        assert np.array_equal(text.logits(query, material.photographs), plain)


def test_a_feature_that_the_ratings_do_not_vary_is_not_blown_up(tmp_path: Path, material: MatchData) -> None:
    rows = material.pairs.text == np.bincount(material.pairs.text).argmax()
    text = fit_text_match(material, rows)
    assert text.feature_model is not None
    assert text.feature_model.deviation.min() >= 1e-3
    found = [text.logits(each, material.photographs) for each in material.texts]
    assert np.abs(found).max() < 30


# -- folds ---------------------------------------------------------------------------------------------


def test_each_row_is_judged_once_by_a_fit_that_saw_neither_its_text_nor_its_photograph(
    material: MatchData, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, fits, judgements = material.pairs, [], []
    fit, judge, joint = fit_text_match, training.match_fit._logits, training.match_fit.fit_joint
    beside_rows: list[int] = []

    def spy_joint(*arguments: Any, **options: Any) -> Any:
        beside_rows.append(len(options["beside"][1]) if options.get("beside") else 0)
        return joint(*arguments, **options)

    def spy_fit(material: MatchData, fitted: Any) -> Any:
        fits.append(fitted.copy())
        text = fit(material, fitted)
        judgements.clear()
        return text

    def spy_judge(text: Any, material: MatchData, rows: Any) -> Any:
        judgements.append(rows.copy())
        if not np.array_equal(rows, fits[-1]):
            judged.append((fits[-1], rows.copy()))
        return judge(text, material, rows)

    judged: list[tuple[Any, Any]] = []
    monkeypatch.setattr(training.match_fit, "fit_joint", spy_joint)
    monkeypatch.setattr(training.match_fit, "fit_text_match", spy_fit)
    monkeypatch.setattr(training.match_fit, "_logits", spy_judge)
    found = out_of_fold(material, quiet)

    assert len(judged) == 25
    assert np.array_equal(sum(rows.astype(int) for _, rows in judged), np.ones(len(pairs)))
    beside = material.beside
    for fitted, rows in judged:
        for each in (pairs.text, pairs.photograph):
            assert not set(each[fitted]) & set(each[rows])
        known = training.match_fit._beside(material, fitted)
        assert known.any()
        assert not set(beside.text[known]) & set(pairs.text[rows])
        assert not set(beside.photograph[known]) & set(pairs.photograph[rows])
        assert int(known.sum()) in beside_rows
    assert max(beside_rows) < len(beside.text), "a fit of a cell was given all of the pairs that nobody rated"
    assert np.isfinite(found.match).all() and np.isfinite(found.agreement).all()


def test_what_a_judged_photograph_was_rated_as_changes_nothing_for_it(material: MatchData) -> None:
    photograph_fold, text_fold = fold_numbers(material.pairs.photograph, material.pairs.text)
    cell = (photograph_fold == 2) & (text_fold == 3)
    turned = replace(
        material.pairs,
        grades=np.where(cell[:, None], 5 - material.pairs.grades, material.pairs.grades),
        yes=np.where(cell, material.pairs.no, material.pairs.yes),
        no=np.where(cell, material.pairs.yes, material.pairs.no),
    )
    one, other = (out_of_fold(replace(material, pairs=each), quiet) for each in (material.pairs, turned))
    assert np.array_equal(one.match[cell], other.match[cell])
    assert not np.array_equal(one.match[~cell], other.match[~cell])


def test_every_text_is_judged_with_every_photograph_also_where_nobody_rated(tmp_path: Path) -> None:
    material = read(write_data(tmp_path / "data", grades=120, votes=0), tmp_path / "cache")
    keep = ~((fold_numbers(material.pairs.photograph, material.pairs.text)[0] == 1) & (material.pairs.text % 3 > 0))
    pairs = material.pairs
    fewer = replace(
        pairs,
        **{name: getattr(pairs, name)[keep] for name in ("photograph", "text", "own", "grades", "yes", "no")},
    )
    judged = out_of_fold(replace(material, pairs=fewer), quiet)
    assert (judged.everything > 0).all()
    for row in range(len(fewer)):
        found = judged.everything[fewer.text[row], fewer.photograph[row]]
        assert found == pytest.approx(judged.match[row], abs=1e-4)


# -- what people can get wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"grades": 20, "votes": 19}, "39 rated pairs are too few"),
        ({"says": 0.0}, "one-sided: only 0 of 900 say that a text fits"),
        ({"says": 1.0}, "one-sided: only 0 of 900 say that a text does not fit"),
        ({"grades": 0, "votes": 0}, "no ratings"),
    ],
)
def test_ratings_that_cannot_be_fitted_on_get_a_sentence(tmp_path: Path, data: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        train(write_data(tmp_path / "data", **data), tmp_path)
    assert not (tmp_path / "out").exists()


def test_an_encoder_that_cannot_tell_what_fits_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="do not rise with the ratings"):
        train(write_data(tmp_path / "data"), tmp_path, ColourReader(sign=-1.0))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("grades", "votes", "figure"), [(400, 0, "expert_tau_c"), (0, 900, "crowd_tau_b")])
def test_one_kind_of_ratings_is_enough(tmp_path: Path, grades: int, votes: int, figure: str) -> None:
    artifact = train(write_data(tmp_path / "data", grades=grades, votes=votes), tmp_path)
    assert artifact.figures[figure] > 20
    assert 0 < artifact.min_match < 1
    assert artifact.figures["answerable"]["auroc"] > 0.55


def test_ratings_of_texts_of_no_photograph_by_votes_alone_are_measured_without_a_cut(tmp_path: Path) -> None:
    artifact = train(write_data(tmp_path / "data", grades=0, owned=False), tmp_path)
    assert artifact.figures["crowd_tau_b"] > 20
    assert "answerable" not in artifact.figures
    assert artifact.min_match == 0.0
    assert artifact.photograph is None


def test_ratings_that_cannot_be_folded_make_a_match_without_figures(tmp_path: Path) -> None:
    artifact = train(write_data(tmp_path / "data", rated=20, grades=100, votes=100), tmp_path)
    assert artifact.figures == {}
    assert ScorerArtifact.load(tmp_path / "out", "colours in words").text.plain.slope > 0


def test_a_few_grades_that_all_say_the_same_do_not_make_the_scale(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", grades=0)
    (data / "expert_ratings.tsv").write_text("image\tcaption_id\texpert1\texpert2\texpert3\n0.png\t0#0\t4\t\t\n")
    artifact = train(data, tmp_path)
    material = read(data, tmp_path / "cache")
    assert 0.1 < float(np.mean(matches(artifact, material))) < 0.8


def test_few_ratings_that_a_score_parts_wholly_make_no_step() -> None:
    score = np.linspace(-1, 1, 40)
    parted = fit_logistic(score, (score > 0).astype(np.float64), np.ones(40))
    assert 1 < parted.slope < 30
    with pytest.raises(ModelError):
        fit_logistic(score, (score < 0).astype(np.float64), np.ones(40))


def test_a_logistic_map_is_found_again() -> None:
    score = np.random.default_rng(0).normal(size=20_000)
    chance = 1 / (1 + np.exp(-(1.7 * score - 0.6)))
    found = fit_logistic(score, np.random.default_rng(1).binomial(3, chance) / 3, np.full(len(score), 3.0))
    assert (found.slope, found.intercept) == pytest.approx((1.7, -0.6), abs=0.05)


# -- what is written -----------------------------------------------------------------------------------


def test_without_captions_beside_the_rated_the_match_needs_no_features(tmp_path: Path) -> None:
    artifact = train(write_data(tmp_path / "data"), tmp_path)
    assert artifact.text.feature_model is None and artifact.precision is None
    assert artifact.plain_precision is not None


def test_what_is_written_gives_the_same_matches(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", beside=60)
    artifact = train(data, tmp_path)
    back = ScorerArtifact.load(tmp_path / "out", "colours in words")
    material = read(data, tmp_path / "cache")
    assert back.text.feature_model is not None
    assert matches(back, material) == pytest.approx(matches(artifact, material), abs=1e-5)
    assert (back.min_match, back.figures, back.trained_on) == (
        artifact.min_match, artifact.figures, "300 pairs graded and 600 pairs voted on, of 40 photographs and 40 texts",
    )  # fmt: skip
    assert back.photograph == artifact.photograph is not None
    again = train(data, tmp_path / "again")
    assert matches(again, material) == pytest.approx(matches(artifact, material), abs=1e-6)


# -- ratings added to others ---------------------------------------------------------------------------


def moved(base: ScorerArtifact, more: MatchData) -> float:
    """How far ratings move the matches of a base, in the mean."""
    text = add_ratings(more, base)
    return float(np.abs(matches(replace(base, text=text), more) - matches(base, more)).mean())


@pytest.mark.parametrize("beside", [0, 60])
def test_few_ratings_move_a_match_little_and_many_more(tmp_path: Path, beside: int) -> None:
    base = train(write_data(tmp_path / "data", beside=beside, grades=600, votes=900), tmp_path)
    harsh = [
        read(write_data(tmp_path / f"{count}", grades=count, votes=0, owned=False, says=0.02), tmp_path / "cache", base)
        for count in (5, 400)
    ]
    few, many = (moved(base, each) for each in harsh)
    assert 0 < few < 0.06
    assert many > 3 * few
    after = replace(base, text=add_ratings(harsh[1], base))
    assert matches(after, harsh[1]).mean() < matches(base, harsh[1]).mean(), "harsh people make matches lower"


def test_ratings_are_added_to_a_base_or_stand_alone_with_its_banks(tmp_path: Path) -> None:
    base = train(write_data(tmp_path / "data", beside=60), tmp_path)
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
    material = read(own, tmp_path / "cache", base)
    near, far = (np.abs(matches(each, material) - matches(base, material)).mean() for each in (added, alone))
    assert 0 < near < far
