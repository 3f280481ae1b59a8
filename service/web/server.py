"""Runs the HTTP service: listens on the address, announces it and starts one process or several."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from service.errors import UsageError
from service.indexing.roots import resolve_watched
from service.library import Library
from service.store.loopback import is_loopback
from service.store.paths import resolve_folder
from service.store.service_registry import SERVICE_HEADER, announced
from service.types import Say


def run(library: Library, folders: Sequence[Path], say: Say) -> None:
    """Serve `library` until interrupted, and index `folders` in the background, or watch them if the settings say so.

    Announces the address through `say` once the model answers. Raises `UsageError` where the address cannot be
    listened on, `NotFoundError` for a folder that does not exist.
    """
    folders = [
        resolve_watched(library.catalog, folder) if library.settings.watch else resolve_folder(folder)
        for folder in folders
    ]
    host, port = library.settings.host, library.settings.port
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    if not is_loopback(host):
        say(
            f"Warning: listening on {host}, so everybody who can reach this machine can search and see the "
            "photographs; smysl has no password."
        )
    with closing(listening), suppress(KeyboardInterrupt), announced(library.folder, library.settings) as note:

        def announce() -> None:
            note.write(port)
            say(f"smysl is at http://{_browser_host(host)}:{port}  (stop it with Ctrl-C)")

        options = _uvicorn_options([(SERVICE_HEADER, note.token)])
        if library.settings.workers == 1:
            _run_in_this_process(library, folders, listening, options, announce, note.close)
            return
        from service.web.workers import run_workers

        run_workers(library, folders, listening, options, say, announce)


def _uvicorn_options(headers: list[tuple[str, str]]) -> dict[str, Any]:
    """Options of every server: warnings alone are logged, those of the logger "smysl" in uvicorn's format."""
    from uvicorn.config import LOGGING_CONFIG

    logger = {"handlers": ["default"], "level": "WARNING", "propagate": False}
    log_config = LOGGING_CONFIG | {"loggers": LOGGING_CONFIG["loggers"] | {"smysl": logger}}
    return {"log_level": "warning", "log_config": log_config, "server_header": False, "headers": headers}


def _run_in_this_process(
    library: Library,
    folders: Sequence[Path],
    listening: socket.socket,
    options: dict[str, Any],
    on_started: Callable[[], None],
    on_stopping: Callable[[], None],
) -> None:
    import uvicorn

    from service.web.app import create_app, prepare_process

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                on_started()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Not after the shutdown: uvicorn then raises the signal that stopped it again, which ends the process.
            on_stopping()
            await super().shutdown(sockets)

    application = create_app(library, folders=folders)
    prepare_process(library)
    Server(uvicorn.Config(application, **options)).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only for sockets with this protocol; without it small responses wait 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, UnicodeError) as error:
        listening.close()
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"Port {port} is in use. Choose another with --port (0 takes any free one), or stop the program that "
                "uses it."
            ) from None
        if isinstance(error, PermissionError):
            advice = "Choose a port from 1024 up with --port."
        else:
            advice = "Choose an address of this machine with --host, such as 127.0.0.1."
        raise UsageError(f"Cannot listen on {host}:{port} ({reason}). {advice}") from None
    return listening


def _browser_host(host: str) -> str:
    """The host to type into a browser for an address that the service listens on."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, never bound to
        return "localhost"
    return f"[{host}]" if ":" in host else host
