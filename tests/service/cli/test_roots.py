"""`smysl roots` and `smysl forget`: folders that move or leave, and what is erased for good."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary


def ratings(sample: SampleLibrary) -> int:
    with sample.open() as library:
        return library.count_ratings()


@pytest.fixture
def rated(sample_library: SampleLibrary, smysl: Run) -> SampleLibrary:
    file = sample_library.photographs / "sand.png"
    assert smysl("rate", file, "a beach", "--yes", "--library", sample_library.folder).code == 0
    return sample_library


def test_roots_lists_folders_and_says_which_is_away(sample_library: SampleLibrary, smysl: Run) -> None:
    listed = smysl("roots", "list", "--library", sample_library.folder)
    assert listed.out == f"{sample_library.photographs}\t5\n"
    sample_library.photographs.rename(sample_library.photographs.with_name("away"))
    assert "not there" in smysl("roots", "list", "--library", sample_library.folder).out
    (root,) = json.loads(smysl("roots", "list", "--json", "--library", sample_library.folder).out)
    assert (root["path"], root["photographs"], root["there"]) == (str(sample_library.photographs), 5, False)


def test_each_folder_has_its_own_count(sample_library: SampleLibrary, smysl: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert smysl("index", empty, "--library", sample_library.folder).code == 0
    listed = smysl("roots", "list", "--library", sample_library.folder)
    assert listed.out == f"{sample_library.photographs}\t5\n{empty}\t0\n"


def test_a_folder_on_a_drive_that_does_not_answer_is_not_there(
    sample_library: SampleLibrary, smysl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def refuse(path: object, **options: Any) -> os.stat_result:
        if str(path) == str(sample_library.photographs):
            raise OSError(5, "Input/output error")
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refuse)
    assert "not there" in smysl("roots", "list", "--library", sample_library.folder).out


def test_a_moved_folder_costs_nothing_but_a_command(rated: SampleLibrary, smysl: Run) -> None:
    new = rated.photographs.with_name("another drive")
    rated.photographs.rename(new)
    moved = smysl("roots", "move", rated.photographs, new, "--library", rated.folder)
    assert (moved.code, moved.out) == (0, f"The photographs of {rated.photographs} are now in {new}.\n")
    indexed = smysl("index", "--prune", "--library", rated.folder)
    assert "0 added, 5 unchanged, 0 removed" in indexed.out
    assert ratings(rated) == 1
    assert str(new) in smysl("search", "a beach", "-k", "1", "--min-match", "0", "--library", rated.folder).out


def test_a_folder_is_not_moved_to_where_its_photographs_are_not(
    sample_library: SampleLibrary, smysl: Run, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    move = ("roots", "move", sample_library.photographs, empty, "--library", sample_library.folder)
    refused = smysl(*move)
    assert refused.code == 2
    assert f"{empty} does not hold the photographs of {sample_library.photographs}" in refused.err
    assert smysl(*move, "--force").code == 0
    unknown = smysl("roots", "remove", "~nosuchuser/photographs", "--library", sample_library.folder)
    assert unknown.code == 2
    assert "is no folder of this library" in unknown.err
    nowhere = smysl("roots", "move", tmp_path / "nothing", empty, "--library", sample_library.folder)
    assert nowhere.code == 2
    assert f"{tmp_path / 'nothing'} is no folder of this library. Its folders are: {empty}" in nowhere.err


def test_a_folder_is_not_moved_to_where_nothing_may_be_read(
    sample_library: SampleLibrary, smysl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = tmp_path / "shut"
    shut.mkdir()
    real = os.stat

    def refuse(path: object, **options: Any) -> os.stat_result:
        if str(path).startswith(f"{shut}{os.sep}"):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refuse)
    refused = smysl("roots", "move", sample_library.photographs, shut, "--library", sample_library.folder)
    assert refused.code == 2
    assert f"{shut} does not hold the photographs of {sample_library.photographs}" in refused.err


def test_folders_never_overlap(sample_library: SampleLibrary, smysl: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (sample_library.photographs / "wood.jpg").rename(other / "wood.jpg")
    assert smysl("index", other, "--library", sample_library.folder).code == 0
    for inside_or_around in (sample_library.photographs, tmp_path):
        refused = smysl("roots", "move", other, inside_or_around, "--force", "--library", sample_library.folder)
        assert refused.code == 2
        assert f"overlaps with the folder {sample_library.photographs}" in refused.err


def test_a_folder_that_leaves_takes_no_rating_along(rated: SampleLibrary, smysl: Run) -> None:
    removed = smysl("roots", "remove", rated.photographs, "--library", rated.folder)
    assert removed.code == 0
    assert "with 5 photographs out of the library. Its files were not touched." in removed.out
    assert ratings(rated) == 0
    back = smysl("index", rated.photographs, "--library", rated.folder)
    assert "0 added, 5 came back" in back.out
    assert ratings(rated) == 1


def test_forget_erases_for_good_and_says_so(rated: SampleLibrary, smysl: Run) -> None:
    file = rated.photographs / "sand.png"
    asked = smysl("forget", file, "--library", rated.folder)
    assert asked.code == 2
    assert "Use --yes" in asked.err
    done = smysl("forget", file, "--yes", "--library", rated.folder)
    assert done.out == "Erased 1 photograph, 1 rating and 0 kinds for good. No file was deleted.\n"
    assert "smysl index adds it again as new" in done.err
    assert file.is_file()
    assert "1 added" in smysl("index", "--library", rated.folder).out
    assert ratings(rated) == 0


def test_forget_reaches_removed_photographs_by_their_old_path(rated: SampleLibrary, smysl: Run) -> None:
    smysl("roots", "remove", rated.photographs, "--library", rated.folder)
    one = smysl("forget", rated.photographs / "sand.png", "--yes", "--library", rated.folder)
    assert "Erased 1 photograph, 1 rating and" in one.out
    rest = smysl("forget", "--removed", "--yes", "--library", rated.folder)
    assert "Erased 4 photographs" in rest.out
    assert "nothing to forget" in smysl("forget", "--removed", "--yes", "--library", rated.folder).err
    back = smysl("index", rated.photographs, "--library", rated.folder)
    assert "5 added" in back.out


def test_forget_finds_a_removed_photograph_through_a_link(rated: SampleLibrary, smysl: Run, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(rated.photographs)
    smysl("roots", "remove", rated.photographs, "--library", rated.folder)
    done = smysl("forget", tmp_path / "link" / "sand.png", "--yes", "--library", rated.folder)
    assert "Erased 1 photograph, 1 rating and" in done.out


def test_forget_names_what_it_does_not_know(sample_library: SampleLibrary, smysl: Run) -> None:
    for name in ("999", "9" * 30, "9" * 5000, sample_library.photographs / "other.png", "~nosuchuser/a.png"):
        refused = smysl("forget", name, "--yes", "--library", sample_library.folder)
        assert refused.code == 2
        assert f"{name} is no photograph of the library" in refused.err
    assert smysl("forget", "--library", sample_library.folder).code == 2


def test_forget_does_not_take_an_empty_name_for_the_current_folder(
    rated: SampleLibrary, smysl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rated.photographs)
    assert "One of the names is empty" in error_of(smysl("forget", "", "--yes", "--library", rated.folder), 2)
    assert "Erased 5 photographs" in smysl("forget", ".", "--yes", "--library", rated.folder).out
