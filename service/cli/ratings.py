"""The commands of ratings: `smysl rate` and `smysl ratings`. `service/cli/app.py` hangs them under `smysl`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import INTERRUPTED, JsonOption, LibraryOption, errors_console, print_line, say, settings_of
from service.errors import UsageError

if TYPE_CHECKING:
    from service.library import Library
    from service.store.records import Rating

ratings_app = typer.Typer(help="What people said of how well texts fit photographs.", no_args_is_help=True)


def rate(
    photograph: Annotated[str, typer.Argument(metavar="PHOTO", help="Id of a photograph of the library, or its file.")],
    text: Annotated[str, typer.Argument(help="What it may show.")],
    grade: Annotated[
        int | None,
        typer.Option(help="1: does not describe it, 2: minor parts of it, 3: almost, 4: describes it."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="The text fits.")] = False,
    no: Annotated[bool, typer.Option("--no", help="The text does not fit.")] = False,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who says so; else me.")] = None,
    library: LibraryOption = None,
) -> None:
    """Say how well a text fits a photograph of the library: one of --grade, --yes and --no.

    Replaces what the same person said of the two before. A grade and a yes or no stand beside each other.
    """
    from service.store.ratings import DEFAULT_RATER

    if (grade is not None) + yes + no != 1:
        raise UsageError('Say one of --grade N, --yes and --no: smysl rate PHOTO "a red flower" --yes.')
    with _open(library) as opened:
        # No photograph's file is named by digits alone.
        identity = int(photograph) if photograph.isdecimal() else opened.photograph_at(Path(photograph)).id
        fits = None if grade is not None else yes
        given = opened.rate(identity, text, grade=grade, fits=fits, rater=DEFAULT_RATER if by is None else by)
        print_line(_described(given, str(opened.photograph(identity).path)))


@ratings_app.command(name="list")
def list_ratings(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Print every rating: photograph, text, what was said, by whom and when, separated by tabs."""
    with _open(library) as opened:
        ratings = opened.ratings()
        records = opened.catalog.records(sorted({rating.photograph_id for rating in ratings}))
    if as_json:
        from service.web.schemas import RatingOut, RatingsOut

        out = RatingsOut(ratings=[RatingOut.of(rating) for rating in ratings], total=len(ratings))
        print_line(out.model_dump_json(indent=2))
        return
    for rating in ratings:
        if rating.photograph_id in records:
            print_line(_described(rating, str(records[rating.photograph_id].path)))
    if not ratings:
        say('There are no ratings yet. Give one with: smysl rate PHOTO "a red flower" --yes')


@ratings_app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder for the tables and images/.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the tables that the folder holds.")] = False,
    library: LibraryOption = None,
) -> None:
    """Write the ratings as tables, with copies of their photographs, as a folder of data.

    The folder is one that smysl train scorer --data takes. Photographs whose files are gone are named and
    left out with their ratings.
    """
    from service.cli.progress import count, steps

    console = errors_console()
    try:
        with _open(library) as opened, steps(console, "Copying") as shown:
            done = opened.export_ratings(out.expanduser(), force=force, on_progress=shown)
    except KeyboardInterrupt:
        console.print("Stopped. No tables were written; run the command again.")
        raise typer.Exit(INTERRUPTED) from None
    for sentence in done.left_out:
        say(sentence)
    if done.older_grades:
        say(f"A row has three judges; {done.older_grades:,} older grades of pairs with more were left out.")
    texts = "1 text" if done.texts == 1 else f"{done.texts:,} texts"
    print_line(
        f"{done.folder} holds {count(done.photographs)} and {texts}; pairs with grades: {done.expert_rows:,}, with yes "
        f"and no: {done.crowd_rows:,}."
    )


def _described(rating: Rating, path: str) -> str:
    said = f"grade {rating.grade}" if rating.grade is not None else ("yes" if rating.fits else "no")
    return "\t".join((path, rating.text, said, rating.rater, f"{rating.time:%Y-%m-%dT%H:%M:%SZ}"))


def _open(library: Path | None) -> Library:
    from service.library import Library

    settings = settings_of(library=library)
    return Library.open(settings.library.expanduser(), settings)
