"""Several views of each training photograph, as far as the frozen part of the image tower sees them.

A view is a random crop, half of them mirrored, with a mild change of proportions and light. What the frozen
stages make of it is computed once and kept in files, so that training passes through the last stages alone.
Views are smaller than the photographs that the finished model sees, by as much as a crop magnifies what it
shows (Touvron et al. 2019, Fixing the train-test resolution discrepancy), and cost less for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from service.types import Float16Array, OnProgress, UInt8Array
from training.mini.towers import ImageTower, split_tower

if TYPE_CHECKING:
    import torch
    from PIL import Image

BATCH = 32
SMALLEST_AREA = 0.45
"""A crop keeps at least this share of the photograph, or captions would name what it no longer shows."""
WIDEST_RATIO = 4 / 3
LIGHT = 0.2
"""Brightness, contrast and saturation change by at most this share."""

Box = tuple[float, float, float, float]
Drawing = Callable[["Image.Image", int], "Image.Image"]
"""Makes a square of a photograph and its row."""
Encode = Callable[[UInt8Array], tuple["torch.Tensor", "torch.Tensor"]]


@dataclass(frozen=True)
class Views:
    """`maps[view]` float16 (n, height, width, channels), read from a file as it is asked for: what the frozen
    stages put out; `pooled` float16 (views, n, width): what the whole tower made of it as it came."""

    maps: Sequence[Float16Array]
    pooled: Float16Array


def random_box(width: int, height: int, generator: np.random.Generator) -> Box:
    """Draw a crop (left, upper, right, lower) in pixels: area 0.45…1, proportions changed up to 4:3."""
    area = generator.uniform(SMALLEST_AREA, 1.0)
    ratio = np.exp(generator.uniform(-np.log(WIDEST_RATIO), np.log(WIDEST_RATIO)))
    crop_width = min(1.0, float(np.sqrt(area * ratio))) * width
    crop_height = min(1.0, float(np.sqrt(area / ratio))) * height
    left = generator.uniform(0, width - crop_width)
    upper = generator.uniform(0, height - crop_height)
    return left, upper, left + crop_width, upper + crop_height


def view_of(image: Image.Image, side: int, generator: np.random.Generator) -> Image.Image:
    """Draw one view, a square of `side` pixels."""
    from PIL import Image, ImageEnhance, ImageOps

    view = image.resize((side, side), Image.Resampling.BICUBIC, box=random_box(*image.size, generator))
    if generator.random() < 0.5:
        view = ImageOps.mirror(view)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        view = change(view).enhance(generator.uniform(1 - LIGHT, 1 + LIGHT))
    return view


def whole(image: Image.Image, side: int) -> Image.Image:
    """A photograph as the finished model sees it: squashed to a square of `side` pixels."""
    from PIL import Image

    return image.resize((side, side), Image.Resampling.BICUBIC)


def training_views(
    tower: ImageTower,
    frozen: int,
    side: int,
    paths: Sequence[Path],
    count: int,
    folder: Path,
    *,
    seed: int,
    on_progress: OnProgress | None = None,
) -> Views:
    """`count` views of each photograph, `side` pixels wide, through the tower's first `frozen` stages.

    Each view is two files in `folder`, which appear when it is complete: an interrupted run loses one view at
    most. `on_progress` is called with the views of photographs done and those in all.
    """
    key = _cache_key(tower, frozen, side, paths, seed)
    drawings = {f"{key}-view{view}": _drawing(seed, view, side) for view in range(count)}
    return _kept_views(_encoder(tower, frozen, compiled=side > 64), paths, drawings, folder, on_progress)


def whole_photographs(
    tower: ImageTower,
    frozen: int,
    paths: Sequence[Path],
    folder: Path,
    *,
    on_progress: OnProgress | None = None,
) -> Views:
    """Each photograph as the finished model sees it, as one view, kept as those of `training_views` are."""
    name = f"{_cache_key(tower, frozen, tower.side, paths, 0)}-whole"
    # A second size of squares in one process hangs torch's compiler.
    encode = _encoder(tower, frozen, compiled=False)
    return _kept_views(encode, paths, {name: lambda image, _: whole(image, tower.side)}, folder, on_progress)


def maps_of(views: Views, view: Sequence[int], rows: Sequence[int]) -> torch.Tensor:
    """The maps of some photographs, each in a view of its own: float32 (n, channels, height, width)."""
    import torch

    gathered = np.stack([views.maps[each][row] for each, row in zip(view, rows, strict=True)])
    return torch.from_numpy(gathered).float().permute(0, 3, 1, 2)


def features_of(upper: torch.nn.Module, views: Views, view: int, rows: Sequence[int]) -> torch.Tensor:
    """Features float32 (n, width) of some photographs in one view by the image tower as it stands."""
    import torch

    batches = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
    with torch.no_grad():
        return torch.cat([upper(maps_of(views, [view] * len(batch), batch)) for batch in batches])


def _kept_views(
    encode: Encode,
    paths: Sequence[Path],
    drawings: dict[str, Drawing],
    folder: Path,
    on_progress: OnProgress | None,
) -> Views:
    """A view for each drawing, read from the two files of its name in `folder`, or made and kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    maps, pooled = [], []
    for number, (name, drawing) in enumerate(drawings.items()):
        files = folder / f"{name}-maps.npy", folder / f"{name}-pooled.npy"
        if not all(file.exists() for file in files):
            made = map(encode, _decoded(paths, drawing))
            _keep(files, len(paths), _counted(made, number * len(paths), len(drawings) * len(paths), on_progress))
        maps.append(np.load(files[0], mmap_mode="r"))
        pooled.append(np.load(files[1]))
    return Views(maps, np.stack(pooled))


