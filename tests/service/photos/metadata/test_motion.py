"""Films of motion photographs and Live Photos: duration and Apple's identifier."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from service.photos.metadata.motion import Film, content_identifier, motion_seconds, read_film
from service.photos.metadata.reader import read_metadata
from tests.service.metadata_files import box, exif, exif_segment, film, jpeg, packet, xmp_segment

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

IDENTIFIER = "8F0C6A9B-7F3C-4C53-9F7E-1B2C3D4E5F60"


def _apple_note(identifier: str) -> bytes:
    value = identifier.encode() + b"\0"
    entry = struct.pack(">HHII", 0x0011, 2, len(value), 32)
    return b"Apple iOS\0\0\x01MM" + struct.pack(">H", 1) + entry + bytes(4) + value


def test_a_films_file_is_read_from_its_end(tmp_path: Path) -> None:
    file = tmp_path / "IMG_1.MOV"
    file.write_bytes(film(1.9, IDENTIFIER))
    assert read_film(file) == Film(1.9, IDENTIFIER)
    file.write_bytes(film(2))
    assert read_film(file) == Film(2, None)


def test_a_film_with_boxes_of_64_bits_is_read(tmp_path: Path) -> None:
    long = struct.pack(">I4sQ", 1, b"mdat", 16 + 5000) + bytes(5000)
    header = struct.pack(">IQQIQ", 1 << 24, 0, 0, 1000, 3500) + bytes(80)
    file = tmp_path / "a.mp4"
    file.write_bytes(box(b"ftyp", b"mp42\0\0\0\0") + long + box(b"moov", box(b"mvhd", header)))
    assert read_film(file).seconds == 3.5
    assert motion_seconds(file.read_bytes()) == 3.5


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0",
        b"not a film" * 100,
        film(1)[:-150],
        struct.pack(">I4s", 3, b"mdat") * 100,
        struct.pack(">I4sQ", 1, b"mdat", 1 << 62),
        struct.pack(">I4sQ", 1, b"mdat", (1 << 64) - 1) + bytes(50),
        struct.pack(">I4s", 3, b"moov") + bytes(50),
        struct.pack(">I4sQ", 1, b"moov", 5) + bytes(50),
        box(b"free", b"") * 100_000,
        box(b"moov", box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 0, 100))),
        box(b"moov", box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1, 0xFFFFFFFF))),
        box(b"moov", box(b"mvhd", b"\0\0")),
        film(86_401),  # more than a day
    ],
)
def test_a_broken_film_says_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.mov"
    file.write_bytes(content)
    assert read_film(file) == Film()
    assert motion_seconds(content) is None


def test_a_film_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read_film(tmp_path / "a.mov") == Film()
    assert read_film(tmp_path) == Film()


@pytest.mark.parametrize(
    "attribute", ['GCamera:MotionPhoto="1"', 'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="99"']
)
def test_the_film_in_a_motion_photograph_is_measured(attribute: str) -> None:
    content = jpeg(xmp_segment(packet(attributes=attribute)), trailer=film(2.75))
    assert read_metadata(content, "MVIMG_1.jpg")[0].motion == 2.75
    assert read_metadata(jpeg(xmp_segment(packet(attributes=attribute))), "MVIMG_1.jpg")[0].motion is None


def test_samsungs_film_is_measured() -> None:
    trailer = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + film(1.5) + b"SEFH" + bytes(24) + b"SEFT"
    assert read_metadata(jpeg(trailer=trailer), "20190714_123456.jpg")[0].motion == 1.5


def test_a_photograph_without_a_film_has_no_motion() -> None:
    assert read_metadata(jpeg(trailer=film(1)), "a.jpg")[0].motion is None
    assert motion_seconds(jpeg()) is None
    assert motion_seconds(jpeg(trailer=b"ftyp" * 10_000)) is None


def test_the_identifier_of_a_live_photo_is_in_both_of_its_files() -> None:
    still = jpeg(exif_segment(exif({0x010F: "Apple"}, {0x927C: _apple_note(IDENTIFIER)})))
    assert content_identifier(still) == content_identifier(film(1.9, IDENTIFIER)) == IDENTIFIER


@pytest.mark.parametrize(
    "content",
    [
        b"",
        jpeg(),
        jpeg(exif_segment(exif({0x010F: "Apple"}, {0x927C: b"Apple iOS\0\0\x01MM"}))),
        jpeg(exif_segment(exif({0x010F: "Apple"}, {0x927C: b"Apple iOS\0\0\x01MM\xff\xff" + bytes(20)}))),
        jpeg(exif_segment(exif({0x010F: "Canon"}, {0x927C: b"\x10\0" + bytes(200)}))),
        film(1),
        film(1, IDENTIFIER)[:-60],
    ],
)
def test_a_file_without_an_identifier_has_none(content: bytes) -> None:
    assert content_identifier(content) is None
