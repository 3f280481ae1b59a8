"""Photographs keep their ids when their files move or get other names."""

from __future__ import annotations

import os
import shutil
import threading
import unicodedata
from pathlib import Path

import pytest

import service.indexing.recognise
from tests.service.colours import ColourEncoder, paint
from tests.service.indexing.indexed_folders import IndexedFolders, counts, rate, rated

# -- moves and copies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["renamed.jpg", "elsewhere/a.jpg", "elsewhere/renamed.JPG"])
def test_a_moved_or_renamed_photograph_keeps_its_id_and_is_not_encoded(indexed: IndexedFolders, target: str) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    (identity,) = indexed.ids().values()
    (indexed.photographs / target).parent.mkdir(exist_ok=True)
    file.rename(indexed.photographs / target)
    assert counts(indexed.index(prune=True)) == {"moved": 1}
    assert indexed.ids() == {target: identity}
    assert indexed.encoder.encoded == 1


def test_a_photograph_can_move_from_one_root_to_another(indexed: IndexedFolders, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "other"
    other.mkdir()
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    (identity,) = indexed.ids().values()
    shutil.move(file, other / "a.jpg")
    assert counts(indexed.index(other)) == {"moved": 1}
    assert indexed.catalog.record(identity).path == other / "a.jpg"


def test_a_copy_is_another_photograph(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    shutil.copy(file, indexed.photographs / "b.jpg")
    assert counts(indexed.index()) == {"added": 1, "unchanged": 1}
    assert len(indexed.ids()) == 2


def test_a_missing_photograph_with_two_copies_is_moved_once(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when two threads look for the original at the same time."""
    both = threading.Barrier(2, timeout=30)
    real = service.indexing.recognise.is_gone

    def together(path: Path, found: Path | None = None) -> bool:
        gone = real(path, found)
        both.wait()
        return gone

    monkeypatch.setattr(service.indexing.recognise, "is_gone", together)
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    (identity,) = indexed.ids().values()
    shutil.copy(file, indexed.photographs / "b.jpg")
    file.rename(indexed.photographs / "c.jpg")
    assert counts(indexed.index(prune=True)) == {"moved": 1, "added": 1}
    assert identity in indexed.ids().values()
    assert set(indexed.ids()) == {"b.jpg", "c.jpg"}


def test_two_photographs_that_swap_names_are_both_updated(indexed: IndexedFolders) -> None:
    a, b = paint(indexed.photographs / "a.jpg", "red"), paint(indexed.photographs / "b.jpg", "blue")
    indexed.index()
    ids = indexed.ids()
    a.rename(indexed.photographs / "c.jpg")
    b.rename(a)
    (indexed.photographs / "c.jpg").rename(b)
    os.utime(a, ns=(1, 1))
    os.utime(b, ns=(2, 2))
    indexed.index()
    assert indexed.ids() == ids
    assert indexed.catalog.vector(ids["a.jpg"], "colours")[2] > 0.9
    assert indexed.catalog.vector(ids["b.jpg"], "colours")[0] > 0.9


@pytest.mark.parametrize("link_folder", [False, True])
def test_a_link_left_behind_counts_as_a_move(indexed: IndexedFolders, link_folder: bool) -> None:
    file = paint(indexed.photographs / "old" / "a.jpg", "red")
    indexed.index()
    (identity,) = indexed.ids().values()
    file.parent.rename(indexed.photographs / "new")
    if link_folder:
        file.parent.symlink_to(indexed.photographs / "new")
    else:
        file.parent.mkdir()
        file.symlink_to(indexed.photographs / "new" / "a.jpg")
    assert counts(indexed.index(prune=True)) == {"moved": 1}
    assert indexed.ids() == {"new/a.jpg": identity}


def test_a_move_is_recognised_with_another_model(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    (identity,) = indexed.ids().values()
    file.rename(indexed.photographs / "b.jpg")
    indexed.encoder = ColourEncoder(fingerprint="other")
    indexed.index()
    assert indexed.ids() == {"b.jpg": identity}
    assert "other" in indexed.catalog.fingerprints_of(identity)


def test_a_file_that_cannot_be_checked_does_not_count_as_gone(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without permission to look at the original, a file with its content is a copy; the run goes on."""
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    shutil.copy(file, indexed.photographs / "b.jpg")
    real = os.stat, os.lstat

    def refuse(path: object, **settings: object) -> os.stat_result:
        if str(path) == str(file):
            raise PermissionError(13, "Permission denied", str(path))
        return real[bool(settings.get("follow_symlinks") is False)](path)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(os, "lstat", refuse)
    assert counts(indexed.index()) == {"added": 1, "unchanged": 1}


# -- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), [("IMG_1.JPG", "img_1.jpg"), ("Müller й.jpg", "MÜLLER й.jpg")])
def test_a_name_with_other_capitals_keeps_its_id_and_costs_no_encoding(
    indexed: IndexedFolders, old: str, new: str
) -> None:
    file = paint(indexed.photographs / old, "red")
    indexed.index()
    encoded = indexed.encoder.encoded
    file.rename(indexed.photographs / new)
    indexed.index()
    assert indexed.ids() == {new: 1}
    assert indexed.encoder.encoded == encoded


def test_a_name_composed_in_another_way_keeps_its_id(indexed: IndexedFolders) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Müller й.png") for form in ("NFC", "NFD"))
    file = paint(indexed.photographs / composed, "red")
    indexed.index()
    file.rename(indexed.photographs / decomposed)
    assert counts(indexed.index(prune=True)) == {"unchanged": 1}
    assert indexed.ids() == {decomposed: 1}


def test_a_rename_that_leaves_no_trace_in_size_and_times_is_noticed(indexed: IndexedFolders) -> None:
    """Some disks and network drives keep no time of the inode's last change."""
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    renamed = file.rename(indexed.photographs / "A.jpg")
    with indexed.catalog.transaction() as connection:
        connection.execute("UPDATE photograph SET changed_ns = ?", (renamed.stat().st_ctime_ns,))
    assert counts(indexed.index()) == {"unchanged": 1}
    assert indexed.ids() == {"A.jpg": 1}


def test_a_new_file_with_another_spelling_of_a_renamed_photograph_takes_nothing_from_it(
    indexed: IndexedFolders,
) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    file.rename(indexed.photographs / "A.jpg")
    paint(indexed.photographs / "a.JPG", "blue")
    if len(list(indexed.photographs.iterdir())) < 2:
        pytest.skip("this disk does not distinguish upper and lower case")
    indexed.index()
    assert set(indexed.ids()) == {"A.jpg", "a.JPG"}


@pytest.mark.parametrize("moved", ["jpg/1.jpg", "2.jpg"])
def test_a_jpeg_that_leaves_its_raw_file_keeps_its_id_and_the_raw_file_is_new(
    indexed: IndexedFolders, moved: str
) -> None:
    file = paint(indexed.photographs / "1.jpg", "red")
    paint(indexed.photographs / "raw.jpg", "blue").rename(indexed.photographs / "1.NEF")
    assert counts(indexed.index()) == {"added": 1}
    rate(indexed, 1)
    (indexed.photographs / moved).parent.mkdir(exist_ok=True)
    file.rename(indexed.photographs / moved)
    assert counts(indexed.index()) == {"added": 1, "moved": 1}
    assert indexed.ids() == {moved: 1, "1.NEF": 2}
    assert rated(indexed) == [1]


def test_a_photograph_keeps_its_id_where_a_jpeg_joins_its_raw_file_and_where_it_goes_again(
    indexed: IndexedFolders,
) -> None:
    paint(indexed.photographs / "raw.jpg", "blue").rename(indexed.photographs / "1.NEF")
    indexed.index()
    developed = paint(indexed.photographs / "1.jpg", "red")
    assert counts(indexed.index()) == {"changed": 1}
    assert indexed.ids() == {"1.jpg": 1}
    developed.unlink()
    assert counts(indexed.index()) == {"changed": 1}
    assert indexed.ids() == {"1.NEF": 1}


def test_two_files_whose_names_differ_in_case_stay_two(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.png", "red")
    paint(indexed.photographs / "A.png", "blue")
    if len(list(indexed.photographs.iterdir())) < 2:
        pytest.skip("this disk does not distinguish upper and lower case")
    assert counts(indexed.index()) == {"added": 2}
    assert counts(indexed.index()) == {"unchanged": 2}


def test_a_folder_renamed_in_case_alone_moves_where_the_disk_ignores_case(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old path still answers on such a disk, which a link from the old name to the new one stands for here."""
    old, new = indexed.photographs / "trip", indexed.photographs / "Trip"
    paint(old / "a.png", "red")
    indexed.index()
    old.rename(new)
    real_lstat, real_path = os.lstat, os.path.realpath
    monkeypatch.setattr(
        service.indexing.recognise.os, "lstat", lambda path: real_lstat(str(path).replace(str(old), str(new)))
    )
    monkeypatch.setattr(
        service.indexing.recognise.os.path,
        "realpath",
        lambda path, **options: str(path) if str(path).startswith(str(old)) else real_path(path, **options),
    )
    assert counts(indexed.index(prune=True)) == {"moved": 1}
    assert indexed.ids() == {"Trip/a.png": 1}
