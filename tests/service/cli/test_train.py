"""`smysl train scorer`: what it fits, where it writes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.config import Settings
from service.library import Library
from service.match.artifact import MATCH_JSON, ScorerArtifact, sigmoid
from service.search.query import Query
from tests.service.cli.commands import Run, error_of
from tests.service.cli.conftest import TEXTS
from tests.service.conftest import SampleLibrary
from tests.training.simulated import make_hasty

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hasty(monkeypatch)


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
    expected = f"Fitted on 400 pairs graded, of 30 photographs and 30 texts. Written to {tmp_path / 'match'}."
    assert done.out.startswith(expected)
    artifact = ScorerArtifact.load(tmp_path / "match", tiny.fingerprint)
    assert f"{artifact.figures['expert_tau_c']}" in done.out
    assert artifact.figures["expert_tau_c"] > 50
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "match"], "Name the ratings to use"),
        (["--data", "data", "--library", "library", "--out", "match"], "Name the ratings to use"),
        (["--data", "data"], "Name the folder for the match"),
        (["--data", "data", "--out", "match", "--alone"], "--alone goes with --library"),
    ],
)
def test_contradictory_options_are_reported(smysl: Run, arguments: list[str], message: str) -> None:
    assert message in error_of(smysl("train", "scorer", *arguments), 2)


def test_too_few_ratings_are_reported(sample_library: SampleLibrary, smysl: Run, tmp_path: Path) -> None:
    command = ("train", "scorer", "--library", sample_library.folder, "--cache", tmp_path / "cache")
    assert "has no ratings yet" in error_of(smysl(*command), 1)
    smysl("rate", sample_library.photographs / "wood.jpg", "a cat", "--yes", "--library", sample_library.folder)
    done = smysl(*command)
    assert done.code != 0
    assert "1 rated pairs are too few" in done.err
    assert not (sample_library.folder / MATCH_JSON).exists()


def test_a_match_fitted_for_a_library_is_written_to_it_and_used(
    sample_library: SampleLibrary, tiny: Encoder, smysl: Run, tmp_path: Path
) -> None:
    there = ("--library", sample_library.folder)
    with sample_library.open() as library:
        rate_all(library)
    search = ("search", "a cat", "--min-match", 0, "--json", *there)
    assert json.loads(smysl(*search).out)["calibration"] == "background"
    done = smysl("train", "scorer", *there, "--cache", tmp_path / "cache")
    assert done.code == 0, done.err
    expected = f"Fitted on 100 pairs graded, of 5 photographs and 20 texts. Written to {sample_library.folder}."
    assert done.out.strip() == expected
    assert "not cross-validated" in done.err
    artifact = ScorerArtifact.load(sample_library.folder, tiny.fingerprint)
    after = json.loads(smysl(*search).out)
    assert after["calibration"] == "ratings"
    query = tiny.encode_texts(["a cat"])
    with sample_library.open() as library:
        vectors = np.stack([library.catalog.vector(hit["id"], tiny.fingerprint) for hit in after["hits"]])
    matches = sigmoid(artifact.text.logits(query[0], vectors))
    assert [hit["match"] for hit in after["hits"]] == pytest.approx(matches.tolist(), abs=0.01)


def test_ratings_of_a_library_are_added_to_those_of_its_model_or_used_alone(
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
