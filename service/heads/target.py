"""A head of a library with its index and its match, ready for queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np

from service.encoder.library_encoders import LibraryEncoders
from service.errors import LibraryError, ModelError, UsageError
from service.heads.projection import Head
from service.index import VectorIndex
from service.match.artifact import QueryKind
from service.match.scorer import CalibrationSource
from service.store.catalog import Catalog
from service.types import Float16Array, Float32Array, Int64Array

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class HeadScorer:
    """The match of two photographs: the probability that they are of the same kind. Does what `Scorer` does."""

    head: Head
    min_match: float = 0.0

    def calibration(self, kind: QueryKind) -> CalibrationSource:
        """As `Matcher.calibration`."""
        return "head"

    def reorders(self, kind: QueryKind) -> bool:
        """As `Matcher.reorders`."""
        return False

    def match(self, query: Float32Array, photographs: Float32Array, kind: QueryKind) -> Float32Array:
        """Matches (n,), float32 in [0, 1], of photographs (n, dimension) with `query` (dimension,); unit vectors."""
        return self.head.same_kind(photographs @ query)


@dataclass(frozen=True, eq=False)
class HeadTarget:
    """A head as something that can be searched (see `service.search.target.SearchTarget`); for photographs only.

    Attributes:
        name: the head's name in the library.
        head: the projection.
        index: the projected features of the library's photographs.
        scorer: the match.
        features: the fingerprints under which the catalog keeps image features, by the encoders' own fingerprints.
        encoders: the library's encoders, which are loaded when they are needed.
        catalog: the library's catalog.
        written: when the head's file was written, and which file it is.
    """

    name: str
    head: Head
    index: VectorIndex
    scorer: HeadScorer
    features: Mapping[str, str]
    encoders: LibraryEncoders
    catalog: Catalog
    written: tuple[int, int] | None

    @classmethod
    def open(
        cls,
        name: str,
        head: Head,
        folder: Path,
        catalog: Catalog,
        encoders: LibraryEncoders,
        written: tuple[int, int] | None = None,
    ) -> HeadTarget:
        """A head with the index saved in its `folder`, brought up to date.

        Raises:
            ModelError: the features of its encoders have another width than the head was fitted on.
        """
        features = {fingerprint: encoders.features_fingerprint(fingerprint) for fingerprint in head.encoders}
        sources = list(features.values())

        def read(
            catalog: Catalog, since: int
        ) -> tuple[int, list[int], Iterator[tuple[Int64Array, Float16Array | Float32Array]]]:
            generation, removed, chunks = catalog.changes(sources, since)
            projected = (
                (ids, _project(name, head, dict(zip(features, columns, strict=True)))) for ids, columns in chunks
            )
            return generation, removed, projected

        index = VectorIndex.open(folder, catalog, head.fingerprint, head.dimension, read, sources=sources)
        return cls(name, head, index, HeadScorer(head), features, encoders, catalog, written)

    @property
    def model(self) -> str:
        """The names of its encoders in one line."""
        return " + ".join(self.head.encoders.values())

    def notice(self, item: Union[str, int, Image.Image]) -> str | None:  # noqa: UP007
        """A sentence about photographs that the head cannot find yet; None where it can find all."""
        total = self.catalog.count()
        missing = total - len(self.index)
        if missing <= 0:
            return None
        return (
            f"{missing:,} of {total:,} photographs have no features of {self.model} yet and cannot be found with the "
            f"head {self.name}; `smysl index` makes them once."
        )

    def encode_query(self, item: Union[str, int, Image.Image]) -> Float32Array:  # noqa: UP007
        """The unit vector (dimension,) of a photograph of the library by its id, or of an upright RGB image.

        Raises:
            NotFoundError: the library has no photograph with this id.
            LibraryError: the photograph has no features of the head's models yet.
            UsageError: a head cannot read texts.
        """
        if isinstance(item, str):
            raise UsageError(f"The head {self.name} compares photographs with photographs and cannot read texts.")
        if isinstance(item, int):
            return self._stored_vector(item)
        vector: Float32Array = self.encode_images([item])[0]
        return vector

    def encode_images(self, images: Sequence[Image.Image]) -> Float32Array:
        """Unit vectors (n, dimension) of upright RGB photographs, at least one, as one batch."""
        features = {}
        for fingerprint in self.head.encoders:
            encoder = self.encoders.with_fingerprint(fingerprint)
            _, features[fingerprint] = encoder.encode_with_features([encoder.prepare(image) for image in images])
        return _project(self.name, self.head, features)

    def _stored_vector(self, identity: int) -> Float32Array:
        missing = set(self.features.values()) - self.catalog.fingerprints_of(identity)
        if missing:
            self.catalog.record(identity)
            raise LibraryError(
                f"Photograph {identity} has no features of {self.model} yet, which the head {self.name} needs; "
                "`smysl index` makes them once."
            )
        features = {own: self.catalog.vector(identity, kept)[None] for own, kept in self.features.items()}
        vector: Float32Array = _project(self.name, self.head, features)[0]
        return vector


def _project(name: str, head: Head, features: Mapping[str, Float16Array | Float32Array]) -> Float32Array:
    """Unit vectors (n, dimension) of pooled features (n, width) by the fingerprints of their encoders."""
    for projection in head.projections:
        width = features[projection.fingerprint].shape[1]
        if len(projection.center) != width:
            raise ModelError(
                f"The head {name} is for {len(projection.center):,} features of {projection.model}, which has "
                f"{width:,}. Fit it again with `smysl train similar`."
            )
    return head.project({fingerprint: values.astype(np.float32) for fingerprint, values in features.items()})
