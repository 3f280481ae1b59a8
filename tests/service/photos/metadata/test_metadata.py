"""Merging of metadata: every format, which source counts, and what is bounded."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from PIL.PngImagePlugin import PngInfo

from service.photos.metadata.image_data import image_data_hash
from service.photos.metadata.reader import MAX_PROBLEMS, Sidecar, read_metadata
from service.photos.metadata.tiff import TiffStructure
from service.store.metadata import Metadata
from tests.service.metadata_files import (
    bag,
    box,
    degrees,
    encoded,
    exif,
    exif_segment,
    iptc,
    iptc_segment,
    jpeg,
    packet,
    plain_image,
    segment,
    takeout,
    xmp_segment,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

BLOCK = exif({0x010F: "Canon", 0x0110: "Canon EOS R6"}, {0x9003: "2019:07:14 12:34:56", 0x9011: "+03:00"})
XMP = packet(bag("dc:subject", "sea"), 'xmp:Rating="4"')
EXPECTED = Metadata(
    taken_at=datetime(2019, 7, 14, 12, 34, 56),
    taken_offset=180,
    taken_source="exif",
    camera="Canon EOS R6",
    keywords=("sea",),
    stars=4,
)


def _png() -> bytes:
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    return encoded(plain_image(), "PNG", exif=BLOCK, pnginfo=texts)


def _heif(name: str) -> bytes:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return encoded(plain_image(), name, exif=BLOCK, xmp=XMP)


def _jxl(*, packed: bool) -> bytes:
    import brotli

    kinds = {b"Exif": bytes(4) + BLOCK, b"xml ": XMP}
    boxes = [box(b"brob", kind + brotli.compress(data)) if packed else box(kind, data) for kind, data in kinds.items()]
    return b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \0\0\0\0jxl ") + b"".join(boxes) + box(b"jxlc", b"\xff\x0a")


def _directory(block: bytes, pointer: int | None) -> bytes:
    """A structure of EXIF whose first directory is the one that a tag points at."""
    if pointer is None:
        return block
    first = TiffStructure(block).first()
    assert first is not None
    return block[:4] + struct.pack(">I" if block[:1] == b"M" else "<I", first.integers(pointer)[0]) + block[8:]


def _cr3() -> bytes:
    parts = {b"CMT1": _directory(BLOCK, None), b"CMT2": _directory(BLOCK, 0x8769)}
    canon = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48") + b"".join(box(*part) for part in parts.items())
    moov = box(b"moov", box(b"uuid", canon))
    return (
        box(b"ftyp", b"crx \0\0\0\1crx isom")
        + moov
        + box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + XMP)
    )


def _raf() -> bytes:
    inside = jpeg(exif_segment(BLOCK), xmp_segment(XMP))
    return b"FUJIFILMCCD-RAW " + bytes(68) + struct.pack(">II", 108, len(inside)) + bytes(16) + inside


def _tiff(*, magic: bytes = b"*\0") -> bytes:
    photo = {0x9003: "2019:07:14 12:34:56", 0x9011: "+03:00"}
    content = encoded(plain_image(), "TIFF", exif=exif({0x010F: "Canon", 0x0110: "Canon EOS R6", 700: XMP}, photo))
    return content[:2] + magic + content[4:]


FORMATS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: jpeg(exif_segment(BLOCK), xmp_segment(XMP)),
    "jpeg-by-pillow": lambda: encoded(plain_image(), "JPEG", exif=b"Exif\0\0" + BLOCK, xmp=XMP),
    "png": _png,
    "webp": lambda: encoded(plain_image(), "WEBP", exif=BLOCK, xmp=XMP),
    "webp-with-jpegs-name": lambda: encoded(plain_image(), "WEBP", exif=b"Exif\0\0" + BLOCK, xmp=XMP),
    "heic": lambda: _heif("HEIF"),
    "avif": lambda: _heif("AVIF"),
    "jxl": lambda: _jxl(packed=False),
    "jxl-packed": lambda: _jxl(packed=True),
    "cr3": _cr3,
    "raf": _raf,
    "tiff": _tiff,
    "rw2": lambda: _tiff(magic=b"U\0"),
    "orf": lambda: _tiff(magic=b"RO"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_metadata_are_read_from_every_format(name: str) -> None:
    metadata, problems = read_metadata(FORMATS[name](), "a")
    assert problems == []
    # Pillow writes EXIF's orientation into some files.
    assert metadata in (EXPECTED, Metadata(**{**_fields(EXPECTED), "orientation": 1}))


def _fields(metadata: Metadata) -> dict[str, object]:
    return {name: getattr(metadata, name) for name in Metadata.__dataclass_fields__}


def test_a_tiff_holds_iptc_also_as_integers() -> None:
    words = iptc((2, 25, b"kind:daisy"), (2, 5, b"T"))
    words += bytes(-len(words) % 4)
    content = encoded(plain_image(), "TIFF", tiffinfo={0x83BB: words})
    assert read_metadata(content, "a.tif")[0].keywords == ("kind:daisy",)
    place = content.index(struct.pack("<H", 0x83BB))
    as_integers = content[:place] + struct.pack("<HHI", 0x83BB, 4, len(words) // 4) + content[place + 8 :]
    assert read_metadata(as_integers, "a.tif")[0].keywords == ("kind:daisy",)


def test_layers_in_a_tiff_are_not_read() -> None:
    layers = bytes(100 << 20)
    photo = {0x9003: "2019:07:14 12:34:56", 0x9011: "+03:00"}
    values = {0x010F: "Canon", 0x0110: "Canon EOS R6", 700: XMP, 0x935C: layers}
    content = encoded(plain_image(), "TIFF", exif=exif(values, photo))
    tracemalloc.start()
    metadata, problems = read_metadata(content, "a.tif")
    image_data_hash(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (metadata, problems) == (EXPECTED, [])
    assert peak < 40 << 20


def test_no_more_of_a_huge_packet_in_a_png_is_copied_than_it_takes_to_refuse_it() -> None:
    text = b"XML:com.adobe.xmp" + bytes(5) + bytes(100 << 20)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", len(text), b"iTXt") + text
    tracemalloc.start()
    problems = read_metadata(content, "a.png")[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert problems == ["its XMP is larger than 8 MB"]
    assert peak < 60 << 20


def test_directories_that_share_a_value_are_read_up_to_the_size_of_their_file() -> None:
    count, size, tag = 50, 4 << 20, 0x927C
    value = 8 + count * 18
    entry = struct.pack("<HHHII", 1, tag, 1, size, value)
    chain = b"".join(entry + struct.pack("<I", 8 + place * 18) for place in range(1, count))
    content = b"II*\0\x08\0\0\0" + chain + entry + bytes(4) + bytes(size)
    directories = list(TiffStructure(content, is_whole_file=True).directories())
    assert size <= sum(len(directory.data(tag)) for directory in directories) < 2 * size


def test_sidecars_count_more_than_the_file_and_xmp_more_than_iptc() -> None:
    inside = packet(
        bag("dc:subject", "inside") + bag("dc:creator", "Ann"), 'xmp:Rating="3" dc:title="Inside" xmp:Label="Red"'
    )
    words = iptc((2, 25, b"iptc"), (2, 5, b"IPTC"), (2, 116, b"(c) IPTC"), (2, 80, b"Bob"))
    content = jpeg(exif_segment(exif({0x010E: "EXIF", 0x8298: "(c) EXIF"})), iptc_segment(words), xmp_segment(inside))
    beside = Sidecar("a.jpg.xmp", packet(bag("dc:subject", "one", "two"), 'xmp:Rating="5"'))
    metadata, _ = read_metadata(content, "a.jpg", sidecars=[beside])
    assert metadata == Metadata(
        title="Inside",
        description="EXIF",
        creator="Ann",
        copyright="(c) IPTC",
        keywords=("one", "two"),
        stars=5,
        label="Red",
    )
    assert read_metadata(content, "a.jpg")[0].keywords == ("inside",)
    assert read_metadata(jpeg(iptc_segment(words)), "a.jpg")[0].keywords == ("iptc",)


def test_the_sidecar_with_the_whole_name_counts_more() -> None:
    sidecars = [Sidecar(name, packet(attributes=f'dc:title="{name}"')) for name in ("A.xmp", "a.cr3.XMP")]
    assert read_metadata(jpeg(), "A.CR3", sidecars=sidecars)[0].title == "a.cr3.XMP"


def test_takeout_fills_in_what_nothing_else_knows() -> None:
    beside = Sidecar(
        "a.jpg.supplemental-metada.json",
        takeout(
            description="Google",
            people=[{"name": "Ann"}],
            photoTakenTime={"timestamp": "1563107696"},
            geoData={"latitude": 51.9, "longitude": 104.8, "altitude": 0},
        ),
    )
    alone = Metadata(
        taken_at=datetime(2019, 7, 14, 12, 34, 56),
        taken_offset=0,
        taken_source="takeout",
        latitude=51.9,
        longitude=104.8,
        description="Google",
        people=("Ann",),
    )
    assert read_metadata(jpeg(), "a.jpg", sidecars=[beside]) == (alone, [])
    gps = {1: "N", 2: degrees(60, 0, 0), 3: "E", 4: degrees(24, 0, 0)}
    content = jpeg(exif_segment(exif({0x010E: "EXIF"}, {0x9003: "2019:07:14 15:34:56"}, gps)))
    metadata = read_metadata(content, "a.jpg", sidecars=[beside])[0]
    assert (metadata.description, metadata.latitude, metadata.altitude, metadata.people) == ("EXIF", 60, None, ("Ann",))
    assert (metadata.taken_at, metadata.taken_offset) == (datetime(2019, 7, 14, 15, 34, 56), None)


def test_a_position_in_a_sidecar_counts_more_and_is_not_mixed() -> None:
    gps = {1: "N", 2: degrees(60, 0, 0), 3: "E", 4: degrees(24, 0, 0), 6: 100}
    beside = packet(attributes='exif:GPSLatitude="10,0N" exif:GPSLongitude="20,0E" photoshop:City="Rome"')
    inside = packet(attributes='photoshop:City="Paris" photoshop:Country="France"')
    content = jpeg(exif_segment(exif({}, {0x9003: "2019:07:14 12:34:56"}, gps)), xmp_segment(inside))
    metadata = read_metadata(content, "a.jpg", sidecars=[Sidecar("a.xmp", beside)])[0]
    assert (metadata.latitude, metadata.longitude, metadata.altitude) == (10, 20, None)
    assert (metadata.town, metadata.country) == ("Rome", None)


DATES: list[tuple[str, datetime]] = [
    ("xmp", datetime(2000, 1, 1, 1, 1, 1)),
    ("exif", datetime(2001, 1, 1, 1, 1, 1)),
    ("xmp", datetime(2002, 2, 2, 2, 2, 2)),
    ("exif", datetime(2003, 3, 3, 3, 3, 3)),
    ("takeout", datetime(2004, 4, 4, 4, 4, 4)),
    ("name", datetime(2005, 5, 5, 5, 5, 5)),
    ("file", datetime(2006, 6, 6, 6, 6, 6)),
]
"""Of a sidecar, EXIF, XMP in the file, EXIF's of digitising, Takeout, the file's name, and the file."""


@pytest.mark.parametrize("first", range(len(DATES) + 1))
def test_dates_count_in_the_order_of_trust(first: int) -> None:
    def date(index: int) -> datetime | None:
        return DATES[index][1] if index >= first else None

    original, digitised = (f"{time:%Y:%m:%d %H:%M:%S}" if (time := date(index)) else "" for index in (1, 3))
    beside, inside = (
        packet(attributes=f'exif:DateTimeOriginal="{time.isoformat()}"' if (time := date(index)) else "")
        for index in (0, 2)
    )
    block = exif({0x0110: "X"}, {0x9003: original, 0x9004: digitised, 0x9000: b"0232"})
    content = jpeg(exif_segment(block), xmp_segment(inside))
    sidecars = [Sidecar("a.xmp", beside)]
    seconds = int(time.replace(tzinfo=UTC).timestamp()) if (time := date(4)) else 0
    sidecars.append(Sidecar("a.json", takeout(photoTakenTime={"timestamp": str(seconds)})))
    name = f"IMG_{time:%Y%m%d_%H%M%S}.jpg" if (time := date(5)) else "a.jpg"
    metadata = read_metadata(content, name, sidecars=sidecars, modified=date(6))[0]
    expected = DATES[first] if first < len(DATES) else (None, None)
    assert (metadata.taken_source, metadata.taken_at) == expected


def test_the_next_date_counts_where_one_cannot_be_right() -> None:
    content = jpeg(
        exif_segment(exif({}, {0x9003: "2107:01:01 00:00:00", 0x9004: "2107:01:01 00:00:00"})),
        xmp_segment(packet(attributes='photoshop:DateCreated="1500-01-01"')),
    )
    metadata, problems = read_metadata(content, "IMG_20190714_123456.jpg")
    assert (metadata.taken_at, metadata.taken_source) == (datetime(2019, 7, 14, 12, 34, 56), "name")
    assert problems == ["its date, 2107-01-01, cannot be right", "its date, 1500-01-01, cannot be right"]


def test_the_zone_of_xmp_counts_for_the_same_time_in_exif() -> None:
    block = exif_segment(exif({}, {0x9003: "2019:07:14 12:34:56"}))

    def offset(text: str) -> int | None:
        xmp = xmp_segment(packet(attributes=f'photoshop:DateCreated="{text}"'))
        return read_metadata(jpeg(block, xmp), "a.jpg")[0].taken_offset

    assert offset("2019-07-14T12:34:56+09:00") == 540
    assert offset("2019-07-14T13:34:56+09:00") is None
    assert offset("2019-07-14T12:34:56Z") is None


def test_the_time_of_the_file_keeps_its_zone() -> None:
    modified = datetime(2019, 7, 14, 12, 34, 56, 789, timezone(timedelta(hours=3)))
    metadata = read_metadata(jpeg(), "a.jpg", modified=modified)[0]
    assert (metadata.taken_at, metadata.taken_offset) == (datetime(2019, 7, 14, 12, 34, 56), 180)
    for unset in (datetime(1970, 1, 1), datetime(1980, 1, 1), datetime(9999, 1, 1), datetime.now() + timedelta(days=9)):
        assert read_metadata(jpeg(), "a.jpg", modified=unset) == (Metadata(), [])


def test_a_packet_that_goes_on_in_further_segments_is_read() -> None:
    more = packet(
        bag("dc:subject", *(f"word{number}" for number in range(900))) + f"<dc:title>{'x' * 70_000}</dc:title>"
    )
    guid = b"A1B2" * 8
    size = 60_000
    parts = [
        segment(
            0xE1,
            b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", len(more), at) + more[at : at + size],
        )
        for at in range(0, len(more), size)
    ]
    main = packet(attributes=f'xmp:Rating="4" xmpNote:HasExtendedXMP="{guid.decode()}"')
    metadata, problems = read_metadata(jpeg(xmp_segment(main), *reversed(parts)), "a.jpg")
    assert (metadata.stars, len(metadata.keywords), problems) == (4, 900, [])
    other = packet(attributes=f'xmp:Rating="4" xmpNote:HasExtendedXMP="{"B" * 32}"')
    assert read_metadata(jpeg(xmp_segment(other), *parts), "a.jpg")[0].keywords == ()
    endless = [
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", 0, n) + bytes(65_000))
        for n in range(900)
    ]
    assert read_metadata(jpeg(xmp_segment(main), *endless), "a.jpg")[0].stars == 4


def test_stray_bytes_and_fill_bytes_between_segments_are_passed_over() -> None:
    content = jpeg(b"\0stray\xff\xff\xff" + exif_segment(BLOCK)[1:], b"\xff\xd0", xmp_segment(XMP))
    assert read_metadata(content, "a.jpg") == (EXPECTED, [])


@pytest.mark.parametrize(
    "content",
    [
        jpeg(*[exif_segment(BLOCK + bytes(65_000))] * 950),
        b"\xff\xd8" + b"\xff\xe1\0\2" * 5_000_000,
        b"\xff\xd8" + b"\xff" * 20_000_000,
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0iTXt\0\0\0\0" * 2_000_000,
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 60 << 20) + b"eXIf" + BLOCK + bytes(60 << 20),
        b"RIFF\0\0\0\0WEBP" + b"junk\0\0\0\0" * 3_000_000,
        box(b"ftyp", b"heic\0\0\0\0mif1") + b"\0\0\0\x08free" * 3_000_000,
        box(b"ftyp", b"heic\0\0\0\0mif1")
        + box(b"meta", bytes(4) + box(b"iloc", b"\2\0\0\0\0\0" + b"\xff" * 20_000_000)),
        b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\x69\x87\4\0\1\0\0\0\x08\0\0\0" * 65_535,
    ],
    ids=["exif", "segments", "fill", "chunks", "png-exif", "riff", "boxes", "extents", "tags"],
)
def test_a_file_made_to_take_long_is_read_with_few_problems(content: bytes) -> None:
    metadata, problems = read_metadata(content, "a")
    assert (metadata.keywords, metadata.description) == ((), None)
    assert len(problems) <= MAX_PROBLEMS


def test_a_compressed_packet_that_grows_is_bounded() -> None:
    import brotli

    png = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(200 << 20))
    for content in (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(png)) + b"iTXt" + png,
        b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"brob", b"xml " + brotli.compress(bytes(200 << 20), quality=1)),
    ):
        assert read_metadata(content, "a") == (Metadata(), ["its XMP is larger than 8 MB"])


def test_broken_sidecars_are_named_and_leave_the_rest() -> None:
    sidecars = [Sidecar("a.xmp", b"<x"), Sidecar("a.json", b"{"), Sidecar("b.json", b"[]"), Sidecar("c.xmp", b"")]
    metadata, problems = read_metadata(FORMATS["jpeg"](), "a.jpg", sidecars=sidecars)
    assert metadata == EXPECTED
    assert problems == ["its XMP sidecar is damaged", "its Takeout JSON is damaged"]


def test_a_few_problems_are_told() -> None:
    sidecars = [Sidecar("a.xmp", b"<x"), Sidecar("b.xmp", b"<x"), Sidecar("a.json", b"{")]
    content = jpeg(exif_segment(b"II*\0broken"), xmp_segment(b"<x"))
    problems = read_metadata(content, "a.jpg", sidecars=sidecars)[1]
    assert len(problems) == len(set(problems)) == MAX_PROBLEMS


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8", b"BM", b"GIF89a", b"II*\0", b"\0\0\0\x08ftyp"])
def test_a_file_without_metadata_says_nothing(content: bytes) -> None:
    assert read_metadata(content, "a.jpg")[0] == Metadata()
