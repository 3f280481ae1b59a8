"""Where kinds are read from, beside folders: the keywords in photographs, or a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.errors import DataError, ForbiddenError, LibraryError, NotFoundError, PhotographError, UsageError
from service.kinds.labels import FOLDERS, KEYWORDS, TABLE, Kinds, kind_named
from service.photos.keywords import keywords_in
from service.store.catalog import Catalog
from service.store.paths import file_of
from service.types import OnProgress

PREFIXES = ("kind:", "kind/")
"""What a keyword begins with that names a kind, in small or capital letters."""

_COLUMNS = ("image", "kind")
_NAMED = 5


@dataclass(frozen=True, slots=True)
class LabelsFound:
    """Kinds by photographs' ids, and sentences about what was left out."""

    kinds: Mapping[int, str]
    notices: Sequence[str]


def read_kinds(kinds: Kinds, catalog: Catalog, source: str, on_progress: OnProgress) -> Sequence[str]:
    """Take the kinds of a library's photographs from "folders", from "keywords", or from the table named by `source`.

    Folders are always current; keywords and tables are read now. Where something is wrong the kinds stay as they were.

    Returns:
        Sentences on what was left out.

    Raises:
        DataError: the table has a fault.
        LibraryError: no photograph of the library got a kind.
    """
    if source == FOLDERS:
        kinds.use_folders()
        return ()
    if source == KEYWORDS:
        found = kinds_from_keywords(catalog, on_progress)
        kinds.use(KEYWORDS, found.kinds)
    else:
        found = kinds_from_table(catalog, Path(source).expanduser())
        kinds.use(TABLE, found.kinds)
    return found.notices


def kinds_from_table(catalog: Catalog, table: Path) -> LabelsFound:
    """The kinds that a table gives the photographs of a library.

    The table is UTF-8, separated by tabs, with the columns `image` and `kind`; paths are relative to it. Rows about
    photographs that the library does not hold are counted and left out. Raises `DataError` that names the row and the
    column of the first fault, among them a photograph with two kinds, and `LibraryError` where the library holds none
    of the photographs.
    """
    rows = list(_rows(table))
    ids = _ids_at(catalog, [row.file for row in rows])
    kinds: dict[int, _Row] = {}
    for row, identity in zip(rows, ids, strict=True):
        if identity is None:
            continue
        before = kinds.setdefault(identity, row)
        if before.kind != row.kind:
            raise DataError(
                f"{table}, row {row.number}, column kind: {row.image!r} is {row.kind} here and {before.kind} in row "
                f"{before.number}; a photograph has one kind."
            )
    missing = [row.image for row, identity in zip(rows, ids, strict=True) if identity is None]
    if not kinds:
        raise LibraryError(
            f"{table} names no photograph of the library{_such(missing)}. Paths are relative to the table; add the "
            "photographs with `smysl index` first."
        )
    notices = [f"Not in the library and left out: {_many(missing, 'row')}{_such(missing)}."] if missing else []
    return LabelsFound({identity: row.kind for identity, row in kinds.items()}, notices)


def kinds_from_keywords(catalog: Catalog, on_progress: OnProgress) -> LabelsFound:
    """The kinds that keywords such as `kind:daisy` give the photographs of a library.

    A photograph whose keywords name two kinds, or that cannot be read, is left out and named.

    Raises:
        LibraryError: no photograph has such a keyword.
    """
    ids = [row[0] for row in catalog.connection.execute("SELECT id FROM photograph ORDER BY id")]
    kinds: dict[int, str] = {}
    ambiguous: list[str] = []
    unread: list[str] = []
    for done, identity in enumerate(ids, start=1):
        # A photograph may leave the library meanwhile.
        for record in catalog.records([identity]).values():
            try:
                named = sorted(set(_kinds_in(keywords_in(file_of(record)))))
            except (NotFoundError, ForbiddenError, PhotographError):
                unread.append(record.relative)
                continue
            if len(named) == 1:
                kinds[identity] = named[0]
            elif named:
                ambiguous.append(f"{record.relative} ({', '.join(named)})")
        on_progress(done, len(ids))
    notices = []
    if ambiguous:
        notices.append(f"Keywords name several kinds of {_many(ambiguous, 'photograph')}, left out{_such(ambiguous)}.")
    if unread:
        notices.append(f"The keywords of {_many(unread, 'photograph')} cannot be read{_such(unread)}.")
    if not kinds:
        raise LibraryError(
            "No photograph of the library has one kind among its keywords, so nothing was changed. A keyword that "
            f"names a kind begins with {' or '.join(PREFIXES)}, as kind:daisy does."
        )
    return LabelsFound(kinds, notices)


