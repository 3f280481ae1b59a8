"""The folders of a library: where one of them is now, and how one leaves the library."""

from __future__ import annotations

import os
from pathlib import Path

from service.errors import NotFoundError, UsageError
from service.store.catalog import Catalog
from service.store.paths import real_path, resolve_folder
from service.store.records import Record, Root

_PROBES = 50
"""Photographs that are looked for at a root's new path."""


def find_root(catalog: Catalog, folder: Path) -> Root:
    """The root that a person means by `folder`, which may be gone from the disk; raises `NotFoundError`."""
    return catalog.root_at(real_path(folder))


def resolve_watched(catalog: Catalog, folder: Path) -> Path:
    """The absolute path of a folder without links; it may be away if it is a root or inside one.

    Raises `NotFoundError` for one that is not there otherwise, `UsageError` for a file.
    """
    try:
        return resolve_folder(folder)
    except NotFoundError:
        real = real_path(folder)
        if not any(real.is_relative_to(root.path) for root in catalog.roots()):
            raise
        return real


def move_root(catalog: Catalog, root: Root, folder: Path, *, force: bool = False) -> None:
    """Record that the photographs of a root are now in `folder` (absolute, resolved); nothing is read or encoded.

    Args:
        catalog: of the library.
        root: the folder as it was.
        folder: where it is now.
        force: also where none of its photographs is found there.

    Raises:
        UsageError: the photographs are not in `folder`, or it overlaps with another root.
    """
    below = [Path(record.relative) for record in _spread(catalog, root)]
    # `Path.is_file` raises where a folder on the way may not be entered.
    if below and not force and not any(os.path.isfile(folder / path) for path in below):  # noqa: PTH113
        raise UsageError(
            f"{folder} does not hold the photographs of {root.path}: {below[0]} is not there, nor are others. Name the "
            "folder in which they are now, or use --force."
        )
    catalog.move_root(root, folder)


def _spread(catalog: Catalog, root: Root) -> list[Record]:
    """Some photographs of a root, from all over it."""
    ids = [identity for identity, _ in catalog.photographs_under(root.id, "")]
    step = max(1, len(ids) // _PROBES)
    return list(catalog.records(ids[::step]).values())
