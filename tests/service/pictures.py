"""Photographs of noise, saved in any format; each seed gives another one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (80, 60)) -> Image.Image:
    """An image of smooth noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def save_picture(file: Path, seed: int, size: tuple[int, int] = (80, 60), **options: Any) -> Path:
    """Save an image of noise in the format of the file's suffix."""
    from pillow_heif import register_heif_opener

    register_heif_opener()
    picture(seed, size).save(file, **options)
    return file


def jpeg(seed: int, size: tuple[int, int] = (80, 60)) -> bytes:
    """The bytes of a JPEG."""
    out = io.BytesIO()
    picture(seed, size).save(out, "JPEG", quality=90)
    return out.getvalue()
