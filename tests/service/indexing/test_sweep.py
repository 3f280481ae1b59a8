"""What becomes of photographs whose files are gone: nothing that people gave is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import service.indexing.scan
from service.errors import LibraryError
from service.indexing.decoder import Failure
from service.indexing.grouping import CompanionFile
from service.indexing.indexer import Scanned
from service.indexing.sweep import Loss
from service.indexing.walk import Walk
from service.store.records import Companion
from tests.service.colours import paint
from tests.service.indexing.indexed_folders import IndexedFolders, counts, paint_many, rate, rated

# -- missing -------------------------------------------------------------------------------------------


def test_missing_photographs_are_counted_and_kept(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    paint(indexed.photographs / "b.jpg", "blue")
    indexed.index()
    (indexed.photographs / "b.jpg").unlink()
    assert counts(indexed.index()) == {"unchanged": 1, "missing": 1}
    assert indexed.catalog.count() == 2


def test_prune_removes_missing_photographs(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    paint(indexed.photographs / "trip" / "b.jpg", "blue")
    indexed.index()
    ids = indexed.ids()
    shutil.rmtree(indexed.photographs / "trip")
    assert counts(indexed.index(prune=True, confirm=1)) == {"unchanged": 1, "removed": 1}
    assert set(indexed.ids()) == {"a.jpg"}
    paint(indexed.photographs / "c.jpg", "green")
    indexed.index()
    assert indexed.ids()["c.jpg"] > max(ids.values()), "ids are never used again"


def test_pruning_one_folder_changes_no_other(indexed: IndexedFolders) -> None:
    """Names that differ in case, or that would be patterns in SQL, are other folders."""
    kept = ["trip/x/a.jpg", "TRIP/x/b.jpg", "tripx/x/c.jpg", "tr_p/x/d.jpg", "tr%/x/e.jpg", "Trip2/f.jpg"]
    for number, name in enumerate(kept):
        paint(indexed.photographs / name, (number * 30, 0, 200))
    paint(indexed.photographs / "Trip" / "x" / "gone.jpg", "red")
    if len(list(indexed.photographs.iterdir())) < 7:
        pytest.skip("this disk does not distinguish upper and lower case")
    indexed.index()
    (indexed.photographs / "Trip" / "x" / "gone.jpg").unlink()
    for folder in ("Trip", "tr_p", "tr%"):
        indexed.index(indexed.photographs / folder, prune=True, confirm=1)
    assert set(indexed.ids()) == set(kept)


def test_a_root_that_is_gone_is_not_pruned(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    paint(indexed.photographs / "trip" / "b.jpg", "blue")
    indexed.index()
    indexed.photographs.rename(indexed.photographs.with_name("unplugged"))
    summary = indexed.index(prune=True)
    assert counts(summary) == {"failed": 1}
    assert "folder cannot be read" in summary.failed[0].reason
    assert indexed.catalog.count() == 2


def test_a_folder_that_cannot_be_read_is_not_pruned(indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(indexed.photographs / "shut" / "deep" / "a.jpg", "red")
    paint(indexed.photographs / "shut" / "c.jpg", "green")
    paint(indexed.photographs / "shut2" / "b.jpg", "blue")
    indexed.index()
    (indexed.photographs / "shut2" / "b.jpg").unlink()
    real = os.scandir

    def refuse(folder: Path) -> object:
        if Path(folder).name == "shut":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    summary = indexed.index(prune=True, confirm=1)
    assert counts(summary) == {"removed": 1, "failed": 1}
    assert summary.failed == [
        Failure(str(indexed.photographs / "shut"), "the folder cannot be read (Permission denied)")
    ]
    assert set(indexed.ids()) == {"shut/deep/a.jpg", "shut/c.jpg"}


def test_a_root_replaced_by_a_file_is_not_pruned(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    shutil.rmtree(indexed.photographs)
    indexed.photographs.write_bytes(b"")
    assert counts(indexed.index(prune=True)) == {"failed": 1}
    assert indexed.catalog.count() == 1


# -- what is gone --------------------------------------------------------------------------------------


def test_an_empty_folder_where_a_drive_was_mounted_prunes_nothing(indexed: IndexedFolders) -> None:
    paint_many(indexed, 30)
    indexed.index()
    rate(indexed, 7)
    indexed.photographs.rename(indexed.photographs.with_name("away"))
    indexed.photographs.mkdir()
    summary = indexed.index(prune=True)
    assert counts(summary) == {"missing": 30}
    assert summary.losses == (Loss(indexed.photographs, 30, 30),)
    assert rated(indexed) == [7]
    indexed.photographs.rmdir()
    indexed.photographs.with_name("away").rename(indexed.photographs)
    assert counts(indexed.index(prune=True)) == {"unchanged": 30}


def test_a_folder_that_lost_more_than_a_tenth_is_pruned_only_with_the_exact_number(indexed: IndexedFolders) -> None:
    files = paint_many(indexed, 30)
    indexed.index()
    for file in files[:4]:
        file.unlink()
    for confirm in (None, 3, 5, 30):
        assert counts(indexed.index(prune=True, confirm=confirm)) == {"unchanged": 26, "missing": 4}
    assert counts(indexed.index(prune=True, confirm=4)) == {"unchanged": 26, "removed": 4}


def test_a_folder_that_lost_a_tenth_is_pruned_without_a_number(indexed: IndexedFolders) -> None:
    files = paint_many(indexed, 30)
    indexed.index()
    for file in files[:3]:
        file.unlink()
    assert counts(indexed.index(prune=True)) == {"unchanged": 27, "removed": 3}


def test_one_empty_folder_keeps_the_others_from_being_pruned(indexed: IndexedFolders, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "other"
    paint(other / "a.png", "red")
    files = paint_many(indexed, 20)
    indexed.index(indexed.photographs, other)
    files[0].unlink()
    shutil.rmtree(other)
    other.mkdir()
    summary = indexed.index(indexed.photographs, other, prune=True)
    assert (summary.removed, summary.missing) == (0, 2)
    assert summary.losses == (Loss(other, 1, 1),)
    assert counts(indexed.index(indexed.photographs, other, prune=True, confirm=2)) == {"unchanged": 19, "removed": 2}


def test_a_removed_photograph_comes_back_with_its_ratings(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.png", "red")
    indexed.index()
    (identity,) = indexed.ids().values()
    rate(indexed, identity)
    away = file.rename(indexed.photographs.parent / "a.png")
    assert counts(indexed.index(prune=True, confirm=1)) == {"removed": 1}
    assert rated(indexed) == []
    away.rename(indexed.photographs / "under another name.png")
    assert counts(indexed.index()) == {"revived": 1}
    assert indexed.ids() == {"under another name.png": identity}
    assert rated(indexed) == [identity]


def test_a_photograph_of_which_a_file_cannot_be_examined_is_not_pruned(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a sidecar that a photo program is replacing."""
    paint_many(indexed, 20)
    (indexed.photographs / "03.xmp").write_text("")
    indexed.index()

    def refuse(file: CompanionFile) -> Companion:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(service.indexing.scan, "_companion", refuse)
    assert counts(indexed.index(prune=True)) == {"unchanged": 19, "failed": 1}
    assert "03.png" in indexed.ids()


