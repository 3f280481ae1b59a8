"""HTTP: thin, typed, no logic of its own. `create_app` wraps one open library.

Work with the model runs on worker threads, never on the event loop. Every error leaves as
`{"error": {"kind", "message"}}` through the handlers at the end of this file.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import SmyslError, TooLargeError, UsageError
from service.indexer import Advanced, Failure, Finished, Scanned
from service.library import Library
from service.photos import browser_jpeg, open_photograph
from service.schemas import (
    ErrorOut,
    HealthOut,
    IndexingOut,
    PhotoOut,
    ScoreIn,
    ScoreOut,
    SearchIn,
    SearchOut,
    StatusOut,
)
from service.search import DEFAULT_K, MOST_K
from service.search import Query as LibraryQuery

_PAGE = Path(__file__).parent / "page"
_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
}
"""Formats that browsers show as they are; the others are sent as JPEG."""
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_UPLOAD_SIDE = 1024
"""Pixels on the shorter side that are kept of an uploaded JPEG; more than twice any tower's input."""
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

KParameter = Annotated[int, Query(description="hits", json_schema_extra={"minimum": 1, "maximum": MOST_K})]
MatchParameter = Annotated[
    float, Query(description="no hit below this match", json_schema_extra={"minimum": 0, "maximum": 1})
]
_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorOut, "description": "what is wrong with the request"},
    "5XX": {"model": ErrorOut, "description": "what is wrong with the service"},
}


def create_app(library: Library, *, folders: Sequence[Path] = ()) -> FastAPI:
    """The service over an open library; it indexes `folders` in the background once it runs."""
    indexing = _Indexing(library, folders)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if library.status().model is not None:
            await run_in_threadpool(library.check)
        indexing.start()
        yield
        await run_in_threadpool(indexing.stop)

    app = FastAPI(
        title="smysl",
        summary="Search for photographs by meaning",
        lifespan=lifespan,
        responses=_ERRORS,
        redoc_url=None,
    )
    app.add_middleware(_UploadLimit, limit=int(library.settings.upload_limit_mb * 1_000_000))
    if is_loopback(library.settings.host):
        # A foreign page could otherwise point its own name at this address and read the photographs.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(_LOOPBACK))
    _add_search(app, library)
    _add_photographs(app, library)
    _add_state(app, library, indexing)
    _add_page(app)
    _add_error_handlers(app)
    return app


def _add_search(app: FastAPI, library: Library) -> None:
    @app.get("/search", tags=["search"])
    def search_by_text(
        text: Annotated[str, Query(description="the scene", examples=["two dogs play in the snow"])],
        k: KParameter = DEFAULT_K,
        min_match: MatchParameter = 0.0,
    ) -> SearchOut:
        """Find the photographs that show a scene."""
        return SearchOut.of(library.search(LibraryQuery(text=text, k=k, min_match=min_match)))

    @app.post("/search", tags=["search"])
    def search(query: SearchIn) -> SearchOut:
        """Find photographs by a text, or those like one of the library."""
        return SearchOut.of(library.search(LibraryQuery(**query.model_dump())))

    @app.post("/search/image", tags=["search"])
    def search_by_photograph(
        photo: Annotated[UploadFile, File(description="a photograph")],
        k: Annotated[int, Form(json_schema_extra={"minimum": 1, "maximum": MOST_K})] = DEFAULT_K,
        min_match: Annotated[float, Form(json_schema_extra={"minimum": 0, "maximum": 1})] = 0.0,
    ) -> SearchOut:
        """Find the photographs that are like an uploaded one."""
        image = open_photograph(photo.file.read(), max_side=_UPLOAD_SIDE).image
        return SearchOut.of(library.search(LibraryQuery(image=image, k=k, min_match=min_match)))

    @app.post("/score", tags=["search"], openapi_extra=_score_body())
    async def score(request: Request) -> ScoreOut:
        """The match of one text and one photograph: of the library by its id (JSON), or uploaded (multipart)."""
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form(max_files=1, max_fields=4) as form:
                photo, text = form.get("photo"), form.get("text")
                if photo is None or isinstance(photo, str) or not isinstance(text, str):
                    raise UsageError("A score needs the two form fields `photo` (a file) and `text`.")
                content = await photo.read()
            return ScoreOut.of(await run_in_threadpool(library.score, content, text))
        try:
            asked = ScoreIn.model_validate(json.loads(await request.body()))
        except ValidationError as error:
            raise UsageError(_first_fault(error.errors())) from None
        except ValueError:
            raise UsageError('A score needs JSON such as {"photo_id": 1, "text": "a cat"}, or a form.') from None
        return ScoreOut.of(await run_in_threadpool(library.score, asked.photo_id, asked.text))


