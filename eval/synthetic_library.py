"""Libraries of any size without photograph files, for measuring what a catalog and an index cost.

Everything but the files exists and is written through the catalog as indexing writes it: facts, vectors distributed
like `mini`'s (`eval.synthetic_vectors`), features of the tower's width, metadata (`eval.synthetic_metadata`), and
thumbnails, which are JPEGs that vary in bytes as those of photographs do.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eval.bench_report import check_range
from eval.synthetic_metadata import MetadataMixture
from eval.synthetic_vectors import VectorMixture, mini_bank, mini_fingerprint
from service.config import MINI
from service.encoder.encoder import features_fingerprint
from service.errors import UsageError
from service.library import Library
from service.photos.thumbnails import THUMBNAIL_SIDE
from service.store.catalog import Catalog
from service.store.records import Entry, FileInfo, PhotographFacts
from service.types import Float16Array, Float32Array, OnProgress

if TYPE_CHECKING:
    from service.index import VectorIndex

DIMENSION = 512
"""Dimension of `mini`'s vectors."""
FEATURES = 1280
"""Width of the pooled features of `mini`'s image tower."""
IN_A_FOLDER = 1_000
IN_A_TRANSACTION = 5_000
THUMBNAILS = 48
MAX_PHOTOGRAPHS = 10_000_000
DRAWN = "drawn"
"""Catalog setting that marks a synthetic library: how many photographs have been made for it."""
_SIZES = ((4032, 3024), (3024, 4032), (4000, 3000), (6000, 4000), (1920, 1080), (1280, 960))
"""Widths and heights in pixels that the catalog records."""
_FIRST_NS = 1_500_000_000_000_000_000
_DAY_NS = 86_400_000_000_000


def make_synthetic_library(
    folder: Path,
    photographs: int,
    *,
    seed: int = 0,
    thumbnails: bool = True,
    on_progress: OnProgress | None = None,
) -> None:
    """Make a library with `mini` as its model in `folder`, with its index; the same for the same seed.

    Without `thumbnails` each is two bytes, so that a large library takes a quarter of the time and disk space. Raises
    `UsageError` for a number of photographs out of range and where `folder` has a library already.
    """
    check_photographs(photographs)
    if Library.is_in(folder):
        raise UsageError(f"There is a library in {folder} already; name another folder.")
    with Library.open(folder, create=True) as library:
        writer = SyntheticWriter(library.catalog, folder / "photographs", seed=seed, thumbnails=thumbnails)
        writer.add(photographs, on_progress)
        save_index(folder, library.catalog)


