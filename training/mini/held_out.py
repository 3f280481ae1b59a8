"""The photographs that a run holds out to choose its settings by, and the figures on them epoch by epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.types import BoolArray
from training.mini.fit import TextTable, pool_texts
from training.mini.settings import MiniSettings
from training.mini.views import Views, features_of

if TYPE_CHECKING:
    import torch


def hold_out(count: int, settings: MiniSettings) -> BoolArray:
    """Draw which of `count` photographs are not trained on: bool (count,)."""
    held_out = np.zeros(count, dtype=bool)
    held_out[np.random.default_rng(settings.seed).permutation(count)[: settings.validation]] = True
    return held_out


@dataclass(frozen=True)
class HeldOut:
    """The photographs that were held out: their rows among the `whole` ones and those of their captions in `table`."""

    network: Any
    upper: torch.nn.Module
    whole: Views
    rows: Sequence[int]
    mean: torch.Tensor
    deviation: torch.Tensor
    table: TextTable
    captions: Sequence[Sequence[int]]

    def figures(self) -> dict[str, float]:
        """The six retrieval figures of the network as it is now, in percent."""
        import torch
        from torch.nn import functional

        from eval.retrieval import recalls

        self.network.eval()
        rows = torch.tensor([row for group in self.captions for row in group])
        owner = np.repeat(np.arange(len(self.captions)), [len(group) for group in self.captions])
        with torch.no_grad():
            features = features_of(self.upper, self.whole, 0, self.rows)
            photographs = functional.normalize(self.network.visual.head((features - self.mean) / self.deviation))
            texts = functional.normalize(self.network.text.proj(pool_texts(self.network, self.table, rows)))
        return {name: round(value, 2) for name, value in recalls(texts.numpy(), photographs.numpy(), owner).items()}


class History:
    """Figures epoch by epoch, in a file, so that a run that goes on keeps the earlier ones."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.entries: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []

    def add(self, entry: dict[str, Any]) -> None:
        """Add an entry and write the file."""
        self.entries.append(entry)
        self._file.write_text(json.dumps(self.entries, indent=1))
