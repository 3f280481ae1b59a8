"""A match is from 0 to 1, rises with the similarity, and belongs to one encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.errors import MismatchError, ModelError
from service.scorer import Logistic, Scorer, ScorerArtifact, artifact_of
from tests.service.colours import ColourEncoder

ALL = np.linspace(-1, 1, 401, dtype=np.float32)
"""Every similarity there is, near enough."""

FACTS: dict[str, Any] = {
    "version": 1,
    "fingerprint": "colours",
    "slope": 12.0,
    "intercept": -3.0,
    "photograph": {"slope": 10.0, "intercept": -6.0},
}


def write(folder: Path, **changes: Any) -> Path:
    (folder / "match.json").write_text(json.dumps(FACTS | changes), encoding="utf-8")
    return folder / "match.json"


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def crowd(count: int = 500, dimension: int = 64) -> NDArray[np.float32]:
    """Unit vectors that have nothing to do with each other."""
    return unit(np.random.default_rng(3).normal(size=(count, dimension)).astype(np.float32))


@pytest.mark.parametrize(("slope", "intercept"), [(1e-6, 0.0), (12.0, -3.0), (117.0, -12.9), (1e6, 1e6), (1e6, -1e6)])
def test_a_map_stays_within_0_and_1_and_never_falls(slope: float, intercept: float) -> None:
    matches = Logistic(slope, intercept)(ALL)
    assert matches.dtype == np.float32
    assert np.isfinite(matches).all()
    assert ((matches >= 0) & (matches <= 1)).all()
    assert (np.diff(matches) >= 0).all()


def test_a_map_is_the_logistic_function() -> None:
    matches = Logistic(12.0, -3.0)(np.array([0.25, 0.5], np.float32))
    assert matches == pytest.approx([0.5, 1 / (1 + np.exp(-3))], abs=1e-6)


# -- fitted on ratings ---------------------------------------------------------------------------------


def test_ratings_come_first_for_texts_and_for_photographs(tmp_path: Path) -> None:
    artifact = ScorerArtifact.load(write(tmp_path), "colours")
    scorer = Scorer(ColourEncoder(sigmoid=(100.0, -10.0)), artifact, np.empty((0, 4), np.float32))
    query, similarity = np.array([1, 0, 0, 0], np.float32), np.array([0.6], np.float32)
    assert scorer.calibration("text") == scorer.calibration("photograph") == "ratings"
    assert scorer.match(query, similarity, "text")[0] == pytest.approx(1 / (1 + np.exp(-4.2)), abs=1e-6)
    assert scorer.match(query, similarity, "photograph")[0] == pytest.approx(0.5, abs=1e-6)


def test_a_match_of_another_encoder_is_refused_with_both_names(tmp_path: Path) -> None:
    with pytest.raises(MismatchError) as refusal:
        ScorerArtifact.load(write(tmp_path, fingerprint="theirs"), "ours")
    for part in ("theirs", "ours", "match.json", "Fit it again"):
        assert part in refusal.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {"slope": 0.0}, {"slope": -2.0}, {"slope": float("nan")}, {"intercept": float("inf")}, {"slope": "steep"},
        {"slope": None}, {"photograph": None}, {"photograph": {"slope": 1.0}}, {"photograph": []}, {"slope": [1]},
    ],
)  # fmt: skip
def test_a_map_that_does_not_rise_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"match\.json cannot be read") as refusal:
        ScorerArtifact.load(write(tmp_path, **changes), "colours")
    assert "remove it" in refusal.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"null", b'"text"', b"\xff\xfe", b"{}"])
def test_a_broken_file_gets_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "match.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"match\.json cannot be read"):
        ScorerArtifact.load(tmp_path / "match.json", "colours")


def test_a_match_of_a_newer_version_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="version 2, this smysl reads 1"):
        ScorerArtifact.load(write(tmp_path, version=2), "colours")


def test_a_model_without_ratings_has_no_artifact(tmp_path: Path) -> None:
    assert artifact_of(ColourEncoder(), None) is None
    assert artifact_of(ColourEncoder(), tmp_path) is None
    write(tmp_path)
    assert artifact_of(ColourEncoder(), tmp_path) is not None


# -- without ratings -----------------------------------------------------------------------------------


def test_a_sigmoid_model_says_its_own_probability_for_texts_only() -> None:
    scorer = Scorer(ColourEncoder(sigmoid=(100.0, -10.0)), None, crowd(dimension=4))
    assert scorer.calibration("text") == "sigmoid"
    assert scorer.calibration("photograph") == "background"
    match = scorer.match(np.array([1, 0, 0, 0], np.float32), np.array([0.1, 0.15], np.float32), "text")
    assert match == pytest.approx([0.5, 1 / (1 + np.exp(-5))], abs=1e-5)


def test_against_the_background_three_deviations_out_is_even() -> None:
    background = crowd()
    scorer = Scorer(ColourEncoder(dimension=64), None, background)
    query = crowd(501)[-1]
    usual = background @ query
    places = usual.mean() + usual.std() * np.array([0, 2, 3, 4], np.float32)
    assert scorer.calibration("text") == "background"
    matches = scorer.match(query, places.astype(np.float32), "text")
    assert matches == pytest.approx([0.0014, 0.1, 0.5, 0.9], abs=2e-3)


@pytest.mark.parametrize("photographs", [0, 1, 2, 500])
@pytest.mark.parametrize("kind", ["text", "photograph"])
def test_every_fallback_stays_within_0_and_1_and_never_falls(photographs: int, kind: Any) -> None:
    for sigmoid in (None, (100.0, -10.0)):
        scorer = Scorer(ColourEncoder(sigmoid=sigmoid, dimension=64), None, crowd(500)[:photographs])
        matches = scorer.match(crowd(501)[-1], ALL, kind)
        assert matches.shape == ALL.shape
        assert ((matches >= 0) & (matches <= 1)).all()
        assert (np.diff(matches) >= 0).all()


def test_a_library_of_equal_photographs_does_not_divide_by_zero() -> None:
    same = np.tile(np.array([[1, 0, 0, 0]], np.float32), (10, 1))
    matches = Scorer(ColourEncoder(), None, same).match(same[0], ALL, "photograph")
    assert np.isfinite(matches).all()


def test_nothing_in_gives_nothing_out(tmp_path: Path) -> None:
    artifact = ScorerArtifact.load(write(tmp_path), "colours")
    for scorer in (Scorer(ColourEncoder(), artifact, crowd(0, 4)), Scorer(ColourEncoder(), None, crowd(0, 4))):
        assert scorer.match(np.zeros(4, np.float32), np.empty(0, np.float32), "text").shape == (0,)
