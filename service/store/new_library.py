"""Removes a new library again where the run that was to fill it fails."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from service.errors import SmyslError
from service.store.catalog import CATALOG_FILE, Catalog
from service.store.lock import LOCK_FILE, write_lock


@contextmanager
def removed_if_it_fails(folder: Path) -> Iterator[None]:
    """Remove the library in `folder` after an error in the block if the block made it and it has no photographs.

    Folders that the block made are removed too, unless something else is in them.
    """
    # `Path.exists` raises for a name that is too long and for a folder that may not be entered.
    if os.path.lexists(folder / CATALOG_FILE):
        yield
        return
    new_folders = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    try:
        yield
    except BaseException:
        # What is in the way, such as another process that fills the library, is a reason to keep it.
        with suppress(OSError, SmyslError):
            _remove_empty(folder, new_folders)
        raise


def _remove_empty(folder: Path, new_folders: Sequence[Path]) -> None:
    file = folder / CATALOG_FILE
    if file.exists():
        with write_lock(folder, "smysl index"):
            catalog = Catalog(file)
            photographs = catalog.count()
            catalog.close()
            if photographs:
                return
            for suffix in ("", "-wal", "-shm"):
                file.with_name(f"{CATALOG_FILE}{suffix}").unlink(missing_ok=True)
        (folder / LOCK_FILE).unlink(missing_ok=True)
    for each in new_folders:
        each.rmdir()
