"""The address that classifies photographs: a form of many files in, a line of JSON for each out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

from anyio import CancelScope
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect

from service.errors import SmyslError, UsageError
from service.library import Library
from service.search.classify import DEFAULT_K, Classification
from service.search.search import MOST_K
from service.web.classify_schemas import ClassifiedOut, UnclassifiedOut, line_of
from service.web.dependencies import OpenLibrary
from service.web.multipart import Form, receive_form
from service.web.schemas import ErrorDetail

PATH = "/classify"
FILES = "photo"
MEDIA_TYPE = "application/x-ndjson"
_FIELDS = ("head", "k", "min_confidence", "keep_borders")


router = APIRouter(tags=["kinds"])


def _openapi() -> dict[str, Any]:
    form = {
        "type": "object",
        "required": [FILES],
        "properties": {
            FILES: {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "photographs"},
            "head": {"type": "string", "description": "a head of the library by which photographs are compared"},
            "k": {"type": "integer", "minimum": 1, "maximum": MOST_K, "default": DEFAULT_K},
            "min_confidence": {"type": "number", "minimum": 0, "maximum": 1, "description": "below it: not known"},
            "keep_borders": {"type": "boolean", "default": False, "description": "look at borders, too"},
        },
    }
    lines = {"anyOf": [ClassifiedOut.model_json_schema(), UnclassifiedOut.model_json_schema()]}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "x-line-schema": lines,
    }


@router.post(
    PATH,
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}, "description": "a line of JSON for each photograph"}},
    openapi_extra=_openapi(),
)
async def classify(request: Request, library: OpenLibrary) -> Response:
    """Tell the kinds of uploaded photographs, one line of JSON each, as they are ready."""
    most_bytes = int(library.settings.upload_limit_mb * 1_000_000)
    try:
        form = await receive_form(request, files_in=FILES, most_bytes=most_bytes)
    except ClientDisconnect:
        return Response(status_code=400)
    try:
        answers = await run_in_threadpool(_classify, library, form)
    except BaseException:
        form.close()
        raise
    return StreamingResponse(_stream(_lines(answers, form)), media_type=MEDIA_TYPE, headers={"x-accel-buffering": "no"})


def _classify(library: Library, form: Form) -> Iterator[Classification]:
    """The answers to a form; what is wrong with its fields or the library is raised at once."""
    fields = form.fields
    if unknown := [name for name in fields if name not in _FIELDS]:
        raise UsageError(f"`{unknown[0][:100]}` is not known here; the fields are {FILES}, {', '.join(_FIELDS)}.")
    confidence = fields.get("min_confidence")
    return library.classify(
        form.files,
        head=fields.get("head") or None,
        k=int(_number(fields["k"], "k", whole=True)) if "k" in fields else DEFAULT_K,
        min_confidence=_number(confidence, "min_confidence") if confidence else None,
        keep_borders=_truth(fields.get("keep_borders", "")),
    )


async def _stream(lines: Generator[str, None, None]) -> AsyncIterator[str]:
    """Lines that are made in threads; who goes away before the last ends the work, and not on the event loop."""
    try:
        async for line in iterate_in_threadpool(lines):
            yield line
    finally:
        with CancelScope(shield=True):
            await run_in_threadpool(lines.close)


def _lines(answers: Iterator[Classification], form: Form) -> Generator[str, None, None]:
    try:
        for answer in answers:
            yield f"{line_of(answer)}\n"
    except SmyslError as error:
        # The answer has begun, so its status cannot say it any more.
        fault = UnclassifiedOut(file=None, error=ErrorDetail(kind=error.kind, message=error.message))
        yield f"{fault.model_dump_json()}\n"
    finally:
        form.close()


def _number(text: str, name: str, *, whole: bool = False) -> float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise UsageError(f"`{name}` is {text[:100]!r}; it must be {kind}.") from None


def _truth(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "": False}
    if text.casefold() not in known:
        raise UsageError(f"`keep_borders` is {text[:100]!r}; it must be true or false.")
    return known[text.casefold()]
