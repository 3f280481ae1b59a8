"""XMP: properties as attributes and elements, keywords, people, stars, places, dates, and hostile XML."""

from __future__ import annotations

from datetime import datetime

import pytest

from service.photos.metadata.values import MAX_WORD, MAX_WORDS, Moment
from service.photos.metadata.xmp import MAX_BYTES, parse_xmp, read_xmp, xmp_moment
from service.store.metadata import Metadata
from tests.service.metadata_files import bag, packet

DEFAULT = "<rdf:li xml:lang='x-default'>"


def read(content: bytes) -> Metadata:
    problems: list[str] = []
    parsed = parse_xmp(content, problems)
    assert parsed is not None
    metadata = read_xmp(parsed, problems)
    assert problems == []
    return metadata


def moment(content: bytes) -> Moment | None:
    parsed = parse_xmp(content, [])
    return xmp_moment(parsed) if parsed else None


def test_properties_are_read_as_attributes_and_as_elements() -> None:
    words = {"xmp:Rating": "4", "xmp:Label": "Red", "photoshop:City": "Rome", "tiff:Orientation": "6", "aux:Lens": "L"}
    as_attributes = packet(attributes=" ".join(f'{name}="{value}"' for name, value in words.items()))
    as_elements = packet("".join(f"<{name}>{value}</{name}>" for name, value in words.items()))
    expected = Metadata(stars=4, label="Red", town="Rome", orientation=6, lens="L")
    assert read(as_attributes) == read(as_elements) == expected


def test_a_packet_in_any_encoding_of_unicode_is_read() -> None:
    content = packet(attributes='photoshop:City="Москва"').decode()
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        assert read(content.encode(encoding)).town == "Москва"


def test_a_sidecar_without_a_wrapper_and_in_several_descriptions_is_read() -> None:
    content = (
        "<?xml version='1.0' encoding='UTF-8'?><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' "
        "xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:xmp='http://ns.adobe.com/xap/1.0/'>"
        "<rdf:Description xmp:Rating='2'/><rdf:Description xmp:Rating='3' dc:title='T'/></rdf:RDF>"
    )
    assert read(content.encode()) == Metadata(stars=2, title="T")


def test_alternatives_are_read_in_the_default_language() -> None:
    title = f"<dc:title><rdf:Alt><rdf:li xml:lang='de'>Hund</rdf:li>{DEFAULT}Dog</rdf:li></rdf:Alt></dc:title>"
    assert read(packet(title)).title == "Dog"
    assert read(packet(title.replace("x-default", "fr"))).title == "Hund"


def test_sequences_and_qualified_values_are_read() -> None:
    assert read(packet(bag("dc:creator", "Ann", "Bob", kind="Seq"))).creator == "Ann, Bob"
    qualified = "<rdf:li rdf:parseType='Resource'><rdf:value>sea</rdf:value></rdf:li>"
    assert read(packet(f"<dc:subject><rdf:Bag>{qualified}</rdf:Bag></dc:subject>")).keywords == ("sea",)


def test_keywords_of_a_hierarchy_are_joined_by_slashes() -> None:
    metadata = read(
        packet(
            bag("dc:subject", "Dog", "Dog", " sea ", "")
            + bag("lr:hierarchicalSubject", "Animals|Dog", "sea")
            + bag("digiKam:TagsList", "Animals/Dog", "Places/Baikal", kind="Seq")
            + bag("MicrosoftPhoto:LastKeywordXMP", "Places/Baikal")
        )
    )
    assert metadata.keywords == ("Dog", "sea", "Animals/Dog", "Places/Baikal")


