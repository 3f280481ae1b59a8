"""The route that classifies photographs: a form with many files in, one line of JSON per photograph out."""

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
from service.search.classify import DEFAULT_K, MAX_K, Classification
from service.web.classify_schemas import ClassifiedOut, UnclassifiedOut, line_of
from service.web.dependencies import OpenLibrary
from service.web.multipart import UploadForm, receive_form
from service.web.schemas import ErrorDetail

router = APIRouter(tags=["kinds"])

PATH = "/classify"
_FILES = "photo"
_MEDIA_TYPE = "application/x-ndjson"
_FIELDS: dict[str, dict[str, Any]] = {
    "head": {"type": "string", "description": "compare photographs with this head of the library"},
    "k": {"type": "integer", "minimum": 1, "maximum": MAX_K, "default": DEFAULT_K},
    "min_confidence": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "below it the kind is unknown",
    },
    "keep_borders": {
        "type": "boolean",
        "default": False,
        "description": "do not cut off letterboxes, frames and screens",
    },
}
_PHOTOGRAPHS = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "photographs"}
_FORM = {"type": "object", "required": [_FILES], "properties": {_FILES: _PHOTOGRAPHS, **_FIELDS}}
_OPENAPI = {
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}},
    "x-line-schema": {"anyOf": [ClassifiedOut.model_json_schema(), UnclassifiedOut.model_json_schema()]},
}


@router.post(
    PATH,
    response_class=StreamingResponse,
    responses={200: {"content": {_MEDIA_TYPE: {}}, "description": "one line of JSON per photograph"}},
    openapi_extra=_OPENAPI,
)
async def classify(request: Request, library: OpenLibrary) -> Response:
    """Classify uploaded photographs; one line of JSON per photograph, sent as soon as it is ready."""
    max_file_bytes = int(library.settings.upload_limit_mb * 1_000_000)
    try:
        form = await receive_form(request, files_in=_FILES, max_file_bytes=max_file_bytes)
    except ClientDisconnect:
        # Nobody receives this response.
        return Response(status_code=400)
    try:
        answers = await run_in_threadpool(_classify, library, form)
    except BaseException:
        form.close()
        raise
    lines = _stream(_lines(answers, form))
    return StreamingResponse(lines, media_type=_MEDIA_TYPE, headers={"x-accel-buffering": "no"})


def _classify(library: Library, form: UploadForm) -> Iterator[Classification]:
    """Answers for the files of a form; wrong fields and faults of the library raise before the first of them."""
    fields = form.fields
    if unknown := [name for name in fields if name not in _FIELDS]:
        raise UsageError(f"`{unknown[0][:100]}` is not a known field; the fields are {_FILES}, {', '.join(_FIELDS)}.")
    confidence = fields.get("min_confidence")
    return library.classify(
        form.files,
        head=fields.get("head") or None,
        k=int(_number(fields["k"], "k", whole=True)) if "k" in fields else DEFAULT_K,
        min_confidence=_number(confidence, "min_confidence") if confidence else None,
        keep_borders=_boolean(fields.get("keep_borders", "")),
    )


async def _stream(lines: Generator[str, None, None]) -> AsyncIterator[str]:
    """Lines computed in worker threads; a client that disconnects ends the work, which is cleaned up in a thread."""
    try:
        async for line in iterate_in_threadpool(lines):
            yield line
    finally:
        with CancelScope(shield=True):
            await run_in_threadpool(lines.close)


def _lines(answers: Iterator[Classification], form: UploadForm) -> Generator[str, None, None]:
    try:
        for answer in answers:
            yield f"{line_of(answer)}\n"
    except SmyslError as error:
        # The status has already been sent, so the error is the last line.
        last = UnclassifiedOut(file=None, error=ErrorDetail(kind=error.kind, message=error.message))
        yield f"{last.model_dump_json()}\n"
    finally:
        form.close()


def _number(text: str, name: str, *, whole: bool = False) -> float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        expected = "a whole number" if whole else "a number"
        raise UsageError(f"`{name}` is {text[:100]!r}; it must be {expected}.") from None


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "": False}
    if text.casefold() not in values:
        raise UsageError(f"`keep_borders` is {text[:100]!r}; it must be true or false.")
    return values[text.casefold()]
