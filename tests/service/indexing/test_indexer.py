"""What an index run does with the files that it finds.

The catalog and the files are real; the encoder is one whose vectors are predictable and that counts what it encodes.
"""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import service.indexing.decoder
from service.indexing.decoder import EncodingTask, Failure
from service.indexing.indexer import Advanced, Finished, Scanned, Summary, update_catalog
from service.indexing.options import IndexOptions
from service.indexing.skipped import Reason
from service.types import Float32Array
from tests.service.colours import ColourEncoder, count_vectors, paint
from tests.service.indexing.indexed_folders import IndexedFolders, counts


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> bytes:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(service.indexing.decoder, "read_file", read)


# -- new and changed -----------------------------------------------------------------------------------


def test_a_new_photograph_is_stored_with_metadata_vector_and_thumbnail(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.png", "red", (60, 40))
    paint(indexed.photographs / "deep" / "er" / "b.jpg", "blue")
    assert counts(indexed.index()) == {"added": 2}
    ids = indexed.ids()
    record = indexed.catalog.record(ids["a.png"])
    assert (record.width, record.height, record.format) == (60, 40, "PNG")
    assert record.path == indexed.photographs / "a.png"
    vector = indexed.catalog.vector(ids["a.png"], "colours")
    assert np.allclose(vector, [1, 0, 0, 1 / 255], atol=0.01)
    assert indexed.catalog.thumbnail(ids["deep/er/b.jpg"]).startswith(b"\xff\xd8")


def test_thumbnails_in_the_catalog_have_no_metadata(indexed: IndexedFolders) -> None:
    exif = Image.Exif()
    exif[0x010E] = "Unter den Linden 1"
    file = indexed.photographs / "a.jpg"
    Image.new("RGB", (224, 224)).save(file, exif=exif, comment=b"Unter den Linden 1", xmp=b"Unter den Linden 1")
    assert file.read_bytes().count(b"Linden") == 3
    indexed.index()
    thumbnail = indexed.catalog.thumbnail(indexed.ids()["a.jpg"])
    assert b"Linden" not in thumbnail
    with Image.open(io.BytesIO(thumbnail)) as image:
        assert not image.getexif()
        assert not {"comment", "xmp", "exif", "icc_profile"} & set(image.info)


def test_an_unchanged_photograph_is_not_opened(indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    generation = indexed.catalog.generation()
    forbid_reading(monkeypatch)
    assert counts(indexed.index()) == {"unchanged": 1}
    assert indexed.catalog.generation() == generation


def test_a_touched_photograph_is_read_but_not_encoded(indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    os.utime(file, ns=(1, 1))
    assert counts(indexed.index()) == {"unchanged": 1}
    assert indexed.encoder.encoded == 1
    forbid_reading(monkeypatch)
    assert counts(indexed.index()) == {"unchanged": 1}, "the new time is stored"


def test_changed_content_is_encoded_again_under_the_same_id(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    before = indexed.ids()
    thumbnail = indexed.catalog.thumbnail(before["a.jpg"])
    paint(file, "blue", (64, 64))
    assert counts(indexed.index()) == {"changed": 1}
    assert indexed.ids() == before
    assert indexed.catalog.vector(before["a.jpg"], "colours")[2] > 0.9
    assert indexed.catalog.record(before["a.jpg"]).width == 64
    assert indexed.catalog.thumbnail(before["a.jpg"]) != thumbnail


def test_a_new_modification_time_alone_reveals_changed_content(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.bmp", "red")
    indexed.index()
    size = file.stat().st_size
    paint(file, "blue")
    os.utime(file, ns=(5, 5))
    assert file.stat().st_size == size
    assert counts(indexed.index()) == {"changed": 1}


def test_a_photograph_that_becomes_unreadable_stays_in_the_catalog_and_is_reported(indexed: IndexedFolders) -> None:
    file = paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    file.write_bytes(b"no longer a photograph")
    summary = indexed.index(prune=True)
    assert counts(summary) == {"failed": 1}
    assert summary.failed[0].path == str(file)
    assert "not a photograph" in summary.failed[0].reason
    assert indexed.catalog.count() == 1


def test_another_model_encodes_unchanged_photographs(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    indexed.index()
    indexed.encoder = ColourEncoder(fingerprint="other")
    assert counts(indexed.index()) == {"changed": 1}
    assert counts(indexed.index()) == {"unchanged": 1}
    assert count_vectors(indexed.catalog) == {"colours": 1, "other": 1}


# -- links, hidden files, pipes, names -----------------------------------------------------------------


def test_links_are_counted_and_not_followed(indexed: IndexedFolders, tmp_path: Path) -> None:
    outside = paint(tmp_path / "outside" / "x.jpg", "red")
    paint(indexed.photographs / "a.jpg", "blue")
    (indexed.photographs / "file.jpg").symlink_to(outside)
    (indexed.photographs / "folder").symlink_to(outside.parent)
    (indexed.photographs / "loop").symlink_to(indexed.photographs)
    (indexed.photographs / "self.jpg").symlink_to("self.jpg")
    (indexed.photographs / "dangling.jpg").symlink_to("nowhere.jpg")
    summary = indexed.index()
    assert counts(summary) == {"added": 1}
    assert summary.reasons()[Reason.LINK] == 5


def test_hidden_files_and_folders_are_ignored(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / ".hidden.jpg", "red")
    paint(indexed.photographs / ".thumbnails" / "a.jpg", "red")
    paint(indexed.photographs / "visible.jpg", "red")
    summary = indexed.index()
    assert counts(summary) == {"added": 1}
    assert summary.reasons() == {Reason.HIDDEN: 1, Reason.RUBBISH: 1}


def test_other_files_are_counted(indexed: IndexedFolders) -> None:
    for name in ("notes.txt", "movie.mov", "a.jpg.xmp", "noending"):
        (indexed.photographs / name).write_bytes(b"x")
    summary = indexed.index()
    assert counts(summary) == {}
    assert summary.reasons() == {Reason.NOT_PHOTOGRAPH: 3, Reason.VIDEO: 1}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_named_like_a_photograph_is_skipped(indexed: IndexedFolders) -> None:
    os.mkfifo(indexed.photographs / "pipe.jpg")
    paint(indexed.photographs / "a.jpg", "red")
    summary = indexed.index()
    assert counts(summary) == {"added": 1}
    assert summary.reasons()[Reason.SPECIAL] == 1


def test_a_folder_named_like_a_photograph_is_walked(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "trip.jpg" / "a.jpg", "red")
    indexed.index()
    assert set(indexed.ids()) == {"trip.jpg/a.jpg"}


NAMES = [
    "with spaces.jpg", "Тауэрский мост.jpg", "dog 🐶.jpg", "it's \"quoted\".jpg", "100%_sure.jpg", "a;DROP TABLE.jpg",
    "new\nline.jpg", "tab\t.jpg", "back\\slash.jpg", "\u00e9.jpg", "e\u0301.jpg", "[bold]x[/bold].jpg",
    "-k.jpg", "#?&=.jpg",
]  # fmt: skip


def test_unusual_names_are_stored_unchanged(indexed: IndexedFolders) -> None:
    for number, name in enumerate(NAMES):
        paint(indexed.photographs / f"in {name}" / name, (number, 0, 100))
    assert counts(indexed.index()) == {"added": len(NAMES)}
    assert set(indexed.ids()) == {f"in {name}/{name}" for name in NAMES}
    assert counts(indexed.index(prune=True)) == {"unchanged": len(NAMES)}
    shutil.rmtree(indexed.photographs / f"in {NAMES[4]}")
    assert counts(indexed.index(prune=True)) == {"unchanged": len(NAMES) - 1, "removed": 1}


def test_a_name_that_is_not_utf8_fails_alone(indexed: IndexedFolders) -> None:
    bad = os.fsencode(indexed.photographs) + b"/caf\xe9.jpg"
    try:
        Path(os.fsdecode(bad)).write_bytes(paint(indexed.photographs / "a.jpg", "red").read_bytes())
    except OSError:
        pytest.skip("this disk does not allow such names")
    summary = indexed.index()
    assert counts(summary) == {"added": 1, "failed": 1}
    assert summary.failed == [Failure(f"{indexed.photographs}/caf\ufffd.jpg", "its name is not valid UTF-8")]


# -- roots inside each other ---------------------------------------------------------------------------


def test_an_inner_folder_after_an_outer_one_adds_nothing(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "inner" / "a.jpg", "red")
    paint(indexed.photographs / "b.jpg", "blue")
    indexed.index()
    assert counts(indexed.index(indexed.photographs / "inner")) == {"unchanged": 1}
    assert [root.path for root in indexed.catalog.roots()] == [indexed.photographs]


def test_an_outer_folder_takes_over_the_photographs_of_an_inner_root(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = paint(indexed.photographs / "one" / "deep" / "a.jpg", "red")
    two = paint(indexed.photographs / "two" / "b.jpg", "blue")
    indexed.index(one.parent.parent, two.parent)
    before = set(indexed.ids().values())
    forbid_reading(monkeypatch)
    assert counts(indexed.index(prune=True)) == {"unchanged": 2}
    assert set(indexed.ids()) == {"one/deep/a.jpg", "two/b.jpg"}
    assert set(indexed.ids().values()) == before
    assert [root.path for root in indexed.catalog.roots()] == [indexed.photographs]


def test_a_root_whose_name_starts_like_another_is_not_inside_it(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "2024" / "a.jpg", "red")
    paint(indexed.photographs / "2024-summer" / "b.jpg", "blue")
    indexed.index(indexed.photographs / "2024")
    assert counts(indexed.index(indexed.photographs / "2024-summer")) == {"added": 1}
    assert len(indexed.catalog.roots()) == 2


# -- the run itself ------------------------------------------------------------------------------------


def test_events_report_progress(indexed: IndexedFolders) -> None:
    for number in range(5):
        paint(indexed.photographs / f"{number}.jpg", (number * 40, 0, 90))
    events = list(indexed.events(batch_size=2))
    assert events[0] == Scanned(to_read=5, unchanged=0)
    assert isinstance(events[-1], Finished)
    steps = [event.done for event in events if isinstance(event, Advanced)]
    assert steps == sorted(steps)
    assert steps[-1] == 5


def test_a_stopped_run_keeps_its_batches_and_the_next_continues(indexed: IndexedFolders) -> None:
    for number in range(8):
        paint(indexed.photographs / f"{number}.jpg", (number * 30, 0, 90))
    events = indexed.events(batch_size=2)
    assert next(event for event in events if isinstance(event, Advanced)).done == 2
    events.close()  # type: ignore[attr-defined]
    kept = indexed.catalog.count()
    assert kept >= 2
    assert kept == indexed.encoder.encoded, "whatever was encoded is stored"
    assert indexed.orphans() == (0, 0)
    assert counts(indexed.index()) == {key: count for key, count in (("added", 8 - kept), ("unchanged", kept)) if count}
    assert indexed.encoder.encoded == 8


def test_an_interrupt_while_encoding_leaves_whole_batches(indexed: IndexedFolders) -> None:
    for number in range(6):
        paint(indexed.photographs / f"{number}.jpg", (number * 30, 0, 90))
    real = indexed.encoder.encode_prepared

    def interrupted(prepared: list[Float32Array]) -> Float32Array:
        if indexed.encoder.encoded >= 2:
            raise KeyboardInterrupt
        return real(prepared)

    indexed.encoder.encode_prepared = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        list(indexed.events(batch_size=2))
    assert indexed.catalog.count() == 2
    assert indexed.orphans() == (0, 0)


def test_every_file_of_the_collection_is_indexed_skipped_or_failed(indexed: IndexedFolders, shared_data: Path) -> None:
    formats = shared_data / "formats"
    summary = indexed.index(formats.resolve())
    assert {Path(failure.path).relative_to(formats.resolve()).as_posix() for failure in summary.failed} == {
        "jpeg/digikam-unicode.jpg", "broken/text.jpg", "broken/truncated.jpg", "broken/zero-bytes.jpg",
        "png/bomb-30000x30000.png", "raw/pruned-iphone.dng", "raw/pruned.cr3",
    }  # fmt: skip
    assert all(failure.reason for failure in summary.failed)
    files = [path for path in formats.rglob("*") if path.is_file()]
    companions = {"live/IMG_7943.MOV", "photos/squirrel.jpg.xmp", "raw/colorchart.dng"}
    files = [path for path in files if path.relative_to(formats).as_posix() not in companions]
    other = [path for path in files if path.suffix.lower() in {".tsv", ".md"}]
    assert summary.reasons() == {Reason.NOT_PHOTOGRAPH: len(other)}
    assert summary.added == len(files) - len(other) - len(summary.failed)
    assert "heif/iphone-sign.heic" in indexed.ids()


# -- several encoders ----------------------------------------------------------------------------------


def run_with(indexed: IndexedFolders, *tasks: EncodingTask) -> Summary:
    folders = [indexed.catalog.add_root(indexed.photographs)]
    events = update_catalog(indexed.catalog, tasks, folders, IndexOptions(batch_size=2, threads=2))
    (summary,) = [event.summary for event in events if isinstance(event, Finished)]
    return summary


def test_a_photograph_is_decoded_once_for_all_encoders(
    indexed: IndexedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        paint(indexed.photographs / f"{number}.jpg", (number * 60, 90, 10))
    opened: list[object] = []
    real = service.indexing.decoder.open_photograph
    monkeypatch.setattr(
        service.indexing.decoder,
        "open_photograph",
        lambda *args, **options: opened.append(args) or real(*args, **options),
    )
    main, additional = ColourEncoder(own_features=True), ColourEncoder(fingerprint="b", own_features=True, dimension=6)
    assert counts(run_with(indexed, EncodingTask.main(main), EncodingTask.additional(additional))) == {"added": 3}
    assert count_vectors(indexed.catalog) == {"colours": 3, "colours.features": 3, "b.features": 3}
    assert (main.encoded, additional.encoded, len(opened)) == (3, 3, 3)


def test_only_encoders_whose_vectors_are_missing_encode(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    main, additional = ColourEncoder(own_features=True), ColourEncoder(fingerprint="b")
    run_with(indexed, EncodingTask.main(main))
    paint(indexed.photographs / "b.jpg", "blue")
    both = (EncodingTask.main(main), EncodingTask.additional(additional))
    assert counts(run_with(indexed, *both)) == {"added": 1, "changed": 1}
    assert (main.encoded, additional.encoded) == (2, 2)
    assert counts(run_with(indexed, *both)) == {"unchanged": 2}
    assert count_vectors(indexed.catalog) == {"colours": 2, "colours.features": 2, "b": 2}


def test_unchanged_photographs_get_features_only_if_these_are_required(indexed: IndexedFolders) -> None:
    paint(indexed.photographs / "a.jpg", "red")
    encoder = ColourEncoder(own_features=True)
    run_with(indexed, EncodingTask.main(encoder))
    with sqlite3.connect(indexed.catalog.file) as connection:
        connection.execute("DELETE FROM vector WHERE fingerprint = 'colours.features'")
    connection.close()
    assert counts(run_with(indexed, EncodingTask.main(encoder))) == {"unchanged": 1}
    assert count_vectors(indexed.catalog) == {"colours": 1}
    assert counts(run_with(indexed, EncodingTask.main(encoder, features_required=True))) == {"changed": 1}
    assert count_vectors(indexed.catalog) == {"colours": 1, "colours.features": 1}