def _add_photographs(app: FastAPI, library: Library) -> None:
    @app.get("/photos/{photo_id}", tags=["photographs"])
    def photograph(photo_id: int) -> PhotoOut:
        """Facts about one photograph."""
        return PhotoOut.of(library.photograph(photo_id))

    @app.get(
        "/photos/{photo_id}/image",
        tags=["photographs"],
        response_class=Response,
        responses=_picture("image/*"),
    )
    def image(photo_id: int) -> Response:
        """The photograph itself; as JPEG where browsers do not show its format."""
        record, path = library.photograph(photo_id), library.file_of(photo_id)
        media_type = _MEDIA_TYPES.get(record.format)
        headers = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'"}
        if media_type is None:
            return Response(browser_jpeg(path), media_type="image/jpeg", headers=headers)
        return FileResponse(
            path,
            media_type=media_type,
            filename=record.name,
            content_disposition_type="inline",
            headers=headers,
        )

    @app.get(
        "/photos/{photo_id}/thumbnail",
        tags=["photographs"],
        response_class=Response,
        responses=_picture("image/jpeg"),
    )
    def thumbnail(photo_id: int, request: Request) -> Response:
        """A small JPEG of the photograph."""
        import xxhash

        jpeg = library.catalog.thumbnail(photo_id)
        headers = {"etag": f'"{xxhash.xxh3_64_hexdigest(jpeg)}"', "cache-control": "private, max-age=60"}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(jpeg, media_type="image/jpeg", headers=headers)


def _add_state(app: FastAPI, library: Library, indexing: _Indexing) -> None:
    @app.get("/health", tags=["state"])
    def health() -> HealthOut:
        """Ask the model for a vector and the index for its neighbour; 200 when both answer."""
        status = library.status()
        if status.model is None:
            return HealthOut(status="empty", photographs=0)
        library.check()
        return HealthOut(status="ok", photographs=status.photographs)

    @app.get("/status", tags=["state"])
    def status() -> StatusOut:
        """Facts about the library, its model and its index."""
        answer = StatusOut.of(library)
        answer.indexing = indexing.progress()
        return answer


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html", headers=_HEADERS | {"cache-control": "no-cache"})

    app.mount("/page", StaticFiles(directory=_PAGE), name="page")


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(SmyslError)
    async def known(request: Request, error: SmyslError) -> JSONResponse:
        return _error(error.http_status, error.kind, error.message)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _error(422, UsageError.kind, _first_fault(error.errors()))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        kinds = {404: "not_found", 413: TooLargeError.kind}
        message = "There is nothing at this address." if error.status_code == 404 else str(error.detail)
        return _error(error.status_code, kinds.get(error.status_code, UsageError.kind), message)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        return _error(500, SmyslError.kind, "Something went wrong in the service; its log says what.")


class _Indexing:
    """An index run in a thread of the service, and how far it is."""

    def __init__(self, library: Library, folders: Sequence[Path]) -> None:
        self._library = library
        self._folders = list(folders)
        self._progress: IndexingOut | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)

    def start(self) -> None:
        if self._folders:
            self._progress = IndexingOut(done=0, total=0, failed=0, error=None)
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def progress(self) -> IndexingOut | None:
        return self._progress

    def _run(self) -> None:
        import logging

        log = logging.getLogger("uvicorn.error")
        progress = self._progress
        assert progress is not None  # noqa: S101 - `start` sets it
        try:
            encoder = self._library.encoder_to_index(say=log.info)
            for event in self._library.index(self._folders, encoder=encoder):
                if isinstance(event, Scanned):
                    progress.total = event.to_read
                elif isinstance(event, Advanced):
                    progress.done = event.done
                elif isinstance(event, Failure):
                    progress.failed += 1
                    log.warning("%s: %s", event.path, event.reason)
                elif isinstance(event, Finished):
                    log.info("indexed: %d added, %d changed", event.summary.added, event.summary.changed)
                    self._progress = None
                if self._stopping.is_set():
                    break
        except SmyslError as error:
            log.error(error.message)
            progress.error = error.message


class _UploadLimit:
    """Cuts a request's body off as soon as more than `limit` bytes have come, or are announced."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._limit:
            await _error(413, TooLargeError.kind, self._sentence())(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Callable[[], Any]:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                # FastAPI lets an HTTPException through while it reads a body, and no other error.
                raise HTTPException(413, self._sentence())
            return message

        return counted

    def _sentence(self) -> str:
        return (
            f"The upload is larger than {self._limit / 1e6:g} MB; send a smaller photograph, or raise "
            "SMYSL_UPLOAD_LIMIT_MB."
        )


def _error(status: int, kind: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"kind": kind, "message": message}}, status_code=status)


def _first_fault(faults: Sequence[Any]) -> str:
    """One sentence for the first thing that a validator found."""
    fault = faults[0]
    where = ".".join(str(part) for part in fault["loc"] if part not in ("query", "body", "path"))
    return f"{where or 'The request'}: {fault['msg']}."


def _picture(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {}}, "description": "the picture"}}


def _score_body() -> dict[str, Any]:
    upload = {
        "type": "object",
        "required": ["photo", "text"],
        "properties": {"photo": {"type": "string", "format": "binary"}, "text": {"type": "string"}},
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ScoreIn.model_json_schema()},
                "multipart/form-data": {"schema": upload},
            },
        }
    }


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
