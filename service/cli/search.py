"""The command `smysl search`, which asks a running service of the library, or else the library itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import filter_options
from service.cli.search_output import SearchOutput
from service.cli.terminal import (
    DeviceOption,
    JsonOption,
    LibraryOption,
    PrecisionOption,
    joined,
    open_library,
    open_named,
    print_line,
    say,
    settings_of,
)
from service.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.cli.local_service import HttpRequest
    from service.config import Settings
    from service.search.filter_values import FilterValue
    from service.search.query import Order
    from service.types import Say


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help="The scene, in words; dates and places are filters."),
    ] = None,
    image: Annotated[Path | None, typer.Option(help="Find photographs like this one.")] = None,
    k: Annotated[int, typer.Option("-k", "-n", "--limit", help="How many photographs to show at most.")] = 5,
    min_match: Annotated[
        float | None,
        typer.Option(
            help="Lowest match to show, 0 to 1; 0 shows the nearest, however bad. Default: learnt from ratings for a "
            "text, 0 for a photograph."
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H", help="Search with this part of --image only: left, top, width and height from 0 to 1."
        ),
    ] = None,
    keep_borders: Annotated[
        bool, typer.Option("--keep-borders", help="Do not crop letterboxes, frames and screens around --image.")
    ] = False,
    head: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Compare photographs with this head; smysl head list shows all."),
    ] = None,
    taken_from: filter_options.TakenFrom = None,
    taken_to: filter_options.TakenTo = None,
    month: filter_options.Month = None,
    day: filter_options.Day = None,
    camera: filter_options.Camera = None,
    lens: filter_options.Lens = None,
    focal_length: filter_options.FocalLength = None,
    place: filter_options.Place = None,
    near: filter_options.Near = None,
    has_place: filter_options.HasPlace = None,
    folder: filter_options.Folder = None,
    keyword: filter_options.Keyword = None,
    person: filter_options.Person = None,
    min_stars: filter_options.MinStars = None,
    label: filter_options.Label = None,
    format: filter_options.Format = None,
    is_raw: filter_options.IsRaw = None,
    orientation: filter_options.Orientation = None,
    order: filter_options.Order = "match",
    library: LibraryOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say which running service answered, or why none did.")
    ] = False,
) -> None:
    """Find photographs that show a scene, that are like another photograph, or that filters leave.

    Prints match and file, best first, separated by a tab in a pipe. Dates, places and pairs such as camera:canon in
    the text are filters, too; quote words to search for them as they are. If smysl serve is running for the library,
    it answers, which saves loading the model.
    """
    from service.search.filter_values import filters_from_names

    filters: dict[str, FilterValue] = {
        "taken_from": taken_from,
        "taken_to": taken_to,
        "month": month,
        "day": day,
        "camera": camera,
        "lens": lens,
        "focal_length": focal_length,
        "place": place,
        "near": near,
        "has_place": has_place,
        "folder": folder,
        "keyword": keyword,
        "person": person,
        "min_stars": min_stars,
        "label": label,
        "format": format,
        "is_raw": is_raw,
        "orientation": orientation,
    }
    filters = {name: value for name, value in filters.items() if value not in (None, [])}
    # A wrong value is reported before a model is loaded, and under the name of its flag.
    is_filtered = bool(filters_from_names(filters))
    if order not in _ORDERS:
        raise UsageError(f"--order is {order}; it must be match, date or -date.")
    if image is None and not words and not is_filtered and order == "match":
        raise UsageError('Say what to look for: smysl search "a red flower", or smysl search --image FILE.')
    settings = settings_of(library=library, device=device, precision=precision)
    request = SearchRequest(joined(words), image, k, min_match, head, box, keep_borders, filters, _ORDERS[order])
    output = _ask_service(request, settings, as_json, say if verbose else lambda sentence: None)
    if output is None:
        output = _search_library(request, settings, as_json)
    if isinstance(output, str):
        print_line(output)
    else:
        output.print()


_ORDERS: Mapping[str, Order] = {"match": "match", "date": "taken_at", "-date": "-taken_at"}
"""Orders of the library by their names on the command line."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What the command was asked to look for; `words` as they were typed."""

    words: str | None
    image: Path | None
    k: int
    min_match: float | None
    head: str | None
    box: str | None
    keep_borders: bool
    filters: Mapping[str, FilterValue]
    order: Order


def _ask_service(request: SearchRequest, settings: Settings, as_json: bool, say: Say) -> SearchOutput | str | None:
    """The answer of a running service, as JSON text for `--json`; None if there is no usable answer."""
    from service.cli.local_service import ask_service, read_search_answer

    # Contradictory requests get their error message from the library; one without a text or photograph needs no model.
    if (request.words is None) == (request.image is None) or (request.words and (request.head or request.box)):
        return None
    body = ask_service(settings.library.expanduser(), settings, partial(_http_request, request), say)
    if body is None:
        return None
    try:
        if not as_json:
            return read_search_answer(body)
        from service.web.schemas import SearchOut

        return SearchOut.model_validate_json(body).model_dump_json(indent=2)
    except ValueError:
        say("Its answer is not a search result, so the command searches by itself.")
        return None


def _http_request(request: SearchRequest) -> HttpRequest:
    from service.cli.local_service import photograph_request, text_request

    fields: dict[str, object] = {"k": request.k, "min_match": request.min_match, **request.filters}
    if request.order != "match":
        fields["order"] = request.order
    if request.image is None:
        return text_request({"q": request.words, **fields})
    from service.photos.decode import read_file

    optional = {"head": request.head, "box": request.box, "keep_borders": request.keep_borders}
    return photograph_request(read_file(request.image), fields | optional)


def _search_library(request: SearchRequest, settings: Settings, as_json: bool) -> SearchOutput | str:
    """The result of the library itself, as JSON text for `--json`."""
    from service.photos.crop import Box, side_to_decode
    from service.search.filter_values import filters_from_names
    from service.search.query import Query

    box = None if request.box is None else Box.parse(request.box)
    pixels = None if request.image is None else open_named(request.image, shorter_side=side_to_decode(box)).image
    query = Query(
        q=request.words,
        image=pixels,
        k=request.k,
        min_match=request.min_match,
        head=request.head,
        box=box,
        keep_borders=request.keep_borders,
        filters=filters_from_names(request.filters),
        order=request.order,
    )
    with open_library(settings) as opened:
        result = opened.search(query)
    if not as_json:
        return SearchOutput.of(result)
    from service.web.schemas import SearchOut

    return SearchOut.of(result).model_dump_json(indent=2)
