"""The commands `smysl rate` and `smysl ratings`: how well texts describe photographs, as people say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import (
    INTERRUPTED,
    JsonOption,
    LibraryOption,
    errors_console,
    id_of,
    open_library,
    print_line,
    print_sentences,
    say,
    settings_of,
)
from service.errors import UsageError

if TYPE_CHECKING:
    from service.store.records import Rating

ratings_app = typer.Typer(
    help="List and export people's ratings of how well texts describe photographs.", no_args_is_help=True
)


def rate(
    photograph: Annotated[
        str, typer.Argument(metavar="PHOTO", help="A photograph of the library: its id or its file.")
    ],
    words: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="The description to rate; quotes are not needed.")
    ],
    grade: Annotated[
        int | None,
        typer.Option(help="How well the text fits: 1 not at all, 2 in minor parts, 3 almost, 4 fully."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="The text fits.")] = False,
    no: Annotated[bool, typer.Option("--no", help="The text does not fit.")] = False,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who rates. Default: me.")] = None,
    library: LibraryOption = None,
) -> None:
    """Rate how well a text describes a photograph of the library, with one of --grade, --yes and --no.

    Replaces an earlier rating by the same person. Grades are kept apart from yes and no.
    """
    from service.store.ratings import DEFAULT_RATER

    if (grade is not None) + yes + no != 1:
        raise UsageError('Give one of --grade N, --yes and --no, such as smysl rate PHOTO "a red flower" --yes.')
    with open_library(settings_of(library=library)) as opened:
        identity = id_of(photograph)
        if identity is None:
            identity = opened.photograph_at(Path(photograph)).id
        fits = None if grade is not None else yes
        rater = DEFAULT_RATER if by is None else by
        rating = opened.rate(identity, " ".join(words), grade=grade, fits=fits, rater=rater)
        print_line(_describe(rating, str(opened.photograph(identity).path)))


@ratings_app.command(name="list")
def list_ratings(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """List ratings: photograph, text, rating, rater and time, separated by tabs."""
    with open_library(settings_of(library=library)) as opened:
        ratings = opened.ratings()
        records = opened.catalog.records(sorted({rating.photograph_id for rating in ratings}))
    if as_json:
        from service.web.schemas import RatingOut, RatingsOut

        out = RatingsOut(ratings=[RatingOut.of(rating) for rating in ratings], total=len(ratings))
        print_line(out.model_dump_json(indent=2))
        return
    for rating in ratings:
        if rating.photograph_id in records:
            print_line(_describe(rating, str(records[rating.photograph_id].path)))
    if not ratings:
        say('There are no ratings yet. Give one with: smysl rate PHOTO "a red flower" --yes')


@ratings_app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder to write the tables and images/ to.")],
    force: Annotated[bool, typer.Option("--force", help="Replace tables that are already there.")] = False,
    library: LibraryOption = None,
) -> None:
    """Write the ratings and copies of their photographs to a folder, in the layout of smysl train scorer --data.

    Photographs whose files are gone are left out with their ratings, and listed.
    """
    from service.cli.progress import count, steps

    console = errors_console()
    try:
        with open_library(settings_of(library=library)) as opened, steps(console, "Copying") as on_progress:
            done = opened.export_ratings(out.expanduser(), force=force, on_progress=on_progress)
    except KeyboardInterrupt:
        say("Stopped. No tables were written; run the command again.", console)
        raise typer.Exit(INTERRUPTED) from None
    for sentence in done.left_out:
        say(sentence)
    if done.older_grades:
        say(f"The table has room for three grades of a pair; {done.older_grades:,} older grades were left out.")
    texts = "1 text" if done.texts == 1 else f"{done.texts:,} texts"
    print_sentences(
        f"{done.folder} holds {count(done.photographs)} and {texts}; pairs with grades: {done.expert_rows:,}, with yes "
        f"and no: {done.crowd_rows:,}."
    )


def _describe(rating: Rating, path: str) -> str:
    value = f"grade {rating.grade}" if rating.grade is not None else ("yes" if rating.fits else "no")
    return "\t".join((path, rating.text, value, rating.rater, f"{rating.time:%Y-%m-%dT%H:%M:%SZ}"))
