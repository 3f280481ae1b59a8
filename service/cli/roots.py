"""The commands `smysl roots`: the folders of a library, where they are now, and how one leaves the library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.terminal import (
    JsonOption,
    LibraryOption,
    open_library,
    print_json,
    print_line,
    say,
    settings_of,
)

roots_app = typer.Typer(
    help="List the folders of the library, say where one has moved to, or take one out.", no_args_is_help=True
)


@roots_app.command(name="list")
def list_roots(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """List the folders of the library, with how many photographs each has and whether it is there."""
    from service.store.paths import is_folder

    with open_library(settings_of(library=library)) as opened:
        photographs = opened.catalog.photographs_by_root()
        rows = [
            {
                "path": str(root.path),
                "photographs": photographs.get(root.id, 0),
                "there": is_folder(root.path),
                "exclude": list(root.options.exclude),
                "follow_links": root.options.follow_links,
                "min_bytes": root.options.min_bytes,
            }
            for root in opened.status().roots
        ]
    if as_json:
        print_json(rows, ensure_ascii=False)
        return
    for row in rows:
        away = "" if row["there"] else "\tnot there: its photographs stay in the library"
        print_line(f"{row['path']}\t{row['photographs']:,}{away}")
    if not rows:
        say("The library has no folders yet. Add one with smysl index DIR.")


@roots_app.command()
def move(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The folder as the library knows it.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Where it is now.")],
    force: Annotated[bool, typer.Option("--force", help="Also where none of its photographs is found in NEW.")] = False,
    library: LibraryOption = None,
) -> None:
    """Say that a folder of photographs has moved, for example to another drive. Nothing is encoded again."""
    with open_library(settings_of(library=library)) as opened:
        root = opened.move_root(old, new, force=force)
    print_line(f"The photographs of {old} are now in {root.path}.")


@roots_app.command()
def remove(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of the library.")],
    library: LibraryOption = None,
) -> None:
    """Take a folder and its photographs out of the library. No file is deleted.

    Ratings and kinds are kept, and are there again when the folder is indexed again. smysl forget erases them.
    """
    from service.cli.progress import count

    with open_library(settings_of(library=library)) as opened:
        removed = opened.remove_root(folder)
    print_line(f"Took {folder} with {count(removed)} out of the library. Its files were not touched.")
