"""A stand-in encoder whose vectors point where a photograph's mean colour does, and photographs of one colour."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from service.store.catalog import Catalog
from service.store.records import Entry, FileInfo, PhotographFacts
from service.types import Float32Array

NAMES = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "white": (255, 255, 255),
}


@dataclass(eq=False)
class ColourEncoder:
    """A stand-in for `service.encoder.encoder.Encoder`; `encoded` counts photographs, `texts` keeps all texts.

    With `own_features` its image features are red, green and blue; otherwise they are its vectors.
    """

    name: str = "mini"
    fingerprint: str = "colours"
    dimension: int = 4
    sigmoid: tuple[float, float] | None = None
    device: str = "cpu"
    runtime: str = "openvino"
    notice: str | None = None
    precision: str = "fp32"
    text_precision: str = "fp32"
    photograph_side: int = 32
    own_features: bool = False
    encoded: int = 0
    texts: list[str] = field(default_factory=list)

    def prepare(self, image: Image.Image) -> Float32Array:
        assert image.mode == "RGB"
        return np.asarray(image, np.float32).mean(axis=(0, 1))

    def encode_prepared(self, prepared: Sequence[Float32Array]) -> Float32Array:
        self.encoded += len(prepared)
        return self._unit(np.stack(prepared))

    @property
    def base_fingerprint(self) -> str:
        return self.fingerprint

    @property
    def features_fingerprint(self) -> str:
        return f"{self.fingerprint}.features" if self.own_features else self.fingerprint

    def encode_with_features(self, prepared: Sequence[Float32Array]) -> tuple[Float32Array, Float32Array]:
        vectors = self.encode_prepared(prepared)
        if not self.own_features:
            return vectors, vectors
        colours = np.stack(prepared) + 1.0
        return vectors, colours / np.linalg.norm(colours, axis=1, keepdims=True)

    def encode_photographs(self, images: Sequence[Image.Image]) -> Float32Array:
        return self.encode_prepared([self.prepare(image) for image in images])

    def encode_texts(self, texts: Sequence[str]) -> Float32Array:
        self.texts += texts
        return self._unit(np.array([NAMES.get(text, (1, 2, 3)) for text in texts], np.float32))

    def _unit(self, colours: Float32Array) -> Float32Array:
        vectors = np.zeros((len(colours), self.dimension), np.float32)
        vectors[:, :3] = colours
        vectors[:, 3] = 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def paint(file: Path, colour: str | tuple[int, int, int], size: tuple[int, int] = (48, 32)) -> Path:
    """Save a photograph of one colour; missing folders are made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file, quality=95)
    return file


def count_vectors(catalog: Catalog) -> dict[str, int]:
    """The number of vectors of each fingerprint, read from the catalog's file."""
    with closing(sqlite3.connect(catalog.file)) as connection:
        return dict(connection.execute("SELECT fingerprint, COUNT(*) FROM vector GROUP BY fingerprint"))


def add_painted(catalog: Catalog, folder: Path, *names: str) -> dict[str, int]:
    """Paints photographs and adds them to a catalog as if a model had encoded them; their ids by name."""
    root, below = catalog.add_root(folder)
    entries = []
    for number, name in enumerate(names):
        file = paint(folder / name, (number, 0, 0))
        place = FileInfo(root.id, below, name, file.stat().st_size, 1)
        facts = PhotographFacts(place, number.to_bytes(16, "big"), 48, 32, "PNG")
        entries.append(Entry(facts, {"colours": np.full(4, 0.5, np.float16)}, b"thumbnail"))
    return dict(zip(names, catalog.write(entries), strict=True))
