"""What a query is answered by: a model or a head, with its index and its match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Union

from service.encoder.models import language_notice
from service.errors import NotFoundError
from service.match.scorer import Matcher, Scorer
from service.store.catalog import Catalog
from service.types import Float32Array

if TYPE_CHECKING:
    from PIL import Image

    from service.encoder.encoder import Encoder
    from service.encoder.text_batcher import TextBatcher
    from service.index import VectorIndex

QueryItem = Union[str, int, "Image.Image"]
"""A text, a photograph of the library by its id, or an upright RGB photograph."""


class SearchTarget(Protocol):
    """One space that can be searched: how queries get into it, the photographs in it, and what is a match in it.

    A snapshot: what it holds belongs together, and stays together while the next snapshot is made.
    """

    @property
    def model(self) -> str:
        """The name of the model; of all its models for a head."""

    @property
    def index(self) -> VectorIndex:
        """The library's photographs in this space."""

    @property
    def scorer(self) -> Matcher:
        """Turns similarities in this space into matches."""

    def notice(self, item: QueryItem) -> str | None:
        """A sentence that the person who searches with `item` should read, or None."""

    def encode_query(self, item: QueryItem) -> Float32Array:
        """The unit vector (dimension,) of a query; raises `NotFoundError` for an id that is not in the library."""

    def encode_images(self, images: Sequence[Image.Image]) -> Float32Array:
        """Unit vectors (n, dimension) of upright RGB photographs, at least one, as one batch."""


@dataclass(frozen=True, eq=False)
class ModelTarget:
    """The library's main model: compares texts and photographs with photographs.

    Attributes:
        encoder: the model.
        index: the vectors that it made of the library's photographs.
        scorer: the match of the model or of the library.
        texts: vectors of texts that were searched before.
        catalog: the library's catalog.
        fitted: when the library's own match was written, and which file it is; None without one.
    """

    encoder: Encoder
    index: VectorIndex
    scorer: Scorer
    texts: TextBatcher
    catalog: Catalog
    fitted: tuple[int, int] | None = None

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.encoder.name

    def notice(self, item: QueryItem) -> str | None:
        """As `SearchTarget.notice`: an empty library, or a language that the model cannot read."""
        if not len(self.index):
            folder = self.catalog.file.parent
            return f"The library {folder} holds no photographs yet. Fill it with `smysl index DIR`."
        return language_notice(self.encoder.name, item) if isinstance(item, str) else None

    def encode_query(self, item: QueryItem) -> Float32Array:
        """As `SearchTarget.encode_query`; texts are cached, and encoded together where several threads ask."""
        if isinstance(item, str):
            return self.texts.vector(self.encoder, item)
        if not isinstance(item, int):
            vector: Float32Array = self.encode_images([item])[0]
            return vector
        try:
            return self.catalog.vector(item, self.encoder.fingerprint)
        except NotFoundError:
            # Another model may have taken over in the catalog since this snapshot was made.
            self.catalog.record(item)
            kept = self.index.vector(item)
            if kept is None:
                raise
            return kept

    def encode_images(self, images: Sequence[Image.Image]) -> Float32Array:
        """As `SearchTarget.encode_images`."""
        return self.encoder.encode_photographs(images)
