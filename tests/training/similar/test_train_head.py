"""`smysl train similar` from photographs to a head on disk, with a tiny model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.kinds import read_kinds
from eval.similar import eval_similar
from service.encoder.encoder import Encoder
from service.encoder.runtimes.torch_towers import TorchTowers
from service.errors import DataError, UsageError
from service.heads.projection import Head
from service.photos.formats import is_photograph_name
from tests.pixels import normalised
from tests.training.similar.pictures import KINDS, striped_kinds
from training.similar import feature_sources, projections, train_head
from training.similar.tower_training import TowerSettings, split_tower
from training.similar.train_head import train_similar

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "_EPOCHS", 2)
    for module in (train_head, feature_sources):
        monkeypatch.setattr(module, "VIEWS", 1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    striped_kinds(tmp_path / "data" / "train", 8)
    striped_kinds(tmp_path / "data" / "test", 3, seed=1)
    return tmp_path / "data"


def silent(stage: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def test_the_written_head_finds_at_least_as_much_as_the_cosine(data: Path, tiny: Encoder, tmp_path: Path) -> None:
    trained = train_similar(data, [tiny], tmp_path / "head", tmp_path / "cache", silent)
    head = Head.load(tmp_path / "head")
    assert head.fingerprint == trained.head.fingerprint
    assert head.encoders == {tiny.fingerprint: tiny.name}
    assert head.kinds == tuple(sorted(KINDS))
    assert "32 photographs of 4 kinds" in head.trained_on
    assert trained.ensemble.map10 >= trained.tables[tiny.name][0].map10
    assert sorted(path.name for path in (tmp_path / "head").iterdir()) == ["head.json", "head.safetensors"]
    measured = eval_similar(data, [tiny], head)
    assert measured.photos == 12
    titles = [row[0] for row in trained.rows()]
    assert titles[0] == "candidate"
    assert sum(title.endswith(" *") for title in titles) == 1


def test_equal_seeds_make_equal_heads(data: Path, tiny: Encoder, tmp_path: Path) -> None:
    one = train_similar(data, [tiny], tmp_path / "one", tmp_path / "cache", silent, seed=4).head
    other = train_similar(data, [tiny], tmp_path / "other", tmp_path / "elsewhere", silent, seed=4).head
    assert one.fingerprint == other.fingerprint


def test_copies_and_photographs_under_test_are_not_fitted_on(data: Path, tiny: Encoder, tmp_path: Path) -> None:
    shutil.copy(data / "train" / "dots" / "0.png", data / "test" / "dots" / "copy.png")
    shutil.copy(data / "train" / "dots" / "1.png", data / "train" / "dots" / "again.png")
    (data / "train" / "plain" / "broken.jpg").write_bytes(b"no photograph")
    trained = train_similar(data, [tiny], tmp_path / "head", tmp_path / "cache", silent)
    assert trained.head.trained_on.startswith("31 photographs")
    notices = " ".join(trained.notices)
    assert "also under test/" in notices
    assert "copies of others" in notices
    assert "cannot be read" in notices


def test_tower_training_resumes_after_an_interrupt_and_writes_a_model(
    data: Path, tiny: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        train_head, "TowerSettings", lambda **chosen: TowerSettings(**chosen, views=1, epochs=2, rate=1e-3)
    )
    trained = []
    real = feature_sources.train_tower

    def counted(*arguments: object) -> object:
        trained.append(arguments)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(feature_sources, "train_tower", counted)
    arguments = (data, [tiny], tmp_path / "head", tmp_path / "cache", silent)
    with pytest.raises(KeyboardInterrupt):
        train_similar(*arguments, unfreeze=1)
    assert not (tmp_path / "head" / "head.json").exists(), "nothing half-written"
    result = train_similar(*arguments, unfreeze=1)
    # Nine splits (five folds, four kinds left out) of which two were done, and at most one on all photographs.
    assert len(trained) - 3 in (7, 8)
    assert len(result.tables) == 2
    # Whether or not the trained tower was chosen, the head names models that load.
    for fingerprint, model in result.head.encoders.items():
        encoder = Encoder.load(model, device="cpu", precision="fp32")
        assert encoder.fingerprint == fingerprint


@pytest.mark.parametrize("stages", [0, 2])
def test_more_stages_than_the_tower_has_are_refused(stages: int, tiny: Encoder) -> None:
    with pytest.raises(UsageError, match=f"--unfreeze {stages}: this tower has 1 stages"):
        split_tower(visual_of(tiny), stages)


def visual_of(encoder: Encoder) -> Any:
    assert isinstance(encoder.towers, TorchTowers)
    return encoder.towers.model.visual


def test_the_two_halves_compute_what_the_whole_tower_does(tiny: Encoder) -> None:
    import torch

    for encoder, stages in ((tiny, 1), (Encoder.load("mini", device="cpu", runtime="torch"), 2)):
        visual = visual_of(encoder)
        lower, upper = split_tower(visual, stages)
        side = encoder.photograph_side
        pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
        preprocessing = encoder.towers._preprocessing  # type: ignore[attr-defined]
        batch = torch.from_numpy(normalised(preprocessing, pixels)).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            features = torch.nn.functional.normalize(upper(lower(batch)), dim=1).numpy()
        assert np.allclose(features, encoder.encode_with_features(list(pixels))[1], atol=1e-4)


def test_unusable_folders_are_refused_before_anything_is_encoded(data: Path, tiny: Encoder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        train_similar(data, [tiny], tmp_path / "file", tmp_path / "cache", silent)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "head.json").touch()
    with pytest.raises(UsageError, match=r"a head in .* already"):
        train_similar(data, [tiny], tmp_path / "there", tmp_path / "cache", silent)
    lone = striped_kinds(tmp_path / "lone", 1)
    with pytest.raises(DataError, match="No two photographs"):
        train_similar(lone, [tiny], tmp_path / "out", tmp_path / "cache", silent)
    few = striped_kinds(tmp_path / "few", 2)
    with pytest.raises(DataError, match=r"Only 8 photographs .* at least 10"):
        train_similar(few, [tiny], tmp_path / "out", tmp_path / "cache", silent)
    assert not (tmp_path / "out").exists()
    assert read_kinds(lone, is_photograph_name).names == tuple(sorted(KINDS))


def test_a_head_is_refitted_without_a_kind(data: Path, tiny: Encoder, tmp_path: Path) -> None:
    head = train_similar(data, [tiny], tmp_path / "head", tmp_path / "cache", silent).head
    fit = train_head.refit(head, data, tiny, tmp_path / "cache", silent)
    assert fit is not None
    same, fewer = fit(head.kinds), fit(head.kinds[1:])
    features = np.random.default_rng(0).normal(size=(3, len(head.projections[0].center))).astype(np.float32)
    of = {tiny.fingerprint: features}
    assert np.allclose(same.project(of), head.project(of), atol=1e-6)
    assert fewer.kinds == head.kinds[1:]
    assert fewer.project(of).shape != head.project(of).shape or not np.allclose(fewer.project(of), head.project(of))
