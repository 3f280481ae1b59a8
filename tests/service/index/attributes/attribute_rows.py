"""Generated rows of attributes, and what filters, counts and orders should give for them, row by row."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime

import numpy as np
from hypothesis import strategies as st

from service.index.attributes.columns import Attributes, Place
from service.index.attributes.encoding import empty_attributes, updated
from service.store.attributes import AttributeRow
from service.store.filters import Filters, Near

CAMERAS = (None, "Canon EOS 600D", "CANON PowerShot", "Apple iPhone 13 Pro", "ФЭД-3")
LENSES = (None, "EF 50mm f/1.8", "Ёлка 35")
FOLDERS = (
    "",
    "2019",
    "2019/Trip to Baikal",
    "2019/trip to baikal/RAW",
    "2020/Cafe\u0301",
    "2020/CAFÉ/day 1",
    "Байкал/2019",
    "20190",
)
ROOTS = ("/home/anna/Pictures", "C:\\Photos")
FORMATS = ("JPEG", "MPO", "NEF", "TIFF", "HEIF", "PNG")
KEYWORDS = ("Animals", "Animals/Dog", "animals/dog/Rex", "Dog", "Hotdog", "Straße", "Йод", "line\nbreak")
PEOPLE = ("Anna", "anna petrova", "Пётр", "Пе\u0308тр")
LABELS = (None, "Red", "red", "Жёлтый")
TOWNS = {
    1: Place("France", "Île-de-France", "Paris"),
    2: Place("France", "Provence", "Nice"),
    3: Place("Россия", None, "Омск"),
}
WRITTEN = (None, "France", "Paris", "PARIS", "Ё")
SECONDS = (0, 86_399, 86_400, 1_562_000_000)


class TownNames:
    """The three towns of TOWNS, found by any of their names."""

    def find(self, name: str) -> Collection[int]:
        return [town for town, place in TOWNS.items() if name.lower() in [str(each).lower() for each in place]]

    def name(self, town_id: int) -> Place | None:
        return TOWNS.get(town_id)


PLACES = TownNames()


@st.composite
def rows(draw: st.DrawFn, identity: int) -> AttributeRow:
    """The row of one photograph; what may be unknown sometimes is."""
    pick = draw(st.randoms(use_true_random=False))
    located = pick.random() < 0.6
    return AttributeRow(
        id=identity,
        root=pick.choice(ROOTS),
        folder=pick.choice(FOLDERS),
        width=pick.choice((3, 4)),
        height=pick.choice((3, 4)),
        format=pick.choice(FORMATS),
        has_raw=pick.random() < 0.2,
        taken_at=pick.choice((None, pick.choice(SECONDS), pick.randrange(-(10**9), 2 * 10**9))),
        camera=pick.choice(CAMERAS),
        lens=pick.choice(LENSES),
        label=pick.choice(LABELS),
        focal_length=pick.choice((None, 4.15, 35.0, 50.0)),
        latitude=pick.uniform(-90, 90) if located else None,
        longitude=pick.uniform(-180, 180) if located else None,
        town_id=pick.choice((1, 2, 3, 4)) if located and pick.random() < 0.7 else None,
        country=pick.choice(WRITTEN),
        region=None,
        town=pick.choice(WRITTEN),
        stars=pick.choice((None, -1, 0, 3, 5)),
        keywords=tuple(pick.sample(KEYWORDS, pick.randrange(4))),
        people=tuple(pick.sample(PEOPLE, pick.randrange(3))),
    )


@st.composite
def libraries(draw: st.DrawFn, most: int = 12) -> list[AttributeRow]:
    """Rows with ascending ids, some of which are missing."""
    ids = sorted(draw(st.sets(st.integers(1, 40), max_size=most)))
    return [draw(rows(identity)) for identity in ids]


DAYS = st.none() | st.dates(date(1965, 1, 1), date(2035, 1, 1)) | st.just(date(2019, 7, 1))
CIRCLES = st.builds(Near, st.floats(-90, 90), st.floats(-180, 180), st.sampled_from([0.0, 500.0, 5_000.0, 30_000.0]))
FILTERS = st.builds(
    Filters,
    taken_from=DAYS,
    taken_to=DAYS,
    month=st.none() | st.integers(1, 12),
    day=st.none() | st.integers(1, 31),
    camera=st.sampled_from([(), ("canon",), ("iphone", "фэд")]),
    lens=st.sampled_from([(), ("50MM",), ("ёлка",)]),
    focal_length=st.sampled_from([None, (4.15, 4.15), (30.0, 60.0), (60.0, 30.0)]),
    place=st.sampled_from([(), ("Paris",), ("france",), ("омск", "ё")]),
    near=st.none() | CIRCLES,
    folder=st.sampled_from(
        [(), ("2019",), ("trip TO baikal",), ("café",), ("2020/Cafe\u0301/day 1",), ("photos", "anna/pictures")]
    ),
    keyword=st.sampled_from([(), ("dog",), ("animals",), ("Animals/dog", "STRASSE"), ("и\u0306од",)]),
    person=st.sampled_from([(), ("ANNA",), ("пётр",), ("anna", "anna petrova")]),
    min_stars=st.sampled_from([None, 1, 3, 5]),
    label=st.sampled_from([(), ("RED",), ("red", "жёлтый")]),
    format=st.sampled_from([(), ("jpg",), ("raw",), (".TIF", "heic")]),
    is_raw=st.none() | st.booleans(),
    orientation=st.sampled_from([None, "landscape", "portrait", "square"]),
    has_place=st.none() | st.booleans(),
)
NAMES_OF_FILTERS = [*Filters.__dataclass_fields__]
ONE_FILTER = st.tuples(FILTERS, st.sampled_from(NAMES_OF_FILTERS)).map(
    lambda pair: Filters(**{pair[1]: getattr(pair[0], pair[1])})
)
"""Filters of which at most one is set."""


def attributes_of(found: Sequence[AttributeRow]) -> Attributes:
    return updated(empty_attributes(), [], [found] if found else [])


def same(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def passes(row: AttributeRow, filters: Filters) -> bool:
    """Whether a photograph fulfils all conditions, one after the other, as their documentation says."""
    return (
        passes_on_dates(row, filters)
        and passes_on_places(row, filters)
        and passes_on_words(row, filters)
        and passes_on_facts(row, filters)
    )


def passes_on_dates(row: AttributeRow, filters: Filters) -> bool:
    taken = None if row.taken_at is None else datetime.fromtimestamp(row.taken_at, UTC)
    return (
        (filters.taken_from is None or (taken is not None and taken.date() >= filters.taken_from))
        and (filters.taken_to is None or (taken is not None and taken.date() <= filters.taken_to))
        and (filters.month is None or (taken is not None and taken.month == filters.month))
        and (filters.day is None or (taken is not None and taken.day == filters.day))
    )


def passes_on_places(row: AttributeRow, filters: Filters) -> bool:
    near = filters.near
    return (
        (not filters.place or any(is_in(row, place) for place in filters.place))
        and (near is None or (row.latitude is not None and distance_km(row, near) <= near.km))
        and (not filters.folder or any(contains(f"{row.root}/{row.folder}", each) for each in filters.folder))
        and (filters.has_place is None or has_place(row) == filters.has_place)
    )


def passes_on_words(row: AttributeRow, filters: Filters) -> bool:
    for wanted, name in ((filters.camera, row.camera), (filters.lens, row.lens)):
        if wanted and not (name and any(same(part) in same(name) for part in wanted)):
            return False
    if filters.label and not (row.label and same(row.label) in map(same, filters.label)):
        return False
    return all(any(contains(each, word) for each in row.keywords) for word in filters.keyword) and all(
        same(person) in map(same, row.people) for person in filters.person
    )


def passes_on_facts(row: AttributeRow, filters: Filters) -> bool:
    focal_length = filters.focal_length
    if focal_length and not (row.focal_length and focal_length[0] <= row.focal_length <= focal_length[1]):
        return False
    return (
        (filters.min_stars is None or (row.stars is not None and row.stars >= filters.min_stars))
        and (not filters.format or any(is_format(row, each) for each in filters.format))
        and (filters.is_raw is None or is_raw(row) == filters.is_raw)
        and (filters.orientation is None or shape(row) == filters.orientation)
    )


def contains(path: str, part: str) -> bool:
    """Whether the folders of `part` follow each other in `path`."""
    whole, wanted = (same(each).replace("\\", "/").split("/") for each in (path, part))
    return any(whole[at : at + len(wanted)] == wanted for at in range(len(whole)))


def is_in(row: AttributeRow, place: str) -> bool:
    written = [same(each) for each in (row.country, row.region, row.town) if each]
    return same(place) in written or row.town_id in PLACES.find(place)


def is_raw(row: AttributeRow) -> bool:
    return row.has_raw or row.format == "NEF"


def is_format(row: AttributeRow, wanted: str) -> bool:
    if wanted == "raw":
        return is_raw(row)
    return row.format in {"jpg": ["JPEG", "MPO"], ".TIF": ["TIFF"], "heic": ["HEIF"]}[wanted]


def shape(row: AttributeRow) -> str:
    if row.width == row.height:
        return "square"
    return "landscape" if row.width > row.height else "portrait"


def has_place(row: AttributeRow) -> bool:
    return any(each is not None for each in (row.latitude, row.town_id, row.country, row.region, row.town))


def distance_km(row: AttributeRow, near: Near) -> float:
    """By the spherical law of cosines, another formula than the product's."""
    assert row.latitude is not None
    assert row.longitude is not None
    here, there = math.radians(row.latitude), math.radians(near.latitude)
    cosine = math.sin(here) * math.sin(there) + math.cos(here) * math.cos(there) * math.cos(
        math.radians(row.longitude - near.longitude)
    )
    return 6371.0088 * math.acos(min(1.0, max(-1.0, cosine)))


