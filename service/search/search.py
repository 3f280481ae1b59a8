"""From a query to hits, the same way for texts and photographs, models and heads; and matches without a search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from service.compute.blas_threads import one_thread
from service.match.scorer import Scorer
from service.search.cursor import Cursor, digest_of
from service.search.hits import Hit, Score, SearchResult, WithoutFilters
from service.search.query import Query
from service.search.ranking import Comparison, Page, page_by_date, page_by_match
from service.search.selection import Selection
from service.search.target import SearchTarget
from service.store.catalog import Catalog
from service.store.filters import Filters
from service.store.records import Details
from service.texts import check_text
from service.types import Float32Array, Int64Array

if TYPE_CHECKING:
    from PIL import Image

    from service.encoder.encoder import Encoder

MIN_CANDIDATES = 200
"""Photographs that the index gives where matches may order them in another way; twice k where that is more."""
MOST_APPROXIMATE = 200
"""Hits of a first page up to which it is found approximately in a large library; its cursor names them all."""

Select = Callable[[Filters], Selection]
"""Applies filters to the library."""


def search(
    query: Query,
    target: SearchTarget,
    catalog: Catalog,
    *,
    select: Select,
    turn: AbstractContextManager[object] | None = None,
) -> SearchResult:
    """Find the photographs of `target` that fit `query`, best match first or by date.

    Args:
        query: what is searched for, a text or a photograph; its box and borders have been dealt with (see
            `service.search.query_crop`).
        target: the model or head that answers.
        catalog: where what a hit shows is read.
        select: applies filters.
        turn: entered for what is computed once the query is encoded; it bounds how many threads compute at once.

    Raises:
        UsageError: the query's cursor is not one of this search.
        NotFoundError: the photograph that is searched with is not there.
    """
    start = time.perf_counter()
    scorer, index = target.scorer, target.index
    own_cut = scorer.min_match if query.kind == "text" else 0.0
    cut = own_cut if query.min_match is None else query.min_match
    digest = digest_of(query, index.fingerprint)
    cursor = None if query.cursor is None else Cursor.decode(query.cursor, digest, index.dimension)
    vector = target.encode_query(query.item) if cursor is None else cursor.vector
    # Not in the turn: the first time it may read the whole catalog.
    selection = select(query.filters) if query.filters or query.date_order is not None else None
    among = None if selection is None else selection.among
    without_filters = None
    with turn or nullcontext(), one_thread():
        compared = Comparison(vector, query.kind, index, scorer, cut, among, query.excluded)
        page = _page(query, compared, cursor or Cursor(digest, vector), selection)
        if query.filters and cursor is None and not len(page.ids):
            without_filters = _without_filters(query, replace(compared, among=None))
    hits = with_records(catalog, page.ids, page.matches, page.similarities)
    return SearchResult(
        hits=hits,
        took_ms=(time.perf_counter() - start) * 1000,
        model=target.model,
        calibration=scorer.calibration(query.kind),
        min_match=cut,
        answerable=bool(hits) and page.best_match is not None and page.best_match >= own_cut,
        best_match=page.best_match,
        notice=target.notice(query.item),
        photographs=len(index),
        thumbnail_of=catalog.thumbnail,
        head=query.head,
        next_cursor=None if page.next is None else page.next.encode(),
        filtered=len(selection) if selection is not None and query.filters else None,
        without_filters=without_filters,
    )


def _page(query: Query, compared: Comparison, start: Cursor, selection: Selection | None) -> Page:
    """The hits of a query after a cursor, by match or by date."""
    if query.cursor is None and query.date_order is None and query.k <= MOST_APPROXIMATE:
        page = _first_page(compared, start, query.k)
        if page is not None:
            return page
    # Pages start with the vector as a cursor holds it, so that all of them compare with the same one.
    compared = replace(compared, vector=start.rounded().vector)
    if query.date_order is None or selection is None:
        return page_by_match(compared, start, query.k)
    return page_by_date(compared, start, query.k, query.date_order, selection)


def _first_page(compared: Comparison, start: Cursor, k: int) -> Page | None:
    """The `k` photographs with the best matches of the nearest candidates, which a large index finds approximately.

    None where they are fewer although some of the farthest candidates pass the cut, so that others may, too.
    """
    candidates = _by_match(compared, k)
    passing = np.flatnonzero(candidates.matches >= compared.cut)
    chosen = passing[:k]
    reorders = compared.scorer.reorders(compared.kind)
    if reorders and len(passing) <= k and candidates.has_more and candidates.farthest_pass(compared.cut):
        return None
    best = float(candidates.matches[0]) if len(candidates.matches) else None
    ids = candidates.ids[chosen]
    following = None
    if len(passing) > k:
        following = replace(start, best_match=best, shown=tuple(ids.tolist()))
    return Page(ids, candidates.similarities[chosen], candidates.matches[chosen], best, following)


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Similarities, ids and matches (n,) of candidates, best match first; at equal matches the nearer one.

    `has_more` is whether the index may have others.
    """

    similarities: Float32Array
    ids: Int64Array
    matches: Float32Array
    has_more: bool

    def farthest_pass(self, cut: float) -> bool:
        """Whether one of the least similar fifth passes the cut."""
        farthest = np.argsort(self.similarities)[: max(len(self.ids) // 5, 1)]
        return bool((self.matches[farthest] >= cut).any())


def _by_match(compared: Comparison, k: int) -> _Candidates:
    """The candidates of a first page: those whose matches may be the highest, and one more than `k`."""
    count = max(MIN_CANDIDATES, 2 * k) if compared.scorer.reorders(compared.kind) else k + 1
    excluded = compared.excluded
    similarities, ids, vectors = compared.index.candidates(
        compared.vector, count + (excluded is not None), compared.among
    )
    if excluded is not None:
        others = np.flatnonzero(ids != excluded)[:count]
        similarities, ids, vectors = similarities[others], ids[others], vectors[others]
    matches = compared.matches(vectors)
    order = np.argsort(-matches, kind="stable")
    return _Candidates(similarities[order], ids[order], matches[order], len(ids) == count)


def _without_filters(query: Query, compared: Comparison) -> WithoutFilters:
    """What the query finds among all photographs, as far as a first page looks."""
    candidates = _by_match(compared, MIN_CANDIDATES)
    passing = int(np.count_nonzero(candidates.matches >= compared.cut))
    best = float(candidates.matches[0]) if len(candidates.matches) else None
    return WithoutFilters(query.filters, passing, passing == len(candidates.ids) and candidates.has_more, best)


def with_records(
    catalog: Catalog, ids: Int64Array, matches: Float32Array | None = None, similarities: Float32Array | None = None
) -> list[Hit]:
    """Hits (n,) with what they show; those that are no longer in the catalog are left out."""
    wanted = [int(identity) for identity in ids]
    records, details = catalog.records(wanted), catalog.details(wanted)
    return [
        Hit(
            records[identity],
            None if matches is None else float(matches[at]),
            None if similarities is None else float(similarities[at]),
            details.get(identity, Details()),
        )
        for at, identity in enumerate(wanted)
        if identity in records
    ]


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
