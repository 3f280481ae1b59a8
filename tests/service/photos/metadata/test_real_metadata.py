"""Metadata of real files of cameras, phones and programs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from service.photos.metadata.image_data import image_data_hash
from service.photos.metadata.motion import content_identifier, read_film
from service.photos.metadata.reader import Sidecar, read_metadata

pytestmark = pytest.mark.data

EXPECTED: dict[str, dict[str, object]] = {
    "photos/harbour.jpg": {
        "taken_at": datetime(2022, 8, 14, 14, 12, 31),
        "taken_offset": 180,
        "camera": "Nokia 8.3 5G",
        "focal_length": 2.8,
        "aperture": 2.2,
        "iso": 100,
        "flash": False,
        "latitude": 60.1467056,
        "longitude": 24.9067722,
    },
    "jpeg/sydney-gps-south-offset.jpg": {
        "taken_at": datetime(2020, 9, 19, 20, 55, 57),
        "taken_offset": 600,
        "camera": "Sony ILCE-7RM3",
        "latitude": -33.855698,
        "longitude": 151.2103808,
        "altitude": 8.0,
        "country": "Australien",
        "region": "New South Wales",
        "town": "Dawes Point",
        "keywords": ("Sydney Opera House",),
    },
    "photos/squirrel.jpg": {
        "taken_at": datetime(2015, 6, 12, 10, 29, 26),
        "camera": "Canon EOS 600D",
        "lens": "EF-S15-85mm f/3.5-5.6 IS USM",
        "focal_length": 85.0,
        "aperture": 5.6,
        "exposure": 1 / 800,
        "iso": 3200,
        "title": "Squirrel at berkely",
        "description": "Squirrel at berkely",
        "creator": "Patrik",
        "keywords": ("Alvin the Squirrel", "USA", "test"),
        "people": ("Alvin the Squirrel",),
        "stars": 4,
        "latitude": 37.8710933,
        "longitude": -122.25678,
        "town": "Berkeley",
    },
    "jpeg/digikam-unicode.jpg": {
        "taken_at": datetime(2005, 9, 11, 16, 23, 2),
        # By the satellites' time; the packet's zone is wrong.
        "taken_offset": 540,
        "camera": "Fujifilm FinePix F601 ZOOM",
        "title": "Digikam Title field",
        "description": "Digikam Caption field",
        "keywords": (
            "Æske Øllegård",
            "æÆøØåÅéÉüÜäÄöÖïÏñÑ",
            "Test/Æske Øllegård",
            "Test/æÆøØåÅéÉüÜäÄöÖïÏñÑ",
        ),
        "people": ("Æske Øllegård", "æÆøØåÅéÉüÜäÄöÖïÏñÑ"),
        "stars": 4,
        "country": "Japan",
    },
    "jpeg/iptc-reference.jpg": {
        "title": "The Title (ref2019.1)",
        "description": "The description aka caption (ref2019.1)",
        "creator": "Creator1 (ref2019.1), Creator2 (ref2019.1)",
        "copyright": "Copyright (Notice) 2019.1 IPTC - www.iptc.org (ref2019.1)",
        "keywords": ("Keyword1ref2019.1", "Keyword2ref2019.1", "Keyword3ref2019.1"),
        "people": ("Person Shown 1 (ref2019.1)", "Person Shown 2 (ref2019.1)", "Person Name 1 (ref2019.1)"),
        "country": "Country (Core) (ref2019.1)",
        "region": "Province/State (Core) (ref2019.1)",
        "town": "City (Core) (ref2019.1)",
        "stars": 1,
    },
    "photos/curie-portrait.jpg": {
        "keywords": ("Marie Curie", "Pierre Curie", "People/Marie Curie", "People/Pierre Curie"),
        "people": ("Marie Curie", "Pierre Curie"),
        "taken_at": None,
        "camera": None,
    },
    "photos/blue-dress-adobergb.jpg": {
        "camera": "Canon EOS 7D",
        "lens": "EF24-70mm f/2.8L USM",
        "description": "mit blauem Kleid",
        "stars": 3,
        "label": "blau",
        "taken_at": datetime(2010, 12, 12, 12, 41, 35),
        "taken_offset": 60,
    },
    "photos/golden-gate.jpg": {
        "title": "This is a super long title with special characters -.,űáéúőpóüö",
        "keywords": ("San Francisco", "USA", "USA Road trip"),
        "taken_at": datetime(2015, 7, 11, 11, 18, 19),
        "taken_source": "xmp",
    },
    "photos/alps.jpg": {"stars": 3, "taken_at": None},
    "photos/receipt.jpg": {"camera": "Apple iPhone 4", "latitude": 41.853, "longitude": 12.4888333},
    "photos/cat.jpg": {"camera": "Pentax Optio 330", "description": None},
    "photos/train.jpg": {"camera": "Nikon D5000", "latitude": 48.8887263},
    "heif/iphone-rotated.heic": {
        "taken_at": datetime(2022, 2, 16, 12, 55, 41),
        "taken_offset": 60,
        "camera": "Apple iPhone 13 Pro Max",
        "lens": "iPhone 13 Pro Max back triple camera 5.7mm f/1.5",
        "focal_length_35": 26.0,
        "orientation": 6,
    },
    "heif/iphone-sign.heic": {"taken_offset": -240, "camera": "Apple iPhone 11 Pro", "iso": 32},
    "heif/two-images.heic": {"camera": "Apple iPhone XS", "taken_offset": 180, "altitude": 7.69},
    "heif/10bit-hdr.avif": {"taken_at": None},
    "live/IMG_7943.HEIC": {"taken_offset": 60, "latitude": 49.1989278, "camera": "Apple iPhone 13 Pro"},
    "raw/pruned.cr3": {
        "taken_at": datetime(2021, 5, 12, 12, 21, 21),
        "taken_offset": 120,
        "camera": "Canon EOS R6",
        "lens": "RF70-200mm F2.8 L IS USM",
        "focal_length": 200.0,
        "aperture": 25.0,
        "exposure": 0.25,
        "creator": "Johannes Kimmel",
        "stars": 0,
    },
    "raw/pruned-iphone.dng": {
        "taken_at": datetime(2020, 12, 29, 14, 24, 45),
        "taken_offset": -300,
        "camera": "Apple iPhone 12 Pro",
        "latitude": 34.0596083,
        "longitude": -84.681725,
        "altitude": 261.02,
        "orientation": 6,
    },
    "raw/colorchart.dng": {"camera": "Canon EOS Kiss X4", "taken_at": None, "iso": None},
    "raw/made-nikon.nef": {"camera": "Nikon D70", "taken_at": datetime(2021, 6, 5, 14, 3, 2)},
    "raw/made-panasonic.rw2": {"camera": "Panasonic DMC-GF1"},
    "webp/lossy.webp": {"camera": "Canon EOS 7D", "lens": "EF28-80mm f/3.5-5.6 USM", "focal_length": 60.0},
    # The file has no boxes, and so no metadata.
    "jxl/from-jpeg.jxl": {"taken_at": None, "camera": None},
    "broken/date-0000.jpg": {"taken_at": None, "camera": "Olympus C750UZ", "description": None},
    "broken/date-2099.jpg": {"taken_at": None, "camera": "Test Future"},
    "broken/gps-zero.jpg": {"latitude": None, "longitude": None, "orientation": 6, "camera": "Samsung GT-I9000"},
    "broken/truncated.jpg": {"camera": "Realme 3 Pro", "orientation": None, "description": None},
}

PROBLEMS = {
    "broken/bad-exif.jpg": ["its EXIF is cut short"],
    "broken/date-2099.jpg": ["its date, 2099-12-31, cannot be right"],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_real_file_says(shared_data: Path, name: str) -> None:
    file = shared_data / "formats" / name
    beside = file.with_name(f"{file.name}.xmp")
    sidecars = [Sidecar(beside.name, beside.read_bytes())] if beside.exists() else []
    metadata, _ = read_metadata(file.read_bytes(), file.name, sidecars=sidecars)
    found = {field: getattr(metadata, field) for field in EXPECTED[name]}
    assert found == {
        field: pytest.approx(value) if isinstance(value, float) else value for field, value in EXPECTED[name].items()
    }


def test_only_broken_files_have_problems(shared_data: Path) -> None:
    folder = shared_data / "formats"
    said = {
        file.relative_to(folder).as_posix(): read_metadata(file.read_bytes(), file.name)[1]
        for file in sorted(folder.glob("*/*"))
    }
    assert {name: problems for name, problems in said.items() if problems} == PROBLEMS


@pytest.mark.parametrize("number", range(1, 9))
def test_the_orientation_of_the_stored_pixels_is_read(shared_data: Path, number: int) -> None:
    for shape in ("landscape", "portrait"):
        content = (shared_data / "formats" / "orientation" / f"{shape}_{number}.jpg").read_bytes()
        assert read_metadata(content, "a.jpg")[0].orientation == number


def test_a_live_photos_files_share_an_identifier(shared_data: Path) -> None:
    still, moving = (shared_data / "formats" / "live" / f"IMG_7943.{suffix}" for suffix in ("HEIC", "MOV"))
    identifier = content_identifier(still.read_bytes())
    assert identifier is not None
    film = read_film(moving)
    assert film.content_identifier == content_identifier(moving.read_bytes()) == identifier
    assert film.seconds == pytest.approx(1.9, abs=0.1)


def test_images_have_distinct_hashes(shared_data: Path) -> None:
    folder = shared_data / "formats"
    hashes = {
        file.relative_to(folder).as_posix(): image_data_hash(file.read_bytes()) for file in sorted(folder.glob("*/*"))
    }
    without = {name for name, value in hashes.items() if value is None}
    assert without == {
        # Not images, or cut down to their metadata.
        *("broken/text.jpg", "broken/zero-bytes.jpg", "live/IMG_7943.MOV", "photos/squirrel.jpg.xmp"),
        *("raw/pruned-iphone.dng", "raw/pruned.cr3"),
    }
    known = [value for value in hashes.values() if value is not None]
    assert len(set(known)) == len(known)
