"""What can be chosen for an index run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.store.records import FileInfo

Postpone = Callable[[Path, FileInfo], bool]
"""Says of a file that is new or looks changed whether it is left for a later run."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How an index run goes.

    Attributes:
        prune: take photographs whose files are gone out of the library; no file is ever deleted.
        confirm: how many photographs `prune` may take out where a folder lost more than a tenth of them; it must be
            the exact number.
        reread: read all files, also those whose size and times are unchanged.
        exclude: patterns in gitignore's syntax of what is left out of the named folders; "" alone is none. This and
            the next two are remembered with the folder; None leaves them as they are.
        follow_links: whether links to folders are followed.
        min_bytes: of a file; smaller ones are left out.
        shallow: those of the folders that are brought up to date without what is below them.
        postpone: the files for which it says yes stay as they are in the library.
        batch_size: photographs that are encoded together; None is the smallest that an encoder asks for.
        threads: that decode; None is one for each core.
        max_megapixels: pixels that are decoded of one photograph, in millions; None is 179.
    """

    prune: bool = False
    confirm: int | None = None
    reread: bool = False
    exclude: tuple[str, ...] | None = None
    follow_links: bool | None = None
    min_bytes: int | None = None
    shallow: frozenset[Path] = frozenset()
    postpone: Postpone | None = None
    batch_size: int | None = None
    threads: int | None = None
    max_megapixels: int | None = None
