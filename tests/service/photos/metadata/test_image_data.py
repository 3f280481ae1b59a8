"""Hashes of the image without metadata: the same after keywords were written, another for other pixels."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from service.photos.metadata.image_data import image_data_hash
from tests.service.metadata_files import (
    box,
    encoded,
    exif,
    exif_segment,
    iptc_segment,
    jpeg,
    packet,
    plain_image,
    segment,
    xmp_segment,
)

BLOCK = exif({0x010F: "Canon", 0x0112: 6}, {0x9003: "2019:07:14 12:34:56"})
UPRIGHT = exif({0x010F: "Canon"}, {0x9003: "2019:07:14 12:34:56"})
"""Turning an image would turn it in HEIF and AVIF by a property of their own, which shows."""
XMP = packet(attributes='xmp:Rating="4"')


def _png(image: Image.Image) -> bytes:
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
    texts.add_text("Comment", "sea")
    return encoded(image, "PNG", exif=BLOCK, pnginfo=texts)


def _register(image: Image.Image, name: str, **options: object) -> bytes:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return encoded(image, name, **options)


PLAIN: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg": lambda image: encoded(image, "JPEG"),
    "progressive": lambda image: encoded(image, "JPEG", progressive=True),
    "png": lambda image: encoded(image, "PNG"),
    "webp": lambda image: encoded(image, "WEBP"),
    "webp-lossless": lambda image: encoded(image, "WEBP", lossless=True),
    "gif": lambda image: encoded(image, "GIF"),
    "tiff": lambda image: encoded(image, "TIFF"),
    "tiff-lzw": lambda image: encoded(image, "TIFF", compression="tiff_lzw"),
    "heif": lambda image: _register(image, "HEIF"),
    "avif": lambda image: encoded(image, "AVIF"),
    "bmp": lambda image: encoded(image, "BMP"),
}
WRITTEN: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg": lambda image: encoded(image, "JPEG", exif=BLOCK, xmp=XMP, comment=b"sea", icc_profile=bytes(300)),
    "progressive": lambda image: encoded(image, "JPEG", progressive=True, exif=BLOCK, xmp=XMP),
    "png": _png,
    "webp": lambda image: encoded(image, "WEBP", exif=BLOCK, xmp=XMP),
    "webp-lossless": lambda image: encoded(image, "WEBP", lossless=True, exif=BLOCK, xmp=XMP),
    "gif": lambda image: encoded(image, "GIF", comment=b"sea"),
    "tiff": lambda image: encoded(image, "TIFF", description="sea", exif=BLOCK),
    "tiff-lzw": lambda image: encoded(image, "TIFF", compression="tiff_lzw", description="sea"),
    "heif": lambda image: _register(image, "HEIF", exif=UPRIGHT, xmp=XMP),
    "avif": lambda image: encoded(image, "AVIF", exif=UPRIGHT, xmp=XMP),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_metadata_do_not_change_the_hash(name: str) -> None:
    plain, written = PLAIN[name](plain_image()), WRITTEN[name](plain_image())
    assert plain != written
    assert image_data_hash(plain) == image_data_hash(written) is not None


@pytest.mark.parametrize("name", PLAIN)
def test_other_pixels_have_another_hash(name: str) -> None:
    images = [plain_image(), plain_image((11, 100, 200)), plain_image(size=(50, 32))]
    assert len({image_data_hash(PLAIN[name](image)) for image in images}) == 3


def test_no_two_formats_share_a_hash() -> None:
    hashes = [image_data_hash(make(plain_image())) for make in PLAIN.values()]
    assert None not in hashes
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize("name", ["HEIF", "AVIF"])
def test_a_turn_that_is_a_property_of_the_image_changes_the_hash(name: str) -> None:
    turned, upright = (image_data_hash(_register(plain_image(), name, exif=block)) for block in (BLOCK, UPRIGHT))
    assert None not in (turned, upright)
    assert turned != upright


def test_segments_and_what_follows_a_jpeg_do_not_change_the_hash() -> None:
    first = jpeg()
    written = jpeg(
        *(exif_segment(BLOCK), xmp_segment(XMP), iptc_segment(b"")),
        *(segment(0xFE, b"comment"), segment(0xEF, b"x" * 60_000), segment(0xE1, b"\xff\xd9\xff\xda")),
        trailer=b"\xff\xd9film\xff\xda" * 50,
    )
    assert image_data_hash(first) == image_data_hash(written)
    assert image_data_hash(first) != image_data_hash(first[:-30])
    several = jpeg(segment(0xE2, b"MPF\0II*\0"), trailer=encoded(plain_image((1, 2, 3)), "JPEG"))
    assert image_data_hash(first) == image_data_hash(several)


def test_frames_of_an_animation_count() -> None:
    def animation(second: tuple[int, int, int], name: str, **options: object) -> bytes:
        return encoded(plain_image(), name, save_all=True, append_images=[plain_image(second)], duration=90, **options)

    for name in ("GIF", "WEBP", "PNG"):
        hashes = [image_data_hash(animation((value, 1, 2), name)) for value in (1, 1, 200)]
        assert hashes[0] == hashes[1] != hashes[2]
    assert image_data_hash(animation((9, 1, 2), "GIF")) == image_data_hash(animation((9, 1, 2), "GIF", comment=b"sea"))


def test_previews_of_a_tiff_do_not_count_and_its_pages_do() -> None:
    def pages(second: Image.Image, kind: int) -> bytes:
        out = io.BytesIO()
        plain_image().save(out, "TIFF")
        return _with_page(out.getvalue(), encoded(second, "TIFF"), kind)

    previews = {image_data_hash(pages(plain_image((value, 0, 0)), 1)) for value in (1, 2)}
    further = {image_data_hash(pages(plain_image((value, 0, 0)), 2)) for value in (1, 2)}
    assert (len(previews), len(further)) == (1, 2)


def _with_page(first: bytes, second: bytes, kind: int) -> bytes:
    """A TIFF with a second page of the given kind (NewSubfileType), from two with one page each."""
    pages = []
    for index, content in enumerate((first, second)):
        (offset,) = struct.unpack_from("<I", content, 4)
        (count,) = struct.unpack_from("<H", content, offset)
        entries = [struct.unpack_from("<HHII", content, offset + 2 + 12 * place) for place in range(count)]
        tags = {tag: value for tag, _, _, value in entries}
        pixels = content[tags[273] if tags[273] < len(content) else 8 :][: tags[279]]
        pages.append((kind if index else 0, pixels))
    out = b"II*\0" + struct.pack("<I", 8)
    for index, (page, pixels) in enumerate(pages):
        fields = [(254, 4, page), (256, 3, 48), (257, 3, 32), (258, 3, 8), (259, 3, 1), (262, 3, 2), (277, 3, 3)]
        start = len(out)
        end = start + 2 + 12 * (len(fields) + 2) + 4
        fields += [(273, 4, end), (279, 4, len(pixels))]
        out += struct.pack("<H", len(fields))
        out += b"".join(struct.pack("<HHII", tag, form, 1, value) for tag, form, value in fields)
        out += struct.pack("<I", 0 if index else end + len(pixels)) + pixels
    return out


def _heif_of_items(pixels: bytes, derived: dict[int, list[int]], stored: int | None) -> bytes:
    """A HEIF whose item 1 is shown; `derived` says which are made of which, `stored` which one holds the pixels."""
    start = box(b"ftyp", b"heic\0\0\0\0heic") + box(b"mdat", b"grid" + pixels)
    place = len(start) - len(pixels)
    references = b"".join(
        box(b"dimg", struct.pack(f">HH{len(parts)}H", item, len(parts), *parts)) for item, parts in derived.items()
    )
    # What the others hold is the same in all files: how to put the tiles together.
    places = {item: (place - 4, 4) for item in derived} | ({} if stored is None else {stored: (place, len(pixels))})
    located = b"".join(struct.pack(">HHHII", item, 0, 1, *each) for item, each in places.items())
    return start + box(
        b"meta",
        bytes(4)
        + box(b"pitm", bytes(4) + b"\0\1")
        + box(b"iref", bytes(4) + references)
        + box(b"iloc", bytes(4) + b"\x44\0" + struct.pack(">H", len(places)) + located),
    )


@pytest.mark.parametrize(
    ("derived", "stored"), [({}, 1), ({1: [2]}, 2), ({1: [2], 2: [3, 4, 3]}, 3), ({1: [2], 2: [1, 3]}, 3)]
)
def test_the_pixels_of_a_heif_count_however_many_steps_away_they_are(
    derived: dict[int, list[int]], stored: int
) -> None:
    hashes = [image_data_hash(_heif_of_items(pixels, derived, stored)) for pixels in (b"one", b"one", b"two")]
    assert hashes[0] == hashes[1] != hashes[2]
    assert None not in hashes


def test_a_heif_whose_pixels_are_not_found_has_no_hash() -> None:
    assert image_data_hash(_heif_of_items(b"one", {1: [2]}, None)) is None
    assert image_data_hash(_heif_of_items(b"one", {}, None)) is None
    assert image_data_hash(_heif_of_items(b"one", {1: [1]}, None)) is None


def test_boxes_of_jpeg_xl_and_canon_are_left_out() -> None:
    start = b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    stream = b"\xff\x0a" + bytes(range(200))
    whole = start + box(b"jxlc", stream)
    parts = start + box(b"Exif", bytes(20)) + box(b"jxlp", b"\0\0\0\0" + stream[:90])
    parts += box(b"xml ", XMP) + box(b"jxlp", b"\x80\0\0\1" + stream[90:])
    assert image_data_hash(stream) == image_data_hash(whole) == image_data_hash(parts)
    canon = box(b"ftyp", b"crx \0\0\0\1crx isom")
    assert image_data_hash(canon + box(b"uuid", XMP) + box(b"mdat", stream)) == image_data_hash(
        canon + box(b"mdat", stream)
    )


def test_the_sensors_data_of_fujifilm_and_panasonic_count() -> None:
    def raf(preview: bytes, data: bytes) -> bytes:
        header = (
            b"FUJIFILMCCD-RAW "
            + bytes(68)
            + struct.pack(">IIIIII", 108, len(preview), 0, 0, 108 + len(preview), len(data))
        )
        return header + preview + data

    assert image_data_hash(raf(b"one", b"pixels")) == image_data_hash(raf(b"two", b"pixels"))
    assert image_data_hash(raf(b"one", b"pixels")) != image_data_hash(raf(b"one", b"others"))

    def rw2(data: bytes) -> bytes:
        return b"IIU\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x0118, 4, 1, 26, 0) + data

    assert image_data_hash(rw2(b"pixels")) != image_data_hash(rw2(b"others"))


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\xff\xd8", b"RIFF\0\0\0\0WAVE", b"GIF89a", b"II*\0\x08\0\0\0", b"\xff"]
)
def test_a_file_without_an_image_has_no_hash(content: bytes) -> None:
    assert image_data_hash(content) is None


def test_pieces_that_overlap_end_before_they_take_long() -> None:
    # A hundred thousand strips of the whole file each.
    count = 100_000
    size = 8 + 2 + 3 * 12 + 4 + 8 * count
    fields = [(256, 3, 1, 4), (273, 4, count, 50), (279, 4, count, 50 + 4 * count)]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *field) for field in fields)
    content = head + bytes(4) + struct.pack("<I", 8) * count + struct.pack("<I", size) * count
    assert image_data_hash(content) is None
