"""One folder of photographs that is watched: whether it is there, and what changes in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from service.errors import LibraryError
from service.indexing.changes import Changes
from service.indexing.disk_events import DiskEvents
from service.indexing.disk_polls import DiskPolls
from service.indexing.disks import Mount, mounts_of
from service.indexing.watched_names import is_empty
from service.types import Say

CHECK_S = 2.0
"""Seconds between two checks whether a folder is there."""

FAULT_S = 600.0
"""Seconds within which a second fault of what reports changes ends its use."""


class ChangeSource(Protocol):
    """Finds changes in a folder and below it."""

    def take(self) -> Changes:
        """The changes since the last call; raises `LibraryError` if no more will be found."""

    def cover(self, folders: Iterable[Path]) -> None:
        """Find changes in these folders too, which may be new; raises `LibraryError` if that is impossible."""

    def close(self) -> None:
        """Stop."""


class ChangeSources:
    """Opens what finds the changes of a folder.

    Args:
        leave_out: a folder whose changes do not matter: the library's own.
        poll_s: seconds between two listings of a folder whose disk reports no changes.
        clock: seconds that pass.
    """

    def __init__(self, leave_out: Path, poll_s: float, clock: Callable[[], float]) -> None:
        self._leave_out = leave_out
        self._clock = clock
        self.poll_s = poll_s

    def events(self, folder: Path) -> ChangeSource:
        """The system's reports; raises `LibraryError` if it cannot give them."""
        return DiskEvents(folder, self._leave_out)

    def polls(self, folder: Path) -> ChangeSource:
        """Listings of the folder and all below it."""
        return DiskPolls(folder, self._leave_out, self.poll_s, self._clock)

    def mounts(self, folder: Path) -> tuple[Mount, ...]:
        """The disks that a folder is on."""
        return mounts_of(folder)


class WatchedFolder:
    """A folder that is watched. It may go away with its drive, and come back.

    Args:
        path: absolute and resolved.
        sources: what finds changes.
        always_poll: list the folder even if its disk reports changes.
        has_photographs: whether the library has photographs in a folder. If it is empty then, its drive is away.
        say: called when the folder goes away or comes back, or is listed because changes are not reported.
        clock: seconds that pass.
    """

    def __init__(
        self,
        path: Path,
        sources: ChangeSources,
        *,
        always_poll: bool,
        has_photographs: Callable[[Path], bool],
        say: Say,
        clock: Callable[[], float],
    ) -> None:
        self.path = path
        self._sources = sources
        self._always_poll = always_poll
        self._has_photographs = has_photographs
        self._say = say
        self._clock = clock
        self._source: ChangeSource | None = None
        self._identity: object = None
        self._is_away = False
        self._check_at = clock()
        self._last_fault: float | None = None

    @property
    def is_there(self) -> bool:
        """Whether the folder was there when it was last checked."""
        return self._source is not None

    def look(self) -> Changes:
        """What has changed since the last look: the whole folder if it has come or come back."""
        changes = Changes()
        if self._clock() >= self._check_at:
            self.check(changes)
        if self._source is not None:
            try:
                changes.update(self._source.take())
            except LibraryError as error:
                self._recover(error)
                changes.add(self.path, below=True)
        return changes

    def check(self, changes: Changes) -> None:
        """Find out whether the folder is there; adds it to `changes` if it has come or come back."""
        self._check_at = self._clock() + CHECK_S
        if (problem := self._problem()) is not None:
            self.close()
            if not self._is_away:
                self._say(
                    f"{self.path} {problem}. Its photographs stay in the library, and it is watched again when it is "
                    "back."
                )
            self._is_away = True
            return
        identity = self._identify()
        if self._source is not None and identity == self._identity:
            return
        if self._is_away:
            self._say(f"{self.path} is back.")
        self._is_away = False
        self.close()
        self._identity = identity
        self._open()
        changes.add(self.path, below=True)

    def cover(self, folders: Iterable[Path]) -> None:
        """Find changes in these folders too, those of them that are in this one."""
        if self._source is not None:
            try:
                self._source.cover([folder for folder in folders if folder.is_relative_to(self.path)])
            except LibraryError as error:
                self._poll(error.message)

    def close(self) -> None:
        """Stop looking for changes."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _problem(self) -> str | None:
        """Why the folder cannot be indexed now; None if it can."""
        try:
            empty = is_empty(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return "is not there"
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        if empty and (self._is_away or self._has_photographs(self.path)):
            return "is empty, as if its drive were not connected"
        return None

    def _identify(self) -> object:
        """What changes when another disk takes the folder's place, or that of a folder below it."""
        mounts = self._sources.mounts(self.path)
        if any(mount.is_shared for mount in mounts):
            # Some network drives give a folder another number each time.
            return mounts
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, mounts

    def _open(self) -> None:
        shared = [mount for mount in self._sources.mounts(self.path) if mount.is_shared]
        if self._always_poll:
            self._source = self._sources.polls(self.path)
        elif shared:
            self._poll(f"{self.path} is on a disk that does not report all changes ({shared[0].file_system}).")
        else:
            try:
                self._source = self._sources.events(self.path)
            except LibraryError as error:
                self._poll(error.message)

    def _recover(self, error: LibraryError) -> None:
        """Have changes reported again, or list the folder from now on if that has failed not long ago."""
        last, self._last_fault = self._last_fault, self._clock()
        self.close()
        if last is not None and self._last_fault - last < FAULT_S:
            self._poll(error.message)
        else:
            self._open()

    def _poll(self, reason: str) -> None:
        self.close()
        self._say(f"{reason} Looking for changes every {self._sources.poll_s:g} s instead.")
        self._source = self._sources.polls(self.path)
