"""Browsing: the photographs that filters leave, by date, without anything that they are compared with."""

from __future__ import annotations

import time

import numpy as np

from service.index.attributes.timeline import key_at, page
from service.search.cursor import Cursor, digest_of
from service.search.hits import SearchResult
from service.search.query import Query
from service.search.search import Select, with_records
from service.store.catalog import Catalog
from service.types import Float32Array

_NO_VECTOR: Float32Array = np.empty(0, np.float32)


def browse(query: Query, catalog: Catalog, select: Select) -> SearchResult:
    """The photographs that the filters of `query` leave, in its order by date; needs no model.

    Args:
        query: has neither a text nor a photograph.
        catalog: where what a photograph shows is read.
        select: applies filters.

    Raises:
        UsageError: the query's cursor is not one of this search.
    """
    start = time.perf_counter()
    digest = digest_of(query, "")
    cursor = None if query.cursor is None else Cursor.decode(query.cursor, digest, 0)
    selection = select(query.filters)
    attributes = selection.attributes
    after = None if cursor is None else cursor.after_date
    positions = page(attributes, query.date_order or "-taken_at", query.k + 1, after, selection.mask)
    following = None
    if len(positions) > query.k:
        following = Cursor(digest, _NO_VECTOR, after_date=key_at(attributes, int(positions[query.k - 1]))).encode()
    hits = with_records(catalog, attributes.ids[positions[: query.k]])
    return SearchResult(
        hits=hits,
        took_ms=(time.perf_counter() - start) * 1000,
        model=None,
        calibration=None,
        min_match=0.0,
        answerable=bool(hits),
        best_match=None,
        notice=None,
        photographs=len(attributes),
        thumbnail_of=catalog.thumbnail,
        next_cursor=following,
        filtered=len(selection) if query.filters else None,
    )
