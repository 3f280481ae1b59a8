"""The commands that bring public data: `smysl data`. `service/cli/app.py` hangs them under `smysl`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from service.cli.terminal import INTERRUPTED, errors_console, print_rows, say
from service.errors import UsageError

if TYPE_CHECKING:
    from data.flickr8k import Edition

data_app = typer.Typer(help="Bring public photographs with captions and ratings.", no_args_is_help=True)


@data_app.command()
def flickr8k(
    out: Annotated[Path, typer.Option(help="Folder for the data; an unfinished run in it goes on.")],
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="Accept the terms, which are shown, without being asked.")
    ] = False,
    source: Annotated[
        Optional[str],  # noqa: UP045 - Typer reads the annotation at run time
        typer.Option("--from", help="Address (http, https) of a mirror of both archives; else the public one."),
    ] = None,
) -> None:
    """Flickr8k: 8,000 photographs, 40,000 captions, what experts and a crowd said of them (1.1 GB).

    Shows the terms and asks whether you accept them. What was cut off goes on with the same command; what is
    whole already is left alone.
    """
    from data.flickr8k import PUBLISHED, SOURCE, TERMS, fetch_flickr8k, why_incomplete
    from service.cli.progress import steps

    if why_incomplete(out):
        say(TERMS)
        _ask(accept_terms)
    else:
        say(f"Flickr8k is in {out} already; nothing was downloaded.")
    try:
        left_out = fetch_flickr8k(out, source or SOURCE, open_progress=partial(steps, errors_console()))
    except KeyboardInterrupt:
        say("Stopped. What has come is kept; run the command again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    for sentence in left_out:
        say(sentence)
    print_rows(_rows(out, PUBLISHED))


def _ask(accepted: bool) -> None:
    """Go on only where somebody has said yes to the terms."""
    if accepted:
        return
    if not sys.stdin.isatty():
        raise UsageError("Nothing is downloaded before the terms above are accepted: add --accept-terms.")
    try:
        agreed = typer.confirm("Do you accept these terms?", err=True)
    except typer.Abort:
        raise typer.Exit(INTERRUPTED) from None
    if not agreed:
        raise UsageError("The terms were not accepted, so nothing was downloaded.")


def _rows(out: Path, edition: Edition) -> dict[str, str]:
    splits = ", ".join(f"{name} {photographs:,}" for name, photographs in edition.splits.items())
    photographs = sum(edition.splits.values())
    return {
        "folder": str(out),
        "photographs": f"{photographs:,} ({splits})",
        "captions": f"{edition.captions:,}",
        "ratings": f"{edition.experts:,} by experts, {edition.crowd:,} by a crowd",
    }
