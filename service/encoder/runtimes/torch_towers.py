"""Towers that torch computes, on the CPU or on a GPU."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from service.encoder.pooled_features import pooling_of
from service.encoder.token_trimming import text_encoder_of
from service.encoder.torch_precision import PRECISIONS, Precisions, settle
from service.types import Float32Array, Int64Array, UInt8Array

if TYPE_CHECKING:
    import torch

    from service.encoder.preprocess import Preparation

_BATCH = 16
_MOST_AT_ONCE = 512
_TRIED = 8
_SHARE = 0.5
"""Of a GPU's free memory for one batch; what else needs some may come later."""


class TorchTowers:
    """The towers of an open_clip model, which is taken over and changed. Safe to use from several threads."""

    runtime = "torch"

    def __init__(self, model: Any, preparation: Preparation, device: str, precisions: Precisions) -> None:
        import torch

        self.device = device
        self.precision, self.text_precision = precisions.photographs, precisions.texts
        self._dtype = getattr(torch, PRECISIONS[self.precision])
        self._preparation = preparation
        self.model = settle(model, device, precisions, preparation.size)
        self._pooling = pooling_of(self.model.visual)
        self._encode_texts = text_encoder_of(self.model)
        self._mean = torch.tensor(preparation.mean, device=device).view(3, 1, 1)
        self._deviation = torch.tensor(preparation.std, device=device).view(3, 1, 1)
        self._text_turn, self._photograph_turn = threading.Lock(), threading.Lock()
        self._batch_size: int | None = None

    @property
    def batch_size(self) -> int:
        """16 on a CPU; on a GPU what half of its free memory takes, measured once on a small batch."""
        if not self.device.startswith("cuda"):
            return _BATCH
        if self._batch_size is None:
            self._batch_size = self._batch_that_fits()
        return self._batch_size

    def texts(self, tokens: Int64Array) -> Float32Array:
        """As `Towers.texts`."""
        import torch

        with self._text_turn, torch.inference_mode():
            return _array(self._encode_texts(torch.from_numpy(tokens).to(self.device)))

    def photographs(self, batch: UInt8Array) -> tuple[Float32Array, Float32Array | None]:
        """As `Towers.photographs`."""
        import torch

        pixels = torch.from_numpy(batch)
        if self.device.startswith("cuda"):
            # From pinned memory a copy runs beside what the GPU still computes.
            pixels = pixels.pin_memory()
        with self._photograph_turn, torch.inference_mode():
            images = self._normalised(pixels.to(self.device, non_blocking=True))
            if self._pooling is None:
                return _array(self.model.encode_image(images, normalize=False)), None
            output, pooled = self._pooling(images)
            return _array(output), _array(pooled)

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        images = (pixels.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._deviation
        return images.to(dtype=self._dtype, memory_format=torch.channels_last)

    def _batch_that_fits(self) -> int:
        import torch

        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        self.photographs(np.zeros((_TRIED, *self._preparation.size, 3), np.uint8))
        each = max(1, (torch.cuda.max_memory_allocated(self.device) - before) // _TRIED)
        free, _ = torch.cuda.mem_get_info(self.device)
        fitting = int(_SHARE * free) // each
        return max(_BATCH, min(_MOST_AT_ONCE, fitting - fitting % _BATCH))


def _array(outputs: torch.Tensor) -> Float32Array:
    array: Float32Array = outputs.float().cpu().numpy()
    return array