def test_people_are_read_from_each_of_their_places() -> None:
    region = "<rdf:li rdf:parseType='Resource'><mwg-rs:Name>{}</mwg-rs:Name><mwg-rs:Type>{}</mwg-rs:Type></rdf:li>"
    regions = region.format("Ann", "Face") + region.format("Rex", "Pet")
    regions += "<rdf:li><rdf:Description mwg-rs:Name='Bob' mwg-rs:Type='Face'/></rdf:li>"
    content = packet(
        "<mwg-rs:Regions rdf:parseType='Resource'><mwg-rs:RegionList>"
        f"<rdf:Bag>{regions}</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
        "<MP:RegionInfo rdf:parseType='Resource'><MPRI:Regions><rdf:Bag>"
        "<rdf:li MPReg:PersonDisplayName='Ann'/><rdf:li MPReg:PersonDisplayName='Cid'/>"
        "</rdf:Bag></MPRI:Regions></MP:RegionInfo>" + bag("Iptc4xmpExt:PersonInImage", "Dan")
    )
    assert read(content).people == ("Ann", "Bob", "Cid", "Dan")


@pytest.mark.parametrize(
    ("rating", "percent", "stars"),
    [
        ("3", "99", 3),
        ("3.0", None, 3),
        ("-1", None, -1),
        ("0", "75", 0),
        (None, "75", 4),
        ("6", None, None),
        ("nan", None, None),
        ("five", None, None),
        ("9" * 400, None, None),
    ],
)
def test_stars(rating: str | None, percent: str | None, stars: int | None) -> None:
    attributes = f'xmp:Rating="{rating}" ' if rating else ""
    attributes += f'MicrosoftPhoto:Rating="{percent}"' if percent else ""
    assert read(packet(attributes=attributes)).stars == stars


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"exif:DateTimeOriginal": "2019-07-14T12:34:56+03:00"}, Moment(datetime(2019, 7, 14, 12, 34, 56), 180)),
        ({"exif:DateTimeOriginal": "2019-07-14T12:34:56.789-0330"}, Moment(datetime(2019, 7, 14, 12, 34, 56), -210)),
        # Programs write "Z" where they do not know the zone.
        ({"exif:DateTimeOriginal": "2019-07-14T12:34:56Z"}, Moment(datetime(2019, 7, 14, 12, 34, 56))),
        ({"xmp:CreateDate": "2019-07-14T12:34"}, Moment(datetime(2019, 7, 14, 12, 34))),
        ({"photoshop:DateCreated": "1954-07"}, Moment(datetime(1954, 7, 1), has_clock=False)),
        ({"photoshop:DateCreated": "1954"}, Moment(datetime(1954, 1, 1), has_clock=False)),
        (
            {"photoshop:DateCreated": "2019-07-14", "xmp:CreateDate": "2019-07-14T08:00:00"},
            Moment(datetime(2019, 7, 14, 8)),
        ),
        (
            {"photoshop:DateCreated": "2019-07-14", "xmp:CreateDate": "2019-07-15T08:00:00"},
            Moment(datetime(2019, 7, 14), has_clock=False),
        ),
        (
            {"exif:DateTimeOriginal": "0000-00-00", "xmp:CreateDate": "2019-07-15"},
            Moment(datetime(2019, 7, 15), None, False),
        ),
        ({"xmp:CreateDate": "yesterday"}, None),
    ],
)
def test_dates(properties: dict[str, str], expected: Moment | None) -> None:
    assert moment(packet(attributes=" ".join(f'{name}="{value}"' for name, value in properties.items()))) == expected


@pytest.mark.parametrize(
    ("latitude", "longitude", "location"),
    [
        ("60,8.802N", "24,54.408E", (60.1467, 24.9068)),
        ("33,51,20.5S", "151,12,37W", (-33.8556944, -151.2102778)),
        ("60.1467", "-24.9068", (60.1467, -24.9068)),
        ("0,0N", "0,0E", (None, None)),
        ("1000,0N", "1000,0E", (None, None)),
        ("91,0N", "10,0E", (None, None)),
        ("nan", "nan", (None, None)),
        ("60,8.802N", "", (None, None)),
    ],
)
def test_positions(latitude: str, longitude: str, location: tuple[float | None, float | None]) -> None:
    content = packet(
        attributes=f'exif:GPSLatitude="{latitude}" exif:GPSLongitude="{longitude}" exif:GPSAltitude="90/1"'
    )
    metadata = read(content)
    assert (metadata.latitude, metadata.longitude) == location
    assert metadata.altitude == (None if location[0] is None else 90)