def is_on_the_edge(row: AttributeRow, filters: Filters) -> bool:
    """Whether rounding may decide on which side of a circle a photograph lies."""
    near = filters.near
    return near is not None and row.latitude is not None and abs(distance_km(row, near) - near.km) < 1.0


def values_of(row: AttributeRow, facet: str) -> list[object]:
    """The values of a facet that a photograph has."""
    taken = None if row.taken_at is None else datetime.fromtimestamp(row.taken_at, UTC)
    looked_up = TOWNS.get(row.town_id or 0)
    parts = row.folder.split("/") if row.folder else []
    values: dict[str, list[object]] = {
        "year": [taken.year] if taken else [],
        "month": [f"{taken:%Y-%m}"] if taken else [],
        "folder": ["/".join(parts[:depth]) for depth in (1, 2) if len(parts) >= depth],
        "keyword": [*row.keywords],
        "person": [*row.people],
        "orientation": [shape(row)],
        "is_raw": [is_raw(row)],
        "has_place": [has_place(row)],
        "stars": [] if row.stars is None else [row.stars],
    }
    if facet in Place._fields:
        name = getattr(row if row.country or row.region or row.town else looked_up, facet, None)
        return [name] if name else []
    if facet not in values:
        return [getattr(row, facet)] if getattr(row, facet) else []
    return values[facet]


