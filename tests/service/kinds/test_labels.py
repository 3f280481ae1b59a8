"""Kinds in the catalog: names of folders or kinds that were read, and what is refused as a name."""

from __future__ import annotations

import pytest

from service.errors import UsageError
from service.kinds.labels import kind_named, kind_of_folder
from service.store.records import Details, FileInfo, FileUpdate
from tests.service.kinds.conftest import Photographs


def test_kinds_are_the_names_of_folders_by_default_and_follow_moves(photographs: Photographs) -> None:
    rose, daisy, deep, loose, unsorted = photographs.add(
        "rose/1.jpg", "daisy/1.jpg", "old/rose/2.jpg", "3.jpg", "Unknown/4.jpg"
    )
    assert photographs.kinds.source == "folders"
    assert photographs.kinds.of([rose, daisy, deep, loose, unsorted]) == {rose: "rose", daisy: "daisy", deep: "rose"}
    assert photographs.kinds.counts() == {"daisy": 1, "rose": 2}
    assert photographs.kinds.ids().tolist() == [rose, daisy, deep]
    moved = FileInfo(photographs.root.id, "lily", "3.jpg", 1, 1)
    photographs.catalog.update_files([FileUpdate(loose, moved, b"3", None, Details())])
    assert photographs.kinds.of([loose]) == {loose: "lily"}


def test_a_folder_name_is_the_same_kind_in_every_unicode_form() -> None:
    assert kind_of_folder("flowers/cafe\u0301") == kind_of_folder("café") == "café"
    assert kind_of_folder("") is None


def test_ten_thousand_kinds_can_be_counted_and_looked_up(photographs: Photographs) -> None:
    ids = photographs.add(*(f"kind {number:05}/1.jpg" for number in range(10_000)))
    assert len(photographs.kinds.counts()) == 10_000
    assert len(photographs.kinds.of(ids)) == 10_000


def test_new_kinds_replace_the_old_ones_and_are_deleted_with_their_photographs(photographs: Photographs) -> None:
    first, second, third = photographs.add("a/1.jpg", "a/2.jpg", "a/3.jpg")
    before, generation = photographs.kinds.stamp, photographs.catalog.generation()
    photographs.kinds.use("table", {first: "rose", second: "daisy", 999: "gone"})
    assert photographs.kinds.source == "table"
    assert photographs.kinds.stamp != before
    assert photographs.catalog.generation() == generation
    assert photographs.kinds.of([first, second, third, 999]) == {first: "rose", second: "daisy"}
    assert photographs.kinds.counts() == {"daisy": 1, "rose": 1}
    photographs.catalog.remove([first])
    assert photographs.kinds.ids().tolist() == [second]
    photographs.kinds.use_folders()
    assert photographs.kinds.counts() == {"a": 2}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is empty"),
        (" \t", "is empty"),
        ("x" * 201, "201 characters"),
        ("a\x07b", "control characters"),
        ("UNKNOWN", "cannot be a kind"),
    ],
)
def test_an_invalid_name_of_a_kind_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kind_named(name)


def test_white_space_in_a_kind_becomes_single_spaces() -> None:
    assert kind_named("  sea \t anemone ") == "sea anemone"
