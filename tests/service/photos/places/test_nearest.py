from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from service.photos.places import NOWHERE, Name, place_named, place_of, places_of
from service.photos.places.gazetteer import gazetteer
from service.photos.places.nearest import Tree, on_sphere
from tests.service.photos.places.cities import CITIES

BERLIN, MOSCOW, NEW_YORK = 2950159, 524901, 5128581


@pytest.mark.parametrize(("latitude", "longitude", "english", "russian"), CITIES)
def test_cities_are_found_and_named_in_both_languages(
    latitude: float, longitude: float, english: str, russian: str
) -> None:
    place = place_of(latitude, longitude)
    assert place is not None
    assert place.town == Name(english, russian)


@pytest.mark.parametrize(
    ("latitude", "longitude", "names"),
    [
        (48.8584, 2.2945, ("Paris", "Île-de-France", "France")),  # the Eiffel tower
        (48.8867, 2.3431, ("Paris", "Île-de-France", "France")),  # Montmartre
        (40.758, -73.9855, ("New York City", "New York", "United States")),  # Times Square, nearer to Manhattan
        (40.6602, -73.969, ("New York City", "New York", "United States")),  # Prospect Park, nearer to Brooklyn
        (40.744, -74.0324, ("Hoboken", "New Jersey", "United States")),  # within New York's circle
        (52.5351, 13.2005, ("Berlin", "State of Berlin", "Germany")),  # Spandau
        (52.4042, 13.0385, ("Potsdam", "Brandenburg", "Germany")),  # Sanssouci
        (53.5727, 10.085, ("Hamburg", "Germany")),  # Wandsbek
        (48.8049, 2.1204, ("Versailles", "Île-de-France", "France")),
        (41.9022, 12.4573, ("Vatican City",)),  # within Rome's circle
        (55.897, 37.4297, ("Khimki", "Moscow Oblast", "Russia")),
        (51.5007, -0.1246, ("London", "England", "United Kingdom")),
        (51.4769, -0.0005, ("London", "England", "United Kingdom")),  # Greenwich
        (35.6595, 139.7005, ("Tokyo", "Japan")),  # Shibuya
        (29.9792, 31.1342, ("Giza", "Egypt")),
        (41.0086, 28.9802, ("Istanbul", "Türkiye")),
        (34.0101, -118.496, ("Santa Monica", "California", "United States")),
        (34.1341, -118.3215, ("Los Angeles", "California", "United States")),  # the Hollywood sign
        (22.2759, 114.1455, ("Hong Kong",)),
        (51.8535, 104.8693, ("Listvyanka", "Irkutsk Oblast", "Russia")),
        (53.194, 107.34, ("Khuzhir", "Irkutsk Oblast", "Russia")),
        (59.8845, 29.9086, ("Peterhof", "Saint Petersburg", "Russia")),
        (46.0207, 7.7491, ("Zermatt", "Valais", "Switzerland")),
        (47.5622, 13.6493, ("Hallstatt", "Upper Austria", "Austria")),
        (-25.3444, 131.0369, ("Yulara", "Northern Territory", "Australia")),  # Uluru
        (-13.1631, -72.545, ("Machupicchu", "Cuzco Department", "Peru")),
        (27.1751, 78.0421, ("Agra", "Uttar Pradesh", "India")),
        (54.75, 160.53, ("Russia",)),  # Kamchatka, far from any town
        (23.0, 5.0, ("Algeria",)),  # the Sahara
        (72.0, -40.0, ("Greenland",)),
        (-89.99, 0.0, ("Antarctica",)),
    ],
)
def test_districts_suburbs_and_wilds(latitude: float, longitude: float, names: tuple[str, ...]) -> None:
    place = place_of(latitude, longitude)
    assert place is not None
    assert place.names("en") == names


def test_names_in_russian() -> None:
    place = place_of(51.8535, 104.8693)
    assert place is not None
    assert place.names("ru") == ("Листвянка", "Иркутская область", "Россия")
    assert place.country_code == "RU"


@pytest.mark.parametrize(("latitude", "longitude"), [(0, 0), (40, -40), (-50, 100), (75, 0), (0, 180), (0, -180)])
def test_at_sea_there_is_no_place(latitude: float, longitude: float) -> None:
    assert place_of(latitude, longitude) is None


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [(np.nan, 13), (52, np.nan), (np.inf, 0), (1000, 1000), (90.1, 0), (-91, 0), (52, 180.1), (52, -1e308)],
)
def test_what_is_no_position_has_no_place(latitude: float, longitude: float) -> None:
    assert place_of(latitude, longitude) is None


def test_the_edges_of_the_world() -> None:
    corners = np.array([[90, 0], [-90, 0], [90, 180], [-90, -180], [90, -180], [-90, 180]], dtype=np.float64)
    assert set(places_of(corners).tolist()) <= {NOWHERE, 6697173}  # the sea in the north, Antarctica in the south


def test_many_positions_keep_their_order() -> None:
    points = np.array([[55.7539, 37.6208], [np.nan, 0], [52.5163, 13.3777], [0, 0], [40.758, -73.9855], [52.5, 13.4]])
    ids = places_of(points)
    assert ids.dtype == np.int64
    assert ids.tolist() == [MOSCOW, NOWHERE, BERLIN, NOWHERE, NEW_YORK, BERLIN]
    assert places_of(np.repeat(points, 5000, axis=0)).tolist() == np.repeat(ids, 5000).tolist()


def test_no_positions() -> None:
    assert places_of(np.empty((0, 2))).tolist() == []


def test_the_search_agrees_with_comparing_all_towns() -> None:
    random = np.random.default_rng(0)
    table = gazetteer()
    degrees = table.degrees
    near = degrees[random.integers(0, len(degrees), 150)] + random.normal(0, 0.05, (150, 2))
    points = np.concatenate([near, np.column_stack([random.uniform(-80, 80, 50), random.uniform(-180, 180, 50)])])
    tree, rows = Tree(table), np.arange(len(degrees))
    found = places_of(points)
    for position, place_id in zip(on_sphere(points), found, strict=True):
        costs = tree.costs(np.broadcast_to(position, (len(rows), 3)), rows)
        best = int(costs.argmin())
        if costs[best] <= 50:
            assert place_id == table.ids[best]
        else:
            assert place_id == NOWHERE or place_named(place_id).town is None


def test_places_are_loaded_when_they_are_first_needed() -> None:
    code = (
        "import service.photos.places, service.photos.places.gazetteer as gazetteer\n"
        "assert gazetteer.gazetteer.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
