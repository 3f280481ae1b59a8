"""The part of a photograph that a query searches with: the box that a person drew, or what a letterbox leaves."""

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
from service.search.hits import SearchResult
from service.search.query import Query

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class CroppedQuery:
    """A query whose box and borders have been cut off.

    Attributes:
        query: a query for the whole of its photograph.
        part: which part of the original photograph that is; None for all of it.
        borders_left_out: whether the part is what borders leave, and not a person's box.
        took_ms: how long opening and cutting took.
    """

    query: Query
    part: Box | None = None
    borders_left_out: bool = False
    took_ms: float = 0.0

    def describe(self, result: SearchResult) -> SearchResult:
        """The result of the query with the part that was searched with."""
        took_ms = result.took_ms + self.took_ms
        return replace(result, took_ms=took_ms, part=self.part, borders_left_out=self.borders_left_out)


def crop_query(query: Query, file_of: Callable[[int], Path]) -> CroppedQuery:
    """Cut the part out of the query's photograph that is searched with.

    A person's box is taken as it is; without one the borders of an image are left out, unless the query keeps them.
    Photographs of the library have their vectors already, borders included.

    Args:
        query: any query; one without anything to cut comes back as it is.
        file_of: where the file of a photograph of the library is.

    Raises:
        UsageError: the box has too few pixels.
        PhotographError: the file cannot be read any more.
    """
    start = time.perf_counter()
    if query.box is not None:
        image = query.image if query.photo_id is None else _opened(query.photo_id, file_of(query.photo_id), query.box)
        assert image is not None  # noqa: S101 - Query has no box without a photograph
        return _cropped(query, image, query.box, start)
    if query.image is None or query.keep_borders:
        return CroppedQuery(query)
    part = box_inside_borders(query.image)
    return CroppedQuery(query) if part is None else _cropped(query, query.image, part, start)


def _cropped(query: Query, image: Image.Image, part: Box, start: float) -> CroppedQuery:
    whole = replace(query, photo_id=None, image=crop(image, part), box=None, keep_borders=True, without=query.excluded)
    return CroppedQuery(whole, part, query.box is None, (time.perf_counter() - start) * 1000)


def _opened(identity: int, file: Path, box: Box) -> Image.Image:
    try:
        return open_photograph(file, shorter_side=box.side_for(QUERY_SIDE)).image
    except PhotographError as error:
        raise PhotographError(f"The file of photograph {identity} cannot be searched with: {error.message}.") from None
