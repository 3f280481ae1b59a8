"""The catalog stays in step with what is edited."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from PIL import Image

from service.store.records import Details
from tests.service.colours import paint
from tests.service.indexing.indexed_folders import IndexedFolders, counts, rate, rated

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


def test_what_is_said_to_be_wrong_with_a_file_follows_its_sidecar(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    sidecar = file.with_suffix(".xmp")
    indexed.index()
    encoded = indexed.encoder.encoded
    sidecar.write_text("<x:xmpmeta")
    indexed.index()
    warning = indexed.catalog.record(1).warning
    assert warning is not None
    assert "sidecar is damaged" in warning
    sidecar.write_text('<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
    indexed.index()
    assert indexed.catalog.record(1).warning is None
    assert indexed.encoder.encoded == encoded


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
