"""The command `smysl search`: asks the service that is serving the library, or else the library. `service/cli/app.py` hangs
it under `smysl`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from service.cli.search_output import SearchOutput
from service.cli.terminal import (
    DeviceOption,
    JsonOption,
    LibraryOption,
    PrecisionOption,
    open_library,
    open_named,
    print_line,
    say,
    settings_of,
)
from service.errors import UsageError

if TYPE_CHECKING:
    from service.cli.local_service import Question
    from service.config import Settings


def search(
    text: Annotated[Optional[str], typer.Argument(help="The scene, in words.")] = None,  # noqa: UP045
    image: Annotated[Optional[Path], typer.Option(help="Find photographs like this one.")] = None,  # noqa: UP045
    k: Annotated[int, typer.Option("-k", help="How many photographs, 1 to 200.")] = 5,
    min_match: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            help="None with a lower match, 0 to 1; without it the match's own cut is used, 0 shows the nearest."
        ),
    ] = None,
    box: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="X,Y,W,H", help="Search with this part of --image only, in fractions of it from the top left."
        ),
    ] = None,
    keep_borders: Annotated[
        bool, typer.Option("--keep-borders", help="Search with letterboxes, frames and screens around --image too.")
    ] = False,
    head: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="Compare photographs by this head of the library; `smysl head list`."),
    ] = None,
    library: LibraryOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say whether a service was asked, or why none was.")
    ] = False,
) -> None:
    """Find the photographs that show a scene, or that are like another photograph.

    Prints match and file, best first; in a pipe separated by a tab. Where `smysl serve` is serving the library
    already, it is asked, which saves loading the model.
    """
    if image is None and text is None:
        raise UsageError('Say what to look for: smysl search "a red flower", or smysl search --image FILE.')
    settings = settings_of(library=library, device=device, precision=precision)
    asked = SearchRequest(text, image, k, min_match, head, box, keep_borders)
    answered = _of_service(asked, settings, as_json, say if verbose else lambda sentence: None)
    if answered is None:
        answered = _of_library(asked, settings, as_json)
    if isinstance(answered, str):
        print_line(answered)
    else:
        _show(answered, "shows" if text else "looks like")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What the command was told to look for."""

    text: str | None
    image: Path | None
    k: int
    min_match: float | None
    head: str | None
    box: str | None
    keep_borders: bool


def _of_service(
    asked: SearchRequest, settings: Settings, as_json: bool, tell: Callable[[str], None]
) -> SearchOutput | str | None:
    """What a service that is serving the library answers, the JSON for programs as it is printed; None without one."""
    from service.cli.local_service import ask_service

    # What is asked the wrong way gets its sentence from the library.
    if (asked.text is None) == (asked.image is None) or (asked.text and (asked.head or asked.box)):
        return None
    body = ask_service(settings.library.expanduser(), settings, partial(_question, asked), tell)
    if body is None:
        return None
    try:
        if not as_json:
            return SearchOutput.read(body)
        from service.web.schemas import SearchOut

        return SearchOut.model_validate_json(body).model_dump_json(indent=2)
    except ValueError:
        tell("Its answer is none to a search, so the command searches by itself.")
        return None


def _question(asked: SearchRequest) -> Question:
    from service.cli.local_service import photograph_question, text_question

    if asked.image is None:
        assert asked.text is not None  # noqa: S101 - `_of_service` sees to it
        return text_question(asked.text, asked.k, asked.min_match)
    from service.photos.decode import read_file

    fields = {"k": str(asked.k), "keep_borders": str(asked.keep_borders).lower()}
    given = {"min_match": asked.min_match, "head": asked.head, "box": asked.box}
    fields |= {name: str(value) for name, value in given.items() if value is not None}
    return photograph_question(read_file(asked.image), fields)


def _of_library(asked: SearchRequest, settings: Settings, as_json: bool) -> SearchOutput | str:
    """What the library itself answers; the JSON for programs as it is printed."""
    from service.photos.crop import Box, side_to_decode
    from service.search.query import Query

    part = None if asked.box is None else Box.parse(asked.box)
    pixels = None if asked.image is None else open_named(asked.image, shorter_side=side_to_decode(part)).image
    query = Query(
        text=asked.text,
        image=pixels,
        k=asked.k,
        min_match=asked.min_match,
        head=asked.head,
        box=part,
        keep_borders=asked.keep_borders,
    )
    with open_library(settings) as opened:
        result = opened.search(query)
    if not as_json:
        return SearchOutput.of(result)
    from service.web.schemas import SearchOut

    return SearchOut.of(result).model_dump_json(indent=2)


def _show(answer: SearchOutput, does: str) -> None:
    if answer.notice:
        say(answer.notice)
    if answer.borders_left_out:
        say(
            f"Its borders were left out: only the part {answer.part} was searched with. --keep-borders takes all of it."
        )
    separator = "  " if sys.stdout.isatty() else "\t"
    for match, path in answer.hits:
        print_line(f"{match:.3f}{separator}{path}")
    if not answer.answerable and answer.best_match is not None:
        shown = (
            "these are the nearest."
            if answer.hits
            else f"only {answer.min_match:.3f} or more is shown. --min-match 0 shows the nearest anyway."
        )
        say(f"Nothing here {does} that: the best match is {answer.best_match:.3f}; {shown}")