@contextmanager
def temporary_library(photographs: int, *, seed: int, on_progress: OnProgress) -> Iterator[Path]:
    """Yield the folder of a synthetic library without thumbnails, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="smysl-") as parent:
        folder = Path(parent) / "library"
        make_synthetic_library(folder, photographs, seed=seed, thumbnails=False, on_progress=on_progress)
        yield folder


def check_photographs(photographs: int) -> None:
    """Raise `UsageError` for a number of photographs out of range."""
    check_range("--photos", photographs, 1, MAX_PHOTOGRAPHS)


def open_index(folder: Path, catalog: Catalog) -> VectorIndex:
    """The index in `folder`, up to date with the catalog."""
    from service.index import VectorIndex

    return VectorIndex.open(folder, catalog, catalog.setting("fingerprint") or "", DIMENSION)


def save_index(folder: Path, catalog: Catalog) -> None:
    """Bring index and attributes in `folder` up to date with the catalog and write them, as indexing does."""
    from service.index.attributes import AttributeIndex

    open_index(folder, catalog).save(folder)
    AttributeIndex(folder, catalog).save()


@dataclass(frozen=True)
class CatalogModel:
    """What a catalog records of its model, which has vectors of 512 dimensions.

    `fingerprint` is that of the vectors, `features` that of the pooled features: the same where there are none.
    """

    name: str
    fingerprint: str
    features: str

    @classmethod
    def mini(cls) -> CatalogModel:
        """The built-in model; does not load it."""
        fingerprint = mini_fingerprint()
        return cls(MINI, fingerprint, features_fingerprint(fingerprint))


class SyntheticWriter:
    """Adds synthetic photographs to a catalog, in folders of a thousand below `root`, which need not exist.

    `writing_s` is how many seconds the catalog has spent on writing them, without the time to make them.
    """

    def __init__(
        self, catalog: Catalog, root: Path, *, seed: int = 0, thumbnails: bool = True, model: CatalogModel | None = None
    ) -> None:
        """Make `model`, by default `mini`, the model of an empty catalog, or continue a synthetic library.

        Raises `UsageError` for a catalog of real photographs, which must not be filled with synthetic ones.
        """
        made_before = catalog.setting(DRAWN)
        if made_before is None and catalog.generation():
            raise UsageError(f"{catalog.file} belongs to a library of real photographs; name another folder.")
        self._catalog, self._seed = catalog, seed
        self.writing_s = 0.0
        self._root = catalog.add_root(root.resolve())[0].id
        self._mixture = VectorMixture(mini_bank())
        self._metadata = MetadataMixture(seed)
        model = model or CatalogModel.mini()
        self._fingerprint, self._features = model.fingerprint, model.features
        catalog.save_settings(model=model.name, fingerprint=model.fingerprint, features=model.features)
        self._thumbnails = _thumbnails(seed) if thumbnails else [b"\xff\xd8"]
        self._next = int(made_before or 0)

    def add(self, photographs: int, on_progress: OnProgress | None = None) -> list[int]:
        """Add so many photographs, `IN_A_TRANSACTION` at a time; returns their ids."""
        ids: list[int] = []
        while len(ids) < photographs:
            entries = list(self._entries(min(IN_A_TRANSACTION, photographs - len(ids))))
            started = time.perf_counter()
            ids += self._catalog.write(entries)
            self.writing_s += time.perf_counter() - started
            self._catalog.save_settings(**{DRAWN: str(self._next)})
            if on_progress is not None:
                on_progress(len(ids), photographs)
        return ids

    def _entries(self, count: int) -> Iterator[Entry]:
        start, self._next = self._next, self._next + count
        # Seeded with the first number, so that a library can grow in steps without repeating photographs.
        random = np.random.default_rng([self._seed, start])
        vectors = self._mixture.draw(random, count).astype(np.float16)
        features = _unit(random.standard_normal((count, FEATURES), np.float32))
        for number, vector, feature in zip(range(start, start + count), vectors, features, strict=True):
            thumbnail = self._thumbnails[int(random.integers(len(self._thumbnails)))]
            yield Entry(
                self._facts(number, random),
                {self._features: feature, self._fingerprint: vector},
                thumbnail,
                details=self._metadata.draw(random, number),
            )

    def _facts(self, number: int, random: np.random.Generator) -> PhotographFacts:
        width, height = _SIZES[number % len(_SIZES)]
        folder, name = divmod(number, IN_A_FOLDER)
        place = FileInfo(
            self._root,
            f"{folder:05d}",
            f"IMG_{name:04d}.jpg",
            int(random.integers(width * height // 8, width * height // 3)),
            _FIRST_NS + number * _DAY_NS // 100,
        )
        return PhotographFacts(place, random.bytes(16), width, height, "JPEG")


def _unit(rows: Float32Array) -> Float16Array:
    unit: Float16Array = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    return unit


def _thumbnails(seed: int) -> list[bytes]:
    """JPEGs as indexing stores them, from smooth to busy: soft areas overlaid with detail of varied strength."""
    from PIL import Image, ImageChops

    from service.photos.thumbnails import thumbnail

    random = np.random.default_rng(seed)
    made = []
    for turn in range(THUMBNAILS):
        size = (THUMBNAIL_SIDE * 2, THUMBNAIL_SIDE * 3 // 2)
        layers = []
        for cells, strength in ((8, 90), (40, turn / 3), (160, turn / 8)):
            grid = np.clip(random.normal(128, strength, (cells * 3 // 4, cells, 3)), 0, 255).astype(np.uint8)
            layers.append(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC))
        picture = layers[0]
        for layer in layers[1:]:
            picture = ImageChops.add(picture, layer, offset=-128)
        made.append(thumbnail(picture))
    return made
