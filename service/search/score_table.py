"""Scores a table of photographs and texts: the same table comes back with a column of matches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import DataError, PhotographError, UsageError
from service.photos.decode import open_photograph
from service.search.search import score
from service.store.tsv import TableRow, read_table
from service.texts import check_text
from service.types import OnProgress

if TYPE_CHECKING:
    from PIL import Image

    from service.encoder.encoder import Encoder
    from service.match.scorer import Scorer

_BATCH = 64


def read_pairs(file: Path) -> list[TableRow]:
    """Read a table with the columns `image`, a path relative to the table, and `text`; the header comes first.

    All rows are checked, but photographs are not opened yet.

    Raises:
        DataError: the table has an error; the message names the row and the column of the first.
    """
    rows = []
    for row in read_table(file, ("image", "text")):
        if row.number > 1:
            _check_pair(row)
        elif "match" in row.cells:
            raise DataError(f"{file}, row 1: there is a column match already; remove or rename it.")
        rows.append(row)
    return rows


def score_lines(
    table: Sequence[TableRow], encoder: Encoder, scorer: Scorer, on_progress: OnProgress = lambda done, total: None
) -> Iterator[str]:
    """Yield the lines of a table from `read_pairs` as they are written, with a match in [0, 1] as one more cell.

    Raises:
        DataError: a photograph cannot be read; the message names the row.
    """
    header, *pairs = table
    yield f"{header.text}\tmatch"
    for start in range(0, len(pairs), _BATCH):
        batch = pairs[start : start + _BATCH]
        images = [_open_photograph(pair, 2 * encoder.photograph_side) for pair in batch]
        scores = score(encoder, scorer, images, [pair.cells["text"] for pair in batch])
        for pair, scored in zip(batch, scores, strict=True):
            yield f"{pair.text}\t{scored.match:.6f}"
        on_progress(start + len(batch), len(pairs))


def _check_pair(pair: TableRow) -> None:
    image = pair.cells["image"]
    if not image or not (pair.table.parent / image).is_file():
        raise pair.error("image", f"there is no file {image!r} beside the table.")
    try:
        check_text(pair.cells["text"])
    except UsageError as error:
        raise pair.error("text", error.message) from None


def _open_photograph(pair: TableRow, shorter_side: int) -> Image.Image:
    image = pair.cells["image"]
    try:
        return open_photograph(pair.table.parent / image, shorter_side=shorter_side).image
    except PhotographError as error:
        raise pair.error("image", f"{image!r}: {error.message}.") from None
