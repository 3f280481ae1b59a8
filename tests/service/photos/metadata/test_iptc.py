"""IPTC: texts in all encodings, Photoshop's resources, and datasets that are broken."""

from __future__ import annotations

import struct

import ftfy
import pytest

from service.photos.metadata.iptc import iptc_in_resources, read_iptc
from service.photos.metadata.values import MAX_WORDS
from service.store.metadata import Metadata
from tests.service.metadata_files import iptc

UTF8 = (1, 90, b"\x1b%G")


def read(*datasets: tuple[int, int, bytes]) -> Metadata:
    problems: list[str] = []
    metadata = read_iptc(iptc(*datasets), problems)
    assert problems == []
    return metadata


def test_what_people_wrote_is_read() -> None:
    texts = {5: b"Title", 120: b"Text", 80: b"Ann", 116: b"(c)", 90: b"Irkutsk", 95: b"Siberia", 101: b"Russia"}
    assert read((2, 25, b"sea"), (2, 25, b"ice "), *((2, number, text) for number, text in texts.items())) == Metadata(
        title="Title",
        description="Text",
        creator="Ann",
        copyright="(c)",
        town="Irkutsk",
        region="Siberia",
        country="Russia",
        keywords=("sea", "ice"),
    )
    assert read((2, 105, b"Headline")).title == "Headline"


@pytest.mark.parametrize(
    ("written", "is_utf8", "read_as"),
    [
        ("Мюллер".encode(), True, "Мюллер"),
        ("Müller".encode(), False, "Müller"),
        ("Müller".encode("latin-1"), False, "Müller"),
        ("“Müller”".encode("cp1252"), False, "“Müller”"),
        # Declared as UTF-8, and cut in the middle of a character by a program that counts bytes.
        ("Мюллер".encode()[:-1], True, "Мюлле"),
        (b"M\xfcller", True, "M\ufffdller"),
        # UTF-8 that was read as Latin-1 and written again as UTF-8.
        ("MÃ¼ller".encode(), True, "Müller"),
        ("Âme".encode(), True, "Âme"),
        ("Ðœ".encode(), False, "М"),
        (b"a\x00b\x07c", False, "a b c"),
    ],
)
def test_texts_are_read_in_the_encoding_that_they_have(written: bytes, is_utf8: bool, read_as: str) -> None:
    assert read(*([UTF8] if is_utf8 else []), (2, 120, written)).description == read_as


def test_long_and_padded_datasets_are_read_and_broken_ones_are_not() -> None:
    long = b"\x1c\x02\x78" + struct.pack(">HI", 0x8004, 5) + b"hello"
    assert read_iptc(b"\0\0" + long + b"\0\0\0" + iptc((2, 5, b"T")), []) == Metadata(title="T", description="hello")
    assert read_iptc(long[:-1], []) == Metadata()
    assert read_iptc(b"\x1c\x02\x78" + struct.pack(">HI", 0xFFFF, 5) + b"hello", []) == Metadata()
    assert read_iptc(b"\x1c\x02", []) == Metadata()


def test_very_many_keywords_are_bounded() -> None:
    problems: list[str] = []
    metadata = read_iptc(iptc(*((2, 25, str(number).encode()) for number in range(100_000))), problems)
    assert len(metadata.keywords) == MAX_WORDS
    assert problems == ["only the first 1,000 keywords were read"]


def test_of_very_long_texts_no_more_is_mended_than_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    mend = ftfy.fix_encoding

    def measured(text: str) -> str:
        lengths.append(len(text))
        return mend(text)

    monkeypatch.setattr(ftfy, "fix_encoding", measured)
    problems: list[str] = []
    long = ("Ã©" * 8_000).encode()
    metadata = read_iptc(iptc(UTF8, *[(2, 25, long)] * 3, *[(2, 5, long)] * 3, (2, 120, long)), problems)
    assert (metadata.title, metadata.description, metadata.keywords) == ("é" * 1000, "é" * 8_000, ())
    assert set(problems) == {"keywords of more than 500 characters were left out"}
    assert sum(lengths) < 16_000 + 4 * 8_000


def test_the_datasets_are_found_among_photoshops_resources() -> None:
    resource = b"8BIM\x04\x04\x00\x00\x00\x00\x00\x03abc\x00"
    assert iptc_in_resources(b"8BIM\x03\xed\x03abc\x00\x00\x00\x01z\x00" + resource) == b"abc"
    assert iptc_in_resources(b"8BIM\x03\xed\x00\x00\x00\x00\x00\x01z\x00") is None
    assert iptc_in_resources(resource[:9]) is None
    assert iptc_in_resources(b"8BIM\x03\xed\x00\x00\x00\x00\x00\x00" * 100_000 + resource) is None
    assert iptc_in_resources(b"") is None
