"""Classified photographs as a table (CSV) for a spreadsheet: whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import UsageError
from service.kinds.labels import UNKNOWN
from service.search.classify import DEFAULT_K, Classified
from service.store.atomic import put_in_place, temporary_beside

RECOMMENDED = DEFAULT_K
HEADER = ("file", "kind", "confidence", *(f"recommended_{place}" for place in range(1, RECOMMENDED + 1)))

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet takes for a formula."""


def check_table(file: Path, *, force: bool) -> None:
    """Raise `UsageError` where a table cannot be written to `file`, or is there already and must not be replaced."""
    if file.is_dir():
        raise UsageError(f"{file} is a folder; name the file that the table is to be written to.")
    if not file.parent.is_dir():
        raise UsageError(f"There is no folder {file.parent} for the table {file.name}. Make it, or name another.")
    if file.exists() and not force:
        raise UsageError(f"There is a file {file} already. Name another, or replace it with --force.")


@contextmanager
def table_at(file: Path, *, force: bool) -> Iterator[Callable[[Classified], None]]:
    """A function that takes the table's rows; the table takes its place at the end, if it has one.

    Columns: `file`, `kind` (“unknown” where it is not known), `confidence` (0 to 1) and `recommended_1` to
    `recommended_10`, files of the library, empty where there are fewer. UTF-8, commas, quoted as in RFC 4180. It is
    written beside its place, so that a run that is stopped or fails leaves what was there. Raises `UsageError` as
    `check_table` does, before and after.
    """
    check_table(file, force=force)
    part = temporary_beside(file)
    rows = 0
    try:
        with _refusing(file):
            stream = part.open("w", encoding="utf-8", newline="")
        with stream:
            writer = csv.writer(stream)

            def add(classified: Classified) -> None:
                nonlocal rows
                with _refusing(file):
                    if not rows:
                        writer.writerow(HEADER)
                    writer.writerow(_row(classified))
                rows += 1

            yield add
            with _refusing(file):
                stream.flush()
        if rows:
            check_table(file, force=force)
            with _refusing(file):
                put_in_place(part, file)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _refusing(file: Path) -> Iterator[None]:
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
    ]


def _file(path: str) -> str:
    """A path that no spreadsheet computes and that still leads to the file."""
    return f"./{path}" if path.startswith(_FORMULA) else path


def _text(text: str) -> str:
    """A text behind an apostrophe where a spreadsheet would compute it; that is how one is typed into a cell."""
    return f"'{text}" if text.startswith(_FORMULA) else text
