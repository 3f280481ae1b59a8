"""Where the files of a library's photographs are, and which photograph a file is."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from service.errors import ForbiddenError, NotFoundError
from service.store.catalog import Catalog
from service.store.records import Record


def photograph_at(catalog: Catalog, file: Path) -> Record | None:
    """The photograph whose file this is or was when it was indexed; None where there is none."""
    # A name that cannot be resolved, or not be written in UTF-8, is none that was ever indexed.
    with suppress(OSError, RuntimeError, ValueError):
        real = file.expanduser().resolve()
        for root in catalog.roots():
            if real.parent.is_relative_to(root.path):
                folder = real.parent.relative_to(root.path).as_posix()
                known = catalog.known_in(root.id, "" if folder == "." else folder).get(real.name)
                if known is not None:
                    return catalog.record(known.id)
    return None


def file_of(record: Record) -> Path:
    """Where a photograph's file really is, for reading it.

    Raises `NotFoundError` where its file is gone, `ForbiddenError` where the path has come to lead out of the folder
    that the library was pointed at.
    """
    try:
        real = record.path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise NotFoundError(
            f"The file of photograph {record.id}, {record.relative}, is not there any more; `smysl index` finds "
            "where it went, `smysl index --prune` forgets it."
        ) from None
    if not real.is_relative_to(record.root):
        raise ForbiddenError(f"The file of photograph {record.id} leads out of its folder and is not shown.")
    return real
