"""The attributes of a catalog: kept up to date, saved, remade where the file is of no use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from service.index.attributes import AttributeIndex, Attributes, attribute_index
from service.index.attributes.columns import UNKNOWN_TIME
from service.index.attributes.files import FILE
from service.store.catalog import Catalog
from service.store.metadata import Metadata
from service.store.records import Companion, Details, Entry, FileInfo, PhotographFacts


class Photographs:
    """A catalog of photographs with metadata and without vectors."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.catalog = Catalog(folder / "catalog.sqlite")
        self.root, _ = self.catalog.add_root(folder)
        self.written = 0

    def entry(self, camera: str | None = "Canon", identity: int | None = None) -> Entry:
        self.written += 1
        file = FileInfo(self.root.id, "2019", f"{self.written}.jpg", 1, 1)
        metadata = Metadata(
            taken_at=datetime(2019, 7, 1, 12, self.written % 60), camera=camera, keywords=("Dog",), people=("Anna",)
        )
        facts = PhotographFacts(file, self.written.to_bytes(16, "big"), 4, 3, "JPEG")
        details = Details(metadata, (Companion("a.nef", "raw", 1, 1),) if camera is None else (), 7)
        return Entry(facts, {}, b"", identity, details=details)

    def add(self, *cameras: str | None) -> list[int]:
        return self.catalog.write([self.entry(camera) for camera in cameras])

    def index(self) -> AttributeIndex:
        return AttributeIndex(self.folder, self.catalog)


@pytest.fixture
def photographs(tmp_path: Path) -> Iterator[Photographs]:
    photographs = Photographs(tmp_path / "library")
    yield photographs
    photographs.catalog.close()


def cameras(attributes: Attributes) -> dict[int, str | None]:
    codes = attributes.codes["camera"]
    return {int(each): attributes.names["camera"][code] for each, code in zip(attributes.ids, codes, strict=True)}


def test_what_the_catalog_says_becomes_columns(photographs: Photographs) -> None:
    one, two = photographs.add("Canon", None)
    attributes = photographs.index().get()
    assert cameras(attributes) == {one: "Canon", two: None}
    assert attributes.is_raw.tolist() == [False, True]
    assert [attributes.names["folder"][code].path for code in attributes.codes["folder"]] == ["2019", "2019"]
    assert attributes.keywords.names == ("Dog",)
    assert attributes.people.counts.tolist() == [2]
    assert attributes.taken_at.tolist() == [1_561_982_460, 1_561_982_520]
    assert {place.town_id for place in attributes.names["place"][1:]} == {7}


def test_a_photograph_without_metadata_has_unknown_attributes(photographs: Photographs) -> None:
    photographs.catalog.write([replace(photographs.entry(), details=Details())])
    attributes = photographs.index().get()
    assert attributes.taken_at.tolist() == [UNKNOWN_TIME]
    assert np.isnan(attributes.latitude[0])
    assert attributes.codes["place"].tolist() == [0]


def test_changes_are_followed(photographs: Photographs) -> None:
    index = photographs.index()
    assert len(index.get()) == 0
    one, two, three = photographs.add("Canon", "Nikon", "Leica")
    assert cameras(index.get()) == {one: "Canon", two: "Nikon", three: "Leica"}
    photographs.catalog.write([photographs.entry("Sony", two)])
    photographs.catalog.remove([three])
    assert cameras(index.get()) == {one: "Canon", two: "Sony"}
    assert index.get() is index.get(), "nothing has changed"


def test_a_saved_file_spares_reading_the_catalog(photographs: Photographs, monkeypatch: pytest.MonkeyPatch) -> None:
    photographs.add("Canon", "Nikon")
    index = photographs.index()
    index.save()
    wanted = cameras(index.get())

    def refuse(*_: object) -> None:
        raise AssertionError("the catalog was read again")

    with monkeypatch.context() as patched:
        patched.setattr(attribute_index, "attribute_changes", refuse)
        assert cameras(photographs.index().get()) == wanted
    (three,) = photographs.add("Leica")
    assert cameras(photographs.index().get()) == wanted | {three: "Leica"}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a letter": lambda content: content.replace(b"Nikon", b"Nixon"),
    "its end": lambda content: content[:-1],
    "its second half": lambda content: content[: len(content) // 2],
    "all but the checksum": lambda content: content[:16],
    "all but a part of the checksum": lambda content: content[:7],
    "all": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_remade(photographs: Photographs, damage: str) -> None:
    one, two = photographs.add("Canon", "Nikon")
    photographs.index().save()
    file = photographs.folder / FILE
    whole = file.read_bytes()
    file.write_bytes(DAMAGES[damage](whole))
    assert file.read_bytes() != whole
    assert cameras(photographs.index().get()) == {one: "Canon", two: "Nikon"}


def test_a_file_of_another_catalog_is_not_used(photographs: Photographs, tmp_path: Path) -> None:
    photographs.add("Canon", "Nikon")
    other = Photographs(tmp_path / "other")
    other.add("Leica")
    other.index().save()
    (other.folder / FILE).rename(photographs.folder / FILE)
    assert sorted(map(str, cameras(photographs.index().get()).values())) == ["Canon", "Nikon"]
    other.catalog.close()


def test_an_older_copy_of_the_catalog_may_replace_it_while_it_is_open(photographs: Photographs, tmp_path: Path) -> None:
    older = Photographs(tmp_path / "older")
    older.add("Leica")
    photographs.add("Canon")
    photographs.add("Nikon")
    index = photographs.index()
    index.get()
    index._catalog = older.catalog
    assert [*cameras(index.get()).values()] == ["Leica"]
    older.catalog.close()


def test_a_folder_that_cannot_be_written_to_is_no_error(photographs: Photographs) -> None:
    photographs.add("Canon")
    (photographs.folder / FILE).mkdir()
    photographs.index().save()
    assert len(photographs.index().get()) == 1


def test_many_changes_are_read_in_the_background(photographs: Photographs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribute_index, "_QUICK", 2)
    photographs.add("Canon")
    index = photographs.index()
    first = index.get()
    photographs.add("Nikon", "Leica", "Sony")
    assert index.get() is first
    index.save()
    assert len(index.get()) == 4
