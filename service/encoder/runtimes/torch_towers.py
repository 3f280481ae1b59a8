"""The towers of a model computed by torch, on a CPU or a GPU."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from service.encoder.pooled_features import with_pooled_features
from service.encoder.runtimes.torch_inference import TORCH_DTYPES, Precisions, optimise_for_inference
from service.encoder.token_trimming import text_tower_of
from service.types import Float32Array, Int64Array, UInt8Array

if TYPE_CHECKING:
    import torch

    from service.encoder.preprocess import Preprocessing

_BATCH = 16
_MAX_BATCH = 512
_TRIAL_BATCH = 8
_MEMORY_SHARE = 0.5
"""Share of a GPU's free memory for one batch; other work may need the rest later."""


class TorchTowers:
    """The towers of an open_clip model, which is changed in place. Safe to use from several threads."""

    runtime = "torch"

    def __init__(self, model: Any, preprocessing: Preprocessing, device: str, precisions: Precisions) -> None:
        import torch

        self.device = device
        self.precision, self.text_precision = precisions.image, precisions.text
        self._dtype = getattr(torch, TORCH_DTYPES[self.precision])
        self._preprocessing = preprocessing
        self.model = optimise_for_inference(model, device, precisions, preprocessing.size)
        self._feature_tower = with_pooled_features(self.model.visual)
        self._text_tower = text_tower_of(self.model)
        self._mean = torch.tensor(preprocessing.mean, device=device).view(3, 1, 1)
        self._std = torch.tensor(preprocessing.std, device=device).view(3, 1, 1)
        self._text_lock, self._image_lock = threading.Lock(), threading.Lock()
        self._batch_size: int | None = None

    @property
    def batch_size(self) -> int:
        """16 on a CPU; on a GPU what fits into half of its free memory, measured once on a small batch."""
        if not self.device.startswith("cuda"):
            return _BATCH
        if self._batch_size is None:
            self._batch_size = self._largest_fitting_batch()
        return self._batch_size

    def encode_tokens(self, tokens: Int64Array) -> Float32Array:
        """As `Towers.encode_tokens`."""
        import torch

        with self._text_lock, torch.inference_mode():
            return _array(self._text_tower(torch.from_numpy(tokens).to(self.device)))

    def encode_pixels(self, pixels: UInt8Array) -> tuple[Float32Array, Float32Array | None]:
        """As `Towers.encode_pixels`."""
        import torch

        batch = torch.from_numpy(pixels)
        if self.device.startswith("cuda"):
            # A copy from pinned memory overlaps with what the GPU still computes.
            batch = batch.pin_memory()
        with self._image_lock, torch.inference_mode():
            images = self._normalised(batch.to(self.device, non_blocking=True))
            if self._feature_tower is None:
                return _array(self.model.encode_image(images, normalize=False)), None
            embeddings, features = self._feature_tower(images)
            return _array(embeddings), _array(features)

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        images = (pixels.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std
        return images.to(dtype=self._dtype, memory_format=torch.channels_last)

    def _largest_fitting_batch(self) -> int:
        import torch

        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        self.encode_pixels(np.zeros((_TRIAL_BATCH, *self._preprocessing.size, 3), np.uint8))
        each = max(1, (torch.cuda.max_memory_allocated(self.device) - before) // _TRIAL_BATCH)
        free, _ = torch.cuda.mem_get_info(self.device)
        fitting = int(_MEMORY_SHARE * free) // each
        return max(_BATCH, min(_MAX_BATCH, fitting - fitting % _BATCH))


def _array(outputs: torch.Tensor) -> Float32Array:
    array: Float32Array = outputs.float().cpu().numpy()
    return array
