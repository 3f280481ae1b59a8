"""A table of photographs and texts to the same table with a match at the end of every row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import DataError, PhotographError, UsageError
from service.photos.decode import open_photograph
from service.search.search import score
from service.texts import check_text
from service.types import OnProgress

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.match.scorer import Scorer

_AT_ONCE = 64
_NEEDED = ("image", "text")


@dataclass(frozen=True, slots=True)
class Pair:
    """One row: its number in the table (the header is row 1), how it is written, and what it says."""

    row: int
    written: str
    image: str
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A checked table of pairs; `header` is its first row as it is written."""

    file: Path
    header: str
    pairs: list[Pair]


def read_pairs(file: Path) -> Table:
    """Read a UTF-8 table with the columns `image` and `text`, separated by tabs, quoted as in RFC 4180.

    Paths are relative to the file. All rows are checked; photographs are not opened yet. Raises
    `DataError` that names the row and the column of the first fault.
    """
    row = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            lines = _Lines(stream)
            reader = csv.reader(lines, delimiter="\t", strict=True)
            header = next(reader, [])
            row = 1
            written = lines.taken()
            places = _places(file, header)
            pairs = []
            for row, cells in enumerate(reader, start=2):
                if cells:
                    pairs.append(_pair(file, row, lines.taken(), cells, header, places))
                else:
                    lines.taken()
    except FileNotFoundError:
        raise DataError(f"There is no file {file}. Check the spelling.") from None
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError:
        raise DataError(f"{file}, after row {row}: the text is not UTF-8; save the table as UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{file}, after row {row}: {error}; check the quotes.") from None
    return Table(file, written, pairs)


def score_lines(
    table: Table, encoder: Encoder, scorer: Scorer, on_progress: OnProgress = lambda done, total: None
) -> Iterator[str]:
    """The lines of a table as they are written, each with its match in [0, 1] as one more cell; the header first.

    Raises `DataError` that names the row of a photograph that cannot be read.
    """
    yield f"{table.header}\tmatch"
    for start in range(0, len(table.pairs), _AT_ONCE):
        pairs = table.pairs[start : start + _AT_ONCE]
        images = []
        for pair in pairs:
            try:
                photograph = open_photograph(table.file.parent / pair.image, shorter_side=2 * encoder.photograph_side)
            except PhotographError as error:
                raise _fault(table.file, pair.row, "image", f"{pair.image!r}: {error.message}.") from None
            images.append(photograph.image)
        scores = score(encoder, scorer, images, [pair.text for pair in pairs])
        for pair, one in zip(pairs, scores, strict=True):
            yield f"{pair.written}\t{one.match:.6f}"
        on_progress(start + len(pairs), len(table.pairs))


class _Lines:
    """Lines of a file for the reader of rows, which remembers how the row just read is written."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._since: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._since.append(line)
        return line

    def taken(self) -> str:
        """What was read since the last call, without the end of its last line."""
        written = "".join(self._since).rstrip("\r\n")
        self._since.clear()
        return written


def _places(file: Path, header: list[str]) -> tuple[int, int]:
    for column in _NEEDED:
        if header.count(column) != 1:
            has = "no column" if column not in header else "more than one column"
            found = f"found: {', '.join(header)}" if header else "the file is empty"
            raise DataError(f"{file}, row 1: {has} {column}, and the columns image and text are needed; {found}.")
    if "match" in header:
        raise DataError(f"{file}, row 1: there is a column match already; take it out or name it otherwise.")
    return header.index("image"), header.index("text")


def _pair(file: Path, row: int, written: str, cells: list[str], header: list[str], places: tuple[int, int]) -> Pair:
    if len(cells) != len(header):
        raise DataError(
            f"{file}, row {row}: {len(cells)} cells where the header has {len(header)}; check its tabs and quotes."
        )
    image, text = (cells[place] for place in places)
    if not image or not (file.parent / image).is_file():
        raise _fault(file, row, "image", f"there is no file {image!r} beside the table.")
    try:
        check_text(text)
    except UsageError as error:
        raise _fault(file, row, "text", error.message) from None
    return Pair(row, written, image, text)


def _fault(file: Path, row: int, column: str, what: str) -> DataError:
    return DataError(f"{file}, row {row}, column {column}: {what}")
