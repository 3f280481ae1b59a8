"""HTTP: thin, typed, no logic of its own. `create_app` wraps one open library.

Work with the model runs on worker threads, never on the event loop. Every error leaves as
`{"error": {"kind", "message"}}` through the handlers at the end of this file.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from service.errors import NotFoundError, PhotographError, SmyslError, TooLargeError, UsageError
from service.library import Library
from service.photos.crop import Box, side_to_decode
from service.photos.decode import browser_jpeg, open_photograph
from service.search.search import DEFAULT_K, MOST_K
from service.search.search import Query as LibraryQuery
from service.store.loopback import is_loopback
from service.web.background_index import Indexing
from service.web.health import Health
from service.web.middleware import OwnName, UploadLimit, error_answer
from service.web.routes.classify import PATH as CLASSIFY
from service.web.routes.classify import add_classify
from service.web.routes.ratings import add_ratings
from service.web.schemas import (
    ErrorOut,
    HeadOut,
    HeadsOut,
    HealthOut,
    IndexingOut,
    PhotoOut,
    ScoreIn,
    ScoreOut,
    SearchIn,
    SearchOut,
    StatusOut,
)

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
KParameter = Annotated[int, Query(description="hits", json_schema_extra={"minimum": 1, "maximum": MOST_K})]
MatchParameter = Annotated[
    float | None,
    Query(
        description="no hit below this match; without it the match's own cut",
        json_schema_extra={"minimum": 0, "maximum": 1},
    ),
]
_BOX = "search with this part only: x,y,width,height in fractions of the upright photograph"
_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorOut, "description": "what is wrong with the request"},
    "5XX": {"model": ErrorOut, "description": "what is wrong with the service"},
}


def create_app(
    library: Library, *, folders: Sequence[Path] = (), progress: Callable[[], IndexingOut | None] | None = None
) -> FastAPI:
    """The service over an open library; it indexes `folders` in the background once it runs.

    `progress` says how far an index run is that somebody else does for this service.
    """
    indexing = Indexing(library, folders)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        indexing.start()
        yield
        await run_in_threadpool(indexing.stop)

    app = FastAPIOffline(
        title="smysl",
        summary="Search for photographs by meaning",
        lifespan=lifespan,
        responses=_ERRORS,
        redoc_url=None,
        favicon_url="/page/icon.svg",
    )
    settings = library.settings
    app.add_middleware(
        UploadLimit,
        limit=int(settings.upload_limit_mb * 1_000_000),
        forms={CLASSIFY: int(settings.form_limit_mb * 1_000_000)},
    )
    if is_loopback(settings.host):
        app.add_middleware(OwnName)
    _add_search(app, library)
    _add_photographs(app, library)
    add_ratings(app, library)
    add_classify(app, library)
    _add_state(app, library, progress or indexing.progress)
    _add_page(app)
    _add_error_handlers(app)
    return app


def _add_search(app: FastAPI, library: Library) -> None:
    @app.get("/search", tags=["search"])
    def search_by_text(
        text: Annotated[str, Query(description="the scene", examples=["two dogs play in the snow"])],
        k: KParameter = DEFAULT_K,
        min_match: MatchParameter = None,
    ) -> SearchOut:
        """Find the photographs that show a scene."""
        return SearchOut.of(library.search(LibraryQuery(text=text, k=k, min_match=min_match)))

    @app.post("/search", tags=["search"])
    def search(query: SearchIn) -> SearchOut:
        """Find photographs by a text, or those like one of the library."""
        return SearchOut.of(library.search(query.query()))

    @app.post("/search/image", tags=["search"])
    def search_by_photograph(
        photo: Annotated[UploadFile, File(description="a photograph")],
        k: Annotated[int, Form(json_schema_extra={"minimum": 1, "maximum": MOST_K})] = DEFAULT_K,
        min_match: Annotated[float | None, Form(json_schema_extra={"minimum": 0, "maximum": 1})] = None,
        head: Annotated[str | None, Form(description="compare photographs by this head of the library")] = None,
        box: Annotated[str | None, Form(description=_BOX, examples=["0.25,0.1,0.5,0.5"])] = None,
        keep_borders: Annotated[bool, Form(description="search with letterboxes, frames and screens too")] = False,
    ) -> SearchOut:
        """Find the photographs that are like an uploaded one, or like a part of it."""
        part = None if box is None else Box.parse(box)
        with _named("The upload cannot be used as a photograph"):
            image = open_photograph(photo.file.read(), shorter_side=side_to_decode(part)).image
        return SearchOut.of(
            library.search(
                LibraryQuery(image=image, k=k, min_match=min_match, head=head, box=part, keep_borders=keep_borders)
            )
        )

    @app.post("/score", tags=["search"], openapi_extra=_score_body())
    async def score(request: Request) -> ScoreOut:
        """The match of one text and one photograph: of the library by its id (JSON), or uploaded (multipart)."""
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form(max_files=1, max_fields=4) as form:
                photo, text = form.get("photo"), form.get("text")
                if photo is None or isinstance(photo, str) or not isinstance(text, str):
                    raise UsageError("A score needs the two form fields `photo` (a file) and `text`.")
                content = await photo.read()
            with _named("The upload cannot be used as a photograph"):
                return ScoreOut.of(await run_in_threadpool(library.score, content, text))
        try:
            asked = ScoreIn.model_validate(json.loads(await request.body()))
        except ValidationError as error:
            raise UsageError(_sentence(error.errors()[0])) from None
        except (ValueError, RecursionError):
            raise UsageError('A score needs JSON such as {"photo_id": 1, "text": "a cat"}, or a form.') from None
        return ScoreOut.of(await run_in_threadpool(library.score, asked.photo_id, asked.text))


def _add_photographs(app: FastAPI, library: Library) -> None:
    @app.get("/photos/{photo_id}", tags=["photographs"])
    def photograph(photo_id: int) -> PhotoOut:
        """Facts about one photograph."""
        return PhotoOut.of(library.photograph(photo_id))

    @app.head("/photos/{photo_id}/image", include_in_schema=False)
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
            with _named(f"The file of photograph {photo_id} cannot be shown"):
                return Response(browser_jpeg(path), media_type="image/jpeg", headers=headers)
        return FileResponse(
            path,
            media_type=media_type,
            filename=record.name,
            content_disposition_type="inline",
            headers=headers,
        )

    @app.head("/photos/{photo_id}/thumbnail", include_in_schema=False)
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
        if _has_copy(request, headers["etag"]):
            return Response(status_code=304, headers=headers)
        return Response(jpeg, media_type="image/jpeg", headers=headers)


def _add_state(app: FastAPI, library: Library, progress: Callable[[], IndexingOut | None]) -> None:
    health_of_library = Health(library)

    @app.get("/health", tags=["state"])
    async def health() -> HealthOut:
        """Ask the model for a vector and the index for its neighbour; 200 when both answer."""
        return await health_of_library.look()

    @app.get("/heads", tags=["state"])
    def heads() -> HeadsOut:
        """The heads by which photographs may be compared."""
        return HeadsOut(heads=[HeadOut.of(head) for head in library.heads()])

    @app.get("/status", tags=["state"])
    def status() -> StatusOut:
        """Facts about the library, its model and its index."""
        answer = StatusOut.of(library)
        answer.indexing = progress()
        return answer


def _add_page(app: FastAPI) -> None:
    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html", headers=_HEADERS | {"cache-control": "no-cache"})

    app.mount("/page", StaticFiles(directory=_PAGE), name="page")


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(SmyslError)
    async def known(request: Request, error: SmyslError) -> JSONResponse:
        return error_answer(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_answer(UsageError(_sentence(error.errors()[0])), status=422)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        known: SmyslError
        if error.status_code == 404:
            known = NotFoundError("There is nothing at this address; /docs lists the addresses that there are.")
        elif error.status_code == 405:
            known = UsageError(f"{request.method} is not answered at this address; /docs says what is.")
        elif error.status_code == 413:
            known = TooLargeError(str(error.detail))
        else:
            known = UsageError(f"The request cannot be read: {str(error.detail).rstrip('.')}.")
        return error_answer(known, status=error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        return error_answer(SmyslError("Something went wrong in the service; its log says what."))


def _sentence(fault: Mapping[str, Any]) -> str:
    """One sentence for what a validator found."""
    where = ".".join(str(part) for part in fault["loc"] if part not in ("query", "body", "path"))
    if fault["type"] == "json_invalid":
        return f"The body is not JSON ({fault['ctx']['error']}, at character {where})."
    if not where:
        return 'The body must be JSON such as {"text": "a cat"}, sent with the content type application/json.'
    if fault["type"] == "missing":
        return f"`{where}` is missing; /docs says what this address needs."
    if fault["type"] == "extra_forbidden":
        return f"`{where}` is not known here; /docs lists what is."
    if "UploadFile" in fault["msg"]:
        return f"`{where}` must be a file of the form."
    return f"`{where}`: {fault['msg']}."


def _has_copy(request: Request, etag: str) -> bool:
    """Whether the browser already has what `etag` names; what lies between may have made its mark weak."""
    known = [mark.strip().removeprefix("W/") for mark in request.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Make a sentence of the reason why a photograph cannot be read, which by itself names none."""
    try:
        yield
    except PhotographError as error:
        raise PhotographError(f"{what}: {error.message}.") from None


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
