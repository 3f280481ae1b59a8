"""Sources of changes and a clock that a test moves, in place of a disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from service.errors import LibraryError
from service.indexing.changes import Changes
from service.indexing.disks import Mount


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeSource:
    """Gives the changes that a test made, or an error."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.changes = Changes()
        self.fault: str | None = None
        self.cover_fault: str | None = None
        self.covered: list[Path] = []
        self.is_open = True

    def take(self) -> Changes:
        if self.fault is not None:
            raise LibraryError(self.fault)
        taken, self.changes = self.changes, Changes()
        return taken

    def cover(self, folders: Iterable[Path]) -> None:
        if self.cover_fault is not None:
            raise LibraryError(self.cover_fault)
        self.covered += folders

    def close(self) -> None:
        self.is_open = False


class FakeSources:
    """Opens fake sources, and keeps all that were opened; `mounted` are disks that hold all folders."""

    poll_s = 30.0

    def __init__(self) -> None:
        self.opened: list[FakeSource] = []
        self.mounted: tuple[Mount, ...] = ()
        self.fault: str | None = None

    def events(self, folder: Path) -> FakeSource:
        if self.fault is not None:
            raise LibraryError(self.fault)
        return self._open("events", folder)

    def polls(self, folder: Path) -> FakeSource:
        return self._open("polls", folder)

    def mounts(self, folder: Path) -> tuple[Mount, ...]:
        return self.mounted

    def current(self) -> Iterator[FakeSource]:
        return (source for source in self.opened if source.is_open)

    def report(self, folder: Path, *, below: bool = False) -> None:
        """Report a change in a folder."""
        for source in self.current():
            if folder.is_relative_to(source.folder):
                source.changes.add(folder, below=below)

    def _open(self, kind: str, folder: Path) -> FakeSource:
        self.opened.append(FakeSource(kind, folder))
        return self.opened[-1]
