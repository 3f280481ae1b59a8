"""The data that a match is fitted on: encoded once, with a background that has nothing rated in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.ratings import read_rated_pairs
from service.errors import PhotographError
from service.match.features import FEATURES, prepare
from service.match.scorer import ScorerArtifact
from tests.service.sample_artifacts import make_artifact, make_feature_model
from tests.training.simulated import ColourReader, make_hasty, quiet, write_data
from training.match_data import OWN_TARGET, RANDOM_PER_TEXT, RANDOM_TARGET, MatchData, make_bank, read_match_data

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hasty(monkeypatch)


def read(data: Path, cache: Path, encoder: ColourReader | None = None, base: ScorerArtifact | None = None) -> MatchData:
    return read_match_data(encoder or ColourReader(), data, read_rated_pairs(data), cache, quiet, base)  # type: ignore[arg-type]


def test_vectors_have_length_one_and_are_in_order(tmp_path: Path) -> None:
    encoder = ColourReader()
    match_data = read(write_data(tmp_path / "data"), tmp_path / "cache", encoder)
    assert np.linalg.norm(match_data.texts, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.allclose(match_data.texts, encoder.encode_texts(match_data.pairs.texts))
    images = [Image.open(each.path).convert("RGB") for each in match_data.pairs.photographs]
    assert np.allclose(match_data.photographs, encoder.encode_photographs(images))
    row = len(match_data.pairs) // 2
    text, photograph = match_data.pairs.text[row], match_data.pairs.photograph[row]
    assert match_data.cosine[row] == pytest.approx(
        match_data.texts[text] @ match_data.photographs[photograph], abs=1e-6
    )


def test_a_second_reading_encodes_nothing(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", unrated=40)
    first, encoder = read(data, tmp_path / "cache"), ColourReader()
    again = read(data, tmp_path / "cache", encoder)
    assert (encoder.texts, encoder.photographs) == ([], 0)
    assert np.array_equal(first.features, again.features)
    assert np.array_equal(first.owner_vectors, again.owner_vectors, equal_nan=True)


def test_another_encoder_encodes_again(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    read(data, tmp_path / "cache")
    other = ColourReader(fingerprint="another")
    read(data, tmp_path / "cache", other)
    assert other.photographs > 0


def test_other_photographs_with_equal_names_and_sizes_are_encoded_again(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    for number in range(40):
        Image.open(data / "images" / f"{number}.png").save(data / "images" / f"{number}.png", compress_level=0)
    before = read(data, tmp_path / "cache")
    file = data / "images" / "7.png"
    size = file.stat().st_size
    Image.new("RGB", (16, 16), (1, 2, 250)).save(file, compress_level=0)
    assert file.stat().st_size == size
    after = read(data, tmp_path / "cache")
    assert not np.array_equal(before.photographs, after.photographs)


def test_other_texts_with_the_same_concatenation_are_encoded_again(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", rated=8, grades=50, votes=0)
    read(data, tmp_path / "cache")
    table = data / "captions.tsv"
    lines = table.read_text().splitlines()
    lines[1], lines[2] = (
        lines[1] + lines[2].rsplit("\t", 1)[1][0],
        lines[2].rsplit("\t", 1)[0] + "\t" + lines[2].rsplit("\t", 1)[1][1:],
    )
    table.write_text("\n".join(lines) + "\n")
    encoder = ColourReader()
    read(data, tmp_path / "cache", encoder)
    assert encoder.texts


def test_banks_are_made_of_unrated_captions_and_photographs(tmp_path: Path) -> None:
    encoder = ColourReader()
    match_data = read(write_data(tmp_path / "data", unrated=40), tmp_path / "cache", encoder)
    assert (len(match_data.background_texts), len(match_data.background_photographs)) == (120, 40)
    assert [len(bank.vectors) for bank in match_data.banks] == [24, 12]
    assert [bank.counts.sum() for bank in match_data.banks] == [120, 40]
    assert match_data.features.shape == (len(match_data.pairs), len(FEATURES))
    assert np.isfinite(match_data.features).all()
    assert (match_data.background_texts @ match_data.texts.T).max() < 1 - 1e-6, "a rated text is in the background"
    assert (match_data.background_photographs @ match_data.photographs.T).max() < 1 - 1e-6
    nearness = prepare(match_data.background_texts, match_data.banks).nearness
    assert np.mean(nearness <= match_data.gate[0]) < 0.05 < np.mean(nearness < match_data.gate[1]) < 0.15


def test_without_enough_unrated_captions_there_are_no_features(tmp_path: Path) -> None:
    match_data = read(write_data(tmp_path / "data", unrated=19), tmp_path / "cache")
    assert match_data.banks == ()
    assert match_data.features.shape == (len(match_data.pairs), 0)
    assert match_data.unrated.features.shape == (len(match_data.unrated.text), 0)
    assert len(match_data.background_texts) == 0


def test_with_a_base_its_banks_are_used(tmp_path: Path) -> None:
    feature_model = replace(make_feature_model(8), far=0.25, near=0.5)
    data = write_data(tmp_path / "data", owned=False)
    match_data = read(data, tmp_path / "cache", base=make_artifact(feature_model=feature_model))
    assert match_data.banks is feature_model.banks
    assert match_data.gate == (0.25, 0.5)
    assert match_data.features.shape == (len(match_data.pairs), len(FEATURES))


def with_equal_captions(data: Path, distinct: int) -> Path:
    """The data with only this many distinct unrated captions."""
    lines = (data / "captions.tsv").read_text().splitlines()
    unrated = [f"{line.rsplit(chr(9), 1)[0]}\t{row % distinct * 99} 9 9 9" for row, line in enumerate(lines[41:])]
    (data / "captions.tsv").write_text("\n".join([*lines[:41], *unrated]) + "\n")
    return data


@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "error::RuntimeWarning")
def test_few_distinct_captions_make_a_small_bank_and_a_valid_gate(tmp_path: Path) -> None:
    match_data = read(with_equal_captions(write_data(tmp_path / "data", unrated=40), 2), tmp_path / "cache")
    assert [len(bank.vectors) for bank in match_data.banks] == [2, 12]
    assert match_data.gate[0] < match_data.gate[1]
    assert np.isfinite(match_data.features).all()


@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "error::RuntimeWarning")
def test_one_repeated_caption_makes_no_bank(tmp_path: Path) -> None:
    assert read(with_equal_captions(write_data(tmp_path / "data", unrated=40), 1), tmp_path / "cache").banks == ()


def test_a_photograph_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    (data / "images" / "3.png").write_bytes(b"no photograph")
    with pytest.raises(PhotographError) as refused:
        read(data, tmp_path / "cache")
    assert str(data / "images" / "3.png") in refused.value.message
    assert not list(tmp_path.glob("cache/*"))


def test_unrated_pairs_are_of_texts_with_their_own_and_with_random_photographs(tmp_path: Path) -> None:
    match_data = read(write_data(tmp_path / "data"), tmp_path / "cache")
    pairs, unrated = match_data.pairs, match_data.unrated
    rated = set(zip(pairs.text.tolist(), pairs.photograph.tolist(), strict=True))
    added = list(zip(unrated.text.tolist(), unrated.photograph.tolist(), strict=True))
    assert len(set(added)) == len(added)
    assert not rated & set(added)
    own = pairs.text_owner[unrated.text] == unrated.photograph
    assert set(unrated.target[own]) == {OWN_TARGET} and set(unrated.target[~own]) == {RANDOM_TARGET}
    assert np.bincount(unrated.text[~own]).max() <= RANDOM_PER_TEXT


def test_texts_without_a_photograph_give_no_unrated_pairs(tmp_path: Path) -> None:
    match_data = read(write_data(tmp_path / "data", owned=False), tmp_path / "cache")
    assert len(match_data.unrated.text) == 0
    assert np.isnan(match_data.owner_vectors).all()


def test_the_owner_of_a_pair_is_the_texts_own_photograph_or_a_crop_of_it(tmp_path: Path) -> None:
    match_data = read(write_data(tmp_path / "data"), tmp_path / "cache")
    pairs = match_data.pairs
    assert pairs.own.any()
    assert np.array_equal(
        match_data.owner_vectors[~pairs.own], match_data.photographs[pairs.text_owner[pairs.text]][~pairs.own]
    )
    cosine = np.einsum("nd,nd->n", match_data.owner_vectors, match_data.photographs[pairs.photograph])[pairs.own]
    assert cosine.max() < 1 - 1e-6, "a photograph is compared with itself"
    assert cosine.min() > 0.5


def test_a_bank_has_counts_and_is_reproducible() -> None:
    vectors = ColourReader().encode_texts([f"{each % 256} {each * 7 % 256} {each * 31 % 256} 1" for each in range(300)])
    bank, again = make_bank(vectors, 20), make_bank(vectors, 20)
    assert np.array_equal(bank.vectors, again.vectors)
    assert bank.counts.sum() == 300
    assert np.linalg.norm(bank.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert (vectors @ bank.vectors.T).max(axis=1).mean() > 0.8
