"""EXIF: dates with their zones, cameras, exposure, positions, texts, and values that are broken."""

from __future__ import annotations

from datetime import datetime

import pytest
from PIL.TiffImagePlugin import IFDRational

from service.photos.metadata.reader import read_metadata
from service.store.metadata import Metadata
from tests.service.metadata_files import degrees, exif, exif_segment, jpeg

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

NAN = IFDRational(0, 0)


def read(block: bytes) -> Metadata:
    metadata, problems = read_metadata(jpeg(exif_segment(block)), "a.jpg")
    assert problems == []
    return metadata


def test_what_a_camera_writes_is_read() -> None:
    metadata = read(
        exif(
            {0x010F: "Canon", 0x0110: "Canon EOS 600D\0\0", 0x0112: 6, 0x013B: "Ann", 0x8298: "Ann 2015"},
            {
                **{0x9003: "2015:06:12 10:29:26", 0x9011: "-07:00", 0x829A: IFDRational(1, 800), 0x829D: 5.6},
                **{0x8827: 3200, 0x9209: 0x19, 0x920A: IFDRational(85), 0xA405: 136, 0xA434: "EF-S15-85mm "},
            },
            {1: "N", 2: degrees(37, 52, 15.936), 3: "W", 4: degrees(122, 15, 24.408), 5: b"\1", 6: IFDRational(90)},
        )
    )
    assert metadata == Metadata(
        taken_at=datetime(2015, 6, 12, 10, 29, 26),
        taken_offset=-420,
        taken_source="exif",
        camera="Canon EOS 600D",
        lens="EF-S15-85mm",
        focal_length=85,
        focal_length_35=136,
        aperture=5.6,
        exposure=1 / 800,
        iso=3200,
        flash=True,
        latitude=37.8710933,
        longitude=-122.25678,
        altitude=-90,
        creator="Ann",
        copyright="Ann 2015",
        orientation=6,
    )


@pytest.mark.parametrize(
    ("photo", "gps", "offset"),
    [
        ({0x9003: "2020:01:01 12:00:00"}, {}, None),
        ({0x9003: "2020:01:01 12:00:00", 0x9011: "+05:30"}, {}, 330),
        ({0x9003: "2020:01:01 12:00:00", 0x9011: "+99:99"}, {}, None),
        ({0x9003: "2020:01:01 12:00:00", 0x9011: "   :  "}, {}, None),
        # The zone of the date of digitising counts where both dates are one.
        ({0x9003: "2020:01:01 12:00:00", 0x9004: "2020:01:01 12:00:00", 0x9012: "+03:00"}, {}, 180),
        ({0x9003: "2020:01:01 12:00:00", 0x9004: "2021:01:01 12:00:00", 0x9012: "+03:00"}, {}, None),
        # Satellites tell UTC; Nepal is 5 hours and 45 minutes ahead.
        ({0x9003: "2020:01:01 12:00:00"}, {0x1D: "2020:01:01", 7: degrees(6, 14, 30)}, 345),
        ({0x9003: "2020:01:01 02:00:00"}, {0x1D: "2019:12:31", 7: degrees(23, 0, 0)}, 180),
        # An old fix tells nothing.
        ({0x9003: "2020:01:01 12:00:00"}, {0x1D: "2020:01:01", 7: degrees(6, 7, 30)}, None),
        ({0x9003: "2020:01:01 12:00:00"}, {0x1D: "2019:12:20", 7: degrees(12, 0, 0)}, None),
        ({0x9003: "2020:01:01 12:00:00"}, {7: degrees(6, 0, 0)}, None),
        ({0x9003: "2020:01:01 12:00:00"}, {0x1D: "2020:01:01", 7: (NAN, NAN, NAN)}, None),
        ({0x9003: "2020:01:01 12:00:00"}, {0x1D: "9999:12:31", 7: degrees(59, 0, 0)}, None),
    ],
)
def test_the_time_zone_is_that_of_the_camera_or_of_the_satellites(
    photo: dict[int, object], gps: dict[int, object], offset: int | None
) -> None:
    metadata = read(exif({0x0110: "X"}, photo, gps))
    assert (metadata.taken_at is not None, metadata.taken_offset) == (True, offset)


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("2019:07:14 12:34:56", datetime(2019, 7, 14, 12, 34, 56)),
        ("2019-07-14 12:34:56", datetime(2019, 7, 14, 12, 34, 56)),
        ("2019/07/14 12:34", datetime(2019, 7, 14, 12, 34)),
        ("2019:07:14 12:34:60", datetime(2019, 7, 14, 12, 34, 59)),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("2019:13:14 12:34:56", None),
        ("2019:02:30 12:34:56", None),
        ("\x01\x02\x03", None),
        ("9" * 5000, None),
    ],
)
def test_dates_are_read_or_unknown(written: str, taken: datetime | None) -> None:
    metadata = read(exif({0x0110: "X"}, {0x9003: written}))
    assert (metadata.taken_at, metadata.taken_source) == (taken, "exif" if taken else None)


