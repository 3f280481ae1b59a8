"""Changes as the operating system really reports them."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import watchfiles

import service.indexing.disk_events
from service.errors import LibraryError
from service.indexing.changes import Changes
from service.indexing.disk_events import DiskEvents

PATIENCE_S = 30.0
"""Seconds after which a report that has not come fails the test."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system watches all below a folder")


class Watched:
    """A folder that is watched, and what is reported of it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        for name in ("a/one.jpg", "b/two.jpg", "b/deep/three.jpg", "library/catalog.jpg"):
            self.write(name)
        self.events = DiskEvents(self.root, self.root / "library")
        self._sentinels = 0

    def write(self, name: str, content: bytes = b"photograph") -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def reported(self, *awaited: str) -> dict[str, bool]:
        """The folders reported since the last call, and whether with all below them.

        A change that is always reported is made last, so that what has not been reported until then will not be.
        Folders that came to be watched later are watched by another thread, which may be slower; they are `awaited`.
        """
        found, folder = Changes(), self.root / "b" / "deep"
        self._sentinels += 1
        (folder / f"last{self._sentinels}.jpg").write_bytes(b"")
        expected = {folder, *(self.root / name for name in awaited)}
        end = time.monotonic() + PATIENCE_S
        while not expected <= found._below.keys():
            assert time.monotonic() < end, "not everything is reported"
            found.update(self.events.take())
        del found._below[folder]
        return {folder.relative_to(self.root).as_posix(): below for folder, below in found._below.items()}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path.resolve())
    yield watched
    watched.events.close()


def test_new_changed_and_removed_files_are_reported_with_their_folders(watched: Watched) -> None:
    assert watched.reported() == {}
    watched.write("a/new.jpg")
    assert watched.reported() == {"a": False}
    watched.write("b/two.jpg", b"other")
    assert watched.reported() == {"b": False}
    (watched.root / "a/one.jpg").unlink()
    assert watched.reported() == {"a": False}
    watched.write("b/two.xmp")
    assert watched.reported() == {"b": False}
    watched.write("a/without extension")
    assert watched.reported() == {"a": False}


def test_both_folders_of_a_move_are_reported(watched: Watched) -> None:
    (watched.root / "a/one.jpg").rename(watched.root / "b/one.jpg")
    assert watched.reported() == {"a": False, "b": False}


def test_new_and_renamed_folders_are_reported_with_all_below_them(watched: Watched) -> None:
    watched.write("c/inner/four.jpg")
    assert watched.reported()["c"]
    (watched.root / "a").rename(watched.root / "d")
    found = watched.reported()
    assert (found["a"], found["d"]) == (True, True)


def test_folders_are_watched_once_they_are_covered(watched: Watched) -> None:
    watched.write("c/inner/four.jpg")
    (watched.root / "a").rename(watched.root / "d")
    watched.reported()
    watched.events.cover([watched.root / "c", watched.root / "d"])
    watched.reported()
    watched.write("c/inner/five.jpg")
    watched.write("d/one.jpg", b"other")
    assert watched.reported("c/inner", "d") == {"c/inner": False, "d": False}


def test_a_folder_that_takes_the_place_of_another_is_watched(watched: Watched) -> None:
    shutil.rmtree(watched.root / "a")
    watched.write("a/other.jpg")
    watched.reported()
    watched.events.cover([watched.root / "a"])
    watched.reported()
    watched.write("a/more.jpg")
    assert watched.reported("a") == {"a": False}


@linux
def test_many_new_folders_do_not_make_many_watchers(watched: Watched) -> None:
    for number in range(30):
        watched.write(f"new{number}/one.jpg")
        watched.events.cover([watched.root / f"new{number}"])
        assert len(watched.events._watchers) <= 8
    names = [f"new{number}" for number in range(30)]
    watched.reported(*names)
    for name in names:
        watched.write(f"{name}/two.jpg")
    assert watched.reported(*names) == dict.fromkeys(names, False)


def test_rules_are_reported_with_all_below_them(watched: Watched) -> None:
    watched.write("b/.smyslignore", b"*.png")
    assert watched.reported() == {"b": True}
    watched.write("a/.nomedia")
    assert watched.reported() == {"a": True}
    (watched.root / "a/.nomedia").unlink()
    assert watched.reported() == {"a": True}


def test_rubbish_and_the_library_itself_are_not_reported(watched: Watched) -> None:
    for name in ("a/.hidden.jpg", "a/@eaDir/one.jpg", "a/Thumbs.db", "a/notes.txt", "library/new.jpg", ".git/one.jpg"):
        watched.write(name)
    assert watched.reported() == {}
    watched.events.cover([watched.root])
    watched.write("a/@eaDir/two.jpg")
    watched.write("library/more.jpg")
    (watched.root / "a/notes.txt").unlink()
    assert watched.reported() == {}


def test_reading_a_file_is_no_change(watched: Watched) -> None:
    for file in watched.root.rglob("*.jpg"):
        file.read_bytes()
    assert watched.reported() == {}


@linux
@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_read_keeps_no_other_from_being_watched(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "root"
    for name in ("a", "lost+found", "m", "z"):
        (root / name).mkdir(parents=True)
    (root / "m").chmod(0)
    events = DiskEvents(root, tmp_path)
    (root / "m").chmod(0o755)
    assert events._folders == {str(root), str(root / "a"), str(root / "z")}
    events.close()


@linux
def test_twenty_thousand_new_files_are_all_reported(watched: Watched) -> None:
    for folder in range(100):
        (watched.root / str(folder)).mkdir()
    watched.events.cover([watched.root])
    names = [str(folder) for folder in range(100)]
    watched.reported(*names)
    for name in names:
        for number in range(200):
            (watched.root / name / f"{number}.jpg").touch()
    assert watched.reported(*names) == dict.fromkeys(names, False)


@linux
def test_a_name_that_is_not_utf8_ends_the_reports_with_a_sentence(watched: Watched) -> None:
    Path(os.fsdecode(os.fsencode(watched.root) + b"/a/\xff\xfe.jpg")).write_bytes(b"1")
    with pytest.raises(LibraryError, match=r"^The system no longer reports changes in .*root \(Unable to decode path"):
        watched.reported()
    again = DiskEvents(watched.root, watched.root / "library")
    again.close()


def test_a_folder_that_is_gone_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="cannot be watched, since it cannot be listed"):
        DiskEvents(tmp_path / "gone", tmp_path)


@linux
def test_a_folder_that_goes_while_it_is_being_watched_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path.resolve() / "root"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
    real = watchfiles.watch

    def too_late(*folders: str, **options: Any) -> Any:
        shutil.rmtree(root / "b", ignore_errors=True)
        return real(*folders, **options)

    monkeypatch.setattr(watchfiles, "watch", too_late)
    events = DiskEvents(root, tmp_path)
    assert events._folders == {str(root), str(root / "a")}
    events.close()


@linux
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            OSError('OS file watch limit reached. about ["/a"]'),
            r"fs\.inotify\.max_user_watches is [\d,]+\).* `sudo sysctl fs\.inotify\.max_user_watches=\d+`",
        ),
        (
            watchfiles._rust_notify.WatchfilesRustInternalError("Too many open files (os error 24)"),
            r"fs\.inotify\.max_user_instances is [\d,]+\).* `sudo sysctl fs\.inotify\.max_user_instances=\d+`",
        ),
        (OSError("something else"), r"The system no longer reports changes in .* \(something else\)\."),
    ],
)
def test_limits_of_the_system_are_named_with_the_command_that_raises_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, says: str
) -> None:
    def refuse(*folders: str, **options: Any) -> Iterator[set[tuple[int, str]]]:
        raise fault
        yield set()

    monkeypatch.setattr(watchfiles, "watch", refuse)
    with pytest.raises(LibraryError, match=says):
        DiskEvents(tmp_path, tmp_path / "library")


@linux
def test_where_the_limit_cannot_be_read_its_name_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.indexing.disk_events, "_INOTIFY", tmp_path)
    reason = service.indexing.disk_events._reason("/photos", "OS file watch limit reached.")
    assert "(fs.inotify.max_user_watches)" in reason
    (tmp_path / "max_user_watches").write_text("2000000\n")
    reason = service.indexing.disk_events._reason("/photos", "OS file watch limit reached.")
    assert "is 2,000,000)" in reason
    assert "=4000000`" in reason
