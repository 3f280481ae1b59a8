"""Augmented views of each training photograph, and the output of the image tower's frozen stages for them.

A view is a random crop, mirrored half of the time, with a mild change of proportions and light. The output of the
frozen stages is computed once and kept in files, so that training runs the last stages only. Views are smaller than the
input of the finished model, because a crop magnifies what it shows (Touvron et al. 2019, Fixing the train-test
resolution discrepancy), which also makes them cheaper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from service.store.atomic import replacing_all
from service.types import Float16Array, OnProgress, UInt8Array
from training.mini.pretrained_towers import ImageTower, split_tower

if TYPE_CHECKING:
    import torch
    from PIL import Image

BATCH = 32
SMALLEST_AREA = 0.45
"""Least share of the photograph's area in a crop; in smaller ones, captions name what the crop does not show."""
WIDEST_RATIO = 4 / 3
LIGHT = 0.2
"""Brightness, contrast and saturation change by at most this share."""

Box = tuple[float, float, float, float]
DrawView = Callable[["Image.Image", int], "Image.Image"]
"""Makes a square view of a photograph and its row number."""
Encode = Callable[[UInt8Array], tuple["torch.Tensor", "torch.Tensor"]]


@dataclass(frozen=True)
class Views:
    """The frozen stages' output and the pretrained tower's features for each view.

    Attributes:
        maps: for each view (n, height, width, channels) float16, memory-mapped; the output of the frozen stages.
        pooled: (views, n, width) float16; features by the whole tower as it was before training.
    """

    maps: Sequence[Float16Array]
    pooled: Float16Array


def random_box(width: int, height: int, generator: np.random.Generator) -> Box:
    """A random crop (left, upper, right, lower) in pixels: area 0.45…1, aspect ratio changed by up to 4:3."""
    area = generator.uniform(SMALLEST_AREA, 1.0)
    ratio = np.exp(generator.uniform(-np.log(WIDEST_RATIO), np.log(WIDEST_RATIO)))
    crop_width = min(1.0, float(np.sqrt(area * ratio))) * width
    crop_height = min(1.0, float(np.sqrt(area / ratio))) * height
    left = generator.uniform(0, width - crop_width)
    upper = generator.uniform(0, height - crop_height)
    return left, upper, left + crop_width, upper + crop_height


def view_of(image: Image.Image, side: int, generator: np.random.Generator) -> Image.Image:
    """A random view, a square of `side` pixels."""
    from PIL import Image, ImageEnhance, ImageOps

    view = image.resize((side, side), Image.Resampling.BICUBIC, box=random_box(*image.size, generator))
    if generator.random() < 0.5:
        view = ImageOps.mirror(view)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        view = change(view).enhance(generator.uniform(1 - LIGHT, 1 + LIGHT))
    return view


