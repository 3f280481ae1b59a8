"""Photographs in folders named after kinds: each kind has a colour, and no two photographs are the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"poppy": (220, 30, 40), "gentian": (30, 50, 220), "fern": (40, 190, 50)}
TEAL = (0, 140, 140)
"""A colour of no kind."""


def paint_speckled(file: Path, colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (48, 40)) -> Path:
    """Save a photograph of noise around a colour; missing folders are made."""
    random = np.random.default_rng(seed)
    own = np.array(colour) + random.integers(-12, 13, 3)
    pixels = own + random.normal(0, 30, (size[1], size[0], 3))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file)
    return file


def make_kind_folders(
    folder: Path, each: int = 6, kinds: Mapping[str, tuple[int, int, int]] = COLOURS, first_seed: int = 0
) -> Path:
    """Save photographs as `folder`/KIND/NUMBER.png, the same ones for the same arguments."""
    for index, (kind, colour) in enumerate(kinds.items()):
        for number in range(each):
            paint_speckled(folder / kind / f"{number}.png", colour, first_seed + 1000 * index + number)
    return folder
