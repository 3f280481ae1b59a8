"""A file is replaced as a whole or not at all, and synced before it replaces the old one."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from service.store.atomic import replacing, replacing_all, write_bytes, write_text


def test_a_file_is_created_or_replaced(tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    write_text(file, "один\r\n")
    assert file.read_bytes() == "один\r\n".encode()
    write_bytes(file, b"two")
    assert file.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [file], "nothing is left beside it"


def test_a_failure_leaves_the_old_file_and_no_temporary_file(tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(file) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_files_that_belong_together_are_replaced_together(tmp_path: Path) -> None:
    files = [tmp_path / "one.npy", tmp_path / "two.npy"]
    for file in files:
        file.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing_all(files) as temporary:
        assert [path.suffix for path in temporary] == [".npy", ".npy"], "numpy adds a suffix that is missing"
        temporary[0].write_text("new")
        raise ZeroDivisionError
    assert [file.read_text() for file in files] == ["old", "old"]
    with replacing_all(files) as temporary:
        for path in temporary:
            path.write_text("new")
    assert [file.read_text() for file in files] == ["new", "new"]
    assert sorted(tmp_path.iterdir()) == files


def test_content_and_name_are_synced_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "facts.json"
    steps: list[str] = []
    replace, fsync = Path.replace, os.fsync

    def note_replace(self: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(self, target)

    def note_fsync(descriptor: int) -> None:
        steps.append("folder" if os.path.samestat(os.fstat(descriptor), tmp_path.stat()) else "file")
        fsync(descriptor)

    monkeypatch.setattr(Path, "replace", note_replace)
    monkeypatch.setattr(os, "fsync", note_fsync)
    write_text(file, "new")
    assert steps == ["file", "replace", "folder"]
    steps.clear()
    with replacing(file, sync=False) as temporary:
        temporary.write_text("newer")
    assert (steps, file.read_text()) == (["replace"], "newer")


@pytest.mark.parametrize(("code", "fails"), [(errno.EINVAL, False), (errno.EACCES, False), (errno.EIO, True)])
def test_a_network_drive_that_cannot_sync_folders_is_written_to_and_a_broken_disk_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, fails: bool
) -> None:
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), tmp_path.stat()):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match=os.strerror(code)) if fails else nullcontext():
        write_text(tmp_path / "facts.json", "new")
    assert (tmp_path / "facts.json").read_text() == "new"
