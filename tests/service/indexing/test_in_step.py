"""The catalog stays in step with the disk, and nothing that people gave is lost when files go away."""

from __future__ import annotations

import os
import shutil
import unicodedata
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import service.indexing.recognise
import service.indexing.scan
from service.errors import LibraryError
from service.indexing.grouping import CompanionFile
from service.indexing.indexer import Scanned
from service.indexing.sweep import Loss
from service.indexing.walk import Walk
from service.store.ratings import Ratings, make_rating
from service.store.records import Companion, Details
from tests.service.colours import paint
from tests.service.indexing.indexed_folders import IndexedFolders, counts


def paint_many(indexed: IndexedFolders, count: int) -> list[Path]:
    return [paint(indexed.photographs / f"{n:02}.png", (n * 9 % 256, n * 40 % 256, n)) for n in range(count)]


def rate(indexed: IndexedFolders, identity: int) -> None:
    Ratings(indexed.catalog).add(make_rating(identity, "a flower", fits=True))


def rated(indexed: IndexedFolders) -> list[int]:
    return [rating.photograph_id for rating in Ratings(indexed.catalog).select()]


# -- what is gone --------------------------------------------------------------------------------------


def test_an_empty_folder_where_a_drive_was_mounted_prunes_nothing(indexed: IndexedFolders) -> None:
    paint_many(indexed, 30)
    indexed.index()
    rate(indexed, 7)
    indexed.photographs.rename(indexed.photographs.with_name("away"))
    indexed.photographs.mkdir()
    summary = indexed.index(prune=True)
    assert counts(summary) == {"missing": 30}
    assert summary.losses == (Loss(indexed.photographs, 30, 30),)
    assert rated(indexed) == [7]
    indexed.photographs.rmdir()
    indexed.photographs.with_name("away").rename(indexed.photographs)
    assert counts(indexed.index(prune=True)) == {"unchanged": 30}


def test_a_folder_that_lost_more_than_a_tenth_is_pruned_only_with_the_exact_number(indexed: IndexedFolders) -> None:
    files = paint_many(indexed, 30)
    indexed.index()
    for file in files[:4]:
        file.unlink()
    for confirm in (None, 3, 5, 30):
        assert counts(indexed.index(prune=True, confirm=confirm)) == {"unchanged": 26, "missing": 4}
    assert counts(indexed.index(prune=True, confirm=4)) == {"unchanged": 26, "removed": 4}


def test_a_folder_that_lost_a_tenth_is_pruned_without_a_number(indexed: IndexedFolders) -> None:
    files = paint_many(indexed, 30)
    indexed.index()
    for file in files[:3]:
        file.unlink()
    assert counts(indexed.index(prune=True)) == {"unchanged": 27, "removed": 3}


