"""What a scan finds new, and what it keeps of what was left out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import service.indexing.details
from service.indexing.ignore import IGNORE_FILE
from service.indexing.skipped import Reason
from service.store.records import FileInfo, RootOptions
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


def test_many_large_sidecars_of_one_photograph_are_not_all_read(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that differ in case alone may be many."""
    paint(indexed.photographs / "a.jpg", "red")
    sidecar = SIDECAR.format(stars=3)
    for name in ("a.jpg.xmp", "a.JPG.xmp", "A.jpg.xmp", "A.JPG.xmp"):
        (indexed.photographs / name).write_text(sidecar)
    if len(list(indexed.photographs.iterdir())) < 5:
        pytest.skip("this disk does not distinguish upper and lower case")
    monkeypatch.setattr(service.indexing.details, "_MAX_SIDECAR_BYTES", 2 * len(sidecar))
    read: list[int] = []
    real = service.indexing.details.read_metadata

    def counted(*arguments: Any, sidecars: list[Any], **options: Any) -> object:
        read.append(len(sidecars))
        return real(*arguments, sidecars=sidecars, **options)

    monkeypatch.setattr(service.indexing.details, "read_metadata", counted)
    assert counts(indexed.index()) == {"added": 1}
    assert read == [2]
    assert stars(indexed) == 3


def test_a_photograph_with_another_extension_stays_the_same(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "IMG_1.png", "red").rename(indexed.photographs / "IMG_1.tif")
    indexed.index()
    file.rename(indexed.photographs / "IMG_1.jpg")
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


