"""Photographs held out to choose settings by, and the figures on them after each epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.store.atomic import write_text
from service.types import BoolArray
from training.mini.fit import TextTable, pool_texts
from training.mini.settings import MiniSettings
from training.mini.views import Views, view_features

if TYPE_CHECKING:
    import torch


def hold_out(count: int, settings: MiniSettings) -> BoolArray:
    """A random mask (count,) of the photographs that are held out."""
    held_out = np.zeros(count, dtype=bool)
    held_out[np.random.default_rng(settings.seed).permutation(count)[: settings.validation]] = True
    return held_out


@dataclass(frozen=True)
class HeldOut:
    """Held-out photographs: their `rows` among the `whole` ones, and the rows of their captions in `table`."""

    network: Any
    upper: torch.nn.Module
    whole: Views
    rows: Sequence[int]
    mean: torch.Tensor
    deviation: torch.Tensor
    table: TextTable
    captions: Sequence[Sequence[int]]

    def figures(self) -> dict[str, float]:
        """The six recalls of the network as it is now, in percent."""
        import torch
        from torch.nn import functional

        from eval.retrieval import recalls

        self.network.eval()
        rows = torch.tensor([row for group in self.captions for row in group])
        owner = np.repeat(np.arange(len(self.captions)), [len(group) for group in self.captions])
        with torch.no_grad():
            features = view_features(self.upper, self.whole, 0, self.rows)
            photographs = functional.normalize(self.network.visual.head((features - self.mean) / self.deviation))
            texts = functional.normalize(self.network.text.proj(pool_texts(self.network, self.table, rows)))
        return {name: round(value, 2) for name, value in recalls(texts.numpy(), photographs.numpy(), owner).items()}


class History:
    """The figures of each epoch, in a file, so that a resumed run keeps the earlier ones."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.entries: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []

    def add(self, entry: dict[str, Any]) -> None:
        """Add an entry and write the file."""
        self.entries.append(entry)
        write_text(self._file, json.dumps(self.entries, indent=1))