def test_a_photograph_whose_own_file_cannot_be_examined_is_not_pruned(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint_many(indexed, 20)
    indexed.index()
    real = Walk._examine

    def refuse(walk: Walk, entry: os.DirEntry[str], *others: Any) -> object:
        if entry.name == "03.png":
            raise OSError(5, "Input/output error")
        return real(walk, entry, *others)

    monkeypatch.setattr(Walk, "_examine", refuse)
    assert counts(indexed.index(prune=True)) == {"unchanged": 19, "failed": 1}
    assert "03.png" in indexed.ids()


def test_two_copies_of_a_removed_photograph_revive_it_once(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.png", "red")
    indexed.index()
    copies = [Path(shutil.copy(file, indexed.photographs.parent / name)) for name in ("b.png", "c.png")]
    file.unlink()
    indexed.index(prune=True, confirm=1)
    for copy in copies:
        copy.rename(indexed.photographs / copy.name)
    assert counts(indexed.index()) == {"revived": 1, "added": 1}


def test_a_file_revives_the_photograph_with_its_bytes_before_one_with_its_image(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    content = file.read_bytes()
    # A comment changes the file and leaves the image as it is.
    commented = indexed.photographs / "b.jpg"
    commented.write_bytes(content[:2] + b"\xff\xfe\x00\x04hi" + content[2:])
    indexed.index()
    ids = indexed.ids()
    file.unlink()
    commented.unlink()
    indexed.index(prune=True, confirm=2)
    (indexed.photographs / "c.jpg").write_bytes(content)
    assert counts(indexed.index()) == {"revived": 1}
    assert indexed.ids() == {"c.jpg": ids["a.jpg"]}


def test_a_folder_that_vanishes_while_it_is_indexed_ends_the_run_with_a_sentence(indexed: IndexedFolders) -> None:
    paint_many(indexed, 12)
    events = indexed.events(batch_size=1)
    for event in events:
        if isinstance(event, Scanned):
            break
    indexed.photographs.rename(indexed.photographs.with_name("away"))
    with pytest.raises(LibraryError, match="vanished while it was being indexed"):
        list(events)


def test_a_drive_that_stops_answering_while_it_is_indexed_ends_the_run_with_a_sentence(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint_many(indexed, 12)
    events = indexed.events(batch_size=1)
    for event in events:
        if isinstance(event, Scanned):
            break
    real = os.stat

    def refuse(path: object, **options: Any) -> os.stat_result:
        if str(path).startswith(str(indexed.photographs)):
            raise OSError(107, "Transport endpoint is not connected")
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(LibraryError, match="vanished while it was being indexed"):
        list(events)
