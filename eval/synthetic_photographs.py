"""Photographs that nobody took: JPEGs of any size whose content costs as much to decode and to keep as real ones.

A few large pictures are drawn, soft areas with detail upon them; each photograph is a part of one of them, so that
no two files are alike and hundreds of twelve megapixels take seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.types import OnProgress

if TYPE_CHECKING:
    from PIL.Image import Image

SMALL = (224, 224)
LARGE = (4032, 3024)
"""Twelve megapixels, as a telephone takes them."""
_PICTURES = 5
_LAYERS = ((6, 70.0), (40, 28.0), (250, 14.0), (1400, 9.0))
"""Cells across and standard deviation of their brightness (0 to 255), from soft to fine."""


def draw_photographs(
    folder: Path,
    count: int,
    size: tuple[int, int],
    *,
    seed: int = 0,
    quality: int = 88,
    on_progress: OnProgress | None = None,
) -> None:
    """Write `count` different JPEGs of `size` (width and height in pixels) into `folder`; the same for a seed."""
    from PIL import Image

    random = np.random.default_rng(seed)
    # A part of the whole is smaller by a quarter at most: the detail stays as fine as it was drawn.
    whole = (size[0] * 5 // 4, size[1] * 5 // 4)
    pictures = [_picture(whole, random) for _ in range(min(_PICTURES, count))]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        left, top = int(random.integers(whole[0] - size[0] + 1)), int(random.integers(whole[1] - size[1] + 1))
        part = pictures[number % len(pictures)].crop((left, top, left + size[0], top + size[1]))
        if random.integers(2):
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        # Parts of small pictures may fall on one another; a mark of a few pixels tells them apart.
        part.paste(tuple(int(each) for each in random.integers(0, 256, 3)), (0, 0, 8, 8))
        part.save(folder / f"{number:05d}.jpg", "JPEG", quality=quality)
        if on_progress is not None:
            on_progress(number + 1, count)


def _picture(size: tuple[int, int], random: np.random.Generator) -> Image:
    from PIL import Image, ImageChops

    made: Image.Image | None = None
    for cells, deviation in _LAYERS:
        # Finer than two pixels a cell is no detail but noise, which JPEG takes twice the bytes for.
        across = min(cells, size[0] // 2)
        rows = max(1, across * size[1] // size[0])
        strength = deviation * across / cells
        grid = np.clip(random.normal(128, strength, (rows, across, 3)), 0, 255).astype(np.uint8)
        layer = Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)
        made = layer if made is None else ImageChops.add(made, layer, offset=-128)
    assert made is not None  # noqa: S101 - there are layers
    return made
