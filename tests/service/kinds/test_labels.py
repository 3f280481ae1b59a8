"""Kinds of a library's photographs: from folders, from a table, from keywords; and what is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from service.errors import DataError, LibraryError, SmyslError, UsageError
from service.kinds.label_sources import kinds_from_keywords, kinds_from_table
from service.kinds.labels import Kinds, kind_named, kind_of_folder
from service.photos.keywords import keywords_in
from service.store.catalog import Catalog
from service.store.records import Entry, FileInfo, PhotographFacts


class Shelf:
    """A catalog over a folder, filled by hand: kinds need no vector that means anything."""

    def __init__(self, folder: Path) -> None:
        self.photographs = folder / "photographs"
        self.photographs.mkdir()
        self.catalog = Catalog(folder / "catalog.sqlite")
        self.root, _ = self.catalog.add_root(self.photographs.resolve())
        self.kinds = Kinds(self.catalog)

    def add(self, *names: str) -> list[int]:
        entries = []
        for name in names:
            folder, _, file = name.rpartition("/")
            facts = PhotographFacts(FileInfo(self.root.id, folder, file, 1, 1), name.encode(), 40, 40, "JPEG")
            entries.append(Entry(facts, {"x": np.ones(2, np.float16)}, b"jpeg"))
        return self.catalog.write(entries)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    made.catalog.close()


def test_kinds_are_the_names_of_folders_at_once_and_by_themselves(shelf: Shelf) -> None:
    rose, daisy, deep, loose, unsorted = shelf.add(
        "rose/1.jpg", "daisy/1.jpg", "old/rose/2.jpg", "3.jpg", "Unknown/4.jpg"
    )
    assert shelf.kinds.source == "folders"
    assert shelf.kinds.of([rose, daisy, deep, loose, unsorted]) == {rose: "rose", daisy: "daisy", deep: "rose"}
    assert shelf.kinds.counts() == {"daisy": 1, "rose": 2}
    assert shelf.kinds.ids().tolist() == [rose, daisy, deep]
    shelf.catalog.update_file(loose, FileInfo(shelf.root.id, "lily", "3.jpg", 1, 1))
    assert shelf.kinds.of([loose]) == {loose: "lily"}


def test_a_folders_name_is_the_same_kind_however_its_letters_are_written() -> None:
    assert kind_of_folder("flowers/cafe\u0301") == kind_of_folder("café") == "café"
    assert kind_of_folder("") is None


def test_ten_thousand_kinds_are_counted_and_found(shelf: Shelf) -> None:
    ids = shelf.add(*(f"kind {number:05}/1.jpg" for number in range(10_000)))
    assert len(shelf.kinds.counts()) == 10_000
    assert len(shelf.kinds.of(ids)) == 10_000


def test_other_kinds_replace_those_before_and_go_with_their_photographs(shelf: Shelf) -> None:
    first, second, third = shelf.add("a/1.jpg", "a/2.jpg", "a/3.jpg")
    before, generation = shelf.kinds.stamp, shelf.catalog.generation()
    shelf.kinds.use("table", {first: "rose", second: "daisy", 999: "gone"})
    assert shelf.kinds.source == "table"
    assert shelf.kinds.stamp != before
    assert shelf.catalog.generation() == generation
    assert shelf.kinds.of([first, second, third, 999]) == {first: "rose", second: "daisy"}
    assert shelf.kinds.counts() == {"daisy": 1, "rose": 1}
    shelf.catalog.remove([first])
    assert shelf.kinds.ids().tolist() == [second]
    shelf.kinds.use_folders()
    assert shelf.kinds.counts() == {"a": 2}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "is empty"),
        (" \t", "is empty"),
        ("x" * 201, "201 characters"),
        ("a\x07b", "control characters"),
        ("UNKNOWN", "cannot be a kind"),
    ],
)
def test_what_is_no_name_of_a_kind_gets_a_sentence(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        kind_named(name)


def test_a_kind_is_written_with_single_spaces() -> None:
    assert kind_named("  sea \t anemone ") == "sea anemone"


# -- tables --------------------------------------------------------------------------------------------


@pytest.fixture
def table(shelf: Shelf) -> Callable[..., Path]:
    def write(*rows: str, header: str = "image\tkind") -> Path:
        file = shelf.photographs / "kinds.tsv"
        file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return file

    return write


def test_a_table_gives_kinds_by_paths_relative_to_it(shelf: Shelf, table: Callable[..., Path]) -> None:
    rose, daisy = shelf.add("in/1.jpg", "2.jpg")
    file = table("rose\tin/1.jpg\tx", "daisy\tin/../2.jpg\ty", "daisy\t2.jpg\tagain", header="kind\timage\tnote")
    found = kinds_from_table(shelf.catalog, file)
    assert found.kinds == {rose: "rose", daisy: "daisy"}
    assert found.notices == []


def test_what_a_table_names_beside_the_library_is_counted(shelf: Shelf, table: Callable[..., Path]) -> None:
    (rose,) = shelf.add("1.jpg")
    found = kinds_from_table(shelf.catalog, table("1.jpg\trose", "2.jpg\trose", "../3.jpg\tdaisy"))
    assert found.kinds == {rose: "rose"}
    assert found.notices == ["Not in the library and left out: 2 rows: 2.jpg, ../3.jpg."]
    with pytest.raises(LibraryError, match=r"names no photograph of the library: 4\.jpg"):
        kinds_from_table(shelf.catalog, table("4.jpg\trose"))


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        (["1.jpg\trose", "1.jpg\tdaisy"], "image\tkind", "row 3, column kind: '1.jpg' is daisy here and rose in row 2"),
        (["1.jpg\t "], "image\tkind", "row 2, column kind: The kind is empty"),
        (["1.jpg\tunknown"], "image\tkind", "row 2, column kind: “unknown” cannot be a kind"),
        (["\trose"], "image\tkind", "row 2, column image: '' names no file"),
        (["1.jpg\trose\tx"], "image\tkind", "row 2: 3 cells where the header has 2"),
        (['"1.jpg\trose'], "image\tkind", "check the quotes"),
        (["1.jpg\trose"], "image\tclass", "row 1: no column kind"),
        (["1.jpg\ta\tb"], "image\tkind\tkind", "row 1: more than one column kind"),
    ],
)
def test_a_fault_in_a_table_is_named(
    shelf: Shelf, table: Callable[..., Path], rows: list[str], header: str, said: str
) -> None:
    shelf.add("1.jpg")
    with pytest.raises(DataError) as caught:
        kinds_from_table(shelf.catalog, table(*rows, header=header))
    assert said in caught.value.message
    assert "kinds.tsv" in caught.value.message


def test_a_table_that_is_none_gets_a_sentence(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        kinds_from_table(shelf.catalog, tmp_path / "none.tsv")
    with pytest.raises(DataError, match="cannot be read"):
        kinds_from_table(shelf.catalog, tmp_path)
    (tmp_path / "latin.tsv").write_bytes("image\tkind\n1.jpg\tros\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8"):
        kinds_from_table(shelf.catalog, tmp_path / "latin.tsv")


# -- keywords ------------------------------------------------------------------------------------------

_PACKET = (
    "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>{before}<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
    "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    "<rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/'>"
    "<dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>"
    "<dc:title><rdf:Alt><rdf:li>kind:title</rdf:li></rdf:Alt></dc:title>"
    "</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
)


def xmp(*keywords: str, before: str = "") -> bytes:
    return _PACKET.format(before=before, items="".join(f"<rdf:li>{each}</rdf:li>" for each in keywords)).encode()


def with_xmp(file: Path, packet: bytes) -> Path:
    image = Image.new("RGB", (40, 40), (10, 200, 30))
    if file.suffix == ".png":
        facts = PngInfo()
        facts.add_itxt("XML:com.adobe.xmp", packet.decode())
        image.save(file, pnginfo=facts)
    else:
        image.save(file, xmp=packet)
    return file


def with_iptc(file: Path, *keywords: bytes, utf8: bool = False) -> Path:
    """A JPEG with the datasets 2:25 in the segment that Photoshop began."""
    words = [(1, 90, b"\x1b%G")] if utf8 else []
    sets = b"".join(
        b"\x1c" + bytes([record, number]) + struct.pack(">H", len(value)) + value
        for record, number, value in [*words, *((2, 25, word) for word in keywords)]
    )
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(sets)) + sets + b"\0" * (len(sets) % 2)
    segment = b"Photoshop 3.0\0" + resource
    Image.new("RGB", (40, 40)).save(file)
    plain = file.read_bytes()
    file.write_bytes(plain[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + plain[2:])
    return file


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.heic", "a.avif"])
def test_keywords_of_xmp_are_read_in_every_format(tmp_path: Path, name: str) -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    assert keywords_in(with_xmp(tmp_path / name, xmp("kind:été", "b &amp; c", ""))) == ["kind:été", "b & c"]


@pytest.mark.parametrize(
    ("written", "utf8", "read"),
    [
        ("kind:été".encode(), True, "kind:été"),
        ("été".encode(), False, "été"),
        ("\xe9t\xe9".encode("latin-1"), False, "été"),
    ],
)
def test_keywords_of_iptc_are_read_in_their_encoding(tmp_path: Path, written: bytes, utf8: bool, read: str) -> None:
    assert keywords_in(with_iptc(tmp_path / "a.jpg", written, b"two", utf8=utf8)) == [read, "two"]


def test_entities_in_metadata_are_not_expanded(tmp_path: Path) -> None:
    entities = "".join(f"<!ENTITY e{place} '{f'&e{place - 1};' * 10 if place else 'kind:x'}'>" for place in range(10))
    bomb = xmp("&e9;", before=f"<!DOCTYPE bomb [{entities}]>")
    assert keywords_in(with_xmp(tmp_path / "bomb.jpg", bomb)) == []
    assert keywords_in(with_xmp(tmp_path / "broken.jpg", b"<x:xmpmeta")) == []


def test_keywords_give_kinds_and_what_is_unclear_is_left_out(shelf: Shelf) -> None:
    names = ["rose.jpg", "both.jpg", "none.jpg", "gone.jpg", "slash.jpg", "iptc.jpg"]
    rose, _, _, _, slash, iptc = shelf.add(*names)
    with_xmp(shelf.photographs / "rose.jpg", xmp("Kind: rose", "kind:", "kindly"))
    with_xmp(shelf.photographs / "both.jpg", xmp("kind:rose", "kind:daisy"))
    with_xmp(shelf.photographs / "none.jpg", xmp("rose"))
    with_xmp(shelf.photographs / "slash.jpg", xmp("kind/daisy", "kind:daisy"))
    with_iptc(shelf.photographs / "iptc.jpg", b"kind:lily")
    told: list[tuple[int, int]] = []
    found = kinds_from_keywords(shelf.catalog, lambda done, total: told.append((done, total)))
    assert found.kinds == {rose: "rose", slash: "daisy", iptc: "lily"}
    assert found.notices == [
        "Keywords name several kinds of 1 photograph, left out: both.jpg (daisy, rose).",
        "The keywords of 1 photograph cannot be read: gone.jpg.",
    ]
    assert told[-1] == (6, 6)


def test_a_library_without_such_keywords_says_so(shelf: Shelf) -> None:
    shelf.add("none.jpg")
    with_xmp(shelf.photographs / "none.jpg", xmp("rose"))
    with pytest.raises(SmyslError, match="No photograph of the library has exactly one kind among its keywords"):
        kinds_from_keywords(shelf.catalog, lambda done, total: None)
