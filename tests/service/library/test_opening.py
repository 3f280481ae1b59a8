"""Opening a library, its status, and the files that it gives out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.errors import ForbiddenError, LibraryError, NotFoundError, UsageError
from service.library import Library
from service.search.query import Query
from tests.service.library.colour_library import Models, index, opened


def test_opening_a_folder_without_a_library_is_an_error_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"There is no library in .* yet. Make one with `smysl index DIR`"):
        Library.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_library_cannot_be_made_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(LibraryError, match="cannot be made"):
        Library.open(tmp_path / "file", create=True)
    with pytest.raises(LibraryError, match="cannot be made"):
        Library.open(tmp_path / "file" / "below", create=True)


def test_a_name_that_is_too_long_is_no_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="There is no library in"):
        Library.open(tmp_path / ("a" * 300))
    with pytest.raises(LibraryError, match="cannot be made"):
        Library.open(tmp_path / ("a" * 300), create=True)


def test_an_empty_library_says_how_to_fill_it(library: Library) -> None:
    with pytest.raises(LibraryError, match=r"is empty. Fill it with `smysl index DIR`"):
        library.search(Query(text="red"))
    with pytest.raises(UsageError, match="Name at least one folder"):
        index(library)
    assert library.status().photographs == 0


def test_status_loads_no_model(library: Library, photographs: Path, models: Models) -> None:
    index(library, photographs)
    models.loaded.clear()
    with opened(library.folder, None) as again:
        status = again.status()
    assert (status.photographs, status.model, status.fingerprint, status.writer) == (4, "mini", "colours", None)
    assert status.bytes > 1000
    assert models.loaded == []


def test_check_loads_the_model_and_searches(library: Library, photographs: Path, models: Models) -> None:
    with pytest.raises(LibraryError):
        library.check()
    index(library, photographs)
    target = library.check()
    assert (target.model, len(target.index), target.scorer.calibration("text")) == ("mini", 4, "background")


def test_a_file_outside_its_root_is_never_read(library: Library, photographs: Path, tmp_path: Path) -> None:
    index(library, photographs)
    ids = {hit.photograph.name: hit.photograph.id for hit in library.search(Query(text="red")).hits}
    assert library.file_of(ids["red.png"]) == photographs / "red.png"
    secret = tmp_path / "secret.png"
    shutil.copy(photographs / "red.png", secret)
    (photographs / "red.png").unlink()
    with pytest.raises(NotFoundError, match=r"red.png, is not there any more"):
        library.file_of(ids["red.png"])
    (photographs / "red.png").symlink_to(secret)
    with pytest.raises(ForbiddenError, match="leads out of its folder"):
        library.file_of(ids["red.png"])
    with pytest.raises(NotFoundError):
        library.file_of(12345)
