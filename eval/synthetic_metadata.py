"""Metadata as photographers' libraries have them, for measuring filters: dates, cameras, places, keywords, people.

Photographs come in trips: days in a row with one camera, in or around one place. Names are as uneven as in real
libraries (Zipf): a few keywords and people are on many photographs, and most on few.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from service.photos.places import NOWHERE, places_of
from service.store.metadata import Metadata
from service.store.records import Details

SHARES = {"one in 1,000": 0.001, "one in 100": 0.01, "one in ten": 0.1, "one in two": 0.5}
"""Keywords that are on these shares of all photographs, whatever else they show."""

_IN_A_TRIP = 120
_TRIPS = 4_000
_KEYWORDS = 2_000
_PEOPLE = 200
_FIRST, _DAYS = datetime(2004, 1, 1), 8_000
_CAMERAS = tuple(
    f"{maker} {model}"
    for maker, models in {
        "Canon": ("EOS 5D Mark III", "EOS 600D", "EOS R6", "PowerShot G7 X"),
        "NIKON": ("D90", "D750", "Z 6"),
        "SONY": ("ILCE-7M3", "DSC-RX100M5"),
        "Apple": ("iPhone 6", "iPhone 11", "iPhone 13 Pro"),
        "samsung": ("SM-G973F", "SM-S911B"),
        "FUJIFILM": ("X-T3",),
    }.items()
    for model in models
)
_FOCAL_LENGTHS = (4.25, 18.0, 24.0, 35.0, 50.0, 85.0, 200.0)


class MetadataMixture:
    """Draws metadata; the trips and names are the same for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng([seed, 11])
        self._starts = random.integers(0, _DAYS, _TRIPS)
        self._cameras = random.integers(0, len(_CAMERAS), _TRIPS)
        # Most land lies between these latitudes; what is at sea has no place.
        self._points = np.stack([random.uniform(-40, 65, _TRIPS), random.uniform(-180, 180, _TRIPS)], axis=1)
        self._towns = places_of(self._points)
        self._keywords = [f"Group {number % 40}/Word {number}" for number in range(_KEYWORDS)]
        self._people = [f"Person {number}" for number in range(_PEOPLE)]

    def draw(self, random: np.random.Generator, number: int) -> Details:
        """The metadata of photograph `number`; a tenth has none but a date of its file."""
        trip = number // _IN_A_TRIP * 7 % _TRIPS
        taken_at = _FIRST + timedelta(
            days=int(self._starts[trip]) + number % _IN_A_TRIP // 30, seconds=int(random.integers(0, 86_400))
        )
        shared = tuple(name for name, share in SHARES.items() if random.random() < share)
        if random.random() < 0.1:
            return Details(Metadata(taken_at=taken_at, taken_source="file", keywords=shared))
        camera = int(self._cameras[trip])
        located = random.random() < 0.6 and self._towns[trip] != NOWHERE
        latitude, longitude = self._points[trip] + random.normal(0, 0.02, 2)
        metadata = Metadata(
            taken_at=taken_at,
            taken_source="exif",
            camera=_CAMERAS[camera],
            lens=f"{_CAMERAS[camera].split()[0]} lens {camera % 3}",
            focal_length=_FOCAL_LENGTHS[int(random.integers(len(_FOCAL_LENGTHS)))],
            aperture=2.8,
            exposure=1 / 250,
            iso=200,
            latitude=float(latitude) if located else None,
            longitude=float(longitude) if located else None,
            keywords=shared + self._some(random, self._keywords, 3),
            people=self._some(random, self._people, 1) if random.random() < 0.2 else (),
            stars=int(random.integers(0, 6)) if random.random() < 0.15 else None,
            label="Red" if random.random() < 0.02 else None,
        )
        return Details(metadata, town_id=int(self._towns[trip]) if located else None)

    @staticmethod
    def _some(random: np.random.Generator, names: list[str], most: int) -> tuple[str, ...]:
        """Up to `most` of some names, the first of which are the most frequent."""
        drawn = random.zipf(1.3, int(random.integers(0, most + 1)))
        return tuple(dict.fromkeys(names[int(each - 1) % len(names)] for each in drawn))
