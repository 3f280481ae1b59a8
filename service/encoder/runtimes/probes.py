"""What a converted tower is checked on: texts, and photographs that are drawn here, since none may be at hand."""

from __future__ import annotations

import numpy as np

from service.types import UInt8Array

COUNT = 32

_WHO = ("a dog", "two children", "an old man with a hat", "a woman in a red coat", "a bird", "people", "a boat", "snow")
_WHERE = ("on a beach at sunset", "in the street", "in front of a brick wall, seen from above", "")
TEXTS = tuple(f"{who} {where}".strip() for who in _WHO for where in _WHERE)
"""From one word to twelve."""


def drawn_photographs(size: tuple[int, int]) -> UInt8Array:
    """`COUNT` pictures (n, height, width, 3) that are different all over, with the statistics of photographs.

    Noise whose amplitude falls with frequency as in natural pictures (Field 1987, Relations between the statistics
    of natural images), a sky-like gradient, and a few even patches with sharp edges.
    """
    random = np.random.default_rng(0)
    return np.stack([_picture(size, random) for _ in range(COUNT)])


def _picture(size: tuple[int, int], random: np.random.Generator) -> UInt8Array:
    height, width = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(random.normal(size=(3, height, width))) / frequency ** random.uniform(0.8, 1.4)
    clouds = np.fft.irfft2(spectrum, s=size)
    clouds = clouds / clouds.std(axis=(1, 2), keepdims=True)
    # The colours of a photograph go together.
    clouds = 0.8 * clouds[:1] + 0.4 * clouds
    picture = random.uniform(60, 190, (3, 1, 1)) + random.uniform(15, 45) * clouds
    picture += np.linspace(-1, 1, height)[None, :, None] * random.uniform(-50, 50, (3, 1, 1))
    for _ in range(random.integers(0, 6)):
        top, left = int(random.integers(0, height)), int(random.integers(0, width))
        patch = picture[:, top : top + int(random.integers(8, height)), left : left + int(random.integers(8, width))]
        patch[:] = 0.3 * patch + 0.7 * random.uniform(0, 255, (3, 1, 1))
    pixels: UInt8Array = np.clip(picture, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels
