"""What routes take from the application: the open library, its health checker and the progress of its index run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from service.library import Library
from service.web.health import HealthChecker
from service.web.schemas import IndexingOut

ReadProgress = Callable[[], IndexingOut | None]
"""Returns the progress of the index run; None while none is running."""


# These are coroutines because FastAPI would run plain functions in a worker thread.
async def _library(request: Request) -> Library:
    library: Library = request.app.state.library
    return library


async def _health(request: Request) -> HealthChecker:
    health: HealthChecker = request.app.state.health
    return health


async def _progress(request: Request) -> ReadProgress:
    progress: ReadProgress = request.app.state.progress
    return progress


OpenLibrary = Annotated[Library, Depends(_library)]
Health = Annotated[HealthChecker, Depends(_health)]
Progress = Annotated[ReadProgress, Depends(_progress)]
