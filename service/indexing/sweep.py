"""What becomes of photographs whose files an index run did not find: they are missing, or leave the library.

A drive that is away leaves an empty folder where it was mounted, and every file seems to be gone. A folder that has
lost more than a tenth of its photographs is therefore not pruned before a person has confirmed the number.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.indexing.options import IndexOptions
from service.store.catalog import Catalog
from service.store.records import Root

MOST_LOST = 0.1
"""Share of a folder's photographs that may be gone for `prune` to take them out without confirmation."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A folder of which so many of its `known` photographs are gone that a person must confirm it."""

    folder: Path
    gone: int
    known: int


@dataclass(frozen=True, slots=True)
class Swept:
    """What a run did with photographs whose files are gone.

    Attributes:
        removed: how many left the library.
        missing: how many stay though their files are gone.
        losses: the folders for which `prune` was not confirmed; nothing was removed if there are any.
    """

    removed: int = 0
    missing: int = 0
    losses: tuple[Loss, ...] = ()


def sweep(
    catalog: Catalog,
    folders: Sequence[tuple[Root, str]],
    found: Collection[int],
    unreadable: Sequence[tuple[int, str]],
    options: IndexOptions,
) -> Swept:
    """Count, or with `prune` remove, the photographs of the catalog whose files were not found in `folders`.

    Args:
        catalog: of the library.
        folders: what was walked, as roots and folders below them.
        found: ids of photographs whose files are there.
        unreadable: root id and path of folders that could not be listed; what is in them is neither missing nor
            removed.
        options: whether to remove, the number that a person has confirmed, and which folders were walked without those
            below them.
    """
    unlisted = frozenset(unreadable)
    gone: list[int] = []
    losses: list[Loss] = []
    for root, start in folders:
        known = [
            identity
            for identity, folder in _photographs(catalog, root, start, options)
            if not _is_unlisted(unlisted, root.id, folder)
        ]
        lost = [identity for identity in known if identity not in found]
        gone += lost
        if len(lost) > MOST_LOST * len(known):
            losses.append(Loss(root.path / start, len(lost), len(known)))
    if not options.prune or not gone:
        return Swept(missing=len(gone))
    if losses and options.confirm != len(gone):
        return Swept(missing=len(gone), losses=tuple(losses))
    return Swept(removed=catalog.remove(gone))


def _photographs(catalog: Catalog, root: Root, start: str, options: IndexOptions) -> list[tuple[int, str]]:
    """Id and folder of the photographs in what was walked from `start` on."""
    if root.path / start in options.shallow:
        return [(known.id, start) for known in catalog.files_in(root.id, start).values()]
    return catalog.photographs_under(root.id, start)


def _is_unlisted(unlisted: Collection[tuple[int, str]], root_id: int, folder: str) -> bool:
    """Whether a folder, or one above it, could not be listed."""
    names = folder.split("/")
    return any((root_id, "/".join(names[:depth])) in unlisted for depth in range(len(names) + 1))
