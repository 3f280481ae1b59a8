"""The HTTP application over one open library: its routes, middleware, error handlers and the page.

Work with the model runs in worker threads, never on the event loop.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool

from service.library import Library
from service.store.loopback import is_loopback
from service.web.background_index import BackgroundIndex
from service.web.dependencies import ReadBackground
from service.web.error_responses import add_error_handlers
from service.web.health import HealthChecker
from service.web.middleware import HostCheck, UploadLimit
from service.web.routes import classify, photographs, ratings, search, state
from service.web.schemas import ErrorOut

SWITCH_S = 0.001
"""How long a thread may hold the interpreter, in seconds: a search that computes delays all other responses."""

_PAGE = Path(__file__).parent / "page"
_PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorOut, "description": "the request is wrong"},
    "5XX": {"model": ErrorOut, "description": "the service failed"},
}


def create_app(library: Library, *, folders: Sequence[Path] = (), background: ReadBackground | None = None) -> FastAPI:
    """The service over an open library; once it runs, it indexes `folders` in the background, and watches if it is to.

    `background` reads the state of the index runs if another process does them for this service.
    """
    indexing = BackgroundIndex(library, folders)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if background is None:
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
    app.state.library = library
    app.state.health = HealthChecker(library)
    app.state.background = background or indexing.state
    settings = library.settings
    app.add_middleware(
        UploadLimit,
        limit=int(settings.upload_limit_mb * 1_000_000),
        forms={classify.PATH: int(settings.form_limit_mb * 1_000_000)},
    )
    if is_loopback(settings.host):
        app.add_middleware(HostCheck)
    for routes in (search, photographs, ratings, classify, state):
        app.include_router(routes.router)
    _add_page(app)
    add_error_handlers(app)
    return app


def prepare_process(library: Library) -> None:
    """Get this process ready to serve `library`: load its model and index, and set the thread switch interval.

    Raises what is wrong with the model here, before the server runs, where it would become a traceback.
    """
    sys.setswitchinterval(SWITCH_S)
    if library.status().model is not None:
        library.check()


def _add_page(app: FastAPI) -> None:
    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html", headers=_PAGE_HEADERS)

    app.mount("/page", StaticFiles(directory=_PAGE), name="page")
