"""The options of `smysl search` that say which photographs it may find, and in which order."""

from __future__ import annotations

from typing import Annotated

import typer

TakenFrom = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="Taken on this day or later; a day, month or year such as 2019-07."),
]
TakenTo = Annotated[
    str | None,
    typer.Option("--to", metavar="DATE", help="Taken on this day or earlier; a day, month or year such as 2019-07."),
]
Month = Annotated[str | None, typer.Option(metavar="1-12", help="Taken in this month of any year.")]
Day = Annotated[
    str | None, typer.Option(metavar="1-31", help="Taken on this day of a month; with --month, of any year.")
]
Camera = Annotated[
    list[str] | None, typer.Option(help="Part of the camera's name. Repeat it for one camera or another.")
]
Lens = Annotated[list[str] | None, typer.Option(help="Part of the lens's name; may be repeated.")]
FocalLength = Annotated[
    str | None, typer.Option(metavar="MM", help="Focal length in millimetres, such as 50 or 24-70.")
]
Place = Annotated[
    list[str] | None, typer.Option(help="Town, region or country, in English or Russian; may be repeated.")
]
Near = Annotated[
    str | None, typer.Option(metavar="LAT,LON,KM", help="Taken within KM kilometres of this point, in degrees.")
]
Folder = Annotated[list[str] | None, typer.Option(help="Name of a folder, or several joined by /; subfolders count.")]
Keyword = Annotated[list[str] | None, typer.Option(help="Keyword. If it is repeated, all must be there.")]
Person = Annotated[list[str] | None, typer.Option(help="Person who is tagged. If it is repeated, all must be there.")]
MinStars = Annotated[str | None, typer.Option(metavar="1-5", help="Lowest number of stars.")]
Label = Annotated[list[str] | None, typer.Option(help="Colour label, such as red; may be repeated.")]
Format = Annotated[list[str] | None, typer.Option(help="File format, such as jpeg or raw; may be repeated.")]
IsRaw = Annotated[
    bool | None, typer.Option("--raw/--no-raw", help="Only photographs with a RAW file; --no-raw for those without.")
]
Orientation = Annotated[str | None, typer.Option(metavar="landscape|portrait|square", help="Shape of the photograph.")]
HasPlace = Annotated[
    bool | None,
    typer.Option(
        "--has-place/--no-place", help="Only photographs of which the place is known; --no-place for the others."
    ),
]
Order = Annotated[
    str, typer.Option(metavar="match|date|-date", help="Best match first, oldest first, or newest first.")
]