def _drawing(seed: int, view: int, side: int) -> Drawing:
    """How one view is drawn of the photograph in a row, the same whenever it is drawn."""
    return lambda image, row: view_of(image, side, np.random.default_rng((seed, view, row)))


def _cache_key(tower: ImageTower, frozen: int, side: int, paths: Sequence[Path], seed: int) -> str:
    """Name for the cache: changes with weights, cut, size, seed, and the photographs' names and sizes."""
    digest = xxhash.xxh3_64(f"{tower.architecture} {frozen} {side} {seed}".encode())
    for tensor in tower.trunk.state_dict().values():
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    for path in paths:
        digest.update(f"{path.name} {path.stat().st_size}".encode())
    return digest.hexdigest()


def _decoded(paths: Sequence[Path], square: Drawing) -> Iterator[UInt8Array]:
    """Squares uint8 (batch, side, side, 3) of all photographs, the next batch decoded while one is used."""
    from PIL import Image

    def decode(row: int) -> UInt8Array:
        with Image.open(paths[row]) as image:
            return np.asarray(square(image.convert("RGB"), row))

    def load(first: int) -> UInt8Array:
        return np.stack([decode(row) for row in range(first, min(first + BATCH, len(paths)))])

    firsts = list(range(0, len(paths), BATCH))
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(load, firsts[0])
        for following in [*firsts[1:], None]:
            ready = ahead.result()
            if following is not None:
                ahead = pool.submit(load, following)
            yield ready


def _encoder(tower: ImageTower, frozen: int, *, compiled: bool) -> Encode:
    """The tower as a function of pixels to maps (n, channels, h, w) and pooled features (n, width).

    Compiling is for one size of squares and pays where there are many.
    """
    import torch

    parts = [part.eval() for part in split_tower(tower.trunk, frozen)]
    quick: list[Any] = list(parts)
    if compiled and torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        quick = [torch.compile(part, dynamic=False, options={"freezing": True}) for part in parts]
    mean = torch.tensor(tower.mean).view(1, 3, 1, 1)
    std = torch.tensor(tower.std).view(1, 3, 1, 1)

    def encode(pixels: UInt8Array) -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).sub(mean).div(std)
        # The compiled form is for one shape: the last, smaller batch would compile it anew.
        lower, upper = quick if len(images) == BATCH else parts
        with torch.no_grad():
            maps = lower(images.contiguous(memory_format=torch.channels_last))
            return maps, upper(maps)

    return encode


def _counted(
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
    done: int,
    total: int,
    on_progress: OnProgress | None,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for maps, pooled in batches:
        yield maps, pooled
        done += len(maps)
        if on_progress is not None:
            on_progress(done, total)


def _keep(files: tuple[Path, Path], rows: int, batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Write maps and pooled features of all photographs so that each file is either complete or not there."""
    parts = [file.with_suffix(".part") for file in files]
    kept: Any = None
    pooled_rows, first = [], 0
    for maps, pooled in batches:
        last_first = maps.permute(0, 2, 3, 1).half().numpy()
        if kept is None:
            kept = np.lib.format.open_memmap(parts[0], "w+", np.float16, (rows, *last_first.shape[1:]))
        kept[first : first + len(maps)] = last_first
        pooled_rows.append(pooled.half().numpy())
        first += len(maps)
    kept.flush()
    with parts[1].open("wb") as stream:
        np.save(stream, np.concatenate(pooled_rows))
    for part, file in zip(parts, files, strict=True):
        part.replace(file)
