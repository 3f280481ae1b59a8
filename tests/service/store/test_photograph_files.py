"""From files that a person names to photographs of the catalog."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.catalog import Catalog
from service.store.photograph_files import find_photographs, photograph_at, photographs_at
from service.store.records import Companion, Details, Entry, FileInfo, PhotographFacts
from tests.service.colours import add_painted

NAME = "Müller й.png"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path / "catalog.sqlite")
    yield opened
    opened.close()


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_a_name_is_found_in_either_composition(catalog: Catalog, tmp_path: Path, on_disk: str, typed: str) -> None:
    folder = tmp_path.resolve() / unicodedata.normalize(on_disk, "Zoë ё")
    ids = add_painted(catalog, folder, unicodedata.normalize(on_disk, NAME))
    found = photograph_at(catalog, Path(unicodedata.normalize(typed, str(folder / NAME))))
    assert found is not None
    assert [found.id] == list(ids.values())
    assert photographs_at(catalog, Path(unicodedata.normalize(typed, str(folder)))) == list(ids.values())


def test_an_exact_name_goes_before_one_that_is_composed_in_another_way(catalog: Catalog, tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, NAME) for form in ("NFC", "NFD")]
    ids = add_painted(catalog, tmp_path.resolve(), *names)
    assert find_photographs(catalog, [tmp_path / name for name in names]) == [ids[name] for name in names]


def test_a_raw_file_and_a_sidecar_lead_to_their_photograph(catalog: Catalog, tmp_path: Path) -> None:
    root, _ = catalog.add_root(tmp_path.resolve())
    facts = PhotographFacts(FileInfo(root.id, "", "IMG_1.JPG", 1, 1), b"1", 40, 30, "JPEG")
    companions = (Companion("IMG_1.CR3", "raw", 9, 1), Companion("IMG_1.xmp", "sidecar", 3, 1))
    (identity,) = catalog.write([Entry(facts, {}, b"", details=Details(companions=companions))])
    names = ("IMG_1.JPG", "IMG_1.CR3", "IMG_1.xmp", "IMG_1.mov")
    assert find_photographs(catalog, [tmp_path / name for name in names]) == [identity, identity, identity, None]


def test_paths_that_cannot_be_are_none(catalog: Catalog, tmp_path: Path) -> None:
    add_painted(catalog, tmp_path.resolve(), "a.png")
    impossible = [tmp_path / "a\0.png", tmp_path / "\udcff.png", Path("~nosuchuser/a.png")]
    assert find_photographs(catalog, impossible) == [None] * 3
    assert [photographs_at(catalog, path) for path in impossible] == [[]] * 3


def test_a_folder_stands_for_all_photographs_below_it(catalog: Catalog, tmp_path: Path) -> None:
    inner = add_painted(catalog, tmp_path.resolve() / "trip", "a.png", "b.png")
    other = add_painted(catalog, tmp_path.resolve() / "tripod", "c.png")
    assert photographs_at(catalog, tmp_path / "trip") == list(inner.values())
    assert sorted(photographs_at(catalog, tmp_path)) == sorted([*inner.values(), *other.values()])
    assert photographs_at(catalog, tmp_path / "trip" / "a.png") == [inner["a.png"]]
    assert photographs_at(catalog, tmp_path / "elsewhere") == []


def test_a_folder_that_is_there_exactly_goes_before_one_that_is_composed_in_another_way(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.add_root(tmp_path.resolve())
    for form in ("NFC", "NFD"):
        folder = tmp_path.resolve() / unicodedata.normalize(form, "Zoë")
        ids = add_painted(catalog, folder, "a.png")
        assert photographs_at(catalog, folder) == list(ids.values())
        assert find_photographs(catalog, [folder / "a.png"]) == list(ids.values())
