"""Which files of a folder are one photograph."""

from __future__ import annotations

import os
import unicodedata
from itertools import product
from pathlib import Path

import pytest

from service.indexing.grouping import group_files, kind_of
from tests.service.trees import write


def group(folder: Path, *names: str) -> tuple[dict[str, list[str]], list[str]]:
    """The photographs among some files with their companions, as "role name", and the files of none."""
    write(folder, *names)
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    files = [(kind, entry) for entry in entries if (kind := kind_of(entry.name)) is not None]
    groups, left = group_files(files)
    primaries = [group.primary.name for group in groups]
    assert primaries == sorted(primaries)
    found = {
        group.primary.name: [f"{companion.role} {companion.entry.name}" for companion in group.companions]
        for group in groups
    }
    return found, sorted(entry.name for entry in left)


@pytest.fixture
def tells_case(tmp_path: Path) -> None:
    """Skips a test where the disk takes two names that differ in case alone for one."""
    write(tmp_path, "probe")
    if (tmp_path / "PROBE").exists():
        pytest.skip("this file system does not tell A from a")


# -- RAW --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("developed", ["IMG_1.JPG", "IMG_1.jpeg", "img_1.jpg", "IMG_1.HEIC", "IMG_1.HIF"])
def test_raw_and_jpeg_or_heic_are_one_photograph_shown_by_the_latter(tmp_path: Path, developed: str) -> None:
    assert group(tmp_path, "IMG_1.CR3", developed) == ({developed: ["raw IMG_1.CR3"]}, [])


def test_raw_alone_is_a_photograph(tmp_path: Path) -> None:
    assert group(tmp_path, "IMG_1.CR3", "IMG_2.JPG") == ({"IMG_1.CR3": [], "IMG_2.JPG": []}, [])


def test_of_several_raw_files_the_dng_is_shown(tmp_path: Path) -> None:
    assert group(tmp_path, "IMG_1.CR2", "IMG_1.DNG", "IMG_1.xmp") == (
        {"IMG_1.DNG": ["raw IMG_1.CR2", "sidecar IMG_1.xmp"]}, []
    )  # fmt: skip
    assert group(tmp_path / "jpeg", "IMG_1.CR2", "IMG_1.DNG", "IMG_1.JPG") == (
        {"IMG_1.JPG": ["raw IMG_1.CR2", "raw IMG_1.DNG"]}, []
    )  # fmt: skip


def test_what_a_person_made_of_a_raw_file_stays_a_photograph_of_its_own(tmp_path: Path) -> None:
    found, _ = group(tmp_path, "1.CR3", "1.tif", "1-edited.jpg", "1_edited.jpg", "1 (2).jpg")
    assert found == {"1.CR3": [], "1.tif": [], "1-edited.jpg": [], "1_edited.jpg": [], "1 (2).jpg": []}


def test_jpeg_and_heic_of_one_name_stay_two_and_the_jpeg_has_the_raw(tmp_path: Path) -> None:
    assert group(tmp_path, "1.jpg", "1.heic") == ({"1.jpg": [], "1.heic": []}, [])
    assert group(tmp_path / "raw", "1.jpg", "1.heic", "1.dng") == ({"1.jpg": ["raw 1.dng"], "1.heic": []}, [])


def test_names_that_differ_in_case_alone_are_two_photographs_each_with_its_own(
    tmp_path: Path, tells_case: None
) -> None:
    found, left = group(tmp_path, "A.JPG", "a.jpg", "A.CR3", "a.cr3", "A.xmp", "a.xmp", "A.MOV", "a.mov")
    assert found == {
        "A.JPG": ["raw A.CR3", "motion A.MOV", "sidecar A.xmp"],
        "a.jpg": ["raw a.cr3", "motion a.mov", "sidecar a.xmp"],
    }
    assert left == []


def test_raw_files_whose_names_differ_in_case_alone_do_not_share_a_jpeg(tmp_path: Path, tells_case: None) -> None:
    assert group(tmp_path, "A.JPG", "A.CR3", "a.cr3")[0] == {"A.JPG": ["raw A.CR3"], "a.cr3": []}
    assert group(tmp_path / "raw", "B.CR3", "b.cr3")[0] == {"B.CR3": [], "b.cr3": []}


