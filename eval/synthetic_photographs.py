"""Synthetic photographs: JPEGs of any size that cost as much to decode and to store as real ones.

A few large images are generated, soft areas overlaid with detail; each photograph is a random crop of one of them, so
that no two files are alike and hundreds of twelve megapixels take seconds.
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
"""Twelve megapixels, as phones take them."""
_SOURCES = 5
_LAYERS = ((6, 70.0), (40, 28.0), (250, 14.0), (1400, 9.0))
"""Cells across and the standard deviation of their brightness (0 to 255), from coarse to fine."""


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
    # Sources are larger by a quarter only, so that their detail keeps its scale in the crops.
    width, height = size
    source_size = (width * 5 // 4, height * 5 // 4)
    sources = [_source(source_size, random) for _ in range(min(_SOURCES, count))]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        left = int(random.integers(source_size[0] - width + 1))
        top = int(random.integers(source_size[1] - height + 1))
        crop = sources[number % len(sources)].crop((left, top, left + width, top + height))
        if random.integers(2):
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        # Crops of small sources may coincide; a random mark of a few pixels makes each file unique.
        crop.paste(tuple(int(each) for each in random.integers(0, 256, 3)), (0, 0, 8, 8))
        crop.save(folder / f"{number:05d}.jpg", "JPEG", quality=quality)
        if on_progress is not None:
            on_progress(number + 1, count)


def _source(size: tuple[int, int], random: np.random.Generator) -> Image:
    from PIL import Image, ImageChops

    made: Image.Image | None = None
    for cells, deviation in _LAYERS:
        # Cells finer than two pixels would be noise, which JPEG takes twice the bytes for.
        across = min(cells, size[0] // 2)
        rows = max(1, across * size[1] // size[0])
        strength = deviation * across / cells
        grid = np.clip(random.normal(128, strength, (rows, across, 3)), 0, 255).astype(np.uint8)
        layer = Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)
        made = layer if made is None else ImageChops.add(made, layer, offset=-128)
    assert made is not None  # noqa: S101 - there are layers
    return made
