"""Photographs of synthetic kinds, each a noisy pattern in random colours, and synthetic features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

KINDS = ("across", "along", "dots", "plain")


def striped_kinds(folder: Path, photographs: int, *, kinds: tuple[str, ...] = KINDS, seed: int = 0) -> Path:
    """Write a folder per kind with this many photographs each."""
    generator = np.random.default_rng(seed)
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for number in range(photographs):
            pattern = _pattern(kind)[..., None] * generator.uniform(100, 200, 3)
            pixels = pattern + generator.normal(0, 25, (40, 40, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / kind / f"{number}.png")
    return folder


def clouds(
    kinds: int, photographs: int, width: int, *, apart: float = 1.5, views: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Unit features (n, views, width), float32, and kinds (n,); each kind's mean has a direction of its own."""
    generator = np.random.default_rng(seed)
    means = np.zeros((kinds, width))
    means[:, :kinds] = apart * np.eye(kinds)
    spread = np.linspace(0.2, 2.0, width)
    own = np.repeat(np.arange(kinds), photographs)
    photos = means[own] + spread * generator.normal(size=(len(own), width))
    with_views = photos[:, None] + 0.1 * generator.normal(size=(len(own), views, width))
    return (with_views / np.linalg.norm(with_views, axis=2, keepdims=True)).astype(np.float32), own


def _pattern(kind: str) -> np.ndarray:
    rows, columns = np.mgrid[:40, :40] // 5 % 2
    return {"across": rows, "along": columns, "dots": rows * columns, "plain": np.full((40, 40), 0.5)}[kind]
