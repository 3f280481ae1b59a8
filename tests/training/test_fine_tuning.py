"""Fine-tuning on a person's own pairs: the table, the run and its going on, the folder that is written."""

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

from eval.retrieval import recalls as plain_recalls
from service.encoder.encoder import Encoder
from service.encoder.models import mini_folder
from service.errors import BusyError, DataError, NotFoundError, PhotographError, UsageError
from tests.conftest import Finished
from tests.e2e.tiny_model import tiny_model, tiny_tokenizer
from tests.service.colours import paint
from tests.training.tiny_towers import COLOURS
from training.fine_tuning import TrainedEncoder, describe_epoch, describe_outcome, train_encoder
from training.model_folder import WEIGHTS
from training.pairs import describe_faults, read_pair_table, read_photographs, split_photographs
from training.run_folder import RunFolder
from training.trainer import TrainerSettings, draw_epoch, pair_loss
from training.validation import goodness, recalls

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
    """Trains on the colours with the tiny model, unless told otherwise."""

    def run(
        out: str = "model", settings: TrainerSettings = QUICK, base: str | None = None, **options: object
    ) -> TrainedEncoder:
        table = read_pair_table(colours / "pairs.tsv", colours / "images")
        base = base or f"local-dir:{tiny_folder}"
        return train_encoder(table, base, tmp_path / out, settings, device="cpu", threads=2, **options)  # type: ignore[arg-type]

    return run


# -- the run -------------------------------------------------------------------------------------------


def test_it_learns_what_the_pairs_say(train: Callable[..., TrainedEncoder]) -> None:
    outcome = train(settings=TrainerSettings(epochs=12, batch=16, rate=5e-3))
    first, best = outcome.epochs[0], outcome.epochs[outcome.best]
    assert goodness(best.figures)[1] > goodness(first.figures)[1] + 25
    assert len(outcome.epochs) == 13
    assert "the base model" in describe_epoch(first)
    assert str(outcome.folder) in describe_outcome(outcome)


@pytest.mark.parametrize("lock", ["none", "photographs"])
def test_a_locked_tower_stays_as_it_is(train: Callable[..., TrainedEncoder], tiny_folder: Path, lock: str) -> None:
    outcome = train(settings=TrainerSettings(lock=lock, epochs=3, batch=16, rate=5e-3, seed=1))
    assert outcome.best > 0
    before, after = load_file(tiny_folder / WEIGHTS), load_file(outcome.folder / WEIGHTS)
    assert before.keys() == after.keys()
    tower = [name for name in before if name.startswith("visual.")]
    same = all(torch.equal(before[name], after[name]) for name in tower)
    assert tower
    assert same == (lock == "photographs")
    assert not torch.equal(before["text_projection"], after["text_projection"])


