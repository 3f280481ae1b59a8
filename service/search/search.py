"""From a query to hits, the same way for texts and photographs, models and heads; and matches without a search."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from service.compute.blas_threads import one_thread
from service.match.scorer import Scorer
from service.search.hits import Hit, Score, SearchResult
from service.search.query import Query
from service.search.target import SearchTarget
from service.store.catalog import Catalog
from service.store.records import Details
from service.texts import check_text
from service.types import Float32Array, Int64Array

if TYPE_CHECKING:
    from PIL import Image

    from service.encoder.encoder import Encoder

MIN_CANDIDATES = 200
"""Photographs that the index gives where matches may order them in another way; twice k where that is more."""


def search(
    query: Query, target: SearchTarget, catalog: Catalog, *, turn: AbstractContextManager[object] | None = None
) -> SearchResult:
    """Find the photographs of `target` that fit `query`, best match first.

    Args:
        query: what is searched for; its box and borders have been dealt with (see `service.search.query_crop`).
        target: the model or head that answers.
        catalog: where what a hit shows is read.
        turn: entered for what is computed once the query is encoded; it bounds how many threads compute at once.
    """
    start = time.perf_counter()
    vector = target.encode_query(query.item)
    scorer = target.scorer
    with turn or nullcontext(), one_thread():
        similarities, ids, matches = _by_match(query, vector, target)
    own_cut = scorer.min_match if query.kind == "text" else 0.0
    min_match = own_cut if query.min_match is None else query.min_match
    best_match = float(matches[0]) if len(matches) else None
    passed = np.flatnonzero(matches >= min_match)[: query.k]
    found = [int(identity) for identity in ids[passed]]
    records, details = catalog.records(found), catalog.details(found)
    hits = [
        Hit(records[int(identity)], float(match), float(similarity), details.get(int(identity), Details()))
        for identity, match, similarity in zip(ids[passed], matches[passed], similarities[passed], strict=True)
        if int(identity) in records
    ]
    return SearchResult(
        hits=hits,
        took_ms=(time.perf_counter() - start) * 1000,
        model=target.model,
        calibration=scorer.calibration(query.kind),
        min_match=min_match,
        answerable=bool(hits) and best_match is not None and best_match >= own_cut,
        best_match=best_match,
        notice=target.notice(query.item),
        photographs=len(target.index),
        thumbnail_of=catalog.thumbnail,
        head=query.head,
    )


def _by_match(
    query: Query, vector: Float32Array, target: SearchTarget
) -> tuple[Float32Array, Int64Array, Float32Array]:
    """Similarities, ids and matches of the candidates, best match first; at equal matches the nearer one."""
    scorer = target.scorer
    count = max(MIN_CANDIDATES, 2 * query.k) if scorer.reorders(query.kind) else query.k
    excluded = query.excluded
    similarities, ids, vectors = target.index.candidates(vector, count + (excluded is not None))
    if excluded is not None:
        others = np.flatnonzero(ids != excluded)[:count]
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