@pytest.mark.parametrize("written", ["2107:01:01 00:00:00", "1825:12:31 00:00:00", "0001:01:01 00:00:00"])
def test_a_date_that_cannot_be_right_is_named_and_not_believed(written: str) -> None:
    metadata, problems = read_metadata(jpeg(exif_segment(exif({}, {0x9003: written}))), "a.jpg")
    assert metadata.taken_at is None
    assert problems == [f"its date, {written[:10].replace(':', '-')}, cannot be right"]


def test_the_date_of_change_counts_only_where_no_other_has_a_place() -> None:
    changed = {0x0132: "2021:06:05 14:03:02"}
    assert read(exif(changed)).taken_at == datetime(2021, 6, 5, 14, 3, 2)
    assert read(exif(changed, {0x9003: "0000:00:00 00:00:00"})).taken_at is None
    assert read(exif(changed, {0x9004: "2001:01:01 01:01:01"})).taken_at == datetime(2001, 1, 1, 1, 1, 1)


@pytest.mark.parametrize(
    "gps",
    [
        {1: "N", 2: degrees(0, 0, 0), 3: "E", 4: degrees(0, 0, 0)},
        {1: "N", 2: degrees(1000, 0, 0), 3: "E", 4: degrees(1000, 0, 0)},
        {1: "N", 2: (NAN, NAN, NAN), 3: "E", 4: (NAN, NAN, NAN)},
        {1: "N", 2: degrees(10, 0, 0)},
        {2: degrees(10, 0, 0), 4: degrees(10, 0, 0)},
        {1: "Q", 2: degrees(10, 0, 0), 3: "?", 4: degrees(10, 0, 0)},
    ],
)
def test_a_position_that_is_none_is_unknown(gps: dict[int, object]) -> None:
    metadata = read(exif({0x0110: "X"}, {}, gps | {6: IFDRational(100)}))
    assert (metadata.latitude, metadata.longitude, metadata.altitude) == (None, None, None)


def test_seconds_that_are_missing_or_nothing_divided_by_nothing_count_as_none() -> None:
    gps = {1: "S", 2: (*degrees(48, 53.32), NAN), 3: "W", 4: degrees(2, 30)}
    metadata = read(exif({}, {0x9003: "2020:01:01 12:00:00"}, {**gps, 6: NAN}))
    assert (metadata.latitude, metadata.longitude, metadata.altitude) == (-48.8886667, -2.5, None)


def test_exposure_is_derived_from_apex_values() -> None:
    metadata = read(exif({}, {0x9201: IFDRational(8), 0x9202: IFDRational(4)}))
    assert (metadata.exposure, metadata.aperture) == (pytest.approx(1 / 256, rel=0.01), 4.0)