def test_one_empty_folder_keeps_the_others_from_being_pruned(indexed: IndexedFolders, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "other"
    paint(other / "a.png", "red")
    files = paint_many(indexed, 20)
    indexed.index(indexed.photographs, other)
    files[0].unlink()
    shutil.rmtree(other)
    other.mkdir()
    summary = indexed.index(indexed.photographs, other, prune=True)
    assert (summary.removed, summary.missing) == (0, 2)
    assert summary.losses == (Loss(other, 1, 1),)
    assert counts(indexed.index(indexed.photographs, other, prune=True, confirm=2)) == {"unchanged": 19, "removed": 2}


def test_a_removed_photograph_comes_back_with_its_ratings(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.png", "red")
    indexed.index()
    (identity,) = indexed.ids().values()
    rate(indexed, identity)
    away = file.rename(indexed.photographs.parent / "a.png")
    assert counts(indexed.index(prune=True, confirm=1)) == {"removed": 1}
    assert rated(indexed) == []
    away.rename(indexed.photographs / "under another name.png")
    assert counts(indexed.index()) == {"revived": 1}
    assert indexed.ids() == {"under another name.png": identity}
    assert rated(indexed) == [identity]


def test_a_photograph_of_which_a_file_cannot_be_examined_is_not_pruned(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a sidecar that a photo program is replacing."""
    paint_many(indexed, 20)
    (indexed.photographs / "03.xmp").write_text("")
    indexed.index()

    def refuse(file: CompanionFile) -> Companion:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(service.indexing.scan, "_companion", refuse)
    assert counts(indexed.index(prune=True)) == {"unchanged": 19, "failed": 1}
    assert "03.png" in indexed.ids()


def test_a_photograph_whose_own_file_cannot_be_examined_is_not_pruned(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint_many(indexed, 20)
    indexed.index()
    real = Walk._examine

    def refuse(walk: Walk, entry: os.DirEntry[str], *others: Any) -> object:
        if entry.name == "03.png":
            raise OSError(5, "Input/output error")
        return real(walk, entry, *others)

    monkeypatch.setattr(Walk, "_examine", refuse)
    assert counts(indexed.index(prune=True)) == {"unchanged": 19, "failed": 1}
    assert "03.png" in indexed.ids()


def test_two_copies_of_a_removed_photograph_revive_it_once(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.png", "red")
    indexed.index()
    copies = [Path(shutil.copy(file, indexed.photographs.parent / name)) for name in ("b.png", "c.png")]
    file.unlink()
    indexed.index(prune=True, confirm=1)
    for copy in copies:
        copy.rename(indexed.photographs / copy.name)
    assert counts(indexed.index()) == {"revived": 1, "added": 1}


def test_a_file_revives_the_photograph_with_its_bytes_before_one_with_its_image(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    content = file.read_bytes()
    # A comment changes the file and leaves the image as it is.
    commented = indexed.photographs / "b.jpg"
    commented.write_bytes(content[:2] + b"\xff\xfe\x00\x04hi" + content[2:])
    indexed.index()
    ids = indexed.ids()
    file.unlink()
    commented.unlink()
    indexed.index(prune=True, confirm=2)
    (indexed.photographs / "c.jpg").write_bytes(content)
    assert counts(indexed.index()) == {"revived": 1}
    assert indexed.ids() == {"c.jpg": ids["a.jpg"]}


def test_a_folder_that_vanishes_while_it_is_indexed_ends_the_run_with_a_sentence(indexed: IndexedFolders) -> None:
    paint_many(indexed, 12)
    events = indexed.events(batch_size=1)
    for event in events:
        if isinstance(event, Scanned):
            break
    indexed.photographs.rename(indexed.photographs.with_name("away"))
    with pytest.raises(LibraryError, match="vanished while it was being indexed"):
        list(events)


def test_a_drive_that_stops_answering_while_it_is_indexed_ends_the_run_with_a_sentence(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint_many(indexed, 12)
    events = indexed.events(batch_size=1)
    for event in events:
        if isinstance(event, Scanned):
            break
    real = os.stat

    def refuse(path: object, **options: Any) -> os.stat_result:
        if str(path).startswith(str(indexed.photographs)):
            raise OSError(107, "Transport endpoint is not connected")
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(LibraryError, match="vanished while it was being indexed"):
        list(events)


# -- what was edited -----------------------------------------------------------------------------------


def edit_unseen(file: Path, colour: str) -> None:
    """Replace a photograph by another of the same size and modification time."""
    before = file.stat()
    content = paint(file.with_name("new.bmp"), colour).read_bytes()
    file.with_name("new.bmp").unlink()
    assert len(content) == before.st_size
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_edit_that_keeps_size_and_time_is_noticed(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.bmp", "red")
    indexed.index()
    edit_unseen(file, "blue")
    assert counts(indexed.index()) == {"changed": 1}
    assert indexed.catalog.vector(1, "colours").argmax() == 2


def test_reread_finds_an_edit_that_left_no_trace(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.bmp", "red")
    indexed.index()
    edit_unseen(file, "blue")
    with indexed.catalog.transaction() as connection:
        connection.execute("UPDATE photograph SET changed_ns = ?", (file.stat().st_ctime_ns,))
    assert counts(indexed.index()) == {"unchanged": 1}
    assert counts(indexed.index(reread=True)) == {"changed": 1}
    assert counts(indexed.index(reread=True)) == {"unchanged": 1}


# -- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), [("IMG_1.JPG", "img_1.jpg"), ("Müller й.jpg", "MÜLLER й.jpg")])
def test_a_name_with_other_capitals_keeps_its_id_and_costs_no_encoding(
    indexed: IndexedFolders, old: str, new: str
) -> None:
    file = paint(indexed.photographs / old, "red")
    indexed.index()
    encoded = indexed.encoder.encoded
    file.rename(indexed.photographs / new)
    indexed.index()
    assert indexed.ids() == {new: 1}
    assert indexed.encoder.encoded == encoded


def test_a_name_composed_in_another_way_keeps_its_id(indexed: IndexedFolders) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Müller й.png") for form in ("NFC", "NFD"))
    file = paint(indexed.photographs / composed, "red")
    indexed.index()
    file.rename(indexed.photographs / decomposed)
    assert counts(indexed.index(prune=True)) == {"unchanged": 1}
    assert indexed.ids() == {decomposed: 1}


def test_a_rename_that_leaves_no_trace_in_size_and_times_is_noticed(indexed: IndexedFolders) -> None:
    """Some disks and network drives keep no time of the inode's last change."""
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    renamed = file.rename(indexed.photographs / "A.jpg")
    with indexed.catalog.transaction() as connection:
        connection.execute("UPDATE photograph SET changed_ns = ?", (renamed.stat().st_ctime_ns,))
    assert counts(indexed.index()) == {"unchanged": 1}
    assert indexed.ids() == {"A.jpg": 1}


def test_a_new_file_with_another_spelling_of_a_renamed_photograph_takes_nothing_from_it(
    indexed: IndexedFolders,
) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    file.rename(indexed.photographs / "A.jpg")
    paint(indexed.photographs / "a.JPG", "blue")
    if len(list(indexed.photographs.iterdir())) < 2:
        pytest.skip("this disk does not distinguish upper and lower case")
    indexed.index()
    assert set(indexed.ids()) == {"A.jpg", "a.JPG"}


@pytest.mark.parametrize("moved", ["jpg/1.jpg", "2.jpg"])
def test_a_jpeg_that_leaves_its_raw_file_keeps_its_id_and_the_raw_file_is_new(
    indexed: IndexedFolders, moved: str
) -> None:
    file = paint(indexed.photographs / "1.jpg", "red")
    paint(indexed.photographs / "raw.jpg", "blue").rename(indexed.photographs / "1.NEF")
    assert counts(indexed.index()) == {"added": 1}
    rate(indexed, 1)
    (indexed.photographs / moved).parent.mkdir(exist_ok=True)
    file.rename(indexed.photographs / moved)
    assert counts(indexed.index()) == {"added": 1, "moved": 1}
    assert indexed.ids() == {moved: 1, "1.NEF": 2}
    assert rated(indexed) == [1]


def test_a_photograph_keeps_its_id_where_a_jpeg_joins_its_raw_file_and_where_it_goes_again(
    indexed: IndexedFolders,
) -> None:
    paint(indexed.photographs / "raw.jpg", "blue").rename(indexed.photographs / "1.NEF")
    indexed.index()
    developed = paint(indexed.photographs / "1.jpg", "red")
    assert counts(indexed.index()) == {"changed": 1}
    assert indexed.ids() == {"1.jpg": 1}
    developed.unlink()
    assert counts(indexed.index()) == {"changed": 1}
    assert indexed.ids() == {"1.NEF": 1}


def test_two_files_whose_names_differ_in_case_stay_two(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.png", "red")
    paint(indexed.photographs / "A.png", "blue")
    if len(list(indexed.photographs.iterdir())) < 2:
        pytest.skip("this disk does not distinguish upper and lower case")
    assert counts(indexed.index()) == {"added": 2}
    assert counts(indexed.index()) == {"unchanged": 2}


def test_a_folder_renamed_in_case_alone_moves_where_the_disk_ignores_case(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old path still answers on such a disk, which a link from the old name to the new one stands for here."""
    old, new = indexed.photographs / "trip", indexed.photographs / "Trip"
    paint(old / "a.png", "red")
    indexed.index()
    old.rename(new)
    real_lstat, real_path = os.lstat, os.path.realpath
    monkeypatch.setattr(
        service.indexing.recognise.os, "lstat", lambda path: real_lstat(str(path).replace(str(old), str(new)))
    )
    monkeypatch.setattr(
        service.indexing.recognise.os.path,
        "realpath",
        lambda path, **options: str(path) if str(path).startswith(str(old)) else real_path(path, **options),
    )
    assert counts(indexed.index(prune=True)) == {"moved": 1}
    assert indexed.ids() == {"Trip/a.png": 1}


# -- metadata ------------------------------------------------------------------------------------------


def with_keywords(file: Path, *keywords: str, orientation: int = 1) -> None:
    """Write keywords and an orientation into a JPEG as a photo program does, without touching its pixels."""
    content = file.read_bytes()
    words = "".join(f"<rdf:li>{word}</rdf:li>" for word in keywords)
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f'tiff:Orientation="{orientation}"><dc:subject><rdf:Bag>{words}</rdf:Bag></dc:subject></rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    segments = [b"Exif\0\0" + exif.tobytes()[6:], b"http://ns.adobe.com/xap/1.0/\0" + packet.encode()]
    inserted = b"".join(b"\xff\xe1" + (len(each) + 2).to_bytes(2, "big") + each for each in segments)
    file.write_bytes(content[:2] + inserted + content[2:])


def details(indexed: IndexedFolders, identity: int) -> Details:
    return indexed.catalog.details([identity])[identity]


def test_keywords_written_into_a_file_cost_no_encoding(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    encoded = indexed.encoder.encoded
    with_keywords(file, "tulip", "garden")
    assert counts(indexed.index()) == {"changed": 1}
    assert indexed.encoder.encoded == encoded
    assert details(indexed, 1).metadata.keywords == ("tulip", "garden")
    assert counts(indexed.index()) == {"unchanged": 1}


def test_a_file_that_got_keywords_while_it_was_away_is_the_same_photograph(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    rate(indexed, 1)
    with_keywords(file, "tulip")
    file.rename(indexed.photographs / "b.jpg")
    assert counts(indexed.index()) == {"moved": 1}
    (indexed.photographs / "b.jpg").unlink()
    indexed.index(prune=True, confirm=1)
    paint(indexed.photographs / "c.jpg", "red")
    assert counts(indexed.index()) == {"revived": 1}
    assert rated(indexed) == [1]


def test_a_file_that_is_turned_is_encoded_again(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    encoded = indexed.encoder.encoded
    with_keywords(file, "tulip", orientation=6)
    assert counts(indexed.index()) == {"changed": 1}
    assert indexed.encoder.encoded == encoded + 1
    record = indexed.catalog.record(1)
    assert (record.width, record.height) == (32, 48)


def test_a_library_of_before_gets_metadata_without_encoding(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "IMG_20190714_153000.jpg", "red")
    with_keywords(file, "tulip")
    indexed.index()
    encoded = indexed.encoder.encoded
    with indexed.catalog.transaction() as connection:
        connection.execute("UPDATE photograph SET read_with = 0, image_hash = NULL, changed_ns = NULL")
        connection.execute("DELETE FROM metadata")
        connection.execute("DELETE FROM keyword")
    assert counts(indexed.index()) == {"unchanged": 1}
    assert indexed.encoder.encoded == encoded
    metadata = details(indexed, 1).metadata
    assert metadata.keywords == ("tulip",)
    assert (metadata.taken_at, metadata.taken_source) == (datetime(2019, 7, 14, 15, 30), "name")
