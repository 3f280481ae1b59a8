"""Features of the frozen image tower for several views of each photograph, computed once and kept.

View 0 is the photograph as it is, view 1 its mirror image, the others are random crops with a mild change of
proportions, half of them mirrored. As the service does, every view is squashed to a square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xxhash

from training.mini.towers import ImageTower

if TYPE_CHECKING:
    from PIL import Image

BATCH = 32
SMALLEST_AREA = 0.5
"""A crop keeps at least this share of the photograph, or captions would name what it no longer shows."""
WIDEST_RATIO = 4 / 3

Box = tuple[float, float, float, float]


def random_box(width: int, height: int, generator: np.random.Generator) -> Box:
    """Draw a crop (left, upper, right, lower) in pixels: area 0.5…1, proportions changed up to 4:3."""
    area = generator.uniform(SMALLEST_AREA, 1.0)
    ratio = np.exp(generator.uniform(-np.log(WIDEST_RATIO), np.log(WIDEST_RATIO)))
    crop_width = min(1.0, float(np.sqrt(area * ratio))) * width
    crop_height = min(1.0, float(np.sqrt(area / ratio))) * height
    left = generator.uniform(0, width - crop_width)
    upper = generator.uniform(0, height - crop_height)
    return left, upper, left + crop_width, upper + crop_height


def view_of(image: Image.Image, view: int, side: int, generator: np.random.Generator) -> Image.Image:
    """Make one view, a square of `side` pixels; `generator` is used from view 2 on."""
    from PIL import Image, ImageOps

    box: Box = (0, 0, *image.size)
    mirrored = view == 1
    if view > 1:
        box = random_box(*image.size, generator)
        mirrored = bool(generator.random() < 0.5)
    square = image.resize((side, side), Image.Resampling.BICUBIC, box=box)
    return ImageOps.mirror(square) if mirrored else square


def view_features(
    tower: ImageTower,
    paths: Sequence[Path],
    views: int,
    folder: Path,
    *,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.float16]:
    """Pooled features float16 (views, n, width) of each photograph in each view.

    Each view is one file in `folder`, written when it is complete, so that an interrupted run loses one view
    at most. `on_progress` is called with the photographs done and the photographs in all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = cache_key(tower, paths, seed)
    encode = _encoder(tower)
    kept = []
    for view in range(views):
        file = folder / f"{key}-view{view}.npy"
        if not file.exists():
            rows = []
            for batch in _batches(tower, paths, view, seed):
                rows.append(encode(batch))
                if on_progress is not None:
                    on_progress(view * len(paths) + sum(map(len, rows)), views * len(paths))
            _save(file, np.concatenate(rows).astype(np.float16))
        kept.append(np.load(file))
    return np.stack(kept)


def cache_key(tower: ImageTower, paths: Sequence[Path], seed: int) -> str:
    """Name for the cache: changes with the tower's weights, the photographs' names and sizes, and the seed."""
    digest = xxhash.xxh3_64(f"{tower.architecture} {tower.side} {seed}".encode())
    for tensor in tower.trunk.state_dict().values():
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    for path in paths:
        digest.update(f"{path.name} {path.stat().st_size}".encode())
    return digest.hexdigest()


def _batches(tower: ImageTower, paths: Sequence[Path], view: int, seed: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Decoded views, uint8 (batch, side, side, 3), the next batch being decoded while one is encoded."""
    from PIL import Image

    def decode(position: int) -> npt.NDArray[np.uint8]:
        generator = np.random.default_rng((seed, view, position))
        with Image.open(paths[position]) as image:
            return np.asarray(view_of(image.convert("RGB"), view, tower.side, generator))

    def load(first: int) -> npt.NDArray[np.uint8]:
        return np.stack([decode(position) for position in range(first, min(first + BATCH, len(paths)))])

    firsts = list(range(0, len(paths), BATCH))
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(load, firsts[0])
        for following in [*firsts[1:], None]:
            ready = ahead.result()
            if following is not None:
                ahead = pool.submit(load, following)
            yield ready


def _encoder(tower: ImageTower) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """The tower as a function of pixels, compiled for full batches in bfloat16 where the processor has it."""
    import copy

    import torch

    fast = torch.backends.cpu.get_cpu_capability().startswith("AVX512") and tower.side > 64
    precision = torch.bfloat16 if fast else torch.float32
    trunk: Any = copy.deepcopy(tower.trunk)
    trunk = trunk.to(dtype=precision, memory_format=torch.channels_last)
    compiled = torch.compile(trunk, options={"freezing": True}) if fast else trunk
    mean = torch.tensor(tower.mean).view(1, 3, 1, 1)
    std = torch.tensor(tower.std).view(1, 3, 1, 1)

    def encode(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).sub(mean).div(std)
        images = images.to(precision).contiguous(memory_format=torch.channels_last)
        # The compiled form is for one shape: the last, smaller batch would compile it anew.
        run = compiled if len(images) == BATCH else trunk
        with torch.inference_mode():
            features: npt.NDArray[np.float32] = run(images).float().numpy()
        return features

    return encode


def _save(file: Path, rows: npt.NDArray[np.float16]) -> None:
    """Write an array so that the file is either complete or not there."""
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.save(stream, rows)
    part.replace(file)
