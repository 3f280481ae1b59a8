"""What a match is fitted on: encoded once, and nothing of what was rated among what stands beside it."""

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
from tests.service.matches import a_feature_model, a_match
from tests.training.simulated import ColourReader, make_hasty, quiet, write_data
from training.match_data import OWN_SAYS, RANDOM_BESIDE, RANDOM_SAYS, MatchData, make_bank, read_match_data


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hasty(monkeypatch)


def read(data: Path, cache: Path, encoder: ColourReader | None = None, base: ScorerArtifact | None = None) -> MatchData:
    return read_match_data(encoder or ColourReader(), data, read_rated_pairs(data), cache, quiet, base)  # type: ignore[arg-type]


def test_vectors_are_of_length_one_and_at_their_places(tmp_path: Path) -> None:
    encoder = ColourReader()
    material = read(write_data(tmp_path / "data"), tmp_path / "cache", encoder)
    assert np.linalg.norm(material.texts, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.allclose(material.texts, encoder.encode_texts(material.pairs.texts))
    shown = [Image.open(each.path).convert("RGB") for each in material.pairs.photographs]
    assert np.allclose(material.photographs, encoder.encode_photographs(shown))
    row = len(material.pairs) // 2
    text, photograph = material.pairs.text[row], material.pairs.photograph[row]
    assert material.cosine[row] == pytest.approx(material.texts[text] @ material.photographs[photograph], abs=1e-6)


def test_a_second_reading_encodes_nothing(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", beside=40)
    first, encoder = read(data, tmp_path / "cache"), ColourReader()
    again = read(data, tmp_path / "cache", encoder)
    assert (encoder.texts, encoder.photographs) == ([], 0)
    assert np.array_equal(first.features, again.features)
    assert np.array_equal(first.others, again.others, equal_nan=True)


def test_another_encoder_encodes_anew(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    read(data, tmp_path / "cache")
    other = ColourReader(fingerprint="another")
    read(data, tmp_path / "cache", other)
    assert other.photographs > 0


def test_other_photographs_of_the_same_names_and_sizes_are_encoded_anew(tmp_path: Path) -> None:
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


def test_other_texts_are_encoded_anew_though_they_join_to_the_same_letters(tmp_path: Path) -> None:
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


def test_banks_are_of_captions_and_photographs_that_nobody_rated(tmp_path: Path) -> None:
    encoder = ColourReader()
    material = read(write_data(tmp_path / "data", beside=40), tmp_path / "cache", encoder)
    assert (len(material.background_texts), len(material.background_photographs)) == (120, 40)
    assert [len(bank.vectors) for bank in material.banks] == [24, 12]
    assert [bank.counts.sum() for bank in material.banks] == [120, 40]
    assert material.features.shape == (len(material.pairs), len(FEATURES))
    assert np.isfinite(material.features).all()
    assert (material.background_texts @ material.texts.T).max() < 1 - 1e-6, "a rated text stands beside itself"
    assert (material.background_photographs @ material.photographs.T).max() < 1 - 1e-6
    nearness = prepare(material.background_texts, material.banks).nearness
    assert np.mean(nearness <= material.gate[0]) < 0.05 < np.mean(nearness < material.gate[1]) < 0.15


def test_without_enough_beside_the_rated_there_are_no_features(tmp_path: Path) -> None:
    material = read(write_data(tmp_path / "data", beside=19), tmp_path / "cache")
    assert material.banks == ()
    assert material.features.shape == (len(material.pairs), 0)
    assert material.beside.features.shape == (len(material.beside.text), 0)
    assert len(material.background_texts) == 0


def test_the_banks_of_a_base_take_their_place(tmp_path: Path) -> None:
    feature_model = replace(a_feature_model(8), far=0.25, near=0.5)
    data = write_data(tmp_path / "data", owned=False)
    material = read(data, tmp_path / "cache", base=a_match(feature_model=feature_model))
    assert material.banks is feature_model.banks
    assert material.gate == (0.25, 0.5)
    assert material.features.shape == (len(material.pairs), len(FEATURES))


def alike(data: Path, kinds: int) -> Path:
    """The data with no more than so many different captions beside the rated ones."""
    lines = (data / "captions.tsv").read_text().splitlines()
    beside = [f"{line.rsplit(chr(9), 1)[0]}\t{row % kinds * 99} 9 9 9" for row, line in enumerate(lines[41:])]
    (data / "captions.tsv").write_text("\n".join([*lines[:41], *beside]) + "\n")
    return data


@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "error::RuntimeWarning")
def test_a_few_captions_again_and_again_make_a_small_bank_and_a_gate_that_opens(tmp_path: Path) -> None:
    material = read(alike(write_data(tmp_path / "data", beside=40), 2), tmp_path / "cache")
    assert [len(bank.vectors) for bank in material.banks] == [2, 12]
    assert material.gate[0] < material.gate[1]
    assert np.isfinite(material.features).all()


@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "error::RuntimeWarning")
def test_one_caption_again_and_again_makes_no_bank(tmp_path: Path) -> None:
    assert read(alike(write_data(tmp_path / "data", beside=40), 1), tmp_path / "cache").banks == ()


def test_a_photograph_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    (data / "images" / "3.png").write_bytes(b"no photograph")
    with pytest.raises(PhotographError) as refused:
        read(data, tmp_path / "cache")
    assert str(data / "images" / "3.png") in refused.value.message
    assert not list(tmp_path.glob("cache/*"))


def test_what_nobody_rated_says_that_texts_fit_their_own_and_not_any(tmp_path: Path) -> None:
    material = read(write_data(tmp_path / "data"), tmp_path / "cache")
    pairs, beside = material.pairs, material.beside
    rated = set(zip(pairs.text.tolist(), pairs.photograph.tolist(), strict=True))
    there = list(zip(beside.text.tolist(), beside.photograph.tolist(), strict=True))
    assert len(set(there)) == len(there)
    assert not rated & set(there)
    own = pairs.text_owner[beside.text] == beside.photograph
    assert set(beside.said[own]) == {OWN_SAYS} and set(beside.said[~own]) == {RANDOM_SAYS}
    assert np.bincount(beside.text[~own]).max() <= RANDOM_BESIDE


def test_texts_of_no_photograph_say_nothing_beside_the_ratings(tmp_path: Path) -> None:
    material = read(write_data(tmp_path / "data", owned=False), tmp_path / "cache")
    assert len(material.beside.text) == 0
    assert np.isnan(material.others).all()


def test_the_other_photograph_of_a_pair_is_the_texts_own_or_a_crop_of_it(tmp_path: Path) -> None:
    material = read(write_data(tmp_path / "data"), tmp_path / "cache")
    pairs = material.pairs
    assert pairs.own.any()
    assert np.array_equal(material.others[~pairs.own], material.photographs[pairs.text_owner[pairs.text]][~pairs.own])
    cosine = np.einsum("nd,nd->n", material.others, material.photographs[pairs.photograph])[pairs.own]
    assert cosine.max() < 1 - 1e-6, "a photograph beside itself teaches nothing"
    assert cosine.min() > 0.5


def test_a_bank_has_its_counts_and_is_the_same_every_time() -> None:
    vectors = ColourReader().encode_texts([f"{each % 256} {each * 7 % 256} {each * 31 % 256} 1" for each in range(300)])
    bank, again = make_bank(vectors, 20), make_bank(vectors, 20)
    assert np.array_equal(bank.vectors, again.vectors)
    assert bank.counts.sum() == 300
    assert np.linalg.norm(bank.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert (vectors @ bank.vectors.T).max(axis=1).mean() > 0.8
