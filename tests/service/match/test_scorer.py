"""A match is from 0 to 1, is computed as it was fitted, and belongs to one encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import MismatchError, ModelError
from service.match.artifact import (
    MATCH_ARRAYS,
    MATCH_JSON,
    FeatureModel,
    Logistic,
    ScorerArtifact,
    TextMatch,
    quantised,
)
from service.match.features import FEATURES, Bank
from service.match.scorer import Scorer, find_artifact
from service.types import Float32Array, Float64Array
from tests.service.colours import ColourEncoder
from tests.service.sample_artifacts import (
    PHOTOGRAPHS,
    TEXTS,
    make_artifact,
    make_feature_model,
    random_unit_vectors,
    unit,
)

ALL = np.linspace(-1, 1, 401, dtype=np.float32)
"""Similarities over the whole range."""
DIMENSION = 16


def at(similarities: Float32Array, query: Float32Array) -> Float32Array:
    """Unit vectors with these similarities to a unit vector."""
    aside = np.zeros_like(query)
    aside[int(np.argmin(np.abs(query)))] = 1
    aside = unit(aside - (aside @ query) * query)
    return np.outer(similarities, query) + np.outer(np.sqrt(1 - similarities.astype(np.float64) ** 2), aside)


def scorer_of(artifact: ScorerArtifact | None, **facts: Any) -> Scorer:
    encoder = ColourEncoder(dimension=DIMENSION, **facts)
    return Scorer(encoder, artifact, np.empty((0, DIMENSION), np.float32))


QUERY = random_unit_vectors(1, DIMENSION, 40)[0]


@pytest.mark.parametrize(("slope", "intercept"), [(1e-6, 0.0), (12.0, -3.0), (117.0, -12.9), (1e6, 1e6), (1e6, -1e6)])
def test_a_calibration_stays_within_0_and_1_and_never_falls(slope: float, intercept: float) -> None:
    matches = Logistic(slope, intercept)(ALL)
    assert matches.dtype == np.float32
    assert np.isfinite(matches).all()
    assert ((matches >= 0) & (matches <= 1)).all()
    assert (np.diff(matches) >= 0).all()


def test_a_calibration_is_the_logistic_function() -> None:
    matches = Logistic(12.0, -3.0)(np.array([0.25, 0.5], np.float32))
    assert matches == pytest.approx([0.5, 1 / (1 + np.exp(-3))], abs=1e-6)


# -- fitted on ratings ---------------------------------------------------------------------------------


def test_a_fitted_match_is_used_for_texts_and_for_photographs() -> None:
    scorer = scorer_of(make_artifact(min_match=0.3), sigmoid=(100.0, -10.0))
    photographs = at(np.array([0.6], np.float32), QUERY)
    assert scorer.calibration("text") == scorer.calibration("photograph") == "ratings"
    assert (scorer.min_match, scorer.trained_on) == (0.3, "ratings of nobody")
    assert scorer.match(QUERY, photographs, "text")[0] == pytest.approx(1 / (1 + np.exp(-4.2)), abs=1e-6)
    assert scorer.match(QUERY, photographs, "photograph")[0] == pytest.approx(0.5, abs=1e-6)


def test_without_ratings_of_photograph_pairs_these_are_compared_with_the_background() -> None:
    scorer = scorer_of(replace(make_artifact(), photograph=None))
    assert (scorer.calibration("text"), scorer.calibration("photograph")) == ("ratings", "background")
    plain = scorer_of(None)
    photographs = at(ALL, QUERY)
    assert np.array_equal(scorer.match(QUERY, photographs, "photograph"), plain.match(QUERY, photographs, "photograph"))


def test_only_features_may_rank_differently_from_similarities() -> None:
    with_features = scorer_of(make_artifact(feature_model=make_feature_model(DIMENSION)))
    assert with_features.reorders("text")
    assert not with_features.reorders("photograph")
    assert not scorer_of(make_artifact()).reorders("text")
    assert not scorer_of(None).reorders("text")


def test_a_batch_equals_single_photographs() -> None:
    scorer = scorer_of(make_artifact(feature_model=make_feature_model(DIMENSION)))
    photographs = random_unit_vectors(200, DIMENSION, 7)
    together = scorer.match(QUERY, photographs, "text")
    assert together.dtype == np.float32
    assert ((together >= 0) & (together <= 1)).all()
    assert together.std() > 0.01
    for row in range(0, 200, 23):
        assert scorer.match(QUERY, photographs[row][None], "text")[0] == pytest.approx(together[row], abs=1e-5)


def test_for_a_text_unlike_those_of_the_bank_only_the_cosine_counts() -> None:
    photographs = random_unit_vectors(50, DIMENSION, 7)
    far, near, half = (
        scorer_of(make_artifact(feature_model=make_feature_model(DIMENSION, reach=reach))).match(
            QUERY, photographs, "text"
        )
        for reach in ((2.0, 3.0), (-3.0, -2.0), (-100.0, 100.0))
    )
    assert far == pytest.approx(TEXTS(photographs @ QUERY), abs=1e-6)
    assert np.abs(near - far).max() > 0.1
    assert ((half >= np.minimum(near, far) - 1e-6) & (half <= np.maximum(near, far) + 1e-6)).all()


# -- files ---------------------------------------------------------------------------------------------


def as_saved(bank: Bank) -> Bank:
    return Bank(quantised(bank.vectors), bank.counts)


def test_a_match_by_the_cosine_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    match = make_artifact(min_match=0.25)
    match.save(tmp_path / "anew")
    assert ScorerArtifact.load(tmp_path / "anew", "colours") == match
    assert [file.name for file in (tmp_path / "anew").iterdir()] == [MATCH_JSON]


def test_a_match_by_features_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    feature_model = make_feature_model(DIMENSION)
    feature_model = replace(feature_model, banks=tuple(map(as_saved, feature_model.banks)))
    match = make_artifact(feature_model=feature_model)
    match.save(tmp_path)
    back = ScorerArtifact.load(tmp_path, "colours")
    photographs = random_unit_vectors(50, DIMENSION, 7)
    assert scorer_of(back).match(QUERY, photographs, "text") == pytest.approx(
        scorer_of(match).match(QUERY, photographs, "text"), abs=1e-6
    )
    assert back.precision is not None
    assert np.array_equal(back.precision, np.eye(2 * len(FEATURES) + 1))
    assert (back.trained_on, back.figures) == (match.trained_on, match.figures)
    assert {file.name for file in tmp_path.iterdir()} == {MATCH_JSON, MATCH_ARRAYS}


def test_saving_a_match_by_the_cosine_deletes_earlier_arrays(tmp_path: Path) -> None:
    make_artifact(feature_model=make_feature_model(DIMENSION)).save(tmp_path)
    make_artifact().save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [MATCH_JSON]
    assert ScorerArtifact.load(tmp_path, "colours").text.feature_model is None


def edit(folder: Path, **changes: Any) -> None:
    facts = json.loads((folder / MATCH_JSON).read_text(encoding="utf-8"))
    (folder / MATCH_JSON).write_text(json.dumps(facts | changes), encoding="utf-8")


def without(folder: Path, name: str) -> None:
    facts = json.loads((folder / MATCH_JSON).read_text(encoding="utf-8"))
    del facts[name]
    (folder / MATCH_JSON).write_text(json.dumps(facts), encoding="utf-8")


def flip(file: Path, position: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(len(content) * position)] ^= 0x10
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def saved(folder: Path, *, features: bool = True) -> Path:
    make_artifact(feature_model=make_feature_model(DIMENSION) if features else None).save(folder)
    return folder


def refusal(folder: Path) -> str:
    """The error of loading a match; it always says which file and what to do."""
    with pytest.raises(ModelError) as refused:
        ScorerArtifact.load(folder, "colours")
    for part in (str(folder / MATCH_JSON), "smysl train scorer", "remove"):
        assert part in refused.value.message
    return refused.value.message


def test_a_match_of_another_encoder_is_refused_with_both_names(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(MismatchError) as refused:
        ScorerArtifact.load(tmp_path, "ours")
    for part in ("colours", "ours", str(tmp_path / MATCH_JSON), "Fit it again", "remove it"):
        assert part in refused.value.message


@pytest.mark.parametrize("version", [1, 3, "2", None])
def test_a_match_of_another_version_is_refused(tmp_path: Path, version: object) -> None:
    edit(saved(tmp_path), version=version)
    assert f"version {version}, this smysl reads 2" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / MATCH_ARRAYS).unlink(), "No such file"),
        (lambda folder: cut(folder / MATCH_ARRAYS), "is damaged or of another fit"),
        (lambda folder: (folder / MATCH_ARRAYS).write_bytes(b""), "is damaged or of another fit"),
        (lambda folder: flip(folder / MATCH_ARRAYS, 0.01), "is damaged or of another fit"),
        (lambda folder: flip(folder / MATCH_ARRAYS, 0.9), "is damaged or of another fit"),
        (lambda folder: edit(folder, features=["cosine"]), "other features than this version measures"),
        (lambda folder: edit(folder, features=sorted(FEATURES)), "other features than this version measures"),
        (lambda folder: edit(folder, near=-3.0), "is not valid"),
        (lambda folder: edit(folder, intercept=float("nan")), "is not valid"),
        (lambda folder: edit(folder, checksum="0" * 32), "is damaged or of another fit"),
        (lambda folder: without(folder, "checksum"), "'checksum' is missing"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, damage: Callable[[Path], object], says: str) -> None:
    damage(saved(tmp_path))
    assert says in refusal(tmp_path)


def test_arrays_of_another_fit_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "one")
    make_artifact(feature_model=make_feature_model(DIMENSION, seed=5)).save(tmp_path / "other")
    (tmp_path / "other" / MATCH_ARRAYS).replace(tmp_path / "one" / MATCH_ARRAYS)
    assert "is damaged or of another fit" in refusal(tmp_path / "one")


def with_weights(change: Callable[[Float64Array], Float64Array]) -> FeatureModel:
    feature_model = make_feature_model(DIMENSION)
    return replace(feature_model, weights=change(feature_model.weights))


def spoilt(weights: Float64Array) -> Float64Array:
    weights = weights.copy()
    weights[3] = np.nan
    return weights


@pytest.mark.parametrize(
    ("feature_model", "says"),
    [
        (with_weights(spoilt), "not finite"),
        (with_weights(lambda weights: weights[:-1]), "has the shape"),
        (replace(make_feature_model(DIMENSION), deviation=np.zeros(len(FEATURES))), "is not valid"),
    ],
)
def test_an_invalid_feature_model_is_refused(tmp_path: Path, feature_model: FeatureModel, says: str) -> None:
    make_artifact(feature_model=feature_model).save(tmp_path)
    assert says in refusal(tmp_path)


@pytest.mark.parametrize(
    "map_",
    [
        {"slope": 0.0, "intercept": 0.0}, {"slope": -2.0, "intercept": 0.0}, {"slope": float("nan"), "intercept": 0.0},
        {"slope": 1.0, "intercept": float("inf")}, {"slope": "steep", "intercept": 0.0}, {"slope": 1.0}, [], 7,
        {"slope": None, "intercept": 0.0}, {"slope": [1], "intercept": 0.0},
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["plain", "agreement", "photograph"])
def test_a_calibration_that_does_not_rise_is_refused(tmp_path: Path, name: str, map_: object) -> None:
    edit(saved(tmp_path, features=False), **{name: map_})
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize("min_match", [-0.1, 1.5, float("nan"), "low", None])
def test_a_min_match_out_of_range_is_refused(tmp_path: Path, min_match: object) -> None:
    edit(saved(tmp_path, features=False), min_match=min_match)
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize(
    "name", ["version", "fingerprint", "plain", "agreement", "photograph", "features", "min_match", "trained_on"]
)
def test_a_missing_key_is_named(tmp_path: Path, name: str) -> None:
    without(saved(tmp_path, features=False), name)
    assert f"{name!r} is missing" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"null", b'"text"', b"\xff\xfe", b"{}"])
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MATCH_JSON).write_bytes(content)
    assert "cannot be read" in refusal(tmp_path)


def test_the_first_folder_with_a_match_wins(tmp_path: Path) -> None:
    assert find_artifact(ColourEncoder(), None, tmp_path) is None
    for name, cut_at in (("library", 0.1), ("model", 0.2)):
        make_artifact(min_match=cut_at).save(tmp_path / name)
    both = (tmp_path / "library", tmp_path / "model")
    found = [find_artifact(ColourEncoder(), *folders) for folders in (both, both[::-1], (None, tmp_path, both[1]))]
    assert [match and match.min_match for match in found] == [0.1, 0.2, 0.2]


# -- without ratings -----------------------------------------------------------------------------------


def test_a_sigmoid_model_uses_its_own_probability_for_texts_only() -> None:
    scorer = scorer_of(None, sigmoid=(100.0, -10.0))
    assert (scorer.calibration("text"), scorer.calibration("photograph")) == ("sigmoid", "background")
    assert (scorer.min_match, scorer.trained_on) == (0.0, None)
    match = scorer.match(QUERY, at(np.array([0.1, 0.15], np.float32), QUERY), "text")
    assert match == pytest.approx([0.5, 1 / (1 + np.exp(-5))], abs=1e-5)


def test_three_deviations_above_the_background_are_a_match_of_one_half() -> None:
    background = random_unit_vectors(500, 64)
    scorer = Scorer(ColourEncoder(dimension=64), None, background)
    query = random_unit_vectors(501, 64)[-1]
    usual = background @ query
    places = usual.mean() + usual.std() * np.array([0, 2, 3, 4], np.float32)
    assert scorer.calibration("text") == "background"
    matches = scorer.match(query, at(places, query), "text")
    assert matches == pytest.approx([0.0014, 0.1, 0.5, 0.9], abs=2e-3)


@pytest.mark.parametrize("photographs", [0, 1, 2, 500])
@pytest.mark.parametrize("kind", ["text", "photograph"])
def test_every_fallback_stays_within_0_and_1_and_never_falls(photographs: int, kind: Any) -> None:
    query = random_unit_vectors(501, 64)[-1]
    for sigmoid in (None, (100.0, -10.0)):
        scorer = Scorer(ColourEncoder(sigmoid=sigmoid, dimension=64), None, random_unit_vectors(500, 64)[:photographs])
        matches = scorer.match(query, at(ALL, query), kind)
        assert matches.shape == ALL.shape
        assert ((matches >= 0) & (matches <= 1)).all()
        assert (np.diff(matches) >= -1e-6).all()


def test_a_library_of_equal_photographs_does_not_divide_by_zero() -> None:
    same = np.tile(np.array([[1, 0, 0, 0]], np.float32), (10, 1))
    matches = Scorer(ColourEncoder(), None, same).match(same[0], at(ALL, same[0]), "photograph")
    assert np.isfinite(matches).all()


@pytest.mark.parametrize(
    "artifact", [None, make_artifact(), make_artifact(feature_model=make_feature_model(DIMENSION))]
)
def test_no_photographs_give_no_matches(artifact: ScorerArtifact | None) -> None:
    matches = scorer_of(artifact).match(QUERY, np.empty((0, DIMENSION), np.float32), "text")
    assert (matches.shape, matches.dtype) == ((0,), np.float32)


def test_photograph_queries_have_their_own_calibration() -> None:
    photographs = at(ALL, QUERY)
    assert scorer_of(make_artifact()).match(QUERY, photographs, "photograph") == pytest.approx(
        PHOTOGRAPHS(ALL), abs=1e-5
    )
    plain = ScorerArtifact("colours", TextMatch(TEXTS, TEXTS), PHOTOGRAPHS)
    assert scorer_of(plain).match(QUERY, photographs, "text") == pytest.approx(TEXTS(ALL), abs=1e-5)
