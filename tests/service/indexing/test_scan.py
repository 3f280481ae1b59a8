"""What a scan finds new, and what it keeps of what was left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.indexing.ignore import IGNORE_FILE
from service.indexing.skipped import Reason
from service.store.records import RootOptions
from service.store.skipped import SkippedFiles
from tests.service.colours import paint
from tests.service.indexing.indexed_folders import IndexedFolders, counts

SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="{stars}"/></rdf:RDF></x:xmpmeta>"""


def left_out(indexed: IndexedFolders) -> dict[str, str]:
    return {row.path: row.reason for _, row in SkippedFiles(indexed.catalog).all()}


def stars(indexed: IndexedFolders, identity: int = 1) -> int | None:
    return indexed.catalog.details([identity])[identity].metadata.stars


# -- files that belong to a photograph -----------------------------------------------------------------


def test_a_sidecar_is_read_with_its_photograph_and_an_edit_of_it_costs_no_encoding(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    sidecar = indexed.photographs / "a.jpg.xmp"
    sidecar.write_text(SIDECAR.format(stars=3))
    assert counts(indexed.index()) == {"added": 1}
    assert stars(indexed) == 3
    assert [each.role for each in indexed.catalog.details([1])[1].companions] == ["sidecar"]
    encoded = indexed.encoder.encoded
    sidecar.write_text(SIDECAR.format(stars=5) + " ")
    assert counts(indexed.index()) == {"unchanged": 1}
    assert stars(indexed) == 5
    sidecar.unlink()
    indexed.index()
    assert stars(indexed) is None
    assert indexed.encoder.encoded == encoded


def test_a_photograph_stays_the_same_when_the_file_that_is_shown_changes(indexed: IndexedFolders) -> None:
    """A RAW file that was there alone gets a JPEG beside it, and later is alone again."""
    raw = paint(indexed.photographs / "IMG_1.png", "red").rename(indexed.photographs / "IMG_1.tif")
    indexed.index()
    raw.rename(indexed.photographs / "IMG_1.jpg")
    assert counts(indexed.index()) == {"moved": 1}
    assert indexed.ids() == {"IMG_1.jpg": 1}


# -- what is left out ----------------------------------------------------------------------------------


def test_everything_that_is_left_out_is_remembered_with_the_reason(indexed: IndexedFolders) -> None:
    for name in ("a.jpg", "@eaDir/b.jpg", "drafts/c.jpg", ".hidden.jpg"):
        paint(indexed.photographs / name, "red")
    (indexed.photographs / IGNORE_FILE).write_text("drafts\n")
    (indexed.photographs / "notes.txt").write_text("no photograph")
    (indexed.photographs / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    indexed.index()
    assert left_out(indexed) == {
        "@eaDir/": "rubbish",
        "drafts/": "ignored",
        ".hidden.jpg": "hidden",
        "notes.txt": "not-photograph",
        "broken.jpg": "unreadable",
    }


def test_what_is_no_longer_left_out_is_forgotten(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "trip" / "a.jpg", "red")
    paint(indexed.photographs / "tripod" / "b.jpg", "blue")
    for folder in ("trip", "tripod"):
        (indexed.photographs / folder / IGNORE_FILE).write_text("*.jpg\n")
    indexed.index()
    assert set(left_out(indexed)) == {"trip/a.jpg", "tripod/b.jpg"}
    (indexed.photographs / "trip" / IGNORE_FILE).unlink()
    assert counts(indexed.index(indexed.photographs / "trip")) == {"added": 1}
    assert set(left_out(indexed)) == {"tripod/b.jpg"}


def test_a_photograph_that_is_ignored_later_is_missing(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    (indexed.photographs / IGNORE_FILE).write_text("a.jpg\n")
    assert counts(indexed.index()) == {"missing": 1}


def test_a_pattern_of_a_root_is_checked_before_it_is_remembered(indexed: IndexedFolders) -> None:
    root, _ = indexed.catalog.add_root(indexed.photographs)
    indexed.catalog.set_root_options(root.id, RootOptions(exclude=("drafts",), min_bytes=10))
    assert indexed.catalog.roots()[0].options == RootOptions(exclude=("drafts",), min_bytes=10)
    paint(indexed.photographs / "drafts" / "a.jpg", "red")
    (indexed.photographs / "small.jpg").write_bytes(b"\xff\xd8\xff")
    indexed.index()
    assert left_out(indexed) == {"drafts/": "excluded", "small.jpg": "too-small-file"}


# -- links ---------------------------------------------------------------------------------------------


@pytest.fixture
def linked(indexed: IndexedFolders) -> Path:
    """A folder outside of the root to which a link in the root leads."""
    folder = indexed.photographs.with_name("linked")
    paint(folder / "2022" / "coffee.jpg", "red")
    (indexed.photographs / "2022").symlink_to(folder / "2022")
    return folder / "2022"


def test_a_link_to_a_folder_is_left_out_unless_it_is_asked_for(indexed: IndexedFolders, linked: Path) -> None:
    assert counts(indexed.index()) == {}
    assert left_out(indexed) == {"2022": str(Reason.LINK)}


def test_a_folder_to_which_a_link_leads_is_a_folder_of_the_library(indexed: IndexedFolders, linked: Path) -> None:
    (linked / "loop").symlink_to(indexed.photographs)
    (indexed.photographs / "again").symlink_to(linked)
    root, _ = indexed.catalog.add_root(indexed.photographs)
    indexed.catalog.set_root_options(root.id, RootOptions(follow_links=True))
    assert counts(indexed.index()) == {"added": 1}
    assert [root.path for root in indexed.catalog.roots()] == [indexed.photographs, linked]
    assert indexed.catalog.record(1).path == linked / "coffee.jpg"
    assert counts(indexed.index()) == {"unchanged": 1}