def squash(image: Image.Image, side: int) -> Image.Image:
    """A photograph as the finished model gets it: squashed to a square of `side` pixels."""
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

    Each view has two files in `folder`, written when it is complete, so an interrupted run loses one view at most.
    `on_progress` is called with the photographs done, in all views, and their number.
    """
    key = _cache_key(tower, frozen, side, paths, seed)
    views = {f"{key}-view{view}": _random_view(seed, view, side) for view in range(count)}
    return _cached_views(_encoder(tower, frozen, compiled=side > 64), paths, views, folder, on_progress)


def whole_photographs(
    tower: ImageTower,
    frozen: int,
    paths: Sequence[Path],
    folder: Path,
    *,
    on_progress: OnProgress | None = None,
) -> Views:
    """Each photograph as the finished model gets it, as one view, cached like those of `training_views`."""
    name = f"{_cache_key(tower, frozen, tower.side, paths, 0)}-whole"
    # A second input size in one process hangs torch's compiler.
    encode = _encoder(tower, frozen, compiled=False)
    return _cached_views(encode, paths, {name: lambda image, _: squash(image, tower.side)}, folder, on_progress)


def maps_of(views: Views, view: Sequence[int], rows: Sequence[int]) -> torch.Tensor:
    """Maps of the photographs `rows`, each in the view at the same position: float32 (n, channels, height, width)."""
    import torch

    gathered = np.stack([views.maps[each][row] for each, row in zip(view, rows, strict=True)])
    return torch.from_numpy(gathered).float().permute(0, 3, 1, 2)


def view_features(upper: torch.nn.Module, views: Views, view: int, rows: Sequence[int]) -> torch.Tensor:
    """Features float32 (n, width) of the photographs `rows` in one view, by the image tower as it is now."""
    import torch

    batches = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
    with torch.no_grad():
        return torch.cat([upper(maps_of(views, [view] * len(batch), batch)) for batch in batches])


def _cached_views(
    encode: Encode,
    paths: Sequence[Path],
    views: dict[str, DrawView],
    folder: Path,
    on_progress: OnProgress | None,
) -> Views:
    """Views by name, read from the two files of each in `folder`, or computed and written there."""
    folder.mkdir(parents=True, exist_ok=True)
    maps, pooled = [], []
    for number, (name, draw) in enumerate(views.items()):
        files = folder / f"{name}-maps.npy", folder / f"{name}-pooled.npy"
        if not all(file.exists() for file in files):
            batches = map(encode, _decode(paths, draw))
            _write(files, len(paths), _report(batches, number * len(paths), len(views) * len(paths), on_progress))
        maps.append(np.load(files[0], mmap_mode="r", allow_pickle=False))
        pooled.append(np.load(files[1], allow_pickle=False))
    return Views(maps, np.stack(pooled))


def _random_view(seed: int, view: int, side: int) -> DrawView:
    """Draws a view of the photograph in a row, the same one every time."""
    return lambda image, row: view_of(image, side, np.random.default_rng((seed, view, row)))


def _cache_key(tower: ImageTower, frozen: int, side: int, paths: Sequence[Path], seed: int) -> str:
    """A hash of the weights, the frozen stages, the side, the seed, and the photographs' names and file sizes."""
    digest = xxhash.xxh3_64(f"{tower.architecture} {frozen} {side} {seed}".encode())
    for tensor in tower.trunk.state_dict().values():
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    for path in paths:
        digest.update(f"{path.name} {path.stat().st_size}".encode())
    return digest.hexdigest()


def _decode(paths: Sequence[Path], draw: DrawView) -> Iterator[UInt8Array]:
    """Batches uint8 (batch, side, side, 3) of views; the next is decoded while one is used."""
    from PIL import Image

    def decode(row: int) -> UInt8Array:
        with Image.open(paths[row]) as image:
            return np.asarray(draw(image.convert("RGB"), row))

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
    """A function from pixels to maps (n, channels, h, w) and pooled features (n, width).

    Compiling works for one input size and pays off for many photographs.
    """
    import torch

    parts = [part.eval() for part in split_tower(tower.trunk, frozen)]
    compiled_parts: list[Any] = list(parts)
    if compiled and torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        compiled_parts = [torch.compile(part, dynamic=False, options={"freezing": True}) for part in parts]
    mean = torch.tensor(tower.mean).view(1, 3, 1, 1)
    std = torch.tensor(tower.std).view(1, 3, 1, 1)

    def encode(pixels: UInt8Array) -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).sub(mean).div(std)
        # Compiled for one shape: the last, smaller batch would be compiled again.
        lower, upper = compiled_parts if len(images) == BATCH else parts
        with torch.no_grad():
            maps = lower(images.contiguous(memory_format=torch.channels_last))
            return maps, upper(maps)

    return encode


def _report(
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


def _write(files: tuple[Path, Path], rows: int, batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Write the maps and the pooled features of all photographs."""
    all_maps: Any = None
    all_pooled, first = [], 0
    with replacing_all(files) as (maps_file, pooled_file):
        for maps, pooled in batches:
            channels_last = maps.permute(0, 2, 3, 1).half().numpy()
            if all_maps is None:
                shape = (rows, *channels_last.shape[1:])
                all_maps = np.lib.format.open_memmap(maps_file, "w+", np.float16, shape)
            all_maps[first : first + len(maps)] = channels_last
            all_pooled.append(pooled.half().numpy())
            first += len(maps)
        all_maps.flush()
        np.save(pooled_file, np.concatenate(all_pooled), allow_pickle=False)
