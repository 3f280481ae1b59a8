"""Fine-tuning on a person's own pairs: the run, resuming it, and the folder that is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from service.encoder.encoder import Encoder
from service.encoder.models import mini_folder
from service.errors import BusyError, DataError, UsageError
from tests.conftest import Finished
from tests.e2e.tiny_model import tiny_model, tiny_tokenizer
from tests.training.pair_tables import painted_images, table_of
from tests.training.tiny_towers import COLOURS
from training.fine_tuning import TrainedEncoder, describe_epoch, describe_outcome, train_encoder
from training.model_folder import WEIGHTS
from training.pairs import read_pair_table
from training.run_folder import RunFolder
from training.trainer import TrainerSettings
from training.validation import selection_score

pytestmark = pytest.mark.e2e

Smysl = Callable[..., Finished]
QUICK = TrainerSettings(epochs=4, batch=16, rate=3e-3, seed=3)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMYSL_DECODE_THREADS", "2")
    monkeypatch.setenv("SMYSL_DEVICE", "cpu")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 photographs of noisy colours in `images/`, with two texts each in `pairs.tsv`."""
    folder = tmp_path_factory.mktemp("colours")
    (folder / "images").mkdir()
    generator = np.random.default_rng(0)
    lines = ["image\ttext\tsplit"]
    for number in range(48):
        colour = COLOURS[number % len(COLOURS)]
        pixels = np.asarray(Image.new("RGB", (40, 32), colour)).astype(int) + generator.integers(-20, 20, (32, 40, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{number}.png")
        split = "train" if number < 32 else "validation"
        lines += [f"{number}.png\t{colour}\t{split}", f"{number}.png\ta photo of something {colour}\t{split}"]
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def train(colours: Path, tiny_folder: Path, tmp_path: Path) -> Callable[..., TrainedEncoder]:
    """Trains the tiny model on the colours by default."""

    def run(
        out: str = "model", settings: TrainerSettings = QUICK, base: str | None = None, **options: object
    ) -> TrainedEncoder:
        table = read_pair_table(colours / "pairs.tsv", colours / "images")
        base = base or f"local-dir:{tiny_folder}"
        return train_encoder(table, base, tmp_path / out, settings, device="cpu", threads=2, **options)  # type: ignore[arg-type]

    return run


def test_training_improves_the_recall(train: Callable[..., TrainedEncoder]) -> None:
    outcome = train(settings=TrainerSettings(epochs=12, batch=16, rate=5e-3))
    first, best = outcome.epochs[0], outcome.epochs[outcome.best]
    assert selection_score(best.figures)[1] > selection_score(first.figures)[1] + 25
    assert len(outcome.epochs) == 13
    assert "the base model" in describe_epoch(first)
    assert str(outcome.folder) in describe_outcome(outcome)


@pytest.mark.parametrize("lock", ["none", "photographs"])
def test_a_locked_tower_does_not_change(train: Callable[..., TrainedEncoder], tiny_folder: Path, lock: str) -> None:
    outcome = train(settings=TrainerSettings(lock=lock, epochs=3, batch=16, rate=5e-3, seed=1))
    assert outcome.best > 0
    before, after = load_file(tiny_folder / WEIGHTS), load_file(outcome.folder / WEIGHTS)
    assert before.keys() == after.keys()
    tower = [name for name in before if name.startswith("visual.")]
    same = all(torch.equal(before[name], after[name]) for name in tower)
    assert tower
    assert same == (lock == "photographs")
    assert not torch.equal(before["text_projection"], after["text_projection"])


def test_an_interrupted_run_ends_with_the_same_numbers(
    train: Callable[..., TrainedEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train("whole")
    epochs_run: list[int] = []

    def stop_after_two(epoch: object) -> None:
        epochs_run.append(epoch.epoch)  # type: ignore[attr-defined]
        if epochs_run[-1] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("halved", on_epoch=stop_after_two)
    messages: list[str] = []
    halved = train("halved", say=messages.append)
    assert messages == ["Resuming after epoch 2 of 4."]
    assert halved.epochs == whole.epochs
    assert halved.best == whole.best
    assert (halved.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()


def test_no_model_is_written_before_the_end(train: Callable[..., TrainedEncoder], tmp_path: Path) -> None:
    def stop(_: object) -> None:
        assert [entry.name for entry in (tmp_path / "model").iterdir()] == [".training"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(on_epoch=stop)
    assert train().best > 0
    assert not (tmp_path / "model" / ".training").exists()


def test_nothing_is_written_if_no_epoch_is_better(train: Callable[..., TrainedEncoder], tmp_path: Path) -> None:
    outcome = train(settings=TrainerSettings(epochs=1, batch=16, rate=1e-12))
    assert outcome.best == 0
    assert "nothing was written" in describe_outcome(outcome)
    assert not (tmp_path / "model").exists()


def test_a_loss_that_is_not_a_number_is_an_error(
    train: Callable[..., TrainedEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.trainer.pair_loss", lambda *_: torch.tensor(torch.nan, requires_grad=True))
    with pytest.raises(UsageError, match=r"no longer a number in epoch 1: --rate 0\.9 is too high"):
        train(settings=TrainerSettings(epochs=1, batch=16, rate=0.9))


def test_the_model_loads_from_any_path_and_indexes_a_library(
    train: Callable[..., TrainedEncoder], colours: Path, tmp_path: Path, smysl: Smysl
) -> None:
    folder = train().folder
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    report = json.loads((moved / "training.json").read_text())
    assert Encoder.load(f"local-dir:{moved}", device="cpu").fingerprint == report["fingerprint"]
    assert report["pairs"] == {
        "train": {"photographs": 32, "texts": 64},
        "validation": {"photographs": 16, "texts": 32},
        "rows_left_out": 0,
    }
    library = tmp_path / "library"
    indexed = smysl("index", colours / "images", "--library", library, "--model", f"local-dir:{moved}")
    assert indexed.code == 0, indexed.err
    assert "48 added" in indexed.out
    assert json.loads(smysl("status", "--library", library, "--json").out)["calibration"] == "background"


def test_the_built_in_model_can_be_the_base(colours: Path, tmp_path: Path) -> None:
    """Its text tower and tokenizer come from transformers, and its matrices are stored in half precision."""
    names = dict(zip(COLOURS, (*COLOURS[1:], COLOURS[0]), strict=True))
    lines = [line.split("\t") for line in (colours / "pairs.tsv").read_text().splitlines()]
    wrong = "\n".join(f"{image}\t{names.get(text, text)}\t{split}" for image, text, split in lines if " " not in text)
    table = read_pair_table(table_of(tmp_path, wrong), colours / "images")
    settings = TrainerSettings(lock="photographs", epochs=3, batch=16, rate=5e-4)
    outcome = train_encoder(table, "mini", tmp_path / "model", settings, device="cpu", threads=2)
    assert outcome.best > 0
    moved = tmp_path / "elsewhere"
    shutil.move(outcome.folder, moved)
    before, after = load_file(mini_folder() / WEIGHTS), load_file(moved / WEIGHTS)
    assert {name: value.dtype for name, value in after.items()} == {name: value.dtype for name, value in before.items()}
    assert all(torch.equal(value, after[name]) for name, value in before.items() if name.startswith("visual."))
    assert json.loads((moved / "config.json").read_text())["model_type"] == "bert"
    encoder = Encoder.load(f"local-dir:{moved}", device="cpu")
    assert encoder.encode_texts(["a red flower"]).shape == (1, encoder.dimension)


def test_a_tokenizer_from_transformers_is_written_with_the_model(
    train: Callable[..., TrainedEncoder], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for name, content in (tiny_model("somebody/words") | tiny_tokenizer()).items():
        (base / name).write_bytes(content)
    folder = train(base=f"local-dir:{base}").folder
    assert (folder / "tokenizer.json").is_file()
    shutil.rmtree(base)
    encoder = Encoder.load(f"local-dir:{folder}", device="cpu")
    assert not np.allclose(encoder.encode_texts(["a cat"]), encoder.encode_texts(["a dog"]))


def test_a_folder_with_other_content_is_refused(train: Callable[..., TrainedEncoder], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not from a run of smysl train encoder; name another folder"):
        train(fresh=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file; name a folder"):
        train("file")


def test_a_finished_run_is_repeated_only_with_fresh(train: Callable[..., TrainedEncoder]) -> None:
    first = train()
    with pytest.raises(UsageError, match=r"holds a finished model.*--fresh"):
        train()
    other = TrainerSettings(epochs=3, batch=8, rate=3e-3, seed=3)
    second = train(settings=other, fresh=True)
    assert second.best > 0
    assert json.loads((first.folder / "training.json").read_text())["settings"]["batch"] == 8


def test_a_run_with_other_settings_is_refused(
    train: Callable[..., TrainedEncoder], tiny_folder: Path, tmp_path: Path
) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(on_epoch=stop)
    with pytest.raises(
        UsageError, match=r"differs from this one: --epochs was 4 and is 9, --rate was 0\.003 and is 0\.001\."
    ):
        train(settings=TrainerSettings(epochs=9, batch=16, rate=1e-3, seed=3))
    base = tmp_path / "base"
    shutil.copytree(tiny_folder, base)
    config = json.loads((base / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["mean"] = [0.4, 0.4, 0.4]
    (base / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="the base model is another one"):
        train(base=f"local-dir:{base}")
    assert train(settings=TrainerSettings(epochs=1, batch=16, rate=3e-3), fresh=True).epochs


def test_a_run_with_other_pairs_is_refused(
    colours: Path, train: Callable[..., TrainedEncoder], tiny_folder: Path, tmp_path: Path
) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(on_epoch=stop)
    changed = tmp_path / "pairs.tsv"
    changed.write_text((colours / "pairs.tsv").read_text().replace("0.png\tred\t", "0.png\tcrimson\t"))
    table = read_pair_table(changed, colours / "images")
    with pytest.raises(UsageError, match="the pairs have changed"):
        train_encoder(table, f"local-dir:{tiny_folder}", tmp_path / "model", QUICK, device="cpu")


def test_two_processes_cannot_train_into_one_folder(train: Callable[..., TrainedEncoder], tmp_path: Path) -> None:
    with RunFolder(tmp_path / "model").locked(), pytest.raises(BusyError, match="Another process is training into"):
        train()


def test_photographs_that_cannot_be_read_are_left_out_with_their_row(tiny_folder: Path, tmp_path: Path) -> None:
    images = painted_images(tmp_path / "images")
    (images / "a.png").write_bytes(b"no photograph")
    table = read_pair_table(table_of(tmp_path, "image\ttext\nb.png\tx\na.png\tx\na.png\ty\n"), images)
    messages: list[str] = []
    with pytest.raises(DataError, match="has 1 usable photograph"):
        train_encoder(table, f"local-dir:{tiny_folder}", tmp_path / "out", QUICK, device="cpu", say=messages.append)
    reason = "it is not a photograph in a format that smysl reads"
    assert messages == [f"Left out: row 3, column image: 'a.png' cannot be used: {reason}."]
    assert not (tmp_path / "out").exists()
    (images / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"no usable row; the first fault: row 2, column image: 'b\.png'"):
        train_encoder(table, f"local-dir:{tiny_folder}", tmp_path / "out", QUICK, device="cpu")


def test_the_command_prints_each_epoch_and_the_outcome(
    smysl: Smysl, colours: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    command = ["train", "encoder", "--pairs", colours / "pairs.tsv", "--images", colours / "images"]
    command += ["--base", f"local-dir:{tiny_folder}", "--out", out, "--batch", "16", "--rate", "3e-3", "--epochs", "3"]
    done = smysl(*command)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("epoch 0: text to photograph ")
    assert [line.split(":")[0] for line in lines[:4]] == ["epoch 0", "epoch 1", "epoch 2", "epoch 3"]
    assert lines[-1] == f"Use it with: smysl index --model local-dir:{out}"
    again = smysl(*command)
    assert again.code == 2
    assert "holds a finished model" in again.err
    worse = smysl(*command, "--fresh", "--rate", "1e-12")
    assert worse.code == 1
    assert "No epoch was better than the base model" in worse.out
    assert (out / WEIGHTS).is_file()


def test_ctrl_c_prints_one_sentence(
    smysl: Smysl, colours: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.fine_tuning.load_network", stop)
    command = ["train", "encoder", "--pairs", colours / "pairs.tsv", "--images", colours / "images"]
    stopped = smysl(*command, "--base", f"local-dir:{tiny_folder}", "--out", tmp_path / "model")
    assert stopped.code == 130
    assert stopped.err == "Stopped. Complete epochs are kept; run the command again to continue.\n"
