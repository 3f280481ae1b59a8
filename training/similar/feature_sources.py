"""Features of an encoder that stays as it is, and of one whose photograph tower is trained anew in each split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.feature_cache import Augmentation, features_of
from service.errors import DataError
from service.heads.projection import unit
from service.types import Float32Array, Int64Array, OnStage
from training.mini.views import view_of
from training.similar.splits import Split
from training.similar.tower import StageMaps, TowerSettings, run_key, split_tower, stage_maps, train_tower
from training.similar.tower import features_of as tower_features

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


VIEWS = 6
"""Views of a photograph that heads are fitted on, beside the photograph as it is."""


@dataclass(frozen=True, eq=False)
class Frozen:
    """An encoder as it is; `features` (n, 1 + views, width)."""

    model: str
    fingerprint: str
    features: Float32Array

    def views(self, _split: Split) -> Float32Array:
        """The same in every split."""
        return self.features


def encode_views(
    files: Sequence[Path], encoder: Encoder, views: int, cache: Path, on_progress: OnStage
) -> tuple[Int64Array, Float32Array]:
    """Rows (m,) of the files that can be read, and their features (m, 1 + views, width).

    Raises DataError where none can be read.
    """
    found, rows = [], np.arange(len(files))
    for view in range(1 + views):
        what = f"encoding with {encoder.name}" + (f", view {view} of {views}" if view else "")
        augmentation = Augmentation(view, view_of) if view else None
        features = features_of(files, encoder, cache, partial(on_progress, what), augmentation=augmentation)
        rows = features.rows
        found.append(features.features)
    if not len(rows):
        raise DataError("None of the photographs can be read. Check the files.")
    return rows, np.stack(found, axis=1)


class Unfrozen:
    """A tower whose last stages are trained on what each split is fitted on; features are kept in `folder`.

    A run that was stopped goes on behind the last split that was done.
    """

    def __init__(
        self,
        model: str,
        network: Any,
        files: Sequence[Path],
        kinds: Int64Array,
        key: Sequence[object],
        folder: Path,
        settings: TowerSettings,
        on_progress: OnStage,
    ) -> None:
        self.base = model
        self.model = f"{model}, last {settings.stages} stages trained"
        self._network, self._files, self._kinds = network, files, kinds
        self._folder, self._settings, self._tell = folder, settings, on_progress
        self._key = run_key(key, settings)
        self._maps: StageMaps | None = None

    def views(self, split: Split) -> Float32Array:
        """Features (n, views, width) by the tower that was trained on the split's fitted photographs."""
        file = self._folder / f"features-{run_key([self._key, split.fitted.tolist()], self._settings)}.npy"
        if not file.exists():
            tower = split_tower(self.trained(split.fitted, split.name).visual, self._settings.stages)[1]
            maps, rows = self._stage_maps(), np.arange(len(self._kinds))
            made = np.stack(
                [unit(tower_features(tower, maps, view, rows)) for view in range(min(maps.views, 1 + VIEWS))], axis=1
            )
            part = file.with_suffix(".part")
            with part.open("wb") as stream:
                np.save(stream, made.astype(np.float16))
            part.replace(file)
        kept: Float32Array = np.load(file).astype(np.float32)
        return kept

    def trained(self, rows: Int64Array, name: str) -> Any:
        """The network with its tower trained on the photographs `rows`."""
        what = f"training the tower, {name}"
        return train_tower(
            self._network,
            self._stage_maps(),
            rows,
            self._kinds[rows],
            self._settings,
            partial(self._tell, what),
        )

    def _stage_maps(self) -> StageMaps:
        if self._maps is None:
            self._maps = stage_maps(
                self._network,
                self._files,
                self._key,
                self._folder,
                self._settings,
                partial(self._tell, "drawing views for the tower"),
            )
        return self._maps
