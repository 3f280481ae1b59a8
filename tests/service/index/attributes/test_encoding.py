"""Columns hold what rows say, and changes give the same columns as making them anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.index.attributes.columns import CODED, UNKNOWN_TIME, Attributes, Folder
from service.index.attributes.encoding import empty_attributes, updated
from service.index.attributes.files import FILE, read_attributes, write_attributes
from service.store.attributes import AttributeRow
from tests.service.index.attributes.attribute_rows import attributes_of, libraries, random_rows, rows


def contents(attributes: Attributes) -> dict[int, tuple[object, ...]]:
    """What the columns say of each photograph, with names in place of codes."""
    found: dict[int, tuple[object, ...]] = {}
    words: dict[str, list[set[str]]] = {}
    for name in ("keywords", "people"):
        postings = getattr(attributes, name)
        words[name] = [set() for _ in range(len(attributes))]
        for code, word in enumerate(postings.names):
            part = postings.positions[postings.starts[code] : postings.starts[code + 1]]
            assert (np.diff(part) > 0).all()
            for position in part:
                words[name][position].add(word)
    for at, identity in enumerate(attributes.ids):
        plain = [
            getattr(attributes, name)[at].item()
            for name in ("taken_at", "month", "day", "stars", "orientation", "is_raw")
        ]
        numbers = [str(getattr(attributes, name)[at]) for name in ("focal_length", "latitude", "longitude")]
        coded = [attributes.names[name][attributes.codes[name][at]] for name in CODED]
        found[int(identity)] = (*plain, *numbers, *coded, words["keywords"][at], words["people"][at])
    return found


def dates(attributes: Attributes) -> list[int]:
    return [int(identity) for identity in attributes.ids[attributes.by_date]]


@given(libraries(), st.data())
def test_changes_give_what_making_the_columns_anew_gives(found: list[AttributeRow], data: st.DataObject) -> None:
    before = attributes_of(found)
    removed = data.draw(st.sets(st.integers(1, 45), max_size=5))
    ids = sorted(data.draw(st.sets(st.integers(1, 60), max_size=6)))
    changed = [data.draw(rows(identity)) for identity in ids]
    after = updated(before, removed, [[row] for row in changed], 7, "stamp")
    replaced = {row.id: row for row in found if row.id not in removed} | {row.id: row for row in changed}
    anew = attributes_of([replaced[identity] for identity in sorted(replaced)])
    assert contents(after) == contents(anew)
    assert (dates(after), after.dated) == (dates(anew), anew.dated)
    assert (after.generation, after.stamp) == (7, "stamp")
    assert len(before) == len(found), "snapshots stay as they are"


@given(libraries())
def test_the_timeline_is_by_date_then_id_with_unknown_dates_last(found: list[AttributeRow]) -> None:
    attributes = attributes_of(found)
    dated = sorted((row for row in found if row.taken_at is not None), key=lambda row: (row.taken_at, row.id))
    undated = [row.id for row in found if row.taken_at is None]
    assert dates(attributes) == [row.id for row in dated] + undated
    assert attributes.dated == len(dated)


def test_many_equal_dates_stay_in_order_when_some_of_them_change() -> None:
    found = [row._replace(taken_at=5 + row.id // 20) for row in random_rows(50)]
    attributes = updated(attributes_of(found[::2]), [9], [found[1::2]])
    assert dates(attributes) == [identity for identity in range(1, 51) if identity != 9]


def test_dates_and_their_parts() -> None:
    (row,) = random_rows(1)
    seconds = [None, 0, -1, 951_782_400, 10**15]
    attributes = attributes_of([row._replace(id=n, taken_at=each) for n, each in enumerate(seconds)])
    assert attributes.taken_at.tolist() == [UNKNOWN_TIME, 0, -1, 951_782_400, UNKNOWN_TIME]
    assert attributes.day.tolist() == [0, 1, 31, 29, 0], "1970-01-01, 1969-12-31, 2000-02-29"
    assert attributes.month.tolist()[1:4] == [0, -1, 361]


@settings(max_examples=30)
@given(libraries())
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, found: list[AttributeRow]
) -> None:
    folder = tmp_path_factory.mktemp("attributes")
    attributes = updated(empty_attributes(), [], [found] if found else [], 3, "stamp")
    assert write_attributes(folder, attributes)
    read = read_attributes(folder)
    assert read is not None
    assert contents(read) == contents(attributes)
    assert (dates(read), read.dated) == (dates(attributes), attributes.dated)
    assert (read.generation, read.stamp) == (3, "stamp")


def test_folders_that_are_not_utf8_survive_a_file(tmp_path: Path) -> None:
    (row,) = random_rows(1)
    write_attributes(tmp_path, attributes_of([row._replace(folder="caf\udce9")]))
    read = read_attributes(tmp_path)
    assert read is not None
    assert read.names["folder"][1] == Folder(row.root, "caf\udce9")
    assert read.folded("folder")[1].endswith("/caf\udce9/")


@pytest.mark.parametrize("position", [0.0, 0.2, 0.6, 1.0])
def test_a_damaged_file_is_not_used(tmp_path: Path, position: float) -> None:
    write_attributes(tmp_path, attributes_of(random_rows(30)))
    content = bytearray((tmp_path / FILE).read_bytes())
    content[int((len(content) - 1) * position)] ^= 1
    (tmp_path / FILE).write_bytes(content)
    assert read_attributes(tmp_path) is None


def test_a_file_that_is_missing_empty_or_of_another_version_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_attributes(tmp_path) is None
    (tmp_path / FILE).write_bytes(b"")
    assert read_attributes(tmp_path) is None
    with monkeypatch.context() as patched:
        patched.setattr("service.index.attributes.files.VERSION", 0)
        write_attributes(tmp_path, attributes_of(random_rows(3)))
    assert read_attributes(tmp_path) is None
