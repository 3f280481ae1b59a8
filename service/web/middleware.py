"""What stands before every request: its size, and the name that it was sent to; and who may change something.

The first two answer by themselves, as `{"error": {"kind", "message"}}`, before anything of the service is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ForbiddenError, TooLargeError
from service.store.loopback import is_loopback
from service.web.error_responses import error_response

_MOST_DIGITS = 18
"""Digits of a length that are worth reading; more is over every limit."""


class UploadLimit:
    """Cuts a request's body off as soon as more than `limit` bytes have come, or are announced.

    `forms` has limits of their own for the paths that take many photographs at once.
    """

    def __init__(self, app: ASGIApp, limit: int, forms: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._limit = limit
        self._forms = dict(forms or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counted body, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        limit = self._forms.get(scope["path"], self._limit)
        sentence = _too_large_form(limit) if scope["path"] in self._forms else _too_large(limit)
        if announced.isdigit() and (len(announced) > _MOST_DIGITS or int(announced) > limit):
            await error_response(TooLargeError(sentence))(scope, receive, send)
            return
        await self._app(scope, self._counted(receive, limit, sentence), send)

    def _counted(self, receive: Receive, limit: int, sentence: str) -> Callable[[], Any]:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                # FastAPI lets an HTTPException through while it reads a body, and no other error. What is
                # left of the body is not read, so the connection cannot be used again.
                raise HTTPException(TooLargeError.http_status, sentence, {"connection": "close"})
            return message

        return counted


def _too_large(limit: int) -> str:
    return f"The upload is larger than {limit / 1e6:g} MB; send a smaller photograph, or raise SMYSL_UPLOAD_LIMIT_MB."


def _too_large_form(limit: int) -> str:
    return (
        f"The form is larger than {limit / 1e6:g} MB; send the photographs in several requests, or raise "
        "SMYSL_FORM_LIMIT_MB."
    )


class OwnName:
    """Refuses requests that were sent to another name than this machine's own.

    A foreign page could otherwise point its own name at the loopback address and read the photographs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if not is_loopback(without_port(host)):
                refusal = ForbiddenError(
                    f"This service answers this machine only, not the name {host!r}; open it as http://localhost, or "
                    "start it with --host to let others in."
                )
                await error_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def check_own_page(request: Request) -> None:
    """Raise `ForbiddenError` for a request that a browser sends for a page of another site.

    A route that changes something depends on it: a foreign page cannot read the answers of this service, but
    could send it what its reader never said. Browsers say where a request comes from and pages cannot change
    what they say; `Sec-Fetch-Site` goes first, because a proxy before the service may have changed the name
    that `Origin` is compared with. Programs say nothing and pass.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if foreign:
        raise ForbiddenError("Only the page of this service may change something, and another page asked for it.")


def without_port(host: str) -> str:
    """The name or address in a `Host` header: `[::1]:8000` is `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
