"""The command `smysl forget`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import LibraryOption, id_of, open_library, print_line, say, settings_of
from service.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from service.library import Library


def forget(
    photographs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PHOTO]...", help="Photographs of the library or removed ones: ids, files or folders."),
    ] = None,
    removed: Annotated[
        bool, typer.Option("--removed", help="All photographs that were taken out of the library.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    library: LibraryOption = None,
) -> None:
    """Erase photographs from the library with their ratings and kinds, for good. No file is deleted.

    smysl index --prune and smysl roots remove keep ratings and kinds until their photographs come back; this does not.
    """
    from service.cli.progress import count

    if not photographs and not removed:
        raise UsageError("Name photographs to forget, or use --removed for all that were taken out of the library.")
    with open_library(settings_of(library=library)) as opened:
        buried = {each.id: Path(each.path) for each in opened.removed()}
        named = {identity for name in photographs or () for identity in _find(opened, name, buried)}
        ids = sorted(named | buried.keys() if removed else named)
        if not ids:
            say("There is nothing to forget.")
            return
        _ask(f"Erase {count(len(ids))} with all ratings and kinds from the library, for good?", yes)
        there = [record.path for record in opened.catalog.records(ids).values() if record.path.exists()]
        done = opened.forget(ids)
        print_line(
            f"Erased {count(done.photographs)}, {_number(done.ratings, 'rating')} and {_number(done.kinds, 'kind')} "
            "for good. No file was deleted."
        )
        if there:
            verb, them = ("is", "it") if len(there) == 1 else ("are", "them")
            say(
                f"{count(len(there))} {verb} still in a folder of the library, such as {there[0]}; smysl index adds "
                f"{them} again as new. Name {them} in a file .smyslignore to keep {them} out."
            )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _find(library: Library, name: str, buried: Mapping[int, Path]) -> list[int]:
    """The ids of the photographs that a person means by an id, a file or a folder; `buried` are the removed ones."""
    from service.store.paths import real_path

    if not name:
        raise UsageError("One of the names is empty; name a photograph or a folder, or use . for the current folder.")
    identity = id_of(name)
    if identity is not None:
        ids = [identity] if identity in buried or library.catalog.records([identity]) else []
    else:
        path = real_path(Path(name))
        ids = [identity for identity, file in buried.items() if file.is_relative_to(path)]
        ids += library.photographs_at(path)
    if not ids:
        raise NotFoundError(f"{name} is no photograph of the library, and none that was taken out of it.")
    return ids


def _ask(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("This erases for good, and nobody can be asked here. Use --yes.")
    typer.confirm(question, abort=True, err=True)
