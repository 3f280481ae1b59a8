"""A walk through folders: which files are found, in which order, and which are skipped or fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.indexing.walk import LINKS, NOT_UTF8, OTHER, UNSUPPORTED, walk


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_photographs_are_found_by_extension_and_other_files_counted(tmp_path: Path) -> None:
    write(tmp_path, "b/2.jpg", "b/c/3.HEIC", "a/1.png", "0.webp", "notes.txt", "a/raw.nef", ".hidden/4.jpg", ".5.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "0.webp")
    (tmp_path / "folder link").symlink_to(tmp_path / "a")
    found = walk(tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in found.files] == ["0.webp", "a/1.png", "b/2.jpg", "b/c/3.HEIC"]
    assert found.skipped == {OTHER: 1, UNSUPPORTED: 1, LINKS: 2}
    assert found.failed == []


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes only on POSIX")
def test_a_name_that_is_not_utf8_and_a_missing_folder_fail(tmp_path: Path) -> None:
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system has no such names")
    ((_, reason),) = walk(tmp_path).failed
    assert reason == NOT_UTF8
    ((path, reason),) = walk(tmp_path / "none").failed
    assert path == str(tmp_path / "none")
    assert reason.startswith("the folder cannot be read")