def test_what_cannot_be_read_keeps_its_own_reason(indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(indexed.photographs / "a" / "a.jpg", "red")
    paint(indexed.photographs / "b" / "b.jpg", "blue")
    (indexed.photographs / "b" / IGNORE_FILE).write_bytes(b"\xff")
    real = os.scandir

    def refuse(folder: Path) -> object:
        if Path(folder).name == "a":
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert counts(indexed.index()) == {"added": 1, "failed": 2}
    assert left_out(indexed) == {"a/": "unreadable", f"b/{IGNORE_FILE}": "bad-ignore-file"}


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


def test_what_the_options_of_a_root_leave_out_is_remembered_with_the_reason(indexed: IndexedFolders) -> None:
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


def test_of_links_to_a_folder_and_into_it_the_outer_folder_becomes_a_root(
    indexed: IndexedFolders, linked: Path
) -> None:
    paint(linked.parent / "2023" / "tea.jpg", "blue")
    (indexed.photographs / "all").symlink_to(linked.parent)
    root, _ = indexed.catalog.add_root(indexed.photographs)
    indexed.catalog.set_root_options(root.id, RootOptions(follow_links=True))
    assert counts(indexed.index()) == {"added": 2}
    assert [root.path for root in indexed.catalog.roots()] == [indexed.photographs, linked.parent]


def test_a_root_to_which_a_link_leads_is_walked_as_it_was_before(indexed: IndexedFolders, linked: Path) -> None:
    other, _ = indexed.catalog.add_root(linked)
    root, _ = indexed.catalog.add_root(indexed.photographs)
    indexed.catalog.set_root_options(other.id, RootOptions(exclude=("coffee.jpg",)))
    indexed.catalog.set_root_options(root.id, RootOptions(follow_links=True))
    assert counts(indexed.index()) == {}
    assert left_out(indexed) == {"coffee.jpg": "excluded"}
    assert indexed.catalog.root_at(linked).options == RootOptions(exclude=("coffee.jpg",))


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes only on POSIX")
def test_many_names_that_are_not_utf8_are_each_remembered(indexed: IndexedFolders) -> None:
    try:
        for number in range(5_000):
            Path(os.fsdecode(os.fsencode(indexed.photographs) + b"/\xff%d.jpg" % number)).touch()
    except OSError:
        pytest.skip("this file system has no such names")
    assert counts(indexed.index()) == {"failed": 5_000}
    assert set(left_out(indexed).values()) == {"not-utf8"}


# -- folders without those below them, and files that are left for later --------------------------------


def test_a_shallow_folder_is_brought_up_to_date_without_those_below_it(indexed: IndexedFolders) -> None:
    root, trip = indexed.photographs, indexed.photographs / "trip"
    for folder in (root, trip):
        paint(folder / "a.jpg", "red")
        paint(folder / "b.jpg", "green")
        (folder / "notes.txt").write_text("no photograph")
    (trip / "@eaDir").mkdir()
    indexed.index()
    for folder in (root, trip):
        paint(folder / "new.png", "blue" if folder == root else "cyan")
        (folder / "a.jpg").unlink()
        (folder / "notes.txt").unlink()
        (folder / "more.txt").write_text("no photograph")
    assert counts(indexed.index(root, shallow=frozenset({root}))) == {"added": 1, "unchanged": 1, "missing": 1}
    assert set(left_out(indexed)) == {"more.txt", "trip/notes.txt", "trip/@eaDir/"}
    paint(root / "newer.png", "yellow")
    assert counts(indexed.index(trip, shallow=frozenset({trip}))) == {"added": 1, "unchanged": 1, "missing": 1}
    assert set(left_out(indexed)) == {"more.txt", "trip/more.txt", "trip/@eaDir/"}
    (trip / "more.txt").unlink()
    (trip / "@eaDir").rmdir()
    paint(trip / "day" / "c.jpg", "magenta")
    indexed.index(trip, shallow=frozenset({trip}))
    assert set(left_out(indexed)) == {"more.txt"}
    assert set(indexed.ids()) == {
        "a.jpg",
        "b.jpg",
        "new.png",
        "trip/a.jpg",
        "trip/b.jpg",
        "trip/new.png",
    }


def test_a_shallow_folder_loses_only_its_own_photographs(indexed: IndexedFolders) -> None:
    root = indexed.photographs
    for number in range(12):
        paint(root / f"{number}.jpg", "red").write_bytes(paint(root / "x.jpg", "red").read_bytes() + bytes([number]))
    (root / "x.jpg").unlink()
    paint(root / "trip" / "b.jpg", "green")
    indexed.index()
    (root / "trip" / "b.jpg").unlink()
    (root / "0.jpg").unlink()
    assert counts(indexed.index(root, shallow=frozenset({root}), prune=True)) == {"unchanged": 11, "removed": 1}
    assert "trip/b.jpg" in indexed.ids()


def test_a_move_between_two_shallow_folders_is_a_move(indexed: IndexedFolders) -> None:
    one, two = indexed.photographs / "one", indexed.photographs / "two"
    two.mkdir()
    paint(one / "a.jpg", "red")
    indexed.index()
    (one / "a.jpg").rename(two / "b.jpg")
    assert counts(indexed.index(one, two, shallow=frozenset({one, two}))) == {"moved": 1}
    assert indexed.ids() == {"two/b.jpg": 1}


def test_a_file_that_is_left_for_later_stays_as_it_is(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    paint(indexed.photographs / "b.jpg", "green")
    indexed.index()
    (indexed.photographs / "a.jpg").write_bytes(b"half a photograph")
    (indexed.photographs / "c.jpg").write_bytes(b"half a photograph")
    asked: list[str] = []

    def postpone(file: Path, info: FileInfo) -> bool:
        asked.append(file.name)
        assert (info.folder, info.name, info.size) == ("", file.name, file.stat().st_size)
        return True

    assert counts(indexed.index(postpone=postpone)) == {"unchanged": 1}
    assert asked == ["a.jpg", "c.jpg"], "and none that is unchanged"
    assert indexed.ids() == {"a.jpg": 1, "b.jpg": 2}
    paint(indexed.photographs / "a.jpg", "blue")
    paint(indexed.photographs / "c.jpg", "cyan")
    assert counts(indexed.index()) == {"added": 1, "changed": 1, "unchanged": 1}
    assert indexed.ids() == {"a.jpg": 1, "b.jpg": 2, "c.jpg": 3}