def test_composed_and_decomposed_names_belong_together(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Ёлка й") for form in ("NFC", "NFD"))
    assert group(tmp_path, f"{composed}.NEF", f"{decomposed}.jpg", f"{composed}.XMP")[0] == {
        f"{decomposed}.jpg": [f"raw {composed}.NEF", f"sidecar {composed}.XMP"]
    }


# -- films ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("film", ["IMG_1.MOV", "img_1.mov", "IMG_1.MP4", "IMG_1_HEVC.MOV"])
@pytest.mark.parametrize("photograph", ["IMG_1.HEIC", "IMG_1.JPG", "IMG_1.DNG"])
def test_a_short_film_of_the_same_name_is_the_motion_of_a_live_photo(
    tmp_path: Path, photograph: str, film: str
) -> None:
    assert group(tmp_path, photograph, film) == ({photograph: [f"motion {film}"]}, [])


def test_the_heic_and_not_its_copy_as_jpeg_has_the_film(tmp_path: Path) -> None:
    assert group(tmp_path, "1.heic", "1.jpg", "1.mov")[0] == {"1.heic": ["motion 1.mov"], "1.jpg": []}


def test_the_film_that_google_puts_beside_a_motion_photograph_belongs_to_it(tmp_path: Path) -> None:
    assert group(tmp_path, "PXL_1.MP.jpg", "PXL_1.MP") == ({"PXL_1.MP.jpg": ["motion PXL_1.MP"]}, [])


def test_other_films_belong_to_no_photograph(tmp_path: Path) -> None:
    assert group(tmp_path, "1.jpg", "2.mov", "1.avi", "3.png", "3.mov") == (
        {"1.jpg": [], "3.png": []}, ["1.avi", "2.mov", "3.mov"]
    )  # fmt: skip


def test_a_film_of_more_than_30_megabytes_is_no_motion(tmp_path: Path) -> None:
    write(tmp_path, "1.heic", "1.mov", "2.heic", "2.mov")
    os.truncate(tmp_path / "1.mov", 30 << 20)
    os.truncate(tmp_path / "2.mov", (30 << 20) + 1)
    assert group(tmp_path) == ({"1.heic": ["motion 1.mov"], "2.heic": []}, ["2.mov"])


# -- sidecars ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sidecar", ["A.xmp", "a.XMP", "A.jpg.xmp", "A.JPG.XMP", "a.Jpg.xmp"])
def test_a_sidecar_is_named_after_the_photograph_with_or_without_its_extension(tmp_path: Path, sidecar: str) -> None:
    assert group(tmp_path, "A.jpg", sidecar) == ({"A.jpg": [f"sidecar {sidecar}"]}, [])


def test_sidecars_of_the_raw_file_and_of_the_jpeg_belong_to_their_photograph(tmp_path: Path) -> None:
    names = ("A.jpg", "A.CR3", "A.CR3.xmp", "A.jpg.xmp", "A.xmp")
    assert group(tmp_path, *names)[0] == {
        "A.jpg": ["raw A.CR3", "sidecar A.CR3.xmp", "sidecar A.jpg.xmp", "sidecar A.xmp"]
    }


def test_a_sidecar_without_extension_belongs_to_the_raw_file_or_to_all_of_its_name(tmp_path: Path) -> None:
    assert group(tmp_path, "A.jpg", "A.CR3", "A.png", "A.xmp")[0] == {
        "A.jpg": ["raw A.CR3", "sidecar A.xmp"], "A.png": [],
    }  # fmt: skip
    assert group(tmp_path / "copies", "A.jpg", "A.heic", "A.xmp")[0] == {
        "A.jpg": ["sidecar A.xmp"], "A.heic": ["sidecar A.xmp"],
    }  # fmt: skip


def test_a_sidecar_without_its_photograph_is_left(tmp_path: Path) -> None:
    assert group(tmp_path, "A.jpg", "B.xmp", "A.png.xmp", "AB.xmp") == ({"A.jpg": []}, ["A.png.xmp", "AB.xmp", "B.xmp"])
    assert group(tmp_path / "none", "A.xmp", "A.json", "A.mov") == ({}, ["A.json", "A.mov", "A.xmp"])


# -- Google's Takeout -------------------------------------------------------------------------------------

LONG = "Screenshot_20230115-184522_Some Very Long Name of an App"
"""56 characters; Takeout keeps 47 of a photograph's name and 46 of its JSON's."""


@pytest.mark.parametrize(
    ("photograph", "json"),
    [
        ("A.jpg", "A.jpg.json"),
        ("A.JPG", "A.jpg.JSON"),
        ("A.jpg", "A.jpg.supplemental-metadata.json"),
        ("A.jpg", "A.jpg.supplemental-me.json"),
        ("A.jpg", "A.jpg.s.json"),
        ("A.jpg", "A.jpg..json"),
        ("A(1).jpg", "A.jpg(1).json"),
        ("A(1).jpg", "A.jpg.supplemental-metadata(1).json"),
        ("A(1).jpg", "A.jpg.suppl(1).json"),
        ("A(1).jpg", "A(1).jpg.json"),
        ("A-edited.jpg", "A.jpg.json"),
        ("A-edited.jpg", "A.HEIC.supplemental-metadata.json"),
        ("A-edited(1).jpg", "A.jpg(1).json"),
        ("A-bearbeitet.jpg", "A.jpg.json"),
        ("A-ha editado.jpg", "A.jpg.json"),
        (f"{LONG[:47]}.jpg", f"{LONG[:46]}.json"),
        (f"{LONG[:47]}(2).jpg", f"{LONG[:46]}(2).json"),
        (f"{LONG[:40]}.jpg", f"{LONG[:40]}.jpg.s.json"),
        (f"{LONG[:43]}.jpg", f"{LONG[:43]}.jp.json"),
    ],
)
def test_the_json_of_a_takeout_is_found_by_its_name(tmp_path: Path, photograph: str, json: str) -> None:
    assert group(tmp_path, photograph, json) == ({photograph: [f"takeout {json}"]}, [])


def test_copies_edited_versions_and_their_originals_each_have_the_right_json(tmp_path: Path) -> None:
    names = ("A.jpg", "A(1).jpg", "A-edited.jpg", "A-edited(1).jpg", "B.jpg", "B-edited.jpg")
    found, left = group(tmp_path, *names, "A.jpg.json", "A.jpg(1).json", "B.jpg.json", "B-edited.jpg.json")
    assert found == {
        "A.jpg": ["takeout A.jpg.json"], "A-edited.jpg": ["takeout A.jpg.json"],
        "A(1).jpg": ["takeout A.jpg(1).json"], "A-edited(1).jpg": ["takeout A.jpg(1).json"],
        "B.jpg": ["takeout B.jpg.json"], "B-edited.jpg": ["takeout B-edited.jpg.json"],
    }  # fmt: skip
    assert left == []


def test_other_json_is_left(tmp_path: Path) -> None:
    names = ("metadata.json", "A.json", "A.jpg.more.json", "A.jpg(2).json", "B.jpg.json", "A.mov.json")
    assert group(tmp_path, "A.jpg", *names) == ({"A.jpg": []}, sorted(names))


def test_a_name_that_was_cut_and_may_be_of_several_photographs_is_left(tmp_path: Path) -> None:
    json = f"{LONG[:46]}.json"
    assert group(tmp_path, f"{LONG[:47]}a.jpg", f"{LONG[:47]}b.jpg", json)[1] == [json]


def test_json_belongs_to_the_photograph_of_a_raw_file(tmp_path: Path) -> None:
    assert group(tmp_path, "A.dng", "A.jpg", "A.dng.json")[0] == {"A.jpg": ["raw A.dng", "takeout A.dng.json"]}


# -- many -------------------------------------------------------------------------------------------------


class Named:
    """Stands for `os.DirEntry` where there are many."""

    def __init__(self, name: str) -> None:
        self.name = name

    def stat(self) -> os.stat_result:
        return os.stat_result([0] * 10)


@pytest.mark.parametrize(
    "names",
    [
        [f"IMG_{number}.{suffix}" for number in range(10_000) for suffix in ("CR3", "JPG", "xmp", "JPG.json")],
        [f"{'a' * 50}{number:05}.{suffix}" for number in range(20_000) for suffix in ("jpg", "json")],
        [f"{'a' * 46}({number}).{suffix}" for number in range(20_000) for suffix in ("jpg", "json")],
        [f"A-edited({number}).{suffix}" for number in range(20_000) for suffix in ("jpg", "jpg.json")],
        [
            f"{''.join(letters)}.{suffix}"
            for letters in product("aA", repeat=13)
            for suffix in (["jpg"] if letters[0] == "a" else ["xmp", "mov", "jpg.json"])
        ],
    ],
    ids=["pairs", "long", "numbered", "edited", "case"],
)
def test_no_file_is_lost_among_many_with_names_that_are_alike(names: list[str]) -> None:
    files = [(kind_of(name), Named(name)) for name in sorted(names)]
    groups, left = group_files(files)  # type: ignore[arg-type]
    found = [entry.name for group in groups for entry in (group.primary, *(each.entry for each in group.companions))]
    assert {*found, *(entry.name for entry in left)} == set(names)
