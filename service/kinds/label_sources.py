"""Reads the kinds of a library's photographs from the keywords in their files or from a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from service.errors import ForbiddenError, LibraryError, NotFoundError, PhotographError, UsageError
from service.kinds.labels import FOLDERS, KEYWORDS, TABLE, Kinds, kind_named
from service.photos.metadata.keywords import keywords_in
from service.store.catalog import Catalog
from service.store.paths import file_of
from service.store.photograph_files import find_photographs
from service.store.tsv import TableRow, read_table
from service.types import OnProgress

PREFIXES = ("kind:", "kind/")
"""Prefixes of a keyword that names a kind, in small or capital letters."""

_COLUMNS = ("image", "kind")
_NO_TABLE = "Name a table, or one of the words folders and keywords."
_MAX_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class ImportedKinds:
    """Kinds by photograph id, and sentences about rows and photographs that were left out."""

    kinds: Mapping[int, str]
    notices: Sequence[str]


def read_kinds(kinds: Kinds, catalog: Catalog, source: str, on_progress: OnProgress) -> Sequence[str]:
    """Set the kinds of a library from "folders", from "keywords", or from the table at the path `source`.

    Where that fails the kinds stay as they were.

    Returns:
        Sentences about rows and photographs that were left out.

    Raises:
        DataError: the table has an error.
        LibraryError: no photograph of the library got a kind.
    """
    if source == FOLDERS:
        kinds.use_folders()
        return ()
    if source == KEYWORDS:
        imported = kinds_from_keywords(catalog, on_progress)
        kinds.use(KEYWORDS, imported.kinds)
    else:
        imported = kinds_from_table(catalog, Path(source).expanduser())
        kinds.use(TABLE, imported.kinds)
    return imported.notices


def kinds_from_table(catalog: Catalog, table: Path) -> ImportedKinds:
    """Read kinds from a table.

    The table is UTF-8, separated by tabs, with the columns `image` (a path relative to the table) and `kind`. Rows
    about photographs that the library does not hold are left out and counted.

    Raises:
        DataError: the table has an error, such as two kinds for one photograph; the message names row and column.
        LibraryError: the library holds none of the photographs.
    """
    rows = [(row, _kind_of(row)) for row in islice(read_table(table, _COLUMNS, hint=_NO_TABLE), 1, None)]
    ids = find_photographs(catalog, [table.parent / row.cells["image"] for row, _ in rows])
    found: dict[int, tuple[TableRow, str]] = {}
    for (row, kind), identity in zip(rows, ids, strict=True):
        if identity is None:
            continue
        first_row, first_kind = found.setdefault(identity, (row, kind))
        if first_kind != kind:
            raise row.error(
                "kind",
                f"{row.cells['image']!r} is {kind} here and {first_kind} in row {first_row.number}; a photograph has "
                "one kind.",
            )
    missing = [row.cells["image"] for (row, _), identity in zip(rows, ids, strict=True) if identity is None]
    if not found:
        raise LibraryError(
            f"{table} names no photograph of the library{_examples(missing)}. Paths are relative to the table; add the "
            "photographs with `smysl index` first."
        )
    notices = [f"Not in the library and left out: {_count(missing, 'row')}{_examples(missing)}."] if missing else []
    return ImportedKinds({identity: kind for identity, (_, kind) in found.items()}, notices)


def kinds_from_keywords(catalog: Catalog, on_progress: OnProgress) -> ImportedKinds:
    """Read kinds from keywords such as `kind:daisy` in the files of a library.

    A photograph whose keywords name two kinds, or whose file cannot be read, is left out and named in a notice.

    Raises:
        LibraryError: no photograph has such a keyword.
    """
    ids = [row[0] for row in catalog.connection.execute("SELECT id FROM photograph ORDER BY id")]
    kinds: dict[int, str] = {}
    ambiguous: list[str] = []
    unreadable: list[str] = []
    for done, identity in enumerate(ids, start=1):
        # Another process may have removed the photograph in the meantime.
        for record in catalog.records([identity]).values():
            try:
                names = sorted(set(_kinds_in(keywords_in(file_of(record)))))
            except (NotFoundError, ForbiddenError, PhotographError):
                unreadable.append(record.relative)
                continue
            if len(names) == 1:
                kinds[identity] = names[0]
            elif names:
                ambiguous.append(f"{record.relative} ({', '.join(names)})")
        on_progress(done, len(ids))
    notices = []
    if ambiguous:
        notices.append(
            f"Keywords name several kinds of {_count(ambiguous, 'photograph')}, left out{_examples(ambiguous)}."
        )
    if unreadable:
        notices.append(f"The keywords of {_count(unreadable, 'photograph')} cannot be read{_examples(unreadable)}.")
    if not kinds:
        raise LibraryError(
            "No photograph of the library has exactly one kind among its keywords, so nothing was changed. A keyword "
            f"that names a kind begins with {' or '.join(PREFIXES)}, for example kind:daisy."
        )
    return ImportedKinds(kinds, notices)


def _kinds_in(keywords: Sequence[str]) -> Iterator[str]:
    for keyword in keywords:
        for prefix in PREFIXES:
            if keyword.casefold().startswith(prefix):
                # What cannot be a kind is an ordinary keyword that happens to have the prefix.
                with suppress(UsageError):
                    yield kind_named(keyword[len(prefix) :])


def _kind_of(row: TableRow) -> str:
    image = row.cells["image"]
    if not image.strip() or "\0" in image:
        raise row.error("image", f"{image!r} names no file.")
    try:
        return kind_named(row.cells["kind"])
    except UsageError as error:
        raise row.error("kind", error.message) from None


def _count(names: Sequence[str], noun: str) -> str:
    return f"{len(names):,} {noun}{'' if len(names) == 1 else 's'}"


def _examples(names: Sequence[str]) -> str:
    """“: a.jpg, b.jpg”, or “, such as …” where there are too many to list; empty without names."""
    if not names:
        return ""
    return f", such as {', '.join(names[:_MAX_EXAMPLES])}" if len(names) > _MAX_EXAMPLES else f": {', '.join(names)}"
