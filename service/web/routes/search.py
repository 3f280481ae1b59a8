"""Routes that search the library, and that score one text against one photograph."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from service.errors import UsageError
from service.library import FACET_VALUES
from service.photos.crop import Box, side_to_decode
from service.photos.decode import open_photograph
from service.search.query import DEFAULT_K, MAX_K, Order
from service.search.query import Query as LibraryQuery
from service.web.dependencies import OpenLibrary
from service.web.error_responses import prefixed_photograph_errors, validation_message
from service.web.filter_parameters import FormFilters, QueryFilters
from service.web.schemas import FacetsOut, ScoreIn, ScoreOut, SearchIn, SearchOut

router = APIRouter(tags=["search"])

_K_BOUNDS = {"minimum": 1, "maximum": MAX_K}
_MATCH_BOUNDS = {"minimum": 0, "maximum": 1}
_ORDER = "by match, or by date within what matches, oldest or newest first"
_BOX = "search with this area only: x,y,width,height in fractions of the upright photograph"
Limit = Annotated[int | None, Query(description="another name of `k`")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the same search, for the hits after it")]
_SCORE_FORM = {
    "type": "object",
    "required": ["photo", "text"],
    "properties": {"photo": {"type": "string", "format": "binary"}, "text": {"type": "string"}},
}
_SCORE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": ScoreIn.model_json_schema()},
            "multipart/form-data": {"schema": _SCORE_FORM},
        },
    }
}


@router.get("/search")
def search_by_text(
    library: OpenLibrary,
    filters: QueryFilters,
    text: Annotated[
        str | None,
        Query(description="what the photographs should show, as it is", examples=["two dogs play in the snow"]),
    ] = None,
    q: Annotated[
        str | None, Query(description="what a person types; words such as 2019 are understood as filters")
    ] = None,
    k: Annotated[int, Query(description="number of hits", json_schema_extra=_K_BOUNDS)] = DEFAULT_K,
    limit: Limit = None,
    min_match: Annotated[
        float | None,
        Query(description="least match of a hit; without it the default of the match", json_schema_extra=_MATCH_BOUNDS),
    ] = None,
    order: Annotated[Order, Query(description=_ORDER)] = "match",
    cursor: Cursor = None,
) -> SearchOut:
    """Find photographs that show what a text describes, or all that filters leave."""
    hits = k if limit is None else limit
    query = LibraryQuery(text=text, q=q, k=hits, min_match=min_match, filters=filters, order=order, cursor=cursor)
    return SearchOut.of(library.search(query))


@router.post("/search")
def search(query: SearchIn, library: OpenLibrary) -> SearchOut:
    """Find photographs by a text, or photographs similar to one of the library."""
    return SearchOut.of(library.search(query.query()))


@router.post("/search/image")
def search_by_photograph(
    library: OpenLibrary,
    filters: FormFilters,
    photo: Annotated[UploadFile, File(description="a photograph")],
    k: Annotated[int, Form(json_schema_extra=_K_BOUNDS)] = DEFAULT_K,
    limit: Annotated[int | None, Form(description="another name of `k`")] = None,
    min_match: Annotated[float | None, Form(json_schema_extra=_MATCH_BOUNDS)] = None,
    head: Annotated[str | None, Form(description="compare photographs with this head of the library")] = None,
    box: Annotated[str | None, Form(description=_BOX, examples=["0.25,0.1,0.5,0.5"])] = None,
    keep_borders: Annotated[bool, Form(description="do not cut off letterboxes, frames and screens")] = False,
    order: Annotated[Order, Form(description=_ORDER)] = "match",
    cursor: Annotated[str | None, Form(description="`next_cursor` of the search with the same photograph")] = None,
) -> SearchOut:
    """Find photographs similar to an uploaded one or to an area of it."""
    part = None if box is None else Box.parse(box)
    with prefixed_photograph_errors("The upload cannot be used as a photograph"):
        image = open_photograph(photo.file.read(), shorter_side=side_to_decode(part)).image
    query = LibraryQuery(
        image=image,
        k=k if limit is None else limit,
        min_match=min_match,
        head=head,
        box=part,
        keep_borders=keep_borders,
        filters=filters,
        order=order,
        cursor=cursor,
    )
    return SearchOut.of(library.search(query))


@router.get("/facets")
def facets(
    library: OpenLibrary,
    filters: QueryFilters,
    limit: Annotated[
        int, Query(description="most values of a facet", json_schema_extra={"minimum": 1, "maximum": MAX_K})
    ] = FACET_VALUES,
) -> FacetsOut:
    """Count photographs by year, camera, place, keyword and so on."""
    return FacetsOut.of(library.facets(filters, most=limit))


@router.post("/score", openapi_extra=_SCORE_BODY)
async def score(request: Request, library: OpenLibrary) -> ScoreOut:
    """The match of a text and a photograph, given by its id (JSON) or uploaded (multipart)."""
    photograph: int | bytes
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        photograph, text = await _read_score_form(request)
    else:
        body = _parse_score_json(await request.body())
        photograph, text = body.photo_id, body.text
    with prefixed_photograph_errors("The upload cannot be used as a photograph"):
        return ScoreOut.of(await run_in_threadpool(library.score, photograph, text))


async def _read_score_form(request: Request) -> tuple[bytes, str]:
    """The uploaded photograph and the text; raises `UsageError` where one is missing."""
    async with request.form(max_files=1, max_fields=4) as form:
        photo, text = form.get("photo"), form.get("text")
        if photo is None or isinstance(photo, str) or not isinstance(text, str):
            raise UsageError("A score needs the two form fields `photo` (a file) and `text`.")
        return await photo.read(), text


def _parse_score_json(body: bytes) -> ScoreIn:
    try:
        return ScoreIn.model_validate(json.loads(body))
    except ValidationError as error:
        raise UsageError(validation_message(error.errors()[0])) from None
    except (ValueError, RecursionError):
        raise UsageError('A score needs JSON such as {"photo_id": 1, "text": "a cat"}, or a form.') from None
