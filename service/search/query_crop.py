"""Which part of a photograph a query searches with: the box that a person drew, or what the borders leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import PhotographError
from service.photos.crop import QUERY_SIDE, Box, crop
from service.photos.decode import open_photograph
from service.photos.letterbox import box_inside_borders
from service.search.search import Query, SearchResult

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Searched:
    """A query for the whole of its photograph, and which `part` of the one that was given this is; None for all.

    `took_ms` went into opening and cutting.
    """

    query: Query
    part: Box | None = None
    borders_left_out: bool = False
    took_ms: float = 0.0

    def told(self, result: SearchResult) -> SearchResult:
        """`result` of the query, with what was searched with."""
        took_ms = result.took_ms + self.took_ms
        return replace(result, took_ms=took_ms, part=self.part, borders_left_out=self.borders_left_out)


def searched(query: Query, file_of: Callable[[int], Path]) -> Searched:
    """Cut out of the query's photograph what is searched with; `file_of` says where a photograph of the library is.

    A box that a person drew is searched as it is; without one the borders of a photograph that was brought along are
    left out, unless they are to be kept. Photographs of the library have their vectors already, with all that is on
    them. The query comes back as it is where there is nothing to cut. Raises `UsageError` for a box of too few pixels
    and for a photograph that is all border, `PhotographError` for a file that cannot be read any more.
    """
    start = time.perf_counter()
    if query.box is not None:
        image = query.image if query.photo_id is None else _opened(query.photo_id, file_of(query.photo_id), query.box)
        assert image is not None  # noqa: S101 - Query has no box without a photograph
        return _cut(query, image, query.box, start)
    if query.image is None or query.keep_borders:
        return Searched(query)
    part = box_inside_borders(query.image)
    return Searched(query) if part is None else _cut(query, query.image, part, start)


def _cut(query: Query, image: Image.Image, part: Box, start: float) -> Searched:
    without = query.without if query.photo_id is None else query.photo_id
    whole = replace(query, photo_id=None, image=crop(image, part), box=None, keep_borders=True, without=without)
    return Searched(whole, part, query.box is None, (time.perf_counter() - start) * 1000)


def _opened(identity: int, file: Path, box: Box) -> Image.Image:
    try:
        return open_photograph(file, shorter_side=box.side_for(QUERY_SIDE)).image
    except PhotographError as error:
        raise PhotographError(f"The file of photograph {identity} cannot be searched with: {error.message}.") from None
