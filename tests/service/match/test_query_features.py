"""One text with many photographs is measured quickly, and as every pair is measured for a fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.match.artifact import ScorerArtifact, TextMatch, squash
from service.match.features import BANKS, FEATURES, TEMPERATURES, Bank, features, side
from service.match.query_features import OneText
from service.types import Float32Array
from tests.service.matches import TEXTS, a_bank, an_interaction, strangers, unit

DIMENSION = 32


def banks() -> tuple[Bank, ...]:
    return tuple(a_bank(DIMENSION, seed, count) for seed, count in zip((1, 2), (12, 7), strict=True))


def of_any(text: Float32Array, photographs: Float32Array, own: tuple[Bank, ...]) -> Float32Array:
    """As the fit measures: any pairs."""
    rows = np.arange(len(photographs))
    return features(side(text[None], own), side(photographs, own), own, np.zeros_like(rows), rows)


def of_one(text: Float32Array, photographs: Float32Array, own: tuple[Bank, ...]) -> Float32Array:
    """As a search measures."""
    return OneText(own).features(side(text[None], own), photographs)


def by_any(text: TextMatch, query: Float32Array, photographs: Float32Array) -> Float32Array:
    """The match from features that are measured as the fit does, and from the cosine, by their shares."""
    interaction = text.interaction
    assert interaction is not None
    share = interaction.share(side(query[None], interaction.banks).nearness)
    seen = interaction.logits(interaction.standard(of_any(query, photographs, interaction.banks)))
    near = photographs @ query
    if text.everyday is not None:
        near = near - photographs @ text.everyday.centre
        near = near - ((photographs @ text.everyday.spread.T) ** 2).sum(axis=1) / (2 * 0.15)
    return squash(share * seen + (1 - share) * text.plain.logit(near))


@pytest.mark.parametrize("number", range(len(FEATURES)), ids=FEATURES)
def test_each_feature_is_the_one_that_is_fitted_on(number: int) -> None:
    photographs = strangers(50, DIMENSION, 9)
    for text in strangers(5, DIMENSION, 8):
        found, meant = of_one(text, photographs, banks())[:, number], of_any(text, photographs, banks())[:, number]
        assert found == pytest.approx(meant, abs=2e-6)


def test_features_are_float32_one_row_a_photograph() -> None:
    for count in (1, 3):
        found = of_one(strangers(1, DIMENSION, 8)[0], strangers(count, DIMENSION, 9), banks())
        assert found.shape == (count, len(FEATURES))
        assert found.dtype == np.float32


def test_the_features_of_vectors_at_the_ends_of_the_scale_are_the_same() -> None:
    own = banks()
    extreme = np.concatenate([np.eye(DIMENSION, dtype=np.float32)[:3], own[0].vectors[:2], own[1].vectors[:2]])
    photographs = np.concatenate([extreme, -extreme])
    for text in photographs:
        assert of_one(text, photographs, own) == pytest.approx(of_any(text, photographs, own), abs=2e-6)


def test_features_are_the_same_with_a_bank_that_does_not_vary() -> None:
    alike = Bank(np.tile(strangers(1, DIMENSION, 4), (3, 1)), np.ones(3, np.float32))
    text, photographs = strangers(1, DIMENSION, 8)[0], strangers(9, DIMENSION, 9)
    assert of_one(text, photographs, (alike, alike)) == pytest.approx(of_any(text, photographs, (alike,) * 2), abs=2e-6)


def test_one_temperature_is_twice_the_other() -> None:
    assert TEMPERATURES[1] == 2 * TEMPERATURES[0]
    assert len(TEMPERATURES) == len(BANKS) == 2


@pytest.mark.parametrize("reach", [(-3.0, -2.0), (-0.5, 1.5)], ids=["features alone", "features and cosine"])
def test_the_match_is_that_of_the_features_that_are_fitted_on(reach: tuple[float, float]) -> None:
    interaction = an_interaction(DIMENSION, reach=reach)
    text, photographs = strangers(1, DIMENSION, 8)[0], strangers(200, DIMENSION, 9)
    match = TextMatch(TEXTS, TEXTS, interaction)
    found = squash(match.logits(text, photographs))
    assert np.abs(found - by_any(match, text, photographs)).max() < 1e-5
    other = replace(match, interaction=an_interaction(DIMENSION, seed=7, reach=reach))
    assert np.abs(found - squash(other.logits(text, photographs))).max() > 1e-2, "features count for something"


def test_the_match_of_mini_is_the_same_by_both_ways() -> None:
    mini = mini_match()
    interaction = mini.text.interaction
    assert interaction is not None
    random = np.random.default_rng(5)
    texts, photographs = (drawn_from(bank, 300, random) for bank in interaction.banks)
    shares = []
    for query in texts[::8]:
        found = squash(mini.text.logits(query, photographs))
        assert np.abs(found - by_any(mini.text, query, photographs)).max() < 1e-5
        shares.append(float(interaction.share(side(query[None], interaction.banks).nearness)[0]))
    assert min(shares) < 1.0, "some of the texts are left to the cosine"
    assert max(shares) > 0.0


@pytest.mark.usefixtures("shared_data")
def test_the_match_of_real_photographs_is_the_same_by_both_ways(shared_data: Path) -> None:
    from service.encoder.encoder import Encoder
    from service.photos.decode import open_photograph

    files = sorted((shared_data / "flickr8k").rglob("*.jpg"))[:24]
    if not files:
        pytest.skip(f"no photographs in {shared_data / 'flickr8k'}")
    encoder, mini = Encoder.load("mini", device="cpu"), mini_match()
    photographs = encoder.encode_photographs([open_photograph(file, shorter_side=520).image for file in files])
    for query in encoder.encode_texts(["two dogs play in the snow", "a man in a red hat", "qwertz", "stock exchange"]):
        found = squash(mini.text.logits(query, photographs))
        assert np.abs(found - by_any(mini.text, query, photographs)).max() < 1e-5


def mini_match() -> ScorerArtifact:
    import json

    from service.encoder.models import mini_folder
    from service.match.artifact import FACTS

    facts = json.loads((mini_folder() / FACTS).read_text(encoding="utf-8"))
    return ScorerArtifact.load(mini_folder(), facts["fingerprint"])


def drawn_from(bank: Bank, count: int, random: np.random.Generator) -> Float32Array:
    """Vectors near to a bank's, and further and further from them."""
    noise = random.normal(size=(count, bank.vectors.shape[1])) * np.linspace(0.005, 0.5, count)[:, None]
    return unit((bank.vectors[random.integers(len(bank.vectors), size=count)] + noise).astype(np.float32))
