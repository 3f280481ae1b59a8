"""Middleware that limits the size of requests and checks their host name, and the same-origin check of writing routes.

The middleware refuses a request before any route sees it.
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

_MAX_DIGITS = 18
"""Digits of a `Content-Length` that are parsed; a longer number exceeds every limit."""


class UploadLimit:
    """Stops reading a request's body once more than `limit` bytes have come, or refuses it where it announces more.

    `forms` maps the paths that take many photographs at once to limits of their own.
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
        message = _form_too_large(limit) if scope["path"] in self._forms else _upload_too_large(limit)
        if announced.isdigit() and (len(announced) > _MAX_DIGITS or int(announced) > limit):
            await error_response(TooLargeError(message))(scope, receive, send)
            return
        await self._app(scope, self._counted(receive, limit, message), send)

    def _counted(self, receive: Receive, limit: int, error_message: str) -> Callable[[], Any]:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                # While FastAPI reads a body it passes only an HTTPException on. The rest of the body stays
                # unread, so the connection cannot be used again.
                raise HTTPException(TooLargeError.http_status, error_message, {"connection": "close"})
            return message

        return counted


def _upload_too_large(limit: int) -> str:
    return f"The upload is larger than {limit / 1e6:g} MB; send a smaller photograph, or raise SMYSL_UPLOAD_LIMIT_MB."


def _form_too_large(limit: int) -> str:
    return (
        f"The form is larger than {limit / 1e6:g} MB; send the photographs in several requests, or raise "
        "SMYSL_FORM_LIMIT_MB."
    )


class HostCheck:
    """Refuses requests whose `Host` header does not name this machine.

    Protects against DNS rebinding: a foreign page could point its own name at the loopback address and read the
    photographs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if not is_loopback(without_port(host)):
                error = ForbiddenError(
                    f"This service answers requests from this machine only, and not under the name {host!r}. Open it "
                    "as http://localhost, or start it with --host to let others in."
                )
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def require_same_origin(request: Request) -> None:
    """Raise `ForbiddenError` for a request that a browser sends on behalf of another site.

    Every route that writes depends on this: a foreign page cannot read the service's responses, but it could send
    requests in the name of its reader. Browsers say where a request comes from, and pages cannot change it.
    `Sec-Fetch-Site` is used first, because a reverse proxy may have changed the host that `Origin` is compared with.
    Programs send neither header and pass.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_foreign = site not in ("same-origin", "none")
    else:
        is_foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if is_foreign:
        raise ForbiddenError("Only the service's own page may change anything; this request came from another page.")


def without_port(host: str) -> str:
    """The name or address in a `Host` header: `[::1]:8000` is `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
