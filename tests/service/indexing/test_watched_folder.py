"""A folder that is watched goes away with its drive, comes back, and loses what reports its changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.indexing.changes import Scope
from service.indexing.disks import Mount
from service.indexing.watched_folder import CHECK_S, FAULT_S, WatchedFolder
from tests.service.indexing.change_sources import Clock, FakeSource, FakeSources


class Folder:
    """A watched folder with one photograph, over fake sources."""

    def __init__(self, folder: Path, *, always_poll: bool = False) -> None:
        self.path = folder / "root"
        (self.path / "2020").mkdir(parents=True)
        (self.path / "one.jpg").write_bytes(b"1")
        self.sources = FakeSources()
        self.clock = Clock()
        self.said: list[str] = []
        self.has_photographs = True
        self._always_poll = always_poll
        self.watched = self.watch()

    def watch(self) -> WatchedFolder:
        return WatchedFolder(
            self.path,
            self.sources,  # type: ignore[arg-type]
            always_poll=self._always_poll,
            has_photographs=lambda folder: self.has_photographs,
            say=self.said.append,
            clock=self.clock,
        )

    def look(self, after: float = CHECK_S) -> Scope:
        """What has changed after some seconds."""
        self.clock.now += after
        return self.watched.look().scope([self.path])

    @property
    def source(self) -> FakeSource:
        (source,) = self.sources.current()
        return source

    @property
    def whole(self) -> Scope:
        return Scope(deep=(self.path,))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path.resolve())


def test_all_of_it_is_new_at_first_and_then_what_is_reported(folder: Folder) -> None:
    assert not folder.watched.is_there
    assert folder.look() == folder.whole
    assert folder.watched.is_there
    assert folder.source.kind == "events"
    assert not folder.look()
    folder.sources.report(folder.path / "2020")
    assert folder.look(0) == Scope(flat=(folder.path / "2020",))
    assert folder.said == []


def test_a_folder_that_goes_away_is_not_watched_until_it_is_back(folder: Folder) -> None:
    folder.look()
    away = folder.path.rename(folder.path.with_name("away"))
    assert not folder.look(0), "it is not looked for at every look"
    assert folder.watched.is_there
    assert not folder.look()
    assert not folder.watched.is_there
    assert list(folder.sources.current()) == []
    assert not folder.look()
    away.rename(folder.path)
    assert folder.look() == folder.whole
    assert folder.said == [
        f"{folder.path} is not there. Its photographs stay in the library, and it is watched again when it is back.",
        f"{folder.path} is back.",
    ]
    assert not folder.look()


def test_a_folder_that_is_away_at_first_is_said_once(folder: Folder) -> None:
    away = folder.path.rename(folder.path.with_name("away"))
    assert not folder.look()
    assert not folder.look()
    assert len(folder.said) == 1
    away.rename(folder.path)
    assert folder.look() == folder.whole


def test_an_empty_folder_in_which_photographs_were_is_away(folder: Folder) -> None:
    folder.look()
    (folder.path / "one.jpg").unlink()
    (folder.path / "2020").rmdir()
    (folder.path / ".Trash-1000").mkdir()
    assert not folder.look()
    assert not folder.watched.is_there
    assert folder.said[0].startswith(f"{folder.path} is empty, as if its drive were not connected. Its photographs ")
    (folder.path / "two.jpg").write_bytes(b"2")
    assert folder.look() == folder.whole


def test_an_empty_folder_of_which_the_library_has_nothing_is_there(folder: Folder) -> None:
    folder.has_photographs = False
    (folder.path / "one.jpg").unlink()
    (folder.path / "2020").rmdir()
    assert folder.look() == folder.whole
    assert folder.said == []


def test_a_file_in_its_place_is_no_folder(folder: Folder) -> None:
    folder.look()
    folder.path.rename(folder.path.with_name("away"))
    folder.path.write_bytes(b"")
    assert not folder.look()
    assert folder.said[0].startswith(f"{folder.path} is not there.")


def test_a_folder_that_cannot_be_read_is_away(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("service.indexing.watched_folder.is_empty", refuse)
    assert not folder.look()
    assert folder.said[0].startswith(f"{folder.path} cannot be read (Permission denied). Its photographs stay")


def test_another_disk_in_its_place_is_looked_through(folder: Folder) -> None:
    folder.look()
    first = folder.source
    folder.path.rename(folder.path.with_name("away"))
    (folder.path / "other").mkdir(parents=True)
    assert folder.look() == folder.whole
    assert not first.is_open
    folder.sources.mounted = (Mount("/x", "ext4", "/dev/sdb1"),)
    assert folder.look() == folder.whole, "a drive that is mounted below it changes it too"
    assert folder.said == []


def test_a_shared_disk_is_listed_and_said(folder: Folder) -> None:
    folder.sources.mounted = (Mount("/", "ext4", "/dev/sda1"), Mount("/mnt", "nfs4", "nas:/photos"))
    assert folder.look() == folder.whole
    assert folder.source.kind == "polls"
    assert folder.said == [
        f"{folder.path} is on a disk that does not report all changes (nfs4). Looking for changes every 30 s instead."
    ]


def test_every_disk_is_listed_if_that_is_wished(tmp_path: Path) -> None:
    folder = Folder(tmp_path.resolve(), always_poll=True)
    folder.look()
    assert (folder.source.kind, folder.said) == ("polls", [])


def test_a_folder_is_listed_where_the_system_cannot_watch_it(folder: Folder) -> None:
    folder.sources.fault = "Too many folders."
    assert folder.look() == folder.whole
    assert folder.source.kind == "polls"
    assert folder.said == ["Too many folders. Looking for changes every 30 s instead."]


def test_new_folders_are_covered_and_listed_where_that_is_impossible(folder: Folder) -> None:
    folder.look()
    folder.watched.cover([folder.path / "2020", folder.path.parent])
    assert folder.source.covered == [folder.path / "2020"]
    folder.source.cover_fault = "Too many folders."
    folder.watched.cover([folder.path / "2020"])
    assert folder.source.kind == "polls"
    assert folder.said == ["Too many folders. Looking for changes every 30 s instead."]


def test_reports_that_end_begin_again_and_after_a_second_time_it_is_listed(folder: Folder) -> None:
    folder.look()
    folder.source.fault = "No more reports."
    assert folder.look(0) == folder.whole, "changes may have been lost"
    assert (folder.source.kind, folder.said) == ("events", [])
    folder.source.fault = "No more reports."
    assert folder.look(FAULT_S) == folder.whole
    assert folder.source.kind == "events", "the last time was long ago"
    folder.source.fault = "No more reports."
    assert folder.look(FAULT_S - 1) == folder.whole
    assert folder.source.kind == "polls"
    assert folder.said == ["No more reports. Looking for changes every 30 s instead."]
