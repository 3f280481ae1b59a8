"""What the reports share: one HTML file that can be opened, kept and sent, and nothing in it is fetched.

Captions and names of files and kinds are other people's text; all of it is escaped, and the page forbids itself
scripts and requests.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path

from eval.bootstrap import Interval
from eval.report_style import STYLE


def document(title: str, lead: str, sections: Sequence[str], style: str = "") -> str:
    """A whole document of sections, HTML each, under a title; `lead` is HTML too, `style` is added to the reports'."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>\n<body><main><h1>{escape(title)}</h1>"
        f"{lead}\n" + "\n".join(filter(None, sections)) + "</main></body></html>\n"
    )


def table(name: str, head: str, rows: Sequence[str]) -> str:
    """A table that scrolls by itself where the window is narrow, with the keyboard too; `head` and `rows` are HTML."""
    return (
        f'<div class=table role=region tabindex=0 aria-label="{escape(name)}"><table><thead>{head}</thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def figure(drawn: str, caption: str) -> str:
    """What was drawn, HTML, over its caption."""
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def picture(path: Path, side: int | None = None) -> str:
    """A small JPEG of a photograph as a data URI, of at most `side` pixels or those of a thumbnail.

    Raises PhotographError where it cannot be read.
    """
    from service.photos.decode import THUMBNAIL_SIDE, open_photograph, thumbnail

    image = open_photograph(path, shorter_side=side or THUMBNAIL_SIDE).image
    if side is not None:
        image.thumbnail((side, side), reducing_gap=2.0)
    return f"data:image/jpeg;base64,{b64encode(thumbnail(image)).decode('ascii')}"


def interval_of(ends: Interval | None, decimals: int) -> str:
    """“1.2 to 3.4”, with a minus sign where it takes one."""
    return "–" if ends is None else f"{ends[0]:.{decimals}f} to {ends[1]:.{decimals}f}".replace("-", "−")
