"""The fast features of one text with many photographs equal those of any pairs, which the fit uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.match.artifact import ScorerArtifact, TextMatch, sigmoid
from service.match.features import BANKS, FEATURES, TEMPERATURES, Bank, pair_features, prepare
from service.match.query_features import QueryFeatures
from service.types import Float32Array
from tests.service.sample_artifacts import TEXTS, make_bank, make_feature_model, random_unit_vectors, unit

DIMENSION = 32


def banks() -> tuple[Bank, ...]:
    return tuple(make_bank(DIMENSION, seed, count) for seed, count in zip((1, 2), (12, 7), strict=True))


def of_any(text: Float32Array, photographs: Float32Array, own: tuple[Bank, ...]) -> Float32Array:
    """Features as in the fit: of any pairs."""
    rows = np.arange(len(photographs))
    return pair_features(prepare(text[None], own), prepare(photographs, own), own, np.zeros_like(rows), rows)


def of_one(text: Float32Array, photographs: Float32Array, own: tuple[Bank, ...]) -> Float32Array:
    """Features as in a search."""
    return QueryFeatures(own).measure(prepare(text[None], own), photographs)


def by_any(text: TextMatch, query: Float32Array, photographs: Float32Array) -> Float32Array:
    """The match computed from features as in the fit, and from the cosine."""
    feature_model = text.feature_model
    assert feature_model is not None
    share = feature_model.feature_weight(prepare(query[None], feature_model.banks).nearness)
    seen = feature_model.logits(feature_model.design_matrix(of_any(query, photographs, feature_model.banks)))
    near = photographs @ query
    if text.hubness is not None:
        near = near - photographs @ text.hubness.centre
        near = near - ((photographs @ text.hubness.spread.T) ** 2).sum(axis=1) / (2 * 0.15)
    return sigmoid(share * seen + (1 - share) * text.plain.logit(near))


@pytest.mark.parametrize("number", range(len(FEATURES)), ids=FEATURES)
def test_each_feature_equals_that_of_the_fit(number: int) -> None:
    photographs = random_unit_vectors(50, DIMENSION, 9)
    for text in random_unit_vectors(5, DIMENSION, 8):
        found, meant = of_one(text, photographs, banks())[:, number], of_any(text, photographs, banks())[:, number]
        assert found == pytest.approx(meant, abs=2e-6)


def test_features_are_float32_with_one_row_per_photograph() -> None:
    for count in (1, 3):
        found = of_one(random_unit_vectors(1, DIMENSION, 8)[0], random_unit_vectors(count, DIMENSION, 9), banks())
        assert found.shape == (count, len(FEATURES))
        assert found.dtype == np.float32


def test_the_features_of_equal_and_opposite_vectors_equal_those_of_the_fit() -> None:
    own = banks()
    extreme = np.concatenate([np.eye(DIMENSION, dtype=np.float32)[:3], own[0].vectors[:2], own[1].vectors[:2]])
    photographs = np.concatenate([extreme, -extreme])
    for text in photographs:
        assert of_one(text, photographs, own) == pytest.approx(of_any(text, photographs, own), abs=2e-6)


def test_features_of_a_bank_without_variance_equal_those_of_the_fit() -> None:
    alike = Bank(np.tile(random_unit_vectors(1, DIMENSION, 4), (3, 1)), np.ones(3, np.float32))
    text, photographs = random_unit_vectors(1, DIMENSION, 8)[0], random_unit_vectors(9, DIMENSION, 9)
    assert of_one(text, photographs, (alike, alike)) == pytest.approx(of_any(text, photographs, (alike,) * 2), abs=2e-6)


def test_one_temperature_is_twice_the_other() -> None:
    assert TEMPERATURES[1] == 2 * TEMPERATURES[0]
    assert len(TEMPERATURES) == len(BANKS) == 2


@pytest.mark.parametrize("reach", [(-3.0, -2.0), (-0.5, 1.5)], ids=["features alone", "features and cosine"])
def test_the_match_equals_that_of_the_features_of_the_fit(reach: tuple[float, float]) -> None:
    feature_model = make_feature_model(DIMENSION, reach=reach)
    text, photographs = random_unit_vectors(1, DIMENSION, 8)[0], random_unit_vectors(200, DIMENSION, 9)
    match = TextMatch(TEXTS, TEXTS, feature_model)
    found = sigmoid(match.logits(text, photographs))
    assert np.abs(found - by_any(match, text, photographs)).max() < 1e-5
    other = replace(match, feature_model=make_feature_model(DIMENSION, seed=7, reach=reach))
    assert np.abs(found - sigmoid(other.logits(text, photographs))).max() > 1e-2, "features make a difference"


def test_the_match_of_mini_is_the_same_with_both_kinds_of_features() -> None:
    mini = mini_match()
    feature_model = mini.text.feature_model
    assert feature_model is not None
    random = np.random.default_rng(5)
    texts, photographs = (drawn_from(bank, 300, random) for bank in feature_model.banks)
    shares = []
    for query in texts[::8]:
        found = sigmoid(mini.text.logits(query, photographs))
        assert np.abs(found - by_any(mini.text, query, photographs)).max() < 1e-5
        shares.append(float(feature_model.feature_weight(prepare(query[None], feature_model.banks).nearness)[0]))
    assert min(shares) < 1.0, "for some texts the cosine counts"
    assert max(shares) > 0.0


@pytest.mark.usefixtures("shared_data")
def test_the_match_of_real_photographs_is_the_same_with_both_kinds_of_features(shared_data: Path) -> None:
    from service.encoder.encoder import Encoder
    from service.photos.decode import open_photograph

    files = sorted((shared_data / "flickr8k").rglob("*.jpg"))[:24]
    if not files:
        pytest.skip(f"no photographs in {shared_data / 'flickr8k'}")
    encoder, mini = Encoder.load("mini", device="cpu"), mini_match()
    photographs = encoder.encode_photographs([open_photograph(file, shorter_side=520).image for file in files])
    for query in encoder.encode_texts(["two dogs play in the snow", "a man in a red hat", "qwertz", "stock exchange"]):
        found = sigmoid(mini.text.logits(query, photographs))
        assert np.abs(found - by_any(mini.text, query, photographs)).max() < 1e-5


def mini_match() -> ScorerArtifact:
    import json

    from service.encoder.models import mini_folder
    from service.match.artifact import MATCH_JSON

    facts = json.loads((mini_folder() / MATCH_JSON).read_text(encoding="utf-8"))
    return ScorerArtifact.load(mini_folder(), facts["fingerprint"])


def drawn_from(bank: Bank, count: int, random: np.random.Generator) -> Float32Array:
    """Vectors at increasing distances from those of a bank."""
    noise = random.normal(size=(count, bank.vectors.shape[1])) * np.linspace(0.005, 0.5, count)[:, None]
    return unit((bank.vectors[random.integers(len(bank.vectors), size=count)] + noise).astype(np.float32))
