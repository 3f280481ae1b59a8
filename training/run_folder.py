"""The folder that a training run writes to: what it may be, where the run stands, and the finished model.

While it runs, everything lies in `.training`; the model's files are moved to their place when all of them are
written and have been loaded once, the configuration last, without which the folder is no model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.errors import BusyError, UsageError
from training.model_folder import CONFIG

if TYPE_CHECKING:
    import torch

FACTS = "training.json"
_INSIDE = ".training"
_KEY = "run.json"
_CHECKPOINT = "checkpoint.pt"
_LOCK = "lock"
_OPTIONS = ("lock", "epochs", "batch", "rate", "weight_decay", "validation", "seed")


class RunFolder:
    """One `--out`; `check` first, then everything else inside `held`."""

    def __init__(self, out: Path) -> None:
        self.out = out.expanduser().resolve()
        self.inside = self.out / _INSIDE

    def check(self, *, fresh: bool) -> None:
        """Raise UsageError for a folder that is not a run of ours, or a finished one without `fresh`."""
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(f"{self.out} is a file; name a folder for the model with --out.")
        if not self.out.exists() or (self.inside / _KEY).is_file():
            return
        if all(entry == self.inside for entry in self.out.iterdir()):
            return
        if self._facts() is None:
            raise UsageError(f"{self.out} is not empty and no run of smysl train encoder; name another folder.")
        if not fresh:
            raise UsageError(
                f"{self.out} holds a model that is trained to the end; name another folder, or train it anew with "
                "--fresh."
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out of the run; BusyError where one is in it."""
        from filelock import FileLock, Timeout

        try:
            self.inside.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.inside / _LOCK, timeout=0)
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
        """The checkpoint to go on from, or None for a new run.

        `key` is what makes a run the same one: settings, pairs, base. Raises UsageError where the run in the
        folder has another.
        """
        import torch

        if fresh:
            self._empty()
        file = self.inside / _KEY
        if file.is_file():
            before = json.loads(file.read_text(encoding="utf-8"))
            if before != key:
                raise UsageError(
                    f"{self.out} holds an unfinished run that is another one: {_difference(before, key)}. Go on as "
                    "it was begun, name another folder, or start it over with --fresh."
                )
        else:
            file.write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")
        checkpoint = self.inside / _CHECKPOINT
        if not checkpoint.is_file():
            return None
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint in the place of the last one."""
        import torch

        part = self.inside / f"{_CHECKPOINT}.part"
        try:
            torch.save(state, part)
        # torch reports a full disk as a RuntimeError of its own.
        except (OSError, RuntimeError) as error:
            raise UsageError(
                f"The checkpoint in {self.inside} cannot be written ({str(error).splitlines()[0]}). Make room and run "
                "the command again; it goes on from the last whole epoch."
            ) from None
        part.replace(self.inside / _CHECKPOINT)

    def keep_best(self, epoch: int, weights: dict[str, torch.Tensor]) -> None:
        """Remember the weights of an epoch as the best; those of the best one before stay until `forget`."""
        from safetensors.torch import save_file

        part = self._best(epoch).with_suffix(".part")
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, part)
        part.replace(self._best(epoch))

    def best(self, epoch: int) -> dict[str, torch.Tensor]:
        """The weights that `keep_best` wrote for an epoch."""
        from safetensors.torch import load_file

        weights: dict[str, torch.Tensor] = load_file(self._best(epoch))
        return weights

    def forget_all_but(self, epoch: int) -> None:
        """Remove the weights of former best epochs, when no checkpoint names them any more."""
        for file in self.inside.glob("best-*"):
            if file != self._best(epoch):
                file.unlink()

    def publish(self, model: Path, facts: dict[str, Any]) -> None:
        """Move a whole model from a folder inside the run's to its place, with `training.json`."""
        former = (self._facts() or {}).get("files", [])
        for name in sorted(former, key=lambda name: str(name) != CONFIG):
            (self.out / Path(name).name).unlink(missing_ok=True)
        files = sorted(file.name for file in model.iterdir())
        content = facts | {"files": [*files, FACTS]}
        (model / FACTS).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for name in [*(name for name in files if name != CONFIG), FACTS, CONFIG]:
            (model / name).replace(self.out / name)

    def close(self) -> None:
        """Remove what only an unfinished run needs, and the folder where nothing else is in it."""
        shutil.rmtree(self.inside)
        if not any(self.out.iterdir()):
            self.out.rmdir()

    def _best(self, epoch: int) -> Path:
        return self.inside / f"best-{epoch}.safetensors"

    def _empty(self) -> None:
        for entry in self.inside.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != _LOCK:
                entry.unlink()

    def _facts(self) -> dict[str, Any] | None:
        """What `training.json` says, or None where it is not there or not ours."""
        try:
            facts = json.loads((self.out / FACTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return facts if isinstance(facts, dict) and "files" in facts and "epochs" in facts else None


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
