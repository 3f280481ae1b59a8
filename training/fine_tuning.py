"""`smysl train encoder`: fine-tunes an open_clip model on a person's own photographs and texts.

Either both towers are trained, or the photograph tower is locked (LiT, Zhai et al. 2022): then every photograph is
encoded once, and only the text tower is trained. The random draws of an epoch depend on the seed and the epoch's number
only, and each epoch ends with a checkpoint, so an interrupted run resumes with the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.compute.cores import usable_cores
from service.compute.malloc import keep_memory
from service.encoder.models import parse_name
from service.encoder.open_clip_model import choose_device, fingerprint_of, load_network
from service.types import Say
from training.model_folder import check_model, stored_halves, write_model
from training.pairs import PairedPhotograph, PairTable, describe_faults, split_photographs, without_unreadable
from training.run_folder import RunFolder
from training.trainer import OpenStage, Trainer, TrainerSettings, decode_side, silent
from training.validation import describe_recalls, selection_score

if TYPE_CHECKING:
    from service.encoder.models import DownloadProgress


@dataclass(frozen=True, slots=True)
class Epoch:
    """Figures on the validation photographs after an epoch; epoch 0 is the base model and has no loss."""

    epoch: int
    loss: float | None
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class TrainedEncoder:
    """All epochs of a run and the number of the best; where that is 0, nothing was written."""

    epochs: list[Epoch]
    best: int
    folder: Path


def train_encoder(
    table: PairTable,
    base: str,
    out: Path,
    settings: TrainerSettings,
    *,
    device: str | None = None,
    fresh: bool = False,
    threads: int | None = None,
    timeout_s: float = 5.0,
    on_download: Callable[[DownloadProgress], None] | None = None,
    open_stage: OpenStage = silent,
    say: Say = lambda sentence: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> TrainedEncoder:
    """Fine-tune the model `base` on a table and write the best epoch to `out` as a `local-dir` model.

    An unfinished run in `out` with the same settings, pairs and base resumes after its last epoch, unless `fresh`.
    Nothing is written where no epoch is better than the base model on the validation photographs.

    Raises:
        UsageError: `out` has other content or another run, or the learning rate is too high.
        ModelError: the base does not load, or cannot be written.
        DataError: there are too few usable photographs.
        BusyError: another process is training into `out`.
    """
    folder = RunFolder(out)
    folder.check(fresh=fresh)
    device = choose_device(device)
    if device == "cpu":
        keep_memory()
    name = parse_name(base)
    network, tokenizer, config = load_network(name.text, timeout_s=timeout_s, on_progress=on_download)
    threads = threads or usable_cores()
    with open_stage("Checking photographs") as on_progress:
        table = without_unreadable(table, decode_side(network), threads, on_progress)
    for line in describe_faults(table.faults):
        say(line)
    train, validation = split_photographs(table, settings.validation, settings.seed)
    fingerprint = fingerprint_of(network, tokenizer, config)
    halves = stored_halves(name.folder)
    with folder.locked():
        state = folder.begin(_run_key(settings, fingerprint, train, validation), fresh=fresh)
        trainer = Trainer(network, tokenizer, train, validation, settings, device, threads, open_stage)
        history = _run(trainer, folder, state, say, on_epoch)
        best = _best_of(history)
        if best:
            network.load_state_dict(folder.best(best), strict=False)
            model = folder.work / "model"
            write_model(model, network, tokenizer, config, halves)
            written = check_model(model, tokenizer, trainer.texts[:100])
            report = {"base": name.text, "base_fingerprint": fingerprint, "fingerprint": written}
            folder.publish(model, report | _run_report(settings, table, train, validation, history, best))
    folder.close()
    return TrainedEncoder(history, best, folder.out)


def describe_epoch(epoch: Epoch) -> str:
    """An epoch in one line."""
    note = "the base model; recall at 1 / 5 / 10 in percent" if epoch.loss is None else f"loss {epoch.loss:.3f}"
    return f"epoch {epoch.epoch}: {describe_recalls(epoch.figures)} ({note})"


def describe_outcome(outcome: TrainedEncoder) -> str:
    """The outcome of a run, and what to do next."""
    if outcome.best == 0:
        return (
            "No epoch was better than the base model, so nothing was written. More pairs, a smaller --rate or "
            "--lock photographs may help."
        )
    before, after = (selection_score(outcome.epochs[number].figures)[0] for number in (0, outcome.best))
    return (
        f"Epoch {outcome.best} was the best: a mean recall at 5 of {after:.1f} % instead of {before:.1f} %.\n"
        f"Use it with: smysl index --model local-dir:{outcome.folder}"
    )


def _run(
    trainer: Trainer,
    folder: RunFolder,
    state: dict[str, Any] | None,
    say: Say,
    on_epoch: Callable[[Epoch], None],
) -> list[Epoch]:
    """Run the remaining epochs, with a checkpoint after each, and return all epochs."""
    if state is None:
        history = [Epoch(0, None, trainer.measure())]
    else:
        trainer.network.load_state_dict(state["network"], strict=False)
        trainer.optimizer.load_state_dict(state["optimizer"])
        history = [Epoch(**each) for each in state["history"]]
        say(f"Resuming after epoch {history[-1].epoch} of {trainer.settings.epochs}.")
    for epoch in history:
        on_epoch(epoch)
    while len(history) <= trainer.settings.epochs:
        number = len(history)
        history.append(Epoch(number, trainer.run_epoch(number), trainer.measure()))
        best = _best_of(history)
        if best == number:
            folder.keep_best(number, trainer.trained())
        folder.save(
            {
                "network": trainer.trained(),
                "optimizer": trainer.optimizer.state_dict(),
                "history": [asdict(each) for each in history],
            }
        )
        folder.remove_other_bests(best)
        on_epoch(history[-1])
    return history


def _best_of(history: list[Epoch]) -> int:
    """The number of the best epoch; of equal ones, the earliest."""
    return max(history, key=lambda each: (selection_score(each.figures), -each.epoch)).epoch


def _run_key(
    settings: TrainerSettings, fingerprint: str, train: list[PairedPhotograph], validation: list[PairedPhotograph]
) -> dict[str, Any]:
    """What identifies a run: one with the same key can be resumed."""
    import xxhash

    pairs = [[[each.name, *each.texts] for each in split] for split in (train, validation)]
    digest = xxhash.xxh3_128_hexdigest(repr(pairs).encode())
    return {**asdict(settings), "rate": settings.peak_rate, "base": fingerprint, "pairs": digest}


def _run_report(
    settings: TrainerSettings,
    table: PairTable,
    train: list[PairedPhotograph],
    validation: list[PairedPhotograph],
    history: list[Epoch],
    best: int,
) -> dict[str, Any]:
    """Settings, counts and figures of a run for `training.json`."""
    counts = {
        name: {"photographs": len(split), "texts": sum(len(each.texts) for each in split)}
        for name, split in (("train", train), ("validation", validation))
    }
    return {
        "settings": asdict(settings) | {"rate": settings.peak_rate},
        "pairs": counts | {"rows_left_out": len(table.faults)},
        "epochs": [asdict(each) for each in history],
        "best_epoch": best,
    }
