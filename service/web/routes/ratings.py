"""Routes that store and list ratings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.store.ratings import MAX_AT_ONCE
from service.web.dependencies import OpenLibrary
from service.web.middleware import require_same_origin
from service.web.schemas import RatingIn, RatingOut, RatingsOut

router = APIRouter(tags=["ratings"])


@router.post("/ratings", status_code=201, dependencies=[Depends(require_same_origin)])
def rate(rating: RatingIn, library: OpenLibrary) -> RatingOut:
    """Rate how well a text fits a photograph; replaces the earlier rating by the same rater."""
    stored = library.rate(rating.photo_id, rating.text, grade=rating.grade, fits=rating.fits, rater=rating.rater)
    return RatingOut.of(stored)


@router.get("/ratings")
def ratings(
    library: OpenLibrary,
    photo_id: Annotated[int | None, Query(description="only ratings of this photograph")] = None,
    text: Annotated[str | None, Query(description="only ratings of this text")] = None,
    limit: Annotated[int, Query(json_schema_extra={"minimum": 1, "maximum": MAX_AT_ONCE})] = 100,
    offset: Annotated[int, Query(json_schema_extra={"minimum": 0})] = 0,
) -> RatingsOut:
    """List ratings in the order in which they were first given: all, or those of one photograph or text."""
    found = library.ratings(photo_id, text, limit=limit, offset=offset)
    return RatingsOut(ratings=[RatingOut.of(rating) for rating in found], total=library.count_ratings(photo_id, text))
