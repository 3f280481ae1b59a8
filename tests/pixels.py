"""Pixels as open_clip's networks take them, to compare our preprocessing and towers with open_clip's."""

from __future__ import annotations

import numpy as np

from service.encoder.preprocess import Preprocessing
from service.types import Float32Array, UInt8Array


def normalised(preprocessing: Preprocessing, pixels: UInt8Array) -> Float32Array:
    """Pixels (n, height, width, 3) to float32 (n, 3, height, width) with the mean and deviation of training."""
    mean, std = np.array(preprocessing.mean, np.float32), np.array(preprocessing.std, np.float32)
    scaled = (pixels.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
