"""The commands of heads: `smysl head`. `service/cli/app.py` hangs them under `smysl`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import JsonOption, LibraryOption, print_line, say, settings_of

if TYPE_CHECKING:
    from service.library import Library

head_app = typer.Typer(
    help="Heads of the library, by which photographs of one kind are near each other.", no_args_is_help=True
)
NameArgument = Annotated[str, typer.Argument(help="Letters, digits, “-”, “_” and “.”, at most 40.")]


@head_app.command(name="add")
def add_head(
    name: NameArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `smysl train similar` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Take the place of a head of the same name.")] = False,
    library: LibraryOption = None,
) -> None:
    """Copy a head into the library and make its index; no photograph is encoded for it.

    Search with it afterwards: smysl search --image FILE --head NAME.
    """
    with _open(library) as opened:
        added = opened.add_head(name, folder, force=force)
        lacking = opened.status().photographs - added.photographs
    print_line(
        f"The head {added.name} ({added.candidate}, {_kinds(added.kinds)}) is in the library {opened.folder} and finds "
        f"{added.photographs:,} photographs."
    )
    if lacking > 0:
        say(
            f"{lacking:,} photographs have no features of {' + '.join(added.models)} yet and cannot be found with it: "
            f"`smysl index --library {opened.folder}` makes them once."
        )


@head_app.command(name="list")
def list_heads(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Print every head: name, what won, kinds, models, MAP@10 where it was measured, photographs, between tabs."""
    with _open(library) as opened:
        heads = opened.heads()
    if as_json:
        from service.web.schemas import HeadOut, HeadsOut

        print_line(HeadsOut(heads=[HeadOut.of(head) for head in heads]).model_dump_json(indent=2))
        return
    for head in heads:
        if head.fault is not None and not head.models:
            print_line(f"{head.name}\tcannot be used")
        else:
            map10 = "" if head.map10 is None else f"{head.map10:.1f}"
            models = " + ".join(head.models)
            print_line(f"{head.name}\t{head.candidate}\t{head.kinds}\t{models}\t{map10}\t{head.photographs}")
        if head.fault is not None:
            say(f"{head.name}: {head.fault}")
    if not heads:
        say("The library has no heads. `smysl train similar` fits one, `smysl head add NAME DIR` adds it.")


@head_app.command(name="remove")
def remove_head(name: NameArgument, library: LibraryOption = None) -> None:
    """Remove the library's copy of a head and its index; what `smysl train similar` wrote stays where it is."""
    with _open(library) as opened:
        opened.remove_head(name)
        print_line(f"The head {name} is no longer in the library {opened.folder}.")


def _kinds(number: int) -> str:
    return f"{number:,} kind" if number == 1 else f"{number:,} kinds"


def _open(library: Path | None) -> Library:
    from service.library import Library

    settings = settings_of(library=library)
    return Library.open(settings.library.expanduser(), settings)
