"""Changes found by listing folders, with a clock that the test moves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import service.indexing.disk_polls
from service.indexing.disk_polls import MOST_UNSETTLED_S, RECHECK_S, DiskPolls
from service.indexing.watched_names import state_of

INTERVAL_S = 30.0


class Polled:
    """A folder of photographs, and what is found in it as time passes."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        for name in ("a/one.jpg", "a/two.jpg", "b/three.jpg", "library/catalog.jpg"):
            self.write(name)
        self.now = 1000.0
        self.polls = DiskPolls(self.root, self.root / "library", INTERVAL_S, lambda: self.now)

    def write(self, name: str, content: bytes = b"photograph") -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def after(self, seconds: float) -> dict[str, bool]:
        """Folders that are found to have changed after some seconds, and whether with all below."""
        self.now += seconds
        found = self.polls.take()._below
        return {folder.relative_to(self.root).as_posix(): below for folder, below in found.items()}

    def listed(self) -> dict[str, bool]:
        """The same after a listing of everything and a second look."""
        assert self.after(INTERVAL_S) == {}
        return self.after(RECHECK_S)


@pytest.fixture
def polled(tmp_path: Path) -> Polled:
    return Polled(tmp_path.resolve())


def test_what_does_not_change_is_not_found(polled: Polled) -> None:
    assert polled.listed() == {}
    assert polled.listed() == {}


def test_folders_are_not_listed_before_the_interval_has_passed(polled: Polled) -> None:
    polled.write("a/new.jpg")
    assert polled.after(INTERVAL_S - 1) == {}
    assert polled.after(RECHECK_S) == {}, "listed now, and once more in a moment"
    assert polled.after(RECHECK_S - 1) == {}
    assert polled.after(1) == {"a": False}
    assert polled.listed() == {}, "it is told once"


def test_new_changed_moved_and_removed_files_are_found_in_their_folders(polled: Polled) -> None:
    (polled.root / "a/one.jpg").rename(polled.root / "b/one.jpg")
    assert polled.listed() == {"a": False, "b": False}
    polled.write("b/three.jpg", b"other")
    assert polled.listed() == {"b": False}
    (polled.root / "a/two.jpg").unlink()
    assert polled.listed() == {"a": False}


def test_an_edit_that_keeps_size_and_time_is_found(polled: Polled) -> None:
    file = polled.root / "a/one.jpg"
    before = file.stat()
    file.write_bytes(b"PHOTOGRAPH")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert polled.listed() == {"a": False}


def test_new_folders_are_found_one_by_one_and_removed_ones_with_what_was_below(polled: Polled) -> None:
    polled.write("c/inner/four.jpg")
    assert polled.listed() == {".": False, "c": False, "c/inner": False}
    (polled.root / "c").rename(polled.root / "d")
    assert polled.listed() == {".": False, "c": True, "c/inner": True, "d": False, "d/inner": False}


def test_a_file_that_grows_is_found_when_it_no_longer_does(polled: Polled) -> None:
    polled.write("a/large.jpg", b"1")
    assert polled.after(INTERVAL_S) == {}
    for size in range(2, 5):
        polled.write("a/large.jpg", b"1" * size)
        assert polled.after(RECHECK_S) == {}
    assert polled.after(RECHECK_S) == {"a": False}


def test_a_folder_that_changes_without_end_is_found_all_the_same(polled: Polled) -> None:
    size, waited, found = 1, 0.0, {}
    polled.write("a/webcam.jpg", b"1")
    polled.after(INTERVAL_S)
    while not found:
        size, waited = size + 1, waited + RECHECK_S
        polled.write("a/webcam.jpg", b"1" * size)
        found = polled.after(RECHECK_S)
    assert (found, waited) == ({"a": False}, MOST_UNSETTLED_S)


def test_folders_are_found_while_others_go_on_to_change(polled: Polled) -> None:
    polled.polls._interval_s = 1.0
    polled.after(INTERVAL_S)
    found: set[str] = set()
    for number in range(20):
        polled.write(f"import/{number}/one.jpg")
        found |= polled.after(1).keys()
    assert {f"import/{number}" for number in range(10)} <= found


def test_rules_change_everything_below_them(polled: Polled) -> None:
    polled.write("a/inner/.smyslignore", b"*.png")
    assert polled.listed() == {"a": False, "a/inner": False}
    polled.write("a/inner/.smyslignore", b"*.jpg\n")
    assert polled.listed() == {"a/inner": True}
    polled.write("a/.nomedia")
    assert polled.listed() == {"a": True}


def test_rubbish_and_the_library_itself_do_not_matter(polled: Polled) -> None:
    for name in ("a/.hidden.jpg", "a/@eaDir/thumb.jpg", "a/Thumbs.db", "a/notes.txt", "library/new.jpg", ".git/x.jpg"):
        polled.write(name)
    polled.write("b/sidecar.xmp")
    assert polled.listed() == {"b": False}


def test_names_that_are_not_utf8_are_passed_over(polled: Polled) -> None:
    (Path(os.fsdecode(os.fsencode(polled.root) + b"/a/\xff\xfe.jpg"))).write_bytes(b"1")
    folder = Path(os.fsdecode(os.fsencode(polled.root) + b"/a/\xff"))
    folder.mkdir()
    (folder / "one.jpg").write_bytes(b"1")
    assert polled.listed() == {}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_read_hides_only_itself(polled: Polled) -> None:
    (polled.root / "a").chmod(0)
    polled.write("b/new.jpg")
    found = polled.listed()
    (polled.root / "a").chmod(0o755)
    assert found == {"a": True, "b": False}


def test_a_folder_that_cannot_be_listed_is_taken_for_gone(polled: Polled, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: str) -> object:
        if folder.endswith("/a"):
            raise PermissionError
        return state_of(folder)

    monkeypatch.setattr(service.indexing.disk_polls, "state_of", refuse)
    assert polled.listed() == {"a": True}
    monkeypatch.undo()
    assert polled.listed() == {"a": False}


def test_a_slow_disk_is_listed_at_most_half_of_the_time(polled: Polled, monkeypatch: pytest.MonkeyPatch) -> None:
    listings: list[str] = []

    def slowly(folder: str) -> object:
        listings.append(folder)
        polled.now += 100
        return state_of(folder)

    monkeypatch.setattr(service.indexing.disk_polls, "state_of", slowly)
    assert polled.after(INTERVAL_S) == {}
    assert len(listings) == 3
    assert polled.after(299) == {}
    assert len(listings) == 3, "a listing took 300 seconds, so the next one waits as long"
    polled.after(1)
    assert len(listings) == 6
