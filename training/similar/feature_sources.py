"""Features of a frozen encoder, and of one whose photograph tower is fine-tuned in each split."""

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
from service.store.atomic import replacing
from service.types import Float32Array, Int64Array, OnStage
from training.mini.views import view_of
from training.similar.splits import Split
from training.similar.tower_training import (
    StageMaps,
    TowerSettings,
    run_key,
    split_tower,
    stage_maps,
    tower_features,
    train_tower,
)

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


VIEWS = 6
"""Augmented views of each photograph that heads are fitted on, beside the photograph itself."""


@dataclass(frozen=True, eq=False)
class FrozenEncoder:
    """Features (n, 1 + views, width) of an encoder as it is."""

    model: str
    fingerprint: str
    features: Float32Array

    def views(self, _split: Split) -> Float32Array:
        """The same features in every split."""
        return self.features


def encode_views(
    files: Sequence[Path], encoder: Encoder, views: int, cache: Path, on_stage: OnStage
) -> tuple[Int64Array, Float32Array]:
    """Encode photographs and their augmented views.

    Returns:
        Rows (m,) of the files that can be read, and their features (m, 1 + views, width).

    Raises:
        DataError: none can be read.
    """
    found, rows = [], np.arange(len(files))
    for view in range(1 + views):
        stage = f"encoding with {encoder.name}" + (f", view {view} of {views}" if view else "")
        augmentation = Augmentation(view, view_of) if view else None
        features = features_of(files, encoder, cache, partial(on_stage, stage), augmentation=augmentation)
        rows = features.rows
        found.append(features.features)
    if not len(rows):
        raise DataError("None of the photographs can be read. Check the files.")
    return rows, np.stack(found, axis=1)


class TunedEncoder:
    """An encoder whose last stages are trained on the fit photographs of each split.

    Features are kept in `folder`, so that an interrupted run resumes after the last finished split.
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
        on_stage: OnStage,
    ) -> None:
        self.base = model
        self.model = f"{model}, last {settings.stages} stages trained"
        self._network, self._files, self._kinds = network, files, kinds
        self._folder, self._settings, self._on_stage = folder, settings, on_stage
        self._key = run_key(key, settings)
        self._maps: StageMaps | None = None

    def views(self, split: Split) -> Float32Array:
        """Features (n, views, width) from the tower trained on the split's fit photographs."""
        file = self._folder / f"features-{run_key([self._key, split.fit_rows.tolist()], self._settings)}.npy"
        if not file.exists():
            tower = split_tower(self.trained(split.fit_rows, split.name).visual, self._settings.stages)[1]
            maps, rows = self._stage_maps(), np.arange(len(self._kinds))
            features = np.stack(
                [unit(tower_features(tower, maps, view, rows)) for view in range(min(maps.views, 1 + VIEWS))], axis=1
            )
            with replacing(file) as temporary:
                np.save(temporary, features.astype(np.float16), allow_pickle=False)
        kept: Float32Array = np.load(file, allow_pickle=False).astype(np.float32)
        return kept

    def trained(self, rows: Int64Array, name: str) -> Any:
        """The network with its tower trained on the photographs `rows`."""
        return train_tower(
            self._network,
            self._stage_maps(),
            rows,
            self._kinds[rows],
            self._settings,
            partial(self._on_stage, f"training the tower, {name}"),
        )

    def _stage_maps(self) -> StageMaps:
        if self._maps is None:
            self._maps = stage_maps(
                self._network,
                self._files,
                self._key,
                self._folder,
                self._settings,
                partial(self._on_stage, "drawing views for the tower"),
            )
        return self._maps
