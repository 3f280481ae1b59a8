"""Folders in which something has changed on the disk: collected until the disk is quiet, then indexed in one run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.store.paths import is_folder

MOST_FOLDERS = 1_000
"""Folders with changes from which on all of what is watched is indexed instead: events may have been lost."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The folders that one index run covers: `deep` ones with all below them, `flat` ones without."""

    deep: tuple[Path, ...] = ()
    flat: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.deep or self.flat)

    def as_changes(self) -> Changes:
        """The folders as folders with changes."""
        changes = Changes()
        for folder in self.deep:
            changes.add(folder, below=True)
        for folder in self.flat:
            changes.add(folder, below=False)
        return changes


class Changes:
    """Folders in which something has changed, each alone or with all folders below it."""

    def __init__(self) -> None:
        self._below: dict[Path, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._below)

    def add(self, folder: Path, *, below: bool) -> None:
        """Note a change in a folder (absolute); `below` if what is below it may have changed too."""
        self._below[folder] = below or self._below.get(folder, False)

    def update(self, other: Changes) -> None:
        """Add the changes of another."""
        for folder, below in other._below.items():
            self.add(folder, below=below)

    def scope(self, watched: Sequence[Path]) -> Scope:
        """What an index run must cover, given the folders that are watched and there.

        A folder that is gone is covered by what is left above it; changes in no watched folder are left out.
        """
        if len(self._below) > MOST_FOLDERS:
            return Scope(deep=tuple(watched))
        covering: dict[Path, bool] = {}
        for folder, below in self._below.items():
            for root in watched:
                if folder.is_relative_to(root):
                    found = _still_there(folder, root)
                    covering[found] = below or found != folder or covering.get(found, False)
                    break
        deep = outermost(folder for folder, below in covering.items() if below)
        covered = set(deep)
        flat = [folder for folder in covering if covered.isdisjoint((folder, *folder.parents))]
        return Scope(tuple(deep), tuple(sorted(flat)))


class Batch:
    """Changes that wait for the disk to be quiet.

    Args:
        quiet_s: seconds without a change after which the batch is complete.
        most_s: seconds after the first change in which it is complete even if changes go on.
    """

    def __init__(self, quiet_s: float, most_s: float) -> None:
        self._quiet_s = quiet_s
        self._most_s = most_s
        self._changes = Changes()
        self._first = self._last = self._not_before = 0.0

    def add(self, changes: Changes, now: float) -> None:
        """Add what has changed at the time `now`, in seconds."""
        if changes:
            self._first = self._first if self._changes else now
            self._last = now
            self._changes.update(changes)

    def postpone(self, until: float) -> None:
        """Keep the batch from being complete before the time `until`."""
        self._not_before = until

    def __bool__(self) -> bool:
        return bool(self._changes)

    def is_complete(self, now: float, *, at_once: bool = False) -> bool:
        """Whether it is time for an index run; `at_once` if it need not be quiet."""
        if not self._changes or now < self._not_before:
            return False
        return at_once or now - self._last >= self._quiet_s or now - self._first >= self._most_s

    def take(self) -> Changes:
        """The changes so far; the batch is empty afterwards."""
        taken, self._changes = self._changes, Changes()
        return taken


def outermost(folders: Iterable[Path]) -> list[Path]:
    """The folders without those that are inside another."""
    outer: list[Path] = []
    for folder in sorted(folders):
        if not outer or not folder.is_relative_to(outer[-1]):
            outer.append(folder)
    return outer


def _still_there(folder: Path, root: Path) -> Path:
    """The folder, or the nearest one above it, that is there and that no link leads to; `root` at the latest."""
    while folder != root and not (is_folder(folder) and os.path.realpath(folder) == str(folder)):
        folder = folder.parent
    return folder
