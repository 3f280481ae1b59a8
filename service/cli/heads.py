"""The commands under `smysl head`: the heads of a library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.terminal import JsonOption, LibraryOption, open_library, print_line, print_sentences, say, settings_of

head_app = typer.Typer(help="Manage a library's heads, which compare photographs by kind.", no_args_is_help=True)
NameArgument = Annotated[
    str, typer.Argument(help="Name of the head: letters, digits, “-”, “_” and “.”, at most 40 characters.")
]


@head_app.command(name="add")
def add_head(
    name: NameArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder written by `smysl train similar`.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a head of the same name.")] = False,
    library: LibraryOption = None,
) -> None:
    """Copy a head into the library and build its index. No photograph is encoded again.

    Then search with it: smysl search --image FILE --head NAME.
    """
    with open_library(settings_of(library=library)) as opened:
        added = opened.add_head(name, folder, force=force)
        missing = opened.status().photographs - added.photographs
    kinds = "1 kind" if added.kinds == 1 else f"{added.kinds:,} kinds"
    print_sentences(
        f"The head {added.name} ({added.candidate}, {kinds}) is in the library {opened.folder} and finds "
        f"{added.photographs:,} photographs."
    )
    if missing > 0:
        say(
            f"{missing:,} photographs have no features of {' + '.join(added.models)} yet, so this head cannot find "
            f"them. Compute the features with: smysl index --library {opened.folder}"
        )


@head_app.command(name="list")
def list_heads(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """List heads: name, method, number of kinds, models, MAP@10 if measured, number of photographs; tab-separated."""
    with open_library(settings_of(library=library)) as opened:
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
        say("The library has no heads. Fit one with smysl train similar, then add it with smysl head add NAME DIR.")


@head_app.command(name="remove")
def remove_head(name: NameArgument, library: LibraryOption = None) -> None:
    """Remove a head from the library. The folder written by `smysl train similar` is left alone."""
    with open_library(settings_of(library=library)) as opened:
        opened.remove_head(name)
        print_sentences(f"The head {name} is no longer in the library {opened.folder}.")
