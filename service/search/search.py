"""Query -> candidates -> match -> hits, the same path for a text, a photograph of the library and an upload;
and the match of photographs with texts, without a search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from service.compute.blas_threads import one_thread
from service.errors import UsageError
from service.index import VectorIndex
from service.match.artifact import QueryKind
from service.match.scorer import CalibrationSource, Matching, Scorer
from service.photos.crop import Box
from service.store.catalog import Catalog
from service.store.records import Record
from service.texts import check_text
from service.types import Float32Array, Int64Array

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from service.encoder.encoder import Encoder

DEFAULT_K = 5
MOST_K = 200
LEAST_CANDIDATES = 200
"""Photographs that the index gives where matches may order them in another way; twice k where that is more."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: exactly one of a text, the id of a photograph of the library, a photograph.

    At most `k` hits (1 to 200) come back, none with a match below `min_match` (0 to 1); None leaves the cut to
    the match, which has one for texts if it was fitted on ratings and otherwise keeps everything. `head` names one of
    the library's heads for a photograph to be compared by. Of a photograph only the part `box` searches, where one is
    given; the borders of an `image` are left out unless `keep_borders`. The photograph of the library `without` is no
    answer. Raises `UsageError` for what cannot be searched.
    """

    text: str | None = None
    photo_id: int | None = None
    image: Image.Image | None = None
    k: int = DEFAULT_K
    min_match: float | None = None
    head: str | None = None
    box: Box | None = None
    keep_borders: bool = False
    without: int | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("text", "photo_id", "image") if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(
                f"A search needs one thing to look for, a text or a photograph; it was given {len(given)}."
            )
        if self.text is not None:
            check_text(self.text)
            if self.box is not None:
                raise UsageError("A box is a part of a photograph, and a text has none. Leave out the box.")
            if self.head is not None:
                raise UsageError(
                    f"The head {self.head} compares photographs with photographs and knows nothing of texts. Search "
                    "with a photograph, or leave out the head."
                )
        if not 1 <= self.k <= MOST_K:
            raise UsageError(f"k is {self.k}; it must be from 1 to {MOST_K}.")
        if self.min_match is not None and not 0.0 <= self.min_match <= 1.0:
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

    `min_match` is the cut that was applied. `best_match` is the best of all candidates, whether or not it
    passed (None in an empty library). `answerable` says whether anything passed both this cut and the match's
    own; hits that are not are only the nearest. `notice` is a sentence for the person, or None. `thumbnail_of` gives
    the JPEG of a photograph by its id, for a notebook, which shows the result as a strip of pictures. `head` is the
    name of the head that photographs were compared by; `model` then names all its encoders. `part` is what was searched
    with of the query's photograph, None for all of it; `borders_left_out` where it is what its borders leave.
    """

    hits: list[Hit]
    took_ms: float
    model: str
    calibration: CalibrationSource
    min_match: float
    answerable: bool
    best_match: float | None
    notice: str | None
    photographs: int
    thumbnail_of: Callable[[int], bytes] | None = field(default=None, repr=False, compare=False)
    head: str | None = None
    part: Box | None = None
    borders_left_out: bool = False

    def to_dataframe(self) -> pd.DataFrame:
        """The hits as a table of pandas, one row a hit, best first.

        Columns: `match` (0 to 1), `similarity` (cosine, -1 to 1), `id`, `path`, `name`, `width` and `height` (pixels of
        the upright photograph), `format`, `bytes`. A result without hits has the columns and no rows.
        """
        from service.search.notebook import dataframe

        return dataframe(self)

    def _repr_html_(self) -> str:
        from service.search.notebook import strip

        return strip(self)


@dataclass(frozen=True, slots=True)
class Score:
    """How well one text fits one photograph: `match` in [0, 1], `similarity` the cosine in [-1, 1]."""

    match: float
    similarity: float


def search(
    query: Query,
    vector_of: Callable[[Query], Float32Array],
    index: VectorIndex,
    scorer: Matching,
    catalog: Catalog,
    *,
    model: str,
    notice: str | None,
    turn: AbstractContextManager[object] | None = None,
) -> SearchResult:
    """Answer `query`; `vector_of` gives its unit vector (dimension,) as `index` and `scorer` know it.

    `turn` is entered for what is computed once the vector is there.
    """
    start = time.perf_counter()
    vector = vector_of(query)
    with turn or nullcontext(), one_thread():
        similarities, ids, matches = _by_match(query, vector, index, scorer)
    own_cut = scorer.min_match if query.kind == "text" else 0.0
    min_match = own_cut if query.min_match is None else query.min_match
    best_match = float(matches[0]) if len(matches) else None
    passed = np.flatnonzero(matches >= min_match)[: query.k]
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
        min_match=min_match,
        answerable=bool(hits) and best_match is not None and best_match >= own_cut,
        best_match=best_match,
        notice=notice,
        photographs=len(index),
        thumbnail_of=catalog.thumbnail,
        head=query.head,
    )


def _by_match(
    query: Query, vector: Float32Array, index: VectorIndex, scorer: Matching
) -> tuple[Float32Array, Int64Array, Float32Array]:
    """Similarities, ids and matches of the candidates, best match first; at equal matches the nearer one."""
    count = max(LEAST_CANDIDATES, 2 * query.k) if scorer.reorders(query.kind) else query.k
    # The photograph that is asked about is its own nearest neighbour and no answer.
    own = query.without if query.photo_id is None else query.photo_id
    similarities, ids, vectors = index.candidates(vector, count + (own is not None))
    if own is not None:
        others = np.flatnonzero(ids != own)[:count]
        similarities, ids, vectors = similarities[others], ids[others], vectors[others]
    matches = scorer.match(vector, vectors, query.kind)
    order = np.argsort(-matches, kind="stable")
    return similarities[order], ids[order], matches[order]


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
        Score(float(scorer.match(text, photograph[None], "text")[0]), float(similarity))
        for text, photograph, similarity in zip(text_vectors, photograph_vectors, similarities, strict=True)
    ]
