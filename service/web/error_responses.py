"""The one shape of every error over HTTP, `{"error": {"kind", "message"}}`, and the handlers that produce it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.errors import NotFoundError, PhotographError, SmyslError, TooLargeError, UsageError


def error_response(
    error: SmyslError, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The response for an error; `status` replaces the error's own HTTP status."""
    body = {"error": {"kind": error.kind, "message": error.message}}
    return JSONResponse(body, status_code=status or error.http_status, headers=headers)


def add_error_handlers(app: FastAPI) -> None:
    """Have every exception of `app` leave as an error response."""

    @app.exception_handler(SmyslError)
    async def known(request: Request, error: SmyslError) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(UsageError(validation_message(error.errors()[0])), status=422)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        known: SmyslError
        if error.status_code == 404:
            known = NotFoundError("There is nothing at this address; /docs lists all addresses.")
        elif error.status_code == 405:
            known = UsageError(f"This address does not answer {request.method}; /docs lists what it answers.")
        elif error.status_code == 413:
            known = TooLargeError(str(error.detail))
        else:
            known = UsageError(f"The request cannot be read: {str(error.detail).rstrip('.')}.")
        return error_response(known, status=error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        return error_response(SmyslError("Something went wrong in the service; see its log."))


def validation_message(fault: Mapping[str, Any]) -> str:
    """One sentence for one entry of pydantic's `errors()`."""
    where = ".".join(str(part) for part in fault["loc"] if part not in ("query", "body", "path"))
    if fault["type"] == "json_invalid":
        return f"The body is not valid JSON ({fault['ctx']['error']} at character {where})."
    if not where:
        return 'The body must be JSON such as {"text": "a cat"}, sent with the content type application/json.'
    if fault["type"] == "missing":
        return f"`{where}` is missing; /docs lists what this address needs."
    if fault["type"] == "extra_forbidden":
        return f"`{where}` is not a known field; /docs lists them."
    if "UploadFile" in fault["msg"]:
        return f"`{where}` must be a file."
    return f"`{where}`: {fault['msg']}."


@contextmanager
def prefixed_photograph_errors(prefix: str) -> Iterator[None]:
    """Turn the reason of a `PhotographError`, which names no photograph, into a sentence that starts with `prefix`."""
    try:
        yield
    except PhotographError as error:
        raise PhotographError(f"{prefix}: {error.message}.") from None
