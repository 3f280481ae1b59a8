"""Hits in a notebook: a strip of pictures, and a table of pandas.

Both are methods of `SearchResult`; here is how they are made, so that a search by itself pays for neither.
"""

from __future__ import annotations

import base64
import sqlite3
from html import escape
from typing import TYPE_CHECKING

from service.errors import NotFoundError

if TYPE_CHECKING:
    import pandas as pd

    from service.search.search import Hit, SearchResult

COLUMNS = {
    "match": "float64",
    "similarity": "float64",
    "id": "int64",
    "path": "str",
    "name": "str",
    "width": "int64",
    "height": "int64",
    "format": "str",
    "bytes": "int64",
}
"""The columns of `dataframe` and their types, which an empty result has too."""

# Colours are inherited or half transparent, since nobody can tell whether the notebook is light or dark. Styles
# stand with their elements: a style sheet would reach the rest of the notebook, and viewers strip it.
_STRIP = "display:flex;flex-wrap:wrap;gap:12px;align-items:flex-end"
_FIGURE = "margin:0;width:160px"
_PICTURE = "display:block;max-width:160px;max-height:160px;border-radius:4px"
_NO_PICTURE = (
    "box-sizing:border-box;width:160px;height:107px;padding:8px;border:1px dashed rgba(128,128,128,.7);"
    "border-radius:4px;font-size:12px"
)
_CAPTION = "margin-top:4px;font-size:13px;line-height:1.3;overflow-wrap:anywhere"


def strip(result: SearchResult) -> str:
    """HTML of the hits from left to right, best first, each with its match and name; in words where there is none.

    The thumbnails of the library (JPEG, at most 384 pixels) stand in it as `data:` addresses, so that a saved notebook
    shows them without a service and without the library. All text is escaped.
    """
    figures = "".join(_figure(hit, _thumbnail(result, hit)) for hit in result.hits)
    shown = f'<div style="{_STRIP}">{figures}</div>' if figures else ""
    return shown + "".join(f"<p>{escape(sentence)}</p>" for sentence in _sentences(result))


def dataframe(result: SearchResult) -> pd.DataFrame:
    """The hits as rows, best first, with the columns and types of `COLUMNS`."""
    import pandas as pd

    rows = [
        (
            hit.match,
            hit.similarity,
            hit.photograph.id,
            str(hit.photograph.path),
            hit.photograph.name,
            hit.photograph.width,
            hit.photograph.height,
            hit.photograph.format,
            hit.photograph.size,
        )
        for hit in result.hits
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _sentences(result: SearchResult) -> list[str]:
    sentences = [result.notice] if result.notice else []
    if not result.answerable and result.best_match is not None:
        shown = (
            "these are the nearest."
            if result.hits
            else f"only {result.min_match:.3f} or more is shown. min_match=0 shows the nearest anyway."
        )
        sentences.append(f"Nothing here fits: the best match is {result.best_match:.3f}; {shown}")
    return sentences or ([] if result.hits else ["Nothing here."])


def _thumbnail(result: SearchResult, hit: Hit) -> bytes | None:
    """The JPEG, or None where the photograph has left the library, or the library its place, since the search."""
    if result.thumbnail_of is None:
        return None
    try:
        return result.thumbnail_of(hit.photograph.id)
    except (NotFoundError, sqlite3.Error):
        return None


def _figure(hit: Hit, jpeg: bytes | None) -> str:
    name = escape(hit.photograph.name)
    if jpeg is None:
        picture = f'<div style="{_NO_PICTURE}">no thumbnail any more</div>'
    else:
        source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        picture = f'<img src="{source}" alt="{name}" title="{escape(str(hit.photograph.path))}" style="{_PICTURE}">'
    caption = f'<figcaption style="{_CAPTION}"><b>{hit.match:.3f}</b> {name}</figcaption>'
    return f'<figure style="{_FIGURE}">{picture}{caption}</figure>'
