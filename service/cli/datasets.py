"""The commands under `smysl data`, which download public data sets."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import INTERRUPTED, errors_console, print_rows, say
from service.errors import UsageError

if TYPE_CHECKING:
    from data.flickr8k import Edition

data_app = typer.Typer(help="Download public photographs with captions and ratings.", no_args_is_help=True)


@data_app.command()
def flickr8k(
    out: Annotated[Path, typer.Option(help="Folder for the data; an unfinished download in it is continued.")],
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="Accept the terms of the data set without being asked.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", help="URL of a mirror (http, https) of both archives. Default: the public one."),
    ] = None,
) -> None:
    """Download Flickr8k: 8,000 photographs with 40,000 captions, rated by experts and a crowd (1.1 GB).

    Shows the terms and asks whether you accept them. Run the command again to continue after an interruption;
    complete data is left alone.
    """
    from data.flickr8k import PUBLISHED, SOURCE, TERMS, fetch_flickr8k, why_incomplete
    from service.cli.progress import steps

    if why_incomplete(out):
        say(TERMS)
        _require_consent(accept_terms)
    else:
        say(f"Flickr8k is already in {out}; nothing was downloaded.")
    try:
        left_out = fetch_flickr8k(out, source or SOURCE, open_progress=partial(steps, errors_console()))
    except KeyboardInterrupt:
        say("Stopped. What was downloaded is kept; run the command again to continue.")
        raise typer.Exit(INTERRUPTED) from None
    for sentence in left_out:
        say(sentence)
    print_rows(_rows(out, PUBLISHED))


def _require_consent(accepted: bool) -> None:
    """Return once the terms are accepted; otherwise raise `UsageError`."""
    if accepted:
        return
    if not sys.stdin.isatty():
        raise UsageError("The terms above must be accepted before the download: add --accept-terms.")
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
