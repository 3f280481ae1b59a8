"""The output folder of a training run: checks, the lock, checkpoints and the finished model.

Until the run ends, everything is in `.training`. The model's files are moved into place after all of them were written
and loaded once, the configuration last, without which the folder is not a model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.errors import BusyError, UsageError
from service.store.atomic import put_in_place, replacing, write_text
from training.model_folder import CONFIG

if TYPE_CHECKING:
    import torch

REPORT = "training.json"
"""What the model was trained on and with, and the figures of each epoch."""
_WORK = ".training"
_KEY = "run.json"
_CHECKPOINT = "checkpoint.pt"
_LOCK = "lock"
_OPTIONS = ("lock", "epochs", "batch", "rate", "weight_decay", "validation", "seed")


class RunFolder:
    """The folder named by `--out`; call `check` first, and everything else inside `locked`."""

    def __init__(self, out: Path) -> None:
        self.out = out.expanduser().resolve()
        self.work = self.out / _WORK

    def check(self, *, fresh: bool) -> None:
        """Raise UsageError for a folder with other content, or with a finished model unless `fresh`."""
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(f"{self.out} is a file; name a folder for the model with --out.")
        if not self.out.exists() or (self.work / _KEY).is_file():
            return
        if all(entry == self.work for entry in self.out.iterdir()):
            return
        if self._report() is None:
            raise UsageError(f"{self.out} is not empty and not from a run of smysl train encoder; name another folder.")
        if not fresh:
            raise UsageError(f"{self.out} holds a finished model; name another folder, or train it again with --fresh.")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run against other processes; BusyError where another has the lock."""
        from filelock import FileLock, Timeout

        try:
            self.work.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.work / _LOCK, timeout=0)
            lock.acquire()
        except Timeout:
            raise BusyError(f"Another process is training into {self.out}; wait until it has ended.") from None
        except OSError as error:
            raise UsageError(f"{self.out} cannot be written to ({error.strerror or error}).") from None
        try:
            yield
        finally:
            lock.release()

    def begin(self, key: dict[str, Any], *, fresh: bool) -> dict[str, Any] | None:
        """The checkpoint to resume from, or None for a new run.

        `key` identifies a run by its settings, pairs and base. Raises UsageError where the folder has a run with
        another key.
        """
        import torch

        if fresh:
            self._empty()
        file = self.work / _KEY
        if file.is_file():
            before = json.loads(file.read_text(encoding="utf-8"))
            if before != key:
                raise UsageError(
                    f"{self.out} holds an unfinished run that differs from this one: {_difference(before, key)}. "
                    "Resume it with its own options, name another folder, or start over with --fresh."
                )
        else:
            write_text(file, json.dumps(key, indent=1) + "\n")
        checkpoint = self.work / _CHECKPOINT
        if not checkpoint.is_file():
            return None
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint."""
        import torch

        try:
            with replacing(self.work / _CHECKPOINT) as temporary:
                torch.save(state, temporary)
        # torch reports a full disk as a RuntimeError.
        except (OSError, RuntimeError) as error:
            raise UsageError(
                f"The checkpoint in {self.work} cannot be written ({str(error).splitlines()[0]}). Make room and run "
                "the command again; it resumes after the last finished epoch."
            ) from None

    def keep_best(self, epoch: int, weights: dict[str, torch.Tensor]) -> None:
        """Keep the weights of the best epoch so far; the former best stay until `remove_other_bests`."""
        from safetensors.torch import save_file

        with replacing(self._best(epoch)) as temporary:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, temporary)

    def best(self, epoch: int) -> dict[str, torch.Tensor]:
        """The weights that `keep_best` wrote for an epoch."""
        from safetensors.torch import load_file

        weights: dict[str, torch.Tensor] = load_file(self._best(epoch))
        return weights

    def remove_other_bests(self, epoch: int) -> None:
        """Remove the weights of former best epochs, once the checkpoint no longer names them."""
        for file in self.work.glob("best-*"):
            if file != self._best(epoch):
                file.unlink()

    def publish(self, model: Path, report: dict[str, Any]) -> None:
        """Move a complete model from a folder inside the run's into place, with `report` as `training.json`."""
        former = (self._report() or {}).get("files", [])
        for name in sorted(former, key=lambda name: str(name) != CONFIG):
            (self.out / Path(name).name).unlink(missing_ok=True)
        files = sorted(file.name for file in model.iterdir())
        content = report | {"files": [*files, REPORT]}
        (model / REPORT).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for name in [*(name for name in files if name != CONFIG), REPORT, CONFIG]:
            put_in_place(model / name, self.out / name)

    def close(self) -> None:
        """Remove the files of the unfinished run, and the folder if it is empty then."""
        shutil.rmtree(self.work)
        if not any(self.out.iterdir()):
            self.out.rmdir()

    def _best(self, epoch: int) -> Path:
        return self.work / f"best-{epoch}.safetensors"

    def _empty(self) -> None:
        for entry in self.work.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != _LOCK:
                entry.unlink()

    def _report(self) -> dict[str, Any] | None:
        """The content of `training.json`, or None where it is missing or not ours."""
        try:
            report = json.loads((self.out / REPORT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return report if isinstance(report, dict) and "files" in report and "epochs" in report else None


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    parts = [
        f"--{name.replace('_', '-')} was {before.get(name)} and is {now.get(name)}"
        for name in _OPTIONS
        if before.get(name) != now.get(name)
    ]
    if before.get("base") != now.get("base"):
        parts.append("the base model is another one")
    if before.get("pairs") != now.get("pairs"):
        parts.append("the pairs have changed")
    return ", ".join(parts) or "it was begun by another version of smysl"
