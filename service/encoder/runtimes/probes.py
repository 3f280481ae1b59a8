"""Inputs that a converted tower is checked on: texts, and synthetic photographs, since no real ones may be at hand."""

from __future__ import annotations

import numpy as np

from service.types import UInt8Array

COUNT = 32

_SUBJECTS = (
    "a dog",
    "two children",
    "an old man with a hat",
    "a woman in a red coat",
    "a bird",
    "people",
    "a boat",
    "snow",
)
_PLACES = ("on a beach at sunset", "in the street", "in front of a brick wall, seen from above", "")
TEXTS = tuple(f"{subject} {place}".strip() for subject in _SUBJECTS for place in _PLACES)
"""From one word to twelve."""


def synthetic_photographs(size: tuple[int, int]) -> UInt8Array:
    """`COUNT` different images (n, height, width, 3), uint8, with the statistics of photographs; always the same.

    Noise whose amplitude falls with frequency as in natural images (Field 1987, Relations between the statistics of
    natural images), a sky-like gradient, and a few plain patches with sharp edges.
    """
    random = np.random.default_rng(0)
    return np.stack([_image(size, random) for _ in range(COUNT)])


def _image(size: tuple[int, int], random: np.random.Generator) -> UInt8Array:
    height, width = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(random.normal(size=(3, height, width))) / frequency ** random.uniform(0.8, 1.4)
    clouds = np.fft.irfft2(spectrum, s=size)
    clouds = clouds / clouds.std(axis=(1, 2), keepdims=True)
    # The colour channels of a photograph are correlated.
    clouds = 0.8 * clouds[:1] + 0.4 * clouds
    image = random.uniform(60, 190, (3, 1, 1)) + random.uniform(15, 45) * clouds
    image += np.linspace(-1, 1, height)[None, :, None] * random.uniform(-50, 50, (3, 1, 1))
    for _ in range(random.integers(0, 6)):
        top, left = int(random.integers(0, height)), int(random.integers(0, width))
        patch = image[:, top : top + int(random.integers(8, height)), left : left + int(random.integers(8, width))]
        patch[:] = 0.3 * patch + 0.7 * random.uniform(0, 255, (3, 1, 1))
    pixels: UInt8Array = np.clip(image, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels
