"""Classified photographs as a CSV table for a spreadsheet, written completely or not at all."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.errors import UsageError
from service.kinds.labels import UNKNOWN
from service.search.classify import DEFAULT_K, Classified
from service.search.metadata_columns import METADATA_COLUMNS, metadata_cells, taken_at_text
from service.store.atomic import replacing

RECOMMENDED = DEFAULT_K
HEADER = (
    *("file", "kind", "confidence", *(f"recommended_{rank}" for rank in range(1, RECOMMENDED + 1))),
    *METADATA_COLUMNS,
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that starts with one of these is a formula to a spreadsheet."""


def check_table(file: Path, *, force: bool) -> None:
    """Raise `UsageError` if `file` cannot be written, or exists and `force` is false."""
    if file.is_dir():
        raise UsageError(f"{file} is a folder; name a file for the table.")
    if not file.parent.is_dir():
        raise UsageError(f"There is no folder {file.parent} for the table {file.name}. Create it, or name another.")
    if not os.access(file.parent, os.W_OK):
        raise UsageError(f"The table {file} cannot be written (Permission denied). Name another file.")
    if file.exists() and not force:
        raise UsageError(f"The file {file} already exists. Name another, or replace it with --force.")


@contextmanager
def table_at(file: Path, *, force: bool) -> Iterator[Callable[[Classified], None]]:
    """Yield a function that adds a row to the table; the file is replaced at the end, unless there are no rows.

    Columns: `file`, `kind` (“unknown” below the threshold), `confidence` (0 to 1) and `recommended_1` to
    `recommended_10`, files of the library, empty where there are fewer; then metadata (`METADATA_COLUMNS`), empty where
    it is not known, with `taken_at` as ISO 8601. UTF-8, commas, quoted as in RFC 4180. A run that is stopped or fails
    leaves the old file. Raises `UsageError` like `check_table`, before and after.
    """
    check_table(file, force=force)
    with ExitStack() as stack:
        writer = None

        def add(classified: Classified) -> None:
            nonlocal writer
            with _usage_errors(file):
                if writer is None:
                    temporary = stack.enter_context(replacing(file))
                    stream = stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))
                    writer = csv.writer(stream)
                    writer.writerow(HEADER)
                writer.writerow(_row(classified))

        yield add
        if writer is not None:
            check_table(file, force=force)
        with _usage_errors(file):
            stack.close()


@contextmanager
def _usage_errors(file: Path) -> Iterator[None]:
    """Turn an `OSError` into a `UsageError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"The table {file} cannot be written ({reason}). Name another file.") from None


def _row(classified: Classified) -> list[str]:
    recommended = [str(each.photograph.path) for each in classified.recommended[:RECOMMENDED]]
    return [
        _file(classified.file),
        _text(classified.kind) if classified.known else UNKNOWN,
        f"{classified.confidence:.4f}",
        *map(_file, recommended),
        *[""] * (RECOMMENDED - len(recommended)),
        *_metadata(classified),
    ]


def _metadata(classified: Classified) -> list[str]:
    cells = metadata_cells(classified.photograph, classified.details)
    cells["taken_at"] = taken_at_text(classified.details.metadata)
    return [_text(value) if isinstance(value, str) else "" if value is None else str(value) for value in cells.values()]


def _file(path: str) -> str:
    """A path that is no formula to a spreadsheet and still leads to the file."""
    return f"./{path}" if path.startswith(_FORMULA) else path


def _text(text: str) -> str:
    """A text that is no formula to a spreadsheet: an apostrophe in front marks it as text."""
    return f"'{text}" if text.startswith(_FORMULA) else text
