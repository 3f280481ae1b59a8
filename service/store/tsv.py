"""Tables that people write: UTF-8, separated by tabs, quoted as in RFC 4180, with the names of the columns first."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import DataError


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table.

    Attributes:
        table: the file.
        number: of the row; the header is row 1.
        text: the row as it is in the file, without the line end.
        cells: by the name of their column; the cells of the header are these names.
    """

    table: Path
    number: int
    text: str
    cells: Mapping[str, str]

    def error(self, column: str, problem: str) -> DataError:
        """An error that names the table, this row and the column before the `problem`."""
        return DataError(f"{self.table}, row {self.number}, column {column}: {problem}")


def read_table(
    table: Path,
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    hint: str = "Check the spelling.",
    on_uneven: Callable[[str], None] | None = None,
) -> Iterator[TableRow]:
    """Yield the header and the rows of a table that are not empty, one by one.

    Args:
        table: the file.
        columns: names that the header must have once; others may come in between.
        optional: names that the header may have once.
        hint: what to do where there is no such file.
        on_uneven: called with a sentence on a row with more or fewer cells than the header, which is then left out;
            without it such a row is an error.

    Raises:
        DataError: the table cannot be read, or a row has an error; the message names the row.
    """
    number = 0
    lines: list[str] = []
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(_recorded(stream, lines), delimiter="\t", strict=True)
            header = next(reader, [])
            number = 1
            _check_header(table, header, columns, optional)
            yield TableRow(table, number, _join(lines), {name: name for name in header})
            for number, cells in enumerate(reader, start=2):
                text = _join(lines)
                if len(cells) == len(header):
                    yield TableRow(table, number, text, dict(zip(header, cells, strict=True)))
                elif cells:
                    uneven = f"row {number}: {len(cells)} cells where the header has {len(header)}"
                    if on_uneven is None:
                        raise DataError(f"{table}, {uneven}; check its tabs and quotes.")
                    on_uneven(f"{uneven}.")
    except FileNotFoundError:
        raise DataError(f"There is no file {table}. {hint}") from None
    except OSError as error:
        raise DataError(f"{table} cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError:
        raise DataError(f"{table}, after row {number}: the text is not UTF-8; save the table as UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{table}, after row {number}: {error}; check the quotes.") from None


def _check_header(table: Path, header: Sequence[str], columns: Sequence[str], optional: Sequence[str]) -> None:
    for column in (*columns, *optional):
        if header.count(column) > 1 or (column in columns and column not in header):
            has = "no column" if column not in header else "more than one column"
            needed = f"the columns {' and '.join(columns)} are needed, separated by tabs"
            found = f"found: {', '.join(header)}" if header else "the file is empty"
            raise DataError(f"{table}, row 1: {has} {column}, and {needed}; {found}.")


def _recorded(lines: Iterator[str], record: list[str]) -> Iterator[str]:
    """The lines, each appended to `record` as it is read."""
    for line in lines:
        record.append(line)
        yield line


def _join(lines: list[str]) -> str:
    """Take all lines off the list, as one text without the last line end."""
    text = "".join(lines).rstrip("\r\n")
    lines.clear()
    return text
