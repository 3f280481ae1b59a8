"""The command `smysl serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.terminal import (
    DeviceOption,
    LibraryOption,
    ModelOption,
    PrecisionOption,
    open_library,
    say,
    settings_of,
)


def serve(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Folders to index in the background first, and to watch with --watch."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. Default: SMYSL_HOST, or 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on, 0 for any free one. Default: SMYSL_PORT, or 8000."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Number of processes that answer; they share one index. Default: SMYSL_WORKERS, or 1."),
    ] = None,
    watch: Annotated[
        bool | None,
        typer.Option(
            "--watch/--no-watch",
            help="Keep the library in step with the disk, as smysl watch does. Default: SMYSL_WATCH, or no.",
        ),
    ] = None,
    library: LibraryOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
) -> None:
    """Serve the library over HTTP, with a web page at / and API documentation at /docs."""
    from service.store.new_library import removed_if_it_fails
    from service.web.server import run

    settings = settings_of(
        library=library,
        model=model,
        device=device,
        precision=precision,
        host=host,
        port=port,
        workers=workers,
        watch=watch,
    )
    with removed_if_it_fails(settings.library.expanduser()), open_library(settings, create=bool(folders)) as opened:
        run(opened, folders or (), say=say)
