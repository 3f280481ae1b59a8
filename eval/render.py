"""Renders the HTML and SVG templates of `eval/templates`.

A report is one HTML file that can be opened, kept and sent: it fetches nothing. Captions, file names and kinds are
other people's text; every value is escaped, and the page's content security policy forbids scripts and requests.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eval.bootstrap import Interval


def page(template: str, **values: object) -> str:
    """A whole file: the text of a template with `values` filled in."""
    return _environment().get_template(template).render(values)


def fragment(template: str, **values: object) -> Markup:
    """As `page`, for a part of a page: other templates insert it without escaping it again."""
    return Markup(page(template, **values))  # noqa: S704 - the template has escaped its values


def thumbnail_uri(path: Path, side: int | None = None) -> str:
    """A JPEG of a photograph as a data URI, of at most `side` pixels or the size of a library's thumbnails.

    Raises PhotographError where the photograph cannot be read.
    """
    from service.photos.decode import open_photograph
    from service.photos.thumbnails import THUMBNAIL_SIDE, thumbnail

    image = open_photograph(path, shorter_side=side or THUMBNAIL_SIDE).image
    if side is not None:
        image.thumbnail((side, side), reducing_gap=2.0)
    return f"data:image/jpeg;base64,{b64encode(thumbnail(image)).decode('ascii')}"


def decimal(value: float, digits: int, *, sign: bool = False) -> str:
    """A number with so many digits after the point and a typographic minus sign; `sign` also marks positive ones."""
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def interval_text(ends: Interval | None, digits: int) -> str:
    """“1.2 to 3.4”; a dash where there is no interval."""
    return "–" if ends is None else f"{decimal(ends[0], digits)} to {decimal(ends[1], digits)}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("eval"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "decimal": decimal,
        "grouped": "{:,}".format,
        "interval": interval_text,
        "pixels": "{:.1f}".format,
        "whole_percent": "{:.0%}".format,
    }
    return environment
