"""What routes take from the application: the open library, its health checker and the state of its index runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Request

from service.library import Library
from service.web.background_schemas import BackgroundOut
from service.web.health import HealthChecker

ReadBackground = Callable[[], BackgroundOut]
"""Returns the state of the index runs."""


def _state(name: str) -> Callable[[Request], Awaitable[Any]]:
    # A coroutine, because FastAPI runs plain functions in a worker thread.
    async def read(request: Request) -> Any:
        return getattr(request.app.state, name)

    return read


OpenLibrary = Annotated[Library, Depends(_state("library"))]
Health = Annotated[HealthChecker, Depends(_state("health"))]
Background = Annotated[ReadBackground, Depends(_state("background"))]
