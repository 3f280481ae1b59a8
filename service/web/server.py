"""Running the HTTP service: the address, the warning, the log."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from service.errors import UsageError
from service.library import Library
from service.store.loopback import is_loopback
from service.store.paths import resolve_folder
from service.store.service_registry import HEADER, noting

SWITCH_S = 0.001
"""Seconds that one thread may keep Python to itself: a search that computes keeps others from being answered."""


def run(library: Library, folders: Sequence[Path], say: Callable[[str], None]) -> None:
    """Serve `library` until interrupted; indexes `folders` in the background meanwhile.

    The address is announced when the model answers. Raises `UsageError` where the port cannot be had,
    `NotFoundError` for a folder that is not there.
    """
    folders = [resolve_folder(folder) for folder in folders]
    host, port = library.settings.host, library.settings.port
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    if not is_loopback(host):
        say(
            f"Warning: listening on {host}, so everybody who reaches this machine can search and see the photographs; "
            "smysl asks for no password."
        )
    with closing(listening), suppress(KeyboardInterrupt), noting(library.folder, library.settings) as note:

        def announce() -> None:
            note.write(port)
            say(f"smysl is at http://{_name(host)}:{port}  (stop it with Ctrl-C)")

        headers = [(HEADER, note.token)]
        if library.settings.workers == 1:
            _run_alone(library, folders, listening, headers, announce, note.close)
            return
        from service.web.workers import run_workers

        run_workers(library, folders, listening, headers, say, announce)


def _run_alone(
    library: Library,
    folders: Sequence[Path],
    listening: socket.socket,
    headers: list[tuple[str, str]],
    announce: Callable[[], None],
    withdraw: Callable[[], None],
) -> None:
    import uvicorn

    from service.web.app import create_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                announce()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Once the server has stopped, the signal that stopped it ends the process.
            withdraw()
            await super().shutdown(sockets)

    application = create_app(library, folders=folders)
    sys.setswitchinterval(SWITCH_S)
    if library.status().model is not None:
        # Here a model that does not load is a sentence; inside the server it would be a traceback.
        library.check()
    Server(uvicorn.Config(application, log_level="warning", server_header=False, headers=headers)).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only of a socket that says TCP does asyncio send small pieces at once, not 40 milliseconds later.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, UnicodeError) as error:
        listening.close()
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            advice = "Another service is there; stop it, or choose another port with --port (0 takes any free one)."
        elif isinstance(error, PermissionError):
            advice = "Choose a port from 1024 up with --port."
        else:
            advice = "Choose an address of this machine with --host, such as 127.0.0.1."
        raise UsageError(f"The address {host}:{port} cannot be listened on ({reason}). {advice}") from None
    return listening


def _name(host: str) -> str:
    """What a person types into a browser for an address that is listened on."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, never bound to
        return "localhost"
    return f"[{host}]" if ":" in host else host
