"""Query -> candidates -> match -> hits, the same path for a text, a photograph of the library and an upload;
and the match of photographs with texts, without a search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.artifact import QueryKind
from service.catalog import Catalog
from service.errors import UsageError
from service.index import VectorIndex
from service.records import Record
from service.scorer import Calibration, Scorer

if TYPE_CHECKING:
    from PIL import Image

    from service.encoder import Encoder

DEFAULT_K = 5
MOST_K = 200
MOST_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: exactly one of a text, the id of a photograph of the library, a photograph.

    At most `k` hits (1 to 200) come back, none with a match below `min_match` (0 to 1). Raises
    `UsageError` for what cannot be searched.
    """

    text: str | None = None
    photo_id: int | None = None
    image: Image.Image | None = None
    k: int = DEFAULT_K
    min_match: float = 0.0

    def __post_init__(self) -> None:
        given = [name for name in ("text", "photo_id", "image") if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(
                f"A search needs one thing to look for, a text or a photograph; it was given {len(given)}."
            )
        if self.text is not None:
            check_text(self.text)
        if not 1 <= self.k <= MOST_K:
            raise UsageError(f"k is {self.k}; it must be from 1 to {MOST_K}.")
        if not 0.0 <= self.min_match <= 1.0:
            raise UsageError(f"min_match is {self.min_match:g}; it must be from 0 to 1.")

    @property
    def kind(self) -> QueryKind:
        """Which of the two scales of similarity the query lives on."""
        return "text" if self.text is not None else "photograph"


@dataclass(frozen=True, slots=True)
class Hit:
    """A photograph that was found; `match` in [0, 1], `similarity` the cosine in [-1, 1]."""

    photograph: Record
    match: float
    similarity: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits by falling match, and what a person should know about them.

    `best_match` is that of the nearest photograph, whether or not it passed `min_match` (None in an empty
    library); `answerable` says whether anything passed; `notice` is a sentence for the person, or None.
    """

    hits: list[Hit]
    took_ms: float
    model: str
    calibration: Calibration
    answerable: bool
    best_match: float | None
    notice: str | None
    photographs: int


@dataclass(frozen=True, slots=True)
class Score:
    """How well one text fits one photograph: `match` in [0, 1], `similarity` the cosine in [-1, 1]."""

    match: float
    similarity: float


def check_text(text: str) -> None:
    """Raise `UsageError` for a text that cannot be searched or scored."""
    if not text.strip():
        raise UsageError("The text is empty; say what the photograph should show.")
    if len(text) > MOST_CHARACTERS:
        raise UsageError(
            f"The text has {len(text):,} characters, and at most {MOST_CHARACTERS:,} are searched; shorten it."
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            "The text is not Unicode: it holds half of a character, or bytes that are not UTF-8; type it again."
        ) from None


def search(
    query: Query,
    vector_of: Callable[[Query], NDArray[np.float32]],
    index: VectorIndex,
    scorer: Scorer,
    catalog: Catalog,
    *,
    model: str,
    notice: str | None,
) -> SearchResult:
    """Answer `query`; `vector_of` gives its unit vector (dimension,)."""
    start = time.perf_counter()
    vector = vector_of(query)
    # The photograph that is asked about is its own nearest neighbour and no answer.
    similarities, ids = index.search(vector, query.k + (query.photo_id is not None))
    if query.photo_id is not None:
        others = ids != query.photo_id
        similarities, ids = similarities[others][: query.k], ids[others][: query.k]
    matches = scorer.match(vector, similarities, query.kind)
    passed = matches >= query.min_match
    records = catalog.records([int(identity) for identity in ids[passed]])
    hits = [
        Hit(records[int(identity)], float(match), float(similarity))
        for identity, match, similarity in zip(ids[passed], matches[passed], similarities[passed], strict=True)
        if int(identity) in records
    ]
    return SearchResult(
        hits=hits,
        took_ms=(time.perf_counter() - start) * 1000,
        model=model,
        calibration=scorer.calibration(query.kind),
        answerable=bool(hits),
        best_match=float(matches[0]) if len(matches) else None,
        notice=notice,
        photographs=len(index),
    )


def score(encoder: Encoder, scorer: Scorer, images: Sequence[Image.Image], texts: Sequence[str]) -> list[Score]:
    """The match of each photograph with the text at the same place; upright RGB images.

    Raises `UsageError` for an empty or overlong text.
    """
    for text in texts:
        check_text(text)
    photograph_vectors = encoder.encode_photographs(images)
    text_vectors = encoder.encode_texts(texts)
    similarities = np.clip((photograph_vectors * text_vectors).sum(axis=1), -1.0, 1.0)
    return [
        Score(float(scorer.match(vector, similarity.reshape(1), "text")[0]), float(similarity))
        for vector, similarity in zip(text_vectors, similarities, strict=True)
    ]