def _kinds_in(keywords: Sequence[str]) -> Iterator[str]:
    for keyword in keywords:
        for prefix in PREFIXES:
            if keyword.casefold().startswith(prefix):
                # A keyword that only begins like a kind is like any other keyword.
                with suppress(UsageError):
                    yield kind_named(keyword[len(prefix) :])


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    image: str
    file: Path
    kind: str


def _rows(table: Path) -> Iterator[_Row]:
    number = 0
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter="\t", strict=True)
            header = next(reader, [])
            number = 1
            image, kind = (_place(table, header, column) for column in _COLUMNS)
            for number, cells in enumerate(reader, start=2):
                if cells:
                    yield _row(table, number, cells, header, image, kind)
    except FileNotFoundError:
        raise DataError(f"There is no file {table}. Name a table, or one of the words folders and keywords.") from None
    except OSError as error:
        raise DataError(f"{table} cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError:
        raise DataError(f"{table}, after row {number}: the text is not UTF-8; save the table as UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{table}, after row {number}: {error}; check the quotes.") from None


def _place(table: Path, header: list[str], column: str) -> int:
    if header.count(column) != 1:
        has = "no column" if column not in header else "more than one column"
        found = f"found: {', '.join(header)}" if header else "the file is empty"
        raise DataError(f"{table}, row 1: {has} {column}, and the columns image and kind are needed; {found}.")
    return header.index(column)


def _row(table: Path, number: int, cells: list[str], header: list[str], image: int, kind: int) -> _Row:
    if len(cells) != len(header):
        raise DataError(
            f"{table}, row {number}: {len(cells)} cells where the header has {len(header)}; check its tabs and quotes."
        )
    if not cells[image].strip() or "\0" in cells[image]:
        raise DataError(f"{table}, row {number}, column image: {cells[image]!r} names no file.")
    try:
        name = kind_named(cells[kind])
    except UsageError as error:
        raise DataError(f"{table}, row {number}, column kind: {error.message}") from None
    return _Row(number, cells[image], table.parent / cells[image], name)


def _ids_at(catalog: Catalog, files: Sequence[Path]) -> list[int | None]:
    """The photographs whose files these are, by id; each folder is asked for once."""
    roots = catalog.roots()
    known: dict[Path, dict[str, int]] = {}
    ids: list[int | None] = []
    for file in files:
        try:
            real = file.expanduser().resolve()
        # A name that cannot be resolved is none that was ever indexed.
        except (OSError, RuntimeError, ValueError):
            ids.append(None)
            continue
        if real.parent not in known:
            known[real.parent] = {
                name: photograph.id
                for root in roots
                if real.parent.is_relative_to(root.path)
                for name, photograph in catalog.files_in(root.id, _below(real.parent, root.path)).items()
            }
        ids.append(known[real.parent].get(real.name))
    return ids


def _below(folder: Path, root: Path) -> str:
    relative = folder.relative_to(root).as_posix()
    return "" if relative == "." else relative


def _many(names: Sequence[str], what: str) -> str:
    return f"{len(names):,} {what}{'' if len(names) == 1 else 's'}"


def _such(names: Sequence[str]) -> str:
    """“, such as a.jpg and b.jpg”; nothing where there are no names."""
    if not names:
        return ""
    return f", such as {', '.join(names[:_NAMED])}" if len(names) > _NAMED else f": {', '.join(names)}"
