"""Changes in a folder and below it, found by listing all folders again and again: for disks that report none.

A network drive may show a file that another machine is still writing, so a folder counts as changed only when two
listings a few seconds apart are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from service.indexing.changes import Changes
from service.indexing.watched_names import FolderState, state_of

RECHECK_S = 5.0
"""Seconds between two listings of a folder that has changed; clients of NFS remember sizes and times for three."""

MOST_UNSETTLED_S = 30.0
"""Seconds after which a folder that changes without end is reported all the same."""


@dataclass(slots=True)
class _Unsettled:
    """A folder that differs from what was last reported: its state when last listed, None if it was gone."""

    state: FolderState | None
    listed: float
    since: float


class DiskPolls:
    """The changes of a folder and of what is below it, found by listing.

    Args:
        root: the folder, absolute and resolved.
        leave_out: a folder whose changes do not matter: the library's own.
        interval_s: seconds between two listings of all folders, or as long as a listing takes where that is more.
        clock: seconds that pass.
    """

    def __init__(self, root: Path, leave_out: Path, interval_s: float, clock: Callable[[], float]) -> None:
        self._root = str(root)
        self._leave_out = str(leave_out)
        self._interval_s = interval_s
        self._clock = clock
        self._unsettled: dict[str, _Unsettled] = {}
        self._reported: dict[str, FolderState | None] = dict(self._list_all())

    def take(self) -> Changes:
        """The folders that have changed since they were last reported, and are not changing any more."""
        changes = Changes()
        self._recheck(changes)
        if self._clock() >= self._list_at:
            self._compare(dict(self._list_all()))
        return changes

    def cover(self, folders: Iterable[Path]) -> None:
        """Nothing: all folders are listed every time."""

    def close(self) -> None:
        """Nothing: there is nothing to end."""

    def _list_all(self) -> Iterator[tuple[str, FolderState | None]]:
        """The state of each folder. Those that cannot be listed are gone."""
        start = self._clock()
        pending = [self._root]
        while pending:
            folder = pending.pop()
            if folder == self._leave_out:
                continue
            try:
                state, inside = state_of(folder)
            except OSError:
                continue
            yield folder, state
            pending.extend(inside)
        end = self._clock()
        self._list_at = end + max(self._interval_s, end - start)

    def _compare(self, states: dict[str, FolderState | None]) -> None:
        now = self._clock()
        for folder in self._reported.keys() | states.keys():
            state = states.get(folder)
            if folder not in self._unsettled and state != self._reported.get(folder):
                self._unsettled[folder] = _Unsettled(state, now, now)

    def _recheck(self, changes: Changes) -> None:
        now = self._clock()
        for folder, unsettled in list(self._unsettled.items()):
            if now - unsettled.listed < RECHECK_S:
                continue
            try:
                state, _ = state_of(folder)
            except OSError:
                state = None
            if state != unsettled.state and now - unsettled.since < MOST_UNSETTLED_S:
                unsettled.state, unsettled.listed = state, now
                continue
            del self._unsettled[folder]
            before = self._reported.pop(folder, None)
            if state is not None:
                self._reported[folder] = state
            changes.add(Path(folder), below=state is None or (before is not None and state.rules != before.rules))
