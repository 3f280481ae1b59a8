"""Which folders an index run covers after changes on the disk, and when it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

import service.indexing.changes
from service.indexing.changes import Batch, Changes, Scope


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "root"
    for folder in ("2019/trip", "2020", "2020 best"):
        (root / folder).mkdir(parents=True)
    return root


def changes(*folders: Path, below: bool = False) -> Changes:
    found = Changes()
    for folder in folders:
        found.add(folder, below=below)
    return found


def test_a_folder_in_which_a_file_changed_is_covered_alone(root: Path) -> None:
    assert changes(root / "2020", root).scope([root]) == Scope(flat=(root, root / "2020"))


def test_a_new_folder_is_covered_with_all_below_it(root: Path) -> None:
    found = changes(root / "2019", below=True)
    found.add(root / "2019", below=False)
    found.add(root / "2019" / "trip", below=False)
    found.add(root / "2020", below=False)
    found.add(root / "2020 best", below=True)
    assert found.scope([root]) == Scope((root / "2019", root / "2020 best"), (root / "2020",))


def test_a_folder_that_is_gone_is_covered_by_what_is_left_above_it(root: Path) -> None:
    gone = root / "2019" / "trip" / "day" / "noon"
    assert changes(gone).scope([root]) == Scope(deep=(root / "2019" / "trip",))
    assert changes(root / "gone").scope([root]) == Scope(deep=(root,))


def test_a_link_in_place_of_a_folder_leads_nowhere(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "inner").mkdir(parents=True)
    (root / "link").symlink_to(elsewhere)
    assert changes(root / "link" / "inner", below=True).scope([root]) == Scope(deep=(root,))


def test_a_file_in_place_of_a_folder_is_covered_by_its_folder(root: Path) -> None:
    (root / "2019" / "file").write_bytes(b"")
    assert changes(root / "2019" / "file", below=True).scope([root]) == Scope(deep=(root / "2019",))


def test_changes_outside_of_what_is_watched_are_left_out(root: Path) -> None:
    assert not changes(root.parent, root / "2020").scope([root / "2019"])
    assert changes(root / "2020").scope([root / "2019", root / "2020"]) == Scope(flat=(root / "2020",))


def test_changes_in_very_many_folders_cover_everything(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.indexing.changes, "MOST_FOLDERS", 3)
    few = changes(*(root / str(number) for number in range(3)))
    assert few.scope([root, root.parent / "other"]) == Scope(deep=(root,))
    few.add(root / "2020", below=False)
    assert few.scope([root, root.parent / "other"]) == Scope(deep=(root, root.parent / "other"))


def test_a_batch_is_complete_when_nothing_has_changed_for_a_while(root: Path) -> None:
    batch = Batch(quiet_s=2, most_s=30)
    assert not batch.is_complete(0)
    batch.add(changes(root), 10)
    batch.add(changes(root / "2020"), 11)
    batch.add(Changes(), 12)
    assert not batch.is_complete(12.9)
    assert batch.is_complete(13)
    assert batch.is_complete(11, at_once=True)
    assert batch.take().scope([root]) == Scope(flat=(root, root / "2020"))
    assert not batch
    assert not batch.is_complete(100)


def test_a_batch_is_complete_after_long_change_without_end(root: Path) -> None:
    batch = Batch(quiet_s=2, most_s=30)
    for second in range(100, 130):
        batch.add(changes(root), second)
        assert not batch.is_complete(second)
    batch.add(changes(root), 130)
    assert batch.is_complete(130)
    batch.take()
    batch.add(changes(root), 131)
    assert not batch.is_complete(131), "the time begins anew with each batch"


def test_a_batch_that_is_put_off_waits(root: Path) -> None:
    batch = Batch(quiet_s=2, most_s=30)
    batch.add(changes(root), 10)
    batch.postpone(60)
    assert not batch.is_complete(59)
    assert not batch.is_complete(59, at_once=True)
    assert batch.is_complete(60)
