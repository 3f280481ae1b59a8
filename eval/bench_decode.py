"""How fast photographs are decoded to a model's input: small ones and twelve-megapixel ones, at reduced and full scale.

Files are in memory, so that no disk is measured. Decoding is that of indexing (`service.photos.decode`): facts, upright
pixels in sRGB, then resized to the model's input side. At full scale all pixels are decoded first.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.synthetic_photographs import LARGE, SMALL, draw_photographs
from service.compute.cores import usable_cores
from service.errors import UsageError
from service.indexing.decoder import side_to_decode
from service.photos.decode import open_photograph
from service.photos.thumbnails import PREVIEW_SIDE
from service.types import OnStage

SIDE = 260
"""Input side of `mini`'s image tower, in pixels."""
QUALITY = 90
_PICTURES = 8
"""Different files of each size; they are decoded in turn."""


def bench_decode(
    *,
    side: int = SIDE,
    small: int = 400,
    large: int = 40,
    threads: int | None = None,
    repeats: int = 3,
    seed: int = 0,
    on_stage: OnStage = lambda what, done, total: None,
) -> BenchReport:
    """Photographs per second and milliseconds, with one thread and with `threads`, and the ratios between them.

    Args:
        side: input side of the model in pixels; a JPEG is decoded to half as many again, at least.
        small, large: photographs of 224 pixels and of twelve megapixels that are decoded in a repeat.
        threads: the most threads; None is one per core.
        repeats: how often each is measured, in turn.
        seed: seed of the synthetic photographs.
        on_stage: follows the progress.

    Raises:
        UsageError: an argument is out of range.
    """
    check_repeats(repeats)
    for name, value in (("--small", small), ("--large", large), ("--side", side), ("--threads", threads)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; it must be 1 or more.")
    machine = machine_facts()
    threads = threads or usable_cores()
    figures: list[Figure] = []
    for what, count, size in (("224 pixels", small, SMALL), ("12 megapixels", large, LARGE)):
        files = _files(size, min(count, _PICTURES), seed)
        least = side_to_decode(side)
        scales = [("", least)] if min(size) < 2 * least else [(", reduced", least), (", full scale", None)]
        runs = [(scale, pool, shorter_side) for scale, shorter_side in scales for pool in sorted({1, threads})]
        rates: dict[tuple[str, int], list[float]] = {(scale, pool): [] for scale, pool, _ in runs}
        for repeat in range(repeats):
            on_stage(f"decoding {what}", repeat, repeats)
            for scale, pool, shorter_side in runs:
                rates[scale, pool].append(_rate(files, count, side, shorter_side, pool))
        on_stage(f"decoding {what}", repeats, repeats)
        figures += _figures(what, rates)
        if len(scales) == 2:
            difference = tuple(_difference(file, side) for file in files)
            figures.append(Figure(f"{what}: reduced beside full scale, mean difference", "levels of 255", difference))
    settings = {"side": side, "small": small, "large": large, "quality": QUALITY, "threads": threads}
    return BenchReport(
        "decode", figures, settings | {"repeats": repeats, "seed": seed}, _NOTES, machine, versions_of("pillow")
    )


_NOTES = ["Files are in memory; reading, hashing and thumbnails are part of the figures of `smysl bench index`."]


def _files(size: tuple[int, int], count: int, seed: int) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        draw_photographs(Path(folder), count, size, seed=seed, quality=QUALITY)
        return [file.read_bytes() for file in sorted(Path(folder).iterdir())]


def _decoded(content: bytes, side: int, shorter_side: int | None) -> Image.Image:
    longer_side = None if shorter_side is None else PREVIEW_SIDE
    image = open_photograph(content, shorter_side=shorter_side, longer_side=longer_side).image
    return image.resize((side, side), Image.Resampling.BICUBIC)


def _rate(files: Sequence[bytes], count: int, side: int, shorter_side: int | None, threads: int) -> float:
    """Photographs per second."""

    def decode(number: int) -> None:
        _decoded(files[number % len(files)], side, shorter_side)

    with ThreadPoolExecutor(threads) as pool:
        # Starts the threads and makes lazy imports before the clock runs.
        list(pool.map(decode, range(threads)))
        started = time.perf_counter()
        for _ in pool.map(decode, range(count)):
            pass
        return count / (time.perf_counter() - started)


def _difference(content: bytes, side: int) -> float:
    """Mean absolute difference of the model's input pixels between the two scales, in levels of 255."""
    reduced, full = (np.asarray(_decoded(content, side, least), np.float32) for least in (side_to_decode(side), None))
    return float(np.abs(reduced - full).mean())


def _figures(what: str, rates: dict[tuple[str, int], list[float]]) -> list[Figure]:
    figures = []
    for (scale, threads), values in rates.items():
        name = f"{what}{scale}, {threads} thread" + ("s" if threads > 1 else "")
        figures.append(Figure(name, "photographs/s", tuple(values)))
        if threads == 1:
            figures.append(Figure(f"{what}{scale}, one photograph", "ms", tuple(1000 / value for value in values)))
    if any(scale == ", reduced" for scale, _ in rates):
        most = max(threads for _, threads in rates)
        pairs = zip(rates[", reduced", most], rates[", full scale", most], strict=True)
        figures.append(Figure(f"{what}: reduced / full scale", "x", tuple(one / other for one, other in pairs)))
    return figures