def test_what_cameras_write_is_read() -> None:
    metadata = read(
        packet(
            bag("exif:ISOSpeedRatings", "3200", kind="Seq")
            + "<exif:Flash rdf:parseType='Resource'><exif:Fired>True</exif:Fired></exif:Flash>",
            'tiff:Make="NIKON CORPORATION" tiff:Model="NIKON D5000" exif:FNumber="28/5" exif:ExposureTime="1/800" '
            'exif:FocalLength="85/1" exif:FocalLengthIn35mmFilm="127"',
        )
    )
    assert metadata == Metadata(
        camera="Nikon D5000", aperture=5.6, exposure=1 / 800, focal_length=85, focal_length_35=127, iso=3200, flash=True
    )


def test_the_place_is_where_the_camera_stood() -> None:
    created = (
        "<Iptc4xmpExt:LocationCreated><rdf:Bag><rdf:li rdf:parseType='Resource'>"
        "<Iptc4xmpExt:City>Irkutsk</Iptc4xmpExt:City><Iptc4xmpExt:CountryName>Russia</Iptc4xmpExt:CountryName>"
        "</rdf:li></rdf:Bag></Iptc4xmpExt:LocationCreated>"
    )
    assert read(packet(created)) == Metadata(country="Russia", town="Irkutsk")
    assert read(packet(created, 'photoshop:City="Rome"')) == Metadata(town="Rome")


def test_texts_lose_control_characters_and_what_is_no_character() -> None:
    assert read(packet(attributes='dc:title=" a&#9;b&#x85;&#10;c "')).title == "a b c"
    assert read(packet("<dc:description>one&#13;\ntwo</dc:description>")).description == "one\ntwo"
    # Characters that XML forbids are taken out, where a parser would refuse all of the packet.
    assert read(packet("<dc:title>a\x01b&#0;c&#x1F;d</dc:title>")).title == "abcd"
    assert read(packet("<dc:title>caf\u00e9</dc:title>").replace("é".encode(), b"\xe9")).title == "caf\ufffd"
    assert read(packet("<dc:title>cafe\u0301</dc:title>")).title == "café"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"<x:xmpmeta", "its XMP is damaged"),
        (b"no XML", "its XMP is damaged"),
        (packet("<dc:title>a</dc:titel>"), "its XMP is damaged"),
        (b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>", "its XMP has a document type"),
        ("<!DOCTYPE x []><x/>".encode("utf-16"), "its XMP has a document type"),
        (b"<x>" + b"<a/>" * 600_000 + b"</x>", "its XMP has more than 250,000 elements"),
        (b" " * (MAX_BYTES + 1), "its XMP is larger than 8 MB"),
    ],
)
def test_a_packet_that_is_refused_is_named(content: bytes, problem: str) -> None:
    problems: list[str] = []
    assert parse_xmp(content, problems) is None
    assert [each[: len(problem)] for each in problems] == [problem]


def test_entities_are_not_expanded() -> None:
    entities = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10 if n else 'x' * 100}'>" for n in range(10))
    problems: list[str] = []
    assert parse_xmp(f"<!DOCTYPE x [{entities}]><x>&e9;</x>".encode(), problems) is None
    assert parse_xmp(packet("<dc:title>&nothing;</dc:title>"), problems) is None


def test_very_many_keywords_and_very_long_ones_are_bounded() -> None:
    problems: list[str] = []
    words = [f"word{number}" for number in range(100_000)]
    parsed = parse_xmp(packet(bag("dc:subject", "x" * 5 * MAX_WORD, *words)), problems)
    assert parsed is not None
    assert read_xmp(parsed, problems).keywords == tuple(words[:MAX_WORDS])
    assert problems == ["keywords of more than 500 characters were left out", "only the first 1,000 keywords were read"]


def test_elements_in_elements_without_end_do_no_harm() -> None:
    depth = 50_000
    parsed = parse_xmp(packet("<dc:title>" + "<x>" * depth + "</x>" * depth + "</dc:title>"), [])
    assert parsed is not None
    assert read_xmp(parsed, []).title is None