OWN_FILTERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("year", "month"), ("taken_from", "taken_to", "month", "day")),
    **dict.fromkeys(("country", "region", "town"), ("place", "near")),
    "stars": ("min_stars",),
    "keyword": (),
    "person": (),
}
"""The filters that a facet is counted without, where they are not the one of its name."""


def count(found: Sequence[AttributeRow], filters: Filters, facet: str) -> Counter[object]:
    """How many photographs have each value of a facet."""
    own = OWN_FILTERS.get(facet, (facet,))
    others = Filters(**{name: getattr(filters, name) for name in NAMES_OF_FILTERS if name not in own})
    return Counter(value for row in found if passes(row, others) for value in values_of(row, facet))


def random_rows(number: int, seed: int = 0) -> list[AttributeRow]:
    """Plain rows with ids from 1, for tests that need many; a tenth has no date, and many have the same."""
    random = np.random.default_rng(seed)
    return [
        AttributeRow(
            id=identity,
            root=ROOTS[0],
            folder=f"{2000 + identity % 20}",
            width=4,
            height=3,
            format="JPEG",
            has_raw=False,
            taken_at=None if random.random() < 0.1 else int(random.integers(0, 50)) * 1_000_000,
            camera=CAMERAS[int(random.integers(len(CAMERAS)))],
            lens=None,
            label=None,
            focal_length=None,
            latitude=None,
            longitude=None,
            town_id=None,
            country=None,
            region=None,
            town=None,
            stars=None,
            keywords=(),
            people=(),
        )
        for identity in range(1, number + 1)
    ]
