"""What routes take from the application: the open library, its health checker and the progress of its index run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Request

from service.library import Library
from service.web.health import HealthChecker
from service.web.schemas import IndexingOut

ReadProgress = Callable[[], IndexingOut | None]
"""Returns the progress of the index run; None while none is running."""


def _state(name: str) -> Callable[[Request], Awaitable[Any]]:
    # A coroutine, because FastAPI runs plain functions in a worker thread.
    async def read(request: Request) -> Any:
        return getattr(request.app.state, name)

    return read


OpenLibrary = Annotated[Library, Depends(_state("library"))]
Health = Annotated[HealthChecker, Depends(_state("health"))]
Progress = Annotated[ReadProgress, Depends(_state("progress"))]