def test_an_interrupted_run_ends_with_the_numbers_of_a_whole_one(
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
    said: list[str] = []
    halved = train("halved", say=said.append)
    assert said == ["Going on after epoch 2 of 4."]
    assert halved.epochs == whole.epochs
    assert halved.best == whole.best
    assert (halved.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()


def test_no_model_is_there_before_the_end(train: Callable[..., TrainedEncoder], tmp_path: Path) -> None:
    def stop(_: object) -> None:
        assert [entry.name for entry in (tmp_path / "model").iterdir()] == [".training"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(on_epoch=stop)
    assert train().best > 0
    assert not (tmp_path / "model" / ".training").exists()


def test_nothing_is_written_where_no_epoch_is_better(train: Callable[..., TrainedEncoder], tmp_path: Path) -> None:
    outcome = train(settings=TrainerSettings(epochs=1, batch=16, rate=1e-12))
    assert outcome.best == 0
    assert "nothing was written" in describe_outcome(outcome)
    assert not (tmp_path / "model").exists()


def test_a_rate_that_tears_the_weights_apart_is_an_error(
    train: Callable[..., TrainedEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.trainer.pair_loss", lambda *_: torch.tensor(torch.nan, requires_grad=True))
    with pytest.raises(UsageError, match=r"no number any more in epoch 1: --rate 0\.9 is too high"):
        train(settings=TrainerSettings(epochs=1, batch=16, rate=0.9))


# -- what is written -----------------------------------------------------------------------------------


def test_the_model_loads_wherever_it_lies_and_indexes_a_library(
    train: Callable[..., TrainedEncoder], colours: Path, tmp_path: Path, smysl: Smysl
) -> None:
    folder = train().folder
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    facts = json.loads((moved / "training.json").read_text())
    assert Encoder.load(f"local-dir:{moved}", device="cpu").fingerprint == facts["fingerprint"]
    assert facts["pairs"] == {
        "train": {"photographs": 32, "texts": 64},
        "validation": {"photographs": 16, "texts": 32},
        "rows_left_out": 0,
    }
    library = tmp_path / "library"
    indexed = smysl("index", colours / "images", "--library", library, "--model", f"local-dir:{moved}")
    assert indexed.code == 0, indexed.err
    assert "48 added" in indexed.out
    assert json.loads(smysl("status", "--library", library, "--json").out)["calibration"] == "background"


def test_the_built_in_model_is_a_base_too(colours: Path, tmp_path: Path) -> None:
    """Its text tower and its tokenizer come from transformers, and its matrices are stored as halves."""
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


def test_a_tokenizer_of_transformers_is_written_beside(train: Callable[..., TrainedEncoder], tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for name, content in (tiny_model("somebody/words") | tiny_tokenizer()).items():
        (base / name).write_bytes(content)
    folder = train(base=f"local-dir:{base}").folder
    assert (folder / "tokenizer.json").is_file()
    shutil.rmtree(base)
    encoder = Encoder.load(f"local-dir:{folder}", device="cpu")
    assert not np.allclose(encoder.encode_texts(["a cat"]), encoder.encode_texts(["a dog"]))


# -- the folder ----------------------------------------------------------------------------------------


def test_a_folder_of_something_else_is_refused(train: Callable[..., TrainedEncoder], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="no run of smysl train encoder; name another folder"):
        train(fresh=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file; name a folder"):
        train("file")


def test_a_finished_run_is_made_anew_only_when_asked(train: Callable[..., TrainedEncoder]) -> None:
    first = train()
    with pytest.raises(UsageError, match=r"trained to the end.*--fresh"):
        train()
    other = TrainerSettings(epochs=3, batch=8, rate=3e-3, seed=3)
    second = train(settings=other, fresh=True)
    assert second.best > 0
    assert json.loads((first.folder / "training.json").read_text())["settings"]["batch"] == 8


def test_a_run_of_other_settings_is_refused(
    train: Callable[..., TrainedEncoder], tiny_folder: Path, tmp_path: Path
) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(on_epoch=stop)
    with pytest.raises(UsageError, match=r"another one: --epochs was 4 and is 9, --rate was 0\.003 and is 0\.001\."):
        train(settings=TrainerSettings(epochs=9, batch=16, rate=1e-3, seed=3))
    base = tmp_path / "base"
    shutil.copytree(tiny_folder, base)
    config = json.loads((base / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["mean"] = [0.4, 0.4, 0.4]
    (base / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="the base model is another one"):
        train(base=f"local-dir:{base}")
    assert train(settings=TrainerSettings(epochs=1, batch=16, rate=3e-3), fresh=True).epochs


def test_other_pairs_are_recognised(
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
    with RunFolder(tmp_path / "model").held(), pytest.raises(BusyError, match="Another process is training into"):
        train()


# -- settings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("lock", "texts"), ("epochs", 0), ("batch", 1), ("rate", -1.0), ("rate", 1.0), ("weight_decay", -0.1)),
        *(("validation", 0.0), ("validation", 1.0), ("seed", -1), ("rate", float("nan"))),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^--{option.replace('_', '-')} is "):
        TrainerSettings(**{option: value})  # type: ignore[arg-type]


# -- loss, batches, figures ----------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [None, torch.tensor(-3.0)])
def test_the_loss_is_that_of_open_clip(bias: torch.Tensor | None) -> None:
    from open_clip.loss import ClipLoss, SigLipLoss

    torch.manual_seed(0)
    photographs, texts = torch.nn.functional.normalize(torch.randn(2, 6, 8), dim=-1)
    scale = torch.tensor(7.0)
    theirs = (ClipLoss() if bias is None else SigLipLoss())(photographs, texts, scale, bias)
    ours = pair_loss(photographs, texts, scale, bias, torch.zeros(6, 6, dtype=torch.bool))
    assert ours == pytest.approx(float(theirs), abs=1e-5)


@pytest.mark.parametrize("bias", [None, torch.tensor(-3.0)])
def test_an_excused_pair_counts_for_nothing(bias: torch.Tensor | None) -> None:
    """Photographs 0 and 1 share their text: what the one has of the other's must not matter."""
    torch.manual_seed(0)
    photographs = torch.nn.functional.normalize(torch.randn(4, 8), dim=-1)
    texts = torch.nn.functional.normalize(torch.randn(4, 8), dim=-1)
    excused = torch.zeros(4, 4, dtype=torch.bool)
    excused[0, 1] = excused[1, 0] = True
    similar = texts.clone().requires_grad_()
    loss = pair_loss(photographs, similar, torch.tensor(5.0), bias, excused)
    loss.backward()
    assert torch.isfinite(similar.grad).all()
    strict = pair_loss(photographs, texts, torch.tensor(5.0), bias, torch.zeros_like(excused))
    assert loss < strict


def test_no_photograph_is_twice_in_a_batch_and_no_batch_is_a_handful() -> None:
    texts_of = [[*range(30)], *([30 + number] for number in range(40))]
    for epoch in range(5):
        batches = draw_epoch(texts_of, 16, seed=0, epoch=epoch)
        for pairs in batches:
            assert len(pairs) >= 4
            assert len({photograph for photograph, _ in pairs}) == len(pairs)
            assert all(text in texts_of[photograph] for photograph, text in pairs)
    assert draw_epoch(texts_of, 16, 0, 1) == draw_epoch(texts_of, 16, 0, 1)
    assert draw_epoch(texts_of, 16, 0, 1) != draw_epoch(texts_of, 16, 0, 2)
    assert draw_epoch(texts_of, 16, 0, 1) != draw_epoch(texts_of, 16, 1, 1)


def test_recalls_are_those_of_the_evaluation_where_no_text_is_shared() -> None:
    generator = np.random.default_rng(1)
    photo_of_text = np.repeat(np.arange(30), 2)
    photographs = generator.normal(size=(30, 8)).astype(np.float32)
    texts = photographs[photo_of_text] + generator.normal(size=(60, 8)).astype(np.float32)
    own = [[2 * number, 2 * number + 1] for number in range(30)]
    assert recalls(texts, photographs, own) == plain_recalls(texts, photographs, photo_of_text)


def test_each_photograph_of_a_shared_text_is_right() -> None:
    photographs = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    texts = np.eye(3, dtype=np.float32)[[0, 1]]
    assert set(recalls(texts, photographs, [[0], [0], [1]]).values()) == {100.0}
    assert recalls(texts, photographs, [[1], [1], [0]])["t2i_r1"] == 0


# -- the table -----------------------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number, name in enumerate(["a.png", "b.png", "день 1.png", "sub/c.png"]):
        paint(tmp_path / "images" / name, (60 * number, 100, 200))
    return tmp_path / "images"


def table_of(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "pairs.tsv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_a_table_as_a_spreadsheet_writes_it(images: Path, tmp_path: Path) -> None:
    content = (
        '\ufeffimage\tnote\ttext\r\na.png\t1\t"a ""red""\tdoor"\r\n./a.png\t2\ta door \r\na.png\t3\ta door\r\n\r\n'
        "день 1.png\t\tпервый день\r\nsub/c.png\t\ta door\r\n"
    )
    table = read_pair_table(table_of(tmp_path, content), images)
    assert [(each.name, each.row, each.texts) for each in table.photographs] == [
        ("a.png", 2, ('a "red"\tdoor', "a door")),
        ("день 1.png", 6, ("первый день",)),
        (str(Path("sub/c.png")), 7, ("a door",)),
    ]
    assert table.faults == ()


def test_bad_rows_are_left_out_and_named(images: Path, tmp_path: Path) -> None:
    rows = [
        "image\ttext\tsplit",
        "a.png\tone\ttrain",
        "b.png\tone",
        "\tone\ttrain",
        "b.png\t  \ttrain",
        "gone.png\tone\ttrain",
        f"{images / 'b.png'}\tone\ttrain",
        "sub/../../pairs.tsv\tone\ttrain",
        "b.png\tone\ttest",
        "a.png\tone\tvalidation",
        "b.png\tone\t",
        "..\tone\ttrain",
    ]
    table = read_pair_table(table_of(tmp_path, "\n".join(rows)), images)
    assert [each.name for each in table.photographs] == ["a.png"]
    assert table.faults == (
        "row 3: 2 cells where the header has 3.",
        "row 4, column image: the cell is empty.",
        "row 5, column text: the cell is empty.",
        f"row 6, column image: there is no photograph 'gone.png' in {images}.",
        f"row 7, column image: {str(images / 'b.png')!r} leaves the folder {images}.",
        f"row 8, column image: 'sub/../../pairs.tsv' leaves the folder {images}.",
        "row 9, column split: 'test' is neither train nor validation.",
        "row 10, column split: 'a.png' stands in the other split already.",
        "row 11, column split: an empty cell is neither train nor validation.",
        f"row 12, column image: '..' leaves the folder {images}.",
    )
    lines = describe_faults(table.faults)
    assert len(lines) == 6
    assert lines[0] == "Left out: row 3: 2 cells where the header has 3."
    assert lines[-1] == "Left out: 5 more rows."
    assert len(describe_faults(table.faults[:5])) == 5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "row 1: the columns image and text are needed, separated by a tab; the file is empty"),
        ("image,text\na.png,one\n", "row 1: the columns image and text are needed.*found: image,text"),
        ("image\ttext\ttext\n", "row 1: there is more than one column text"),
        ("image\ttext\n", "has no row that can be used: there is nothing under its header"),
        ("image\ttext\ngone.png\tx\n", "has no row that can be used; the first fault: row 2, column image: there is"),
        ('image\ttext\na.png\t"open\n', "after row 1: .*; check the quotes"),
        ("image\ttext\na.png\tone\nb.png\t\xe9\n".encode("latin-1"), "the text is not UTF-8; save the table as UTF-8"),
    ],
)
def test_a_table_that_is_none_is_refused(images: Path, tmp_path: Path, content: str | bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_pair_table(table_of(tmp_path, content), images)


def test_what_is_not_there_is_named(images: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no file .*gone\.tsv"):
        read_pair_table(tmp_path / "gone.tsv", images)
    with pytest.raises(NotFoundError, match=r"There is no folder .*gone"):
        read_pair_table(table_of(tmp_path, "image\ttext\na.png\tone\n"), tmp_path / "gone")


def test_the_validation_is_drawn_by_photographs(colours: Path, tmp_path: Path) -> None:
    rows = (colours / "pairs.tsv").read_text().splitlines()
    without = "\n".join(row.rpartition("\t")[0] for row in rows)
    table = read_pair_table(table_of(tmp_path, without), colours / "images")
    train, validation = split_photographs(table, 0.25, seed=0)
    assert (len(train), len(validation)) == (36, 12)
    assert {each.name for each in train}.isdisjoint(each.name for each in validation)
    assert split_photographs(table, 0.25, seed=0) == (train, validation)
    assert split_photographs(table, 0.25, seed=1)[1] != validation
    assert len(split_photographs(table, 0.001, seed=0)[1]) == 2
    assert len(split_photographs(table, 0.999, seed=0)[0]) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("image\ttext\tsplit\na.png\tx\ttrain\nb.png\tx\ttrain\n", "there is no photograph of split validation"),
        (
            "image\ttext\tsplit\na.png\tx\ttrain\nb.png\tx\tvalidation\nsub/c.png\tx\tvalidation\n",
            "there is only one photograph of split train; at least 2",
        ),
        ("image\ttext\na.png\tx\nb.png\tx\nsub/c.png\tx\n", "has 3 usable photographs; at least 4"),
    ],
)
def test_an_empty_split_is_an_error(images: Path, tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        split_photographs(read_pair_table(table_of(tmp_path, content), images), 0.1, seed=0)


def test_photographs_that_cannot_be_read_are_left_out_with_their_row(
    images: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    (images / "a.png").write_bytes(b"no photograph")
    table = read_pair_table(table_of(tmp_path, "image\ttext\nb.png\tx\na.png\tx\na.png\ty\n"), images)
    said: list[str] = []
    with pytest.raises(DataError, match="has 1 usable photograph"):
        train_encoder(table, f"local-dir:{tiny_folder}", tmp_path / "out", QUICK, device="cpu", say=said.append)
    assert said == ["Left out: row 3, column image: 'a.png' cannot be used: it is not a photograph in a format that smysl reads."]  # fmt: skip  # noqa: E501
    assert not (tmp_path / "out").exists()
    (images / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"no row that can be used; the first fault: row 2, column image: 'b\.png'"):
        train_encoder(table, f"local-dir:{tiny_folder}", tmp_path / "out", QUICK, device="cpu")


def test_a_photograph_that_is_gone_while_training_is_named(images: Path) -> None:
    with pytest.raises(PhotographError, match=r"gone\.png cannot be used as a photograph"):
        list(read_photographs([[images / "a.png"], [images / "gone.png"]], 64, 2))
    assert [len(batch) for batch in read_photographs([[images / "a.png"] * 3, [images / "b.png"]], 64, 2)] == [3, 1]
    assert list(read_photographs([], 64, 2)) == []


# -- the command ---------------------------------------------------------------------------------------


def test_the_command_says_what_happens(smysl: Smysl, colours: Path, tiny_folder: Path, tmp_path: Path) -> None:
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
    assert "is trained to the end" in again.err
    worse = smysl(*command, "--fresh", "--rate", "1e-12")
    assert worse.code == 1
    assert "No epoch was better than the base model" in worse.out
    assert (out / WEIGHTS).is_file()


def test_ctrl_c_is_one_sentence(
    smysl: Smysl, colours: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.fine_tuning.load_network", stop)
    command = ["train", "encoder", "--pairs", colours / "pairs.tsv", "--images", colours / "images"]
    stopped = smysl(*command, "--base", f"local-dir:{tiny_folder}", "--out", tmp_path / "model")
    assert stopped.code == 130
    assert stopped.err == "Stopped. Whole epochs are kept; run the command again to go on.\n"
