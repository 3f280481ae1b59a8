"""A library that a failed run has made is taken away again; any other stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import LibraryError, UsageError
from service.library import Library
from service.store.lock import write_lock
from service.store.new_library import removed_if_it_fails
from tests.service.conftest import SampleLibrary


def fail_in(folder: Path, error: BaseException) -> None:
    with (
        pytest.raises(type(error)),
        removed_if_it_fails(folder),
        Library.open(folder, create=True) as library,
        write_lock(folder, "smysl index"),
    ):
        library.catalog.add_root(folder.parent)
        raise error


@pytest.mark.parametrize("error", [UsageError("No such model."), KeyboardInterrupt(), MemoryError()])
def test_a_new_library_is_removed_with_the_folders_that_were_made_for_it(tmp_path: Path, error: BaseException) -> None:
    fail_in(tmp_path / "data" / "smysl" / "library", error)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays_with_what_else_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    fail_in(tmp_path, KeyboardInterrupt())
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_library_that_was_there_stays(tmp_path: Path) -> None:
    Library.open(tmp_path, create=True).close()
    fail_in(tmp_path, KeyboardInterrupt())
    assert Library.is_in(tmp_path)


def test_a_new_library_with_photographs_stays(sample_library: SampleLibrary, tmp_path: Path) -> None:
    filled = tmp_path / "filled"
    with pytest.raises(KeyboardInterrupt), removed_if_it_fails(filled):
        sample_library.folder.rename(filled)
        raise KeyboardInterrupt
    with Library.open(filled) as library:
        assert library.status().photographs == 5


def test_a_library_that_another_process_fills_stays(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt), write_lock(folder, "smysl index"), removed_if_it_fails(folder):
        Library.open(folder, create=True).close()
        raise KeyboardInterrupt
    assert Library.is_in(folder)


def test_a_library_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 300)
    with pytest.raises(LibraryError, match="cannot be made"), removed_if_it_fails(folder):
        Library.open(folder, create=True)


def test_nothing_is_removed_if_all_goes_well(tmp_path: Path) -> None:
    with removed_if_it_fails(tmp_path / "library"):
        Library.open(tmp_path / "library", create=True).close()
    assert Library.is_in(tmp_path / "library")
