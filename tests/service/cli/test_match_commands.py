"""`smysl train scorer` and `smysl eval scoring` as a stranger meets them."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from service.config import Settings
from service.errors import UsageError
from service.library import Library
from service.match.artifact import MATCH_JSON, ScorerArtifact, sigmoid
from service.search.query import Query
from tests.conftest import Finished
from tests.service.cli.test_app import told
from tests.service.conftest import Shelf
from tests.service.pictures import save_picture
from tests.training.simulated import make_hasty

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

Run = Callable[..., Finished]
TEXTS = [f"{colour} {thing}" for thing in ("cat", "dog", "flower", "car", "tree", "house") for colour in "abcde"]
PHOTOGRAPHS = 30


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hasty(monkeypatch)


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory, tiny: Encoder) -> Path:
    """A folder of data whose experts grade as the tiny model sees it: as high as the cosine is."""
    folder = tmp_path_factory.mktemp("rated")
    (folder / "images").mkdir()
    for number in range(PHOTOGRAPHS):
        save_picture(folder / "images" / f"{number}.png", number)
    shown = [Image.open(folder / "images" / f"{number}.png").convert("RGB") for number in range(PHOTOGRAPHS)]
    cosine = tiny.encode_texts(TEXTS) @ tiny.encode_photographs(shown).T
    grade = 1 + np.floor(cosine.argsort(axis=None).argsort().reshape(cosine.shape) * 4 / cosine.size).astype(int)
    captions, ratings = ["image\tcaption_id\tsplit\tcaption"], ["image\tcaption_id\texpert1\texpert2\texpert3"]
    captions += [f"{number}.png\t{number}\ttest\t{text}" for number, text in enumerate(TEXTS)]
    for pair in np.random.default_rng(0).choice(cosine.size, 400, replace=False).tolist():
        text, photograph = divmod(pair, PHOTOGRAPHS)
        ratings.append(f"{photograph}.png\t{text}\t{grade[text, photograph]}\t\t")
    (folder / "captions.tsv").write_text("\n".join(captions) + "\n")
    (folder / "expert_ratings.tsv").write_text("\n".join(ratings) + "\n")
    return folder


def rate_all(library: Library) -> None:
    """Grade five photographs with twenty texts each, as high as the model sees them."""
    found = {text: library.search(Query(text=text, k=5, min_match=0.0)).hits for text in TEXTS[:20]}
    cuts = np.quantile([hit.similarity for hits in found.values() for hit in hits], [0.25, 0.5, 0.75])
    for text, hits in found.items():
        for hit in hits:
            library.rate(hit.photograph.id, text, grade=1 + int((cuts < hit.similarity).sum()))


def test_fits_on_a_folder_of_data(rated: Path, tiny: Encoder, smysl: Run, tmp_path: Path) -> None:
    command = ("train", "scorer", "--data", rated, "--model", tiny.name, "--out", tmp_path / "match")
    done = smysl(*command, "--cache", tmp_path / "cache")
    assert done.code == 0, done.err
    said = f"Fitted on 400 pairs graded, of 30 photographs and 30 texts. Written to {tmp_path / 'match'}."
    assert done.out.startswith(said)
    artifact = ScorerArtifact.load(tmp_path / "match", tiny.fingerprint)
    assert f"{artifact.figures['expert_tau_c']}" in done.out
    assert artifact.figures["expert_tau_c"] > 50
    assert "Traceback" not in done.err


def test_measures_a_match_for_people_and_for_programs(rated: Path, tiny: Encoder, smysl: Run, tmp_path: Path) -> None:
    command = ("eval", "scoring", "--data", rated, "--model", tiny.name, "--cache", tmp_path / "cache")
    page = tmp_path / "report.html"
    done = smysl(*command, "--no-candidates", "--json", "--report", page)
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["expert_tau_c"] > 50
    assert (facts["expert_pairs"], facts["fingerprint"]) == (400, tiny.fingerprint)
    assert f"The report is in {page}." in done.err
    assert f"{facts['rmse']:.3f}" in page.read_text(encoding="utf-8")
    for_people = smysl(*command, "--no-candidates")
    assert for_people.code == 0, for_people.err
    assert "expert_tau_c over cosine" in for_people.out
    assert "own photograph by match" in for_people.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "match"], "Say what to fit on"),
        (["--data", "data", "--library", "library", "--out", "match"], "Say what to fit on"),
        (["--data", "data"], "Say where the match is to be written"),
        (["--data", "data", "--out", "match", "--alone"], "--alone is for --library"),
    ],
)
def test_what_cannot_be_meant_gets_a_sentence(smysl: Run, arguments: list[str], says: str) -> None:
    assert says in told(smysl("train", "scorer", *arguments), 2)


def test_a_report_that_cannot_be_written_is_said_before_anything_is_measured(
    rated: Path, tiny: Encoder, smysl: Run, tmp_path: Path
) -> None:
    for place in (tmp_path, tmp_path / "nowhere" / "report.html"):
        command = ("eval", "scoring", "--data", rated, "--model", tiny.name, "--cache", tmp_path / "cache")
        assert str(place) in told(smysl(*command, "--report", place), 2)
    assert not (tmp_path / "cache").exists()


def test_a_library_without_ratings_or_with_few_gets_a_sentence(shelf: Shelf, smysl: Run, tmp_path: Path) -> None:
    command = ("train", "scorer", "--library", shelf.library, "--cache", tmp_path / "cache")
    assert "has no ratings yet" in told(smysl(*command), 1)
    smysl("rate", shelf.photographs / "wood.jpg", "a cat", "--yes", "--library", shelf.library)
    done = smysl(*command)
    assert done.code != 0
    assert "1 rated pairs are too few" in done.err
    assert not (shelf.library / MATCH_JSON).exists()


def test_a_match_fitted_for_a_library_lies_in_it_and_serves_it(
    shelf: Shelf, tiny: Encoder, smysl: Run, tmp_path: Path
) -> None:
    there = ("--library", shelf.library)
    with shelf.open() as library:
        rate_all(library)
    search = ("search", "a cat", "--min-match", 0, "--json", *there)
    assert json.loads(smysl(*search).out)["calibration"] == "background"
    done = smysl("train", "scorer", *there, "--cache", tmp_path / "cache")
    assert done.code == 0, done.err
    said = f"Fitted on 100 pairs graded, of 5 photographs and 20 texts. Written to {shelf.library}."
    assert done.out.strip() == said
    assert "not measured out of fold" in done.err
    artifact = ScorerArtifact.load(shelf.library, tiny.fingerprint)
    after = json.loads(smysl(*search).out)
    assert after["calibration"] == "ratings"
    query = tiny.encode_texts(["a cat"])
    with shelf.open() as library:
        vectors = np.stack([library.catalog.vector(hit["id"], tiny.fingerprint) for hit in after["hits"]])
    matches = sigmoid(artifact.text.logits(query[0], vectors))
    assert [hit["match"] for hit in after["hits"]] == pytest.approx(matches.tolist(), abs=0.01)


def test_a_librarys_ratings_are_added_to_those_of_its_model_or_stand_alone(
    rated: Path, tiny_folder: Path, pictures: Path, smysl: Run, tmp_path: Path
) -> None:
    name = f"local-dir:{shutil.copytree(tiny_folder, tmp_path / 'model')}"
    there, cache = ("--library", tmp_path / "library"), ("--cache", tmp_path / "cache")
    assert smysl("train", "scorer", "--data", rated, "--model", name, "--out", tmp_path / "model", *cache).code == 0
    assert smysl("index", pictures, "--model", name, *there).code == 0
    with Library.open(tmp_path / "library", Settings(library=tmp_path / "library")) as library:
        rate_all(library)
        base = ScorerArtifact.load(tmp_path / "model", library.encoder.fingerprint)
    added = smysl("train", "scorer", *there, *cache)
    assert added.code == 0, added.err
    own = "100 pairs graded, of 5 photographs and 20 texts"
    assert added.out.startswith(f"Fitted on {base.trained_on}, and {own}. Written to {tmp_path / 'library'}.")
    again = smysl("train", "scorer", *there, *cache)
    assert again.out == added.out, "ratings that were added before were added once more"
    alone = smysl("train", "scorer", *there, *cache, "--alone", "--out", tmp_path / "elsewhere")
    assert alone.out.startswith(f"Fitted on {own}. Written to {tmp_path / 'elsewhere'}.")
    kept = [ScorerArtifact.load(tmp_path / each, base.fingerprint) for each in ("library", "elsewhere")]
    assert kept[0].min_match == kept[1].min_match == base.min_match
    assert kept[0].text.plain != kept[1].text.plain != base.text.plain


def test_packages_that_are_missing_are_named(smysl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, package=None: None if name == "sklearn" else real(name, package)
    )

    done = smysl("eval", "scoring", "--data", str(tmp_path))

    assert done.code == UsageError.exit_code
    assert "scikit-learn" in done.err and "pip install 'smysl[training]'" in done.err
