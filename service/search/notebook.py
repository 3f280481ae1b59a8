"""Hits in a notebook: a strip of pictures, and a pandas table.

Both are methods of `SearchResult`, which imports this module when one is called: a search by itself pays for neither.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

from service.errors import NotFoundError
from service.search.metadata_columns import METADATA_COLUMNS, metadata_cells
from service.store.records import Details, Record

if TYPE_CHECKING:
    import pandas as pd

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
    **METADATA_COLUMNS,
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


def strip(
    pictures: Sequence[tuple[float | None, Record]],
    sentences: Sequence[str],
    thumbnail_of: Callable[[int], bytes] | None,
) -> str:
    """HTML of photographs from left to right, each with its match and name, and sentences below them.

    Thumbnails (JPEG, at most 384 pixels) are embedded as `data:` addresses, so that a saved notebook shows them without
    a service and without the library. All text is escaped.
    """
    figures = "".join(_figure(match, record, _thumbnail(thumbnail_of, record.id)) for match, record in pictures)
    shown = f'<div style="{_STRIP}">{figures}</div>' if figures else ""
    return shown + "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def dataframe(rows: Sequence[tuple[float | None, float | None, Record, Details]]) -> pd.DataFrame:
    """Matches, similarities, photographs and their metadata as a table with the columns and types of `COLUMNS`."""
    import pandas as pd

    cells = [
        {
            "match": match,
            "similarity": similarity,
            "id": record.id,
            "path": str(record.path),
            "name": record.name,
            "width": record.width,
            "height": record.height,
            "format": record.format,
            "bytes": record.size,
            **metadata_cells(record, details),
        }
        for match, similarity, record, details in rows
    ]
    return pd.DataFrame(cells, columns=list(COLUMNS), dtype=object).astype(COLUMNS)


def _thumbnail(thumbnail_of: Callable[[int], bytes] | None, identity: int) -> bytes | None:
    """The JPEG; None where the photograph has left the library, or the library has moved, since the search."""
    if thumbnail_of is None:
        return None
    try:
        return thumbnail_of(identity)
    except (NotFoundError, sqlite3.Error):
        return None


def _figure(match: float | None, record: Record, jpeg: bytes | None) -> str:
    name = escape(record.name)
    if jpeg is None:
        picture = f'<div style="{_NO_PICTURE}">no thumbnail any more</div>'
    else:
        source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        picture = f'<img src="{source}" alt="{name}" title="{escape(str(record.path))}" style="{_PICTURE}">'
    shown = "" if match is None else f"<b>{match:.3f}</b> "
    caption = f'<figcaption style="{_CAPTION}">{shown}{name}</figcaption>'
    return f'<figure style="{_FIGURE}">{picture}{caption}</figure>'
