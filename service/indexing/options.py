"""What can be chosen for an index run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How an index run goes.

    Attributes:
        prune: take photographs whose files are gone out of the library; no file is ever deleted.
        confirm: how many photographs `prune` may take out where a folder lost more than a tenth of them; it must be
            the exact number.
        reread: read all files, also those whose size and times are unchanged.
        batch_size: photographs that are encoded together; None is the smallest that an encoder asks for.
        threads: that decode; None is one for each core.
    """

    prune: bool = False
    confirm: int | None = None
    reread: bool = False
    batch_size: int | None = None
    threads: int | None = None
