"""What can be chosen for watching folders, and what happens meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.indexing.indexer import Event, Summary

POLL_S = 30.0
"""Seconds between two listings of a disk that does not report changes."""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How a library is watched.

    Attributes:
        prune: take photographs whose files are gone out of the library, unless a folder lost more than a tenth.
        poll_s: seconds between two listings of every folder; None lists only those whose disk does not report changes,
            every `POLL_S`.
    """

    prune: bool = False
    poll_s: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the person who watches."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Watching:
    """The folders that are watched from now on, and those that are watched for because they are away."""

    folders: tuple[Path, ...]
    away: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """An index run has ended; `new_failures` and `new_missing` count what no run before it has counted."""

    summary: Summary
    new_failures: int
    new_missing: int


WatchEvent = Event | Notice | Watching | Ran
"""What happens while a library is watched. The events of an index run end with `Finished` and `Ran`."""