def test_numbers_that_are_none_are_unknown() -> None:
    metadata = read(
        exif({0x0112: 9}, {0x829A: NAN, 0x829D: IFDRational(0), 0x920A: NAN, 0x8827: 0, 0xA405: 0, 0x9201: NAN})
    )
    assert metadata == Metadata()


def test_a_sensitivity_too_large_for_its_tag_is_read_from_the_newer_one() -> None:
    assert read(exif({}, {0x8827: 65535, 0x8832: 102400})).iso == 102400
    assert read(exif({}, {0x8827: (800, 0)})).iso == 800


def test_texts_of_people_are_read_and_those_of_cameras_are_not() -> None:
    assert read(exif({0x010E: "Überfahrt\x07\0 nach".encode()})).description == "Überfahrt"
    for default in ("OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "DCIM\\100MEDIA\\DJI_0001.JPG", "Exif_JPEG_PICTURE"):
        assert read(exif({0x010E: default})).description is None
    assert read(exif({0x010F: "SAMSUNG", 0x010E: "SAMSUNG   "})).description is None
    assert read(exif({}, {0x9286: b"UNICODE\0" + "Море".encode("utf-16-le")})).description == "Море"
    assert read(exif({}, {0x9286: b"UNICODE\0" + "sea".encode("utf-16-be")})).description == "sea"
    assert read(exif({}, {0x9286: b"ASCII\0\0\0sea\0\0\0"})).description == "sea"
    assert read(exif({}, {0x9286: bytes(200)})).description is None


def test_what_windows_writes_is_read() -> None:
    words = {0x9C9B: "Заголовок", 0x9C9C: "Text", 0x9C9D: "Ann", 0x9C9E: "sea;Море;;sea"}
    made = {tag: (text + "\0").encode("utf-16-le") for tag, text in words.items()}
    metadata = read(exif({**made, 0x4749: 99}))
    assert (metadata.title, metadata.description, metadata.creator) == ("Заголовок", "Text", "Ann")
    assert (metadata.keywords, metadata.stars) == (("sea", "Море"), 5)


@pytest.mark.parametrize(("percent", "stars"), [(0, None), (1, 1), (25, 2), (50, 3), (75, 4), (99, 5), (100, 5)])
def test_stars_in_percent(percent: int, stars: int | None) -> None:
    assert read(exif({0x4749: percent, 0x0110: "X"})).stars == stars


def test_text_in_latin_1_and_with_half_of_a_surrogate_pair_is_sound() -> None:
    assert read(exif({0x010E: "M\xfcller".encode("latin-1")})).description == "Müller"
    metadata = read(exif({0x9C9B: "a\ud800b".encode("utf-16-le", "surrogatepass")}))
    assert metadata.title is not None
    metadata.title.encode()


def test_what_is_left_of_a_block_that_was_cut_short_is_read() -> None:
    block = exif(
        {0x010F: "Canon", 0x0110: "Canon EOS 600D", 0x8298: "x" * 500},
        {0x9003: "2015:06:12 10:29:26", 0xA434: "L" * 90},
    )
    metadata, _ = read_metadata(jpeg(exif_segment(block[:-60])), "a.jpg")
    assert (metadata.camera, metadata.taken_at) == ("Canon EOS 600D", datetime(2015, 6, 12, 10, 29, 26))
    metadata, problems = read_metadata(jpeg(exif_segment(block[:40])), "a.jpg")
    assert (metadata, problems) == (Metadata(), ["its EXIF is cut short"])


def test_directories_in_a_cycle_end() -> None:
    # One directory of one tag, whose followers and sub-directories are itself.
    entry = b"\x69\x87\4\0\1\0\0\0\x08\0\0\0"
    block = b"II*\0\x08\0\0\0" + b"\1\0" + entry + b"\x08\0\0\0"
    metadata, _ = read_metadata(jpeg(exif_segment(block)), "a.jpg")
    assert metadata == Metadata()
    assert read_metadata(block, "a.tif")[0] == Metadata()
