"""What an index run does with what it finds on a disk.

The catalog and the files are real; the tower is one whose vectors can be foretold and that counts what
it encodes.
"""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import service.indexing.decoder
from service.indexing.decoder import EncodingTask, Failure
from service.indexing.indexer import Advanced, Event, Finished, Scanned, Summary, update_catalog
from service.indexing.walk import LINKS, OTHER, UNSUPPORTED
from service.store.catalog import Catalog
from service.types import Float32Array
from tests.service.colours import ColourEncoder, paint, vectors_of


class Shelf:
    """A catalog, and index runs over folders of photographs."""

    def __init__(self, folder: Path) -> None:
        self.photographs = folder / "photographs"
        self.photographs.mkdir()
        self.catalog = Catalog(folder / "catalog.sqlite")
        self.tower = ColourEncoder()

    def events(self, *folders: Path, prune: bool = False, batch_size: int = 2) -> Iterator[Event]:
        places = [self.catalog.add_root(folder) for folder in folders or (self.photographs,)]
        tasks = [EncodingTask.main(self.tower)]
        yield from update_catalog(self.catalog, tasks, places, prune=prune, batch_size=batch_size, threads=2)

    def index(self, *folders: Path, prune: bool = False) -> Summary:
        summary = [event.summary for event in self.events(*folders, prune=prune) if isinstance(event, Finished)]
        assert self.orphans() == (0, 0)
        return summary[0]

    def ids(self) -> dict[str, int]:
        """Id of each photograph by its path below its root."""
        records = self.catalog.records(list(range(1, 1000)))
        return {record.relative: record.id for record in records.values()}

    def orphans(self) -> tuple[int, int]:
        """How many rows have no vector, and how many vectors no row."""
        connection = sqlite3.connect(self.catalog.file)
        try:
            rows = "SELECT COUNT(*) FROM photograph WHERE id NOT IN (SELECT photograph_id FROM vector)"
            vectors = "SELECT COUNT(*) FROM vector WHERE photograph_id NOT IN (SELECT id FROM photograph)"
            return connection.execute(rows).fetchone()[0], connection.execute(vectors).fetchone()[0]
        finally:
            connection.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path.resolve())
    yield shelf
    shelf.catalog.close()


def counts(summary: Summary) -> dict[str, int]:
    """What is not zero in a summary."""
    names = ("added", "changed", "moved", "unchanged", "removed", "missing")
    facts = {name: getattr(summary, name) for name in names} | {"failed": len(summary.failed)}
    return {name: count for name, count in facts.items() if count}


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> bytes:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(service.indexing.decoder, "read_file", read)


# -- what is new, what is not --------------------------------------------------------------------------


def test_photographs_are_added_with_facts_vector_and_thumbnail(shelf: Shelf) -> None:
    paint(shelf.photographs / "a.png", "red", (60, 40))
    paint(shelf.photographs / "deep" / "er" / "b.jpg", "blue")
    assert counts(shelf.index()) == {"added": 2}
    ids = shelf.ids()
    record = shelf.catalog.record(ids["a.png"])
    assert (record.width, record.height, record.format) == (60, 40, "PNG")
    assert record.path == shelf.photographs / "a.png"
    vector = shelf.catalog.vector(ids["a.png"], "colours")
    assert np.allclose(vector, [1, 0, 0, 1 / 255], atol=0.01)
    assert shelf.catalog.thumbnail(ids["deep/er/b.jpg"]).startswith(b"\xff\xd8")


def test_thumbnails_in_the_catalog_have_no_metadata(shelf: Shelf) -> None:
    exif = Image.Exif()
    exif[0x010E] = "Unter den Linden 1"
    file = shelf.photographs / "a.jpg"
    Image.new("RGB", (224, 224)).save(file, exif=exif, comment=b"Unter den Linden 1", xmp=b"Unter den Linden 1")
    assert file.read_bytes().count(b"Linden") == 3
    shelf.index()
    thumbnail = shelf.catalog.thumbnail(shelf.ids()["a.jpg"])
    assert b"Linden" not in thumbnail
    with Image.open(io.BytesIO(thumbnail)) as image:
        assert not image.getexif()
        assert not {"comment", "xmp", "exif", "icc_profile"} & set(image.info)


def test_an_unchanged_photograph_is_not_even_opened(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    generation = shelf.catalog.generation()
    forbid_reading(monkeypatch)
    assert counts(shelf.index()) == {"unchanged": 1}
    assert shelf.catalog.generation() == generation


def test_a_touched_photograph_is_read_but_not_encoded(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    file = paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    os.utime(file, ns=(1, 1))
    assert counts(shelf.index()) == {"unchanged": 1}
    assert shelf.tower.encoded == 1
    forbid_reading(monkeypatch)
    assert counts(shelf.index()) == {"unchanged": 1}, "the new time is remembered"


def test_changed_content_is_encoded_again_under_the_same_id(shelf: Shelf) -> None:
    file = paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    before = shelf.ids()
    thumbnail = shelf.catalog.thumbnail(before["a.jpg"])
    paint(file, "blue", (64, 64))
    assert counts(shelf.index()) == {"changed": 1}
    assert shelf.ids() == before
    assert shelf.catalog.vector(before["a.jpg"], "colours")[2] > 0.9
    assert shelf.catalog.record(before["a.jpg"]).width == 64
    assert shelf.catalog.thumbnail(before["a.jpg"]) != thumbnail


def test_content_of_the_same_size_and_another_time_is_compared(shelf: Shelf) -> None:
    file = paint(shelf.photographs / "a.bmp", "red")
    shelf.index()
    size = file.stat().st_size
    paint(file, "blue")
    os.utime(file, ns=(5, 5))
    assert file.stat().st_size == size
    assert counts(shelf.index()) == {"changed": 1}


def test_a_photograph_that_breaks_keeps_its_row_and_is_named(shelf: Shelf) -> None:
    file = paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    file.write_bytes(b"no longer a photograph")
    summary = shelf.index(prune=True)
    assert counts(summary) == {"failed": 1}
    assert summary.failed[0].path == str(file)
    assert "not a photograph" in summary.failed[0].reason
    assert shelf.catalog.count() == 1


def test_another_model_encodes_what_is_unchanged_for_the_first(shelf: Shelf) -> None:
    paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    shelf.tower = ColourEncoder(fingerprint="other")
    assert counts(shelf.index()) == {"changed": 1}
    assert counts(shelf.index()) == {"unchanged": 1}
    assert vectors_of(shelf.catalog) == {"colours": 1, "other": 1}


# -- moves and copies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["renamed.jpg", "elsewhere/a.jpg", "elsewhere/renamed.JPG"])
def test_a_moved_or_renamed_photograph_keeps_its_id_and_is_not_encoded(shelf: Shelf, target: str) -> None:
    file = paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    (identity,) = shelf.ids().values()
    (shelf.photographs / target).parent.mkdir(exist_ok=True)
    file.rename(shelf.photographs / target)
    assert counts(shelf.index(prune=True)) == {"moved": 1}
    assert shelf.ids() == {target: identity}
    assert shelf.tower.encoded == 1


def test_a_photograph_may_move_from_one_root_to_another(shelf: Shelf, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "other"
    other.mkdir()
    file = paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    (identity,) = shelf.ids().values()
    shutil.move(file, other / "a.jpg")
    assert counts(shelf.index(other)) == {"moved": 1}
    assert shelf.catalog.record(identity).path == other / "a.jpg"


def test_a_copy_is_a_photograph_of_its_own(shelf: Shelf) -> None:
    file = paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    shutil.copy(file, shelf.photographs / "b.jpg")
    assert counts(shelf.index()) == {"added": 1, "unchanged": 1}
    assert len(shelf.ids()) == 2


def test_one_that_vanished_and_two_copies_of_it_make_one_move(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where two threads look for the original at the same moment."""
    both = threading.Barrier(2, timeout=30)
    real = service.indexing.decoder.is_gone

    def together(path: Path) -> bool:
        gone = real(path)
        both.wait()
        return gone

    monkeypatch.setattr(service.indexing.decoder, "is_gone", together)
    file = paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    (identity,) = shelf.ids().values()
    shutil.copy(file, shelf.photographs / "b.jpg")
    file.rename(shelf.photographs / "c.jpg")
    assert counts(shelf.index(prune=True)) == {"moved": 1, "added": 1}
    assert identity in shelf.ids().values()
    assert set(shelf.ids()) == {"b.jpg", "c.jpg"}


def test_two_photographs_that_change_places_are_each_what_they_show(shelf: Shelf) -> None:
    a, b = paint(shelf.photographs / "a.jpg", "red"), paint(shelf.photographs / "b.jpg", "blue")
    shelf.index()
    ids = shelf.ids()
    a.rename(shelf.photographs / "c.jpg")
    b.rename(a)
    (shelf.photographs / "c.jpg").rename(b)
    os.utime(a, ns=(1, 1))
    os.utime(b, ns=(2, 2))
    shelf.index()
    assert shelf.ids() == ids
    assert shelf.catalog.vector(ids["a.jpg"], "colours")[2] > 0.9
    assert shelf.catalog.vector(ids["b.jpg"], "colours")[0] > 0.9


@pytest.mark.parametrize("link_folder", [False, True])
def test_a_link_left_behind_is_not_the_photograph(shelf: Shelf, link_folder: bool) -> None:
    file = paint(shelf.photographs / "old" / "a.jpg", "red")
    shelf.index()
    (identity,) = shelf.ids().values()
    file.parent.rename(shelf.photographs / "new")
    if link_folder:
        file.parent.symlink_to(shelf.photographs / "new")
    else:
        file.parent.mkdir()
        file.symlink_to(shelf.photographs / "new" / "a.jpg")
    assert counts(shelf.index(prune=True)) == {"moved": 1}
    assert shelf.ids() == {"new/a.jpg": identity}


def test_a_move_is_followed_although_the_model_is_another(shelf: Shelf) -> None:
    file = paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    (identity,) = shelf.ids().values()
    file.rename(shelf.photographs / "b.jpg")
    shelf.tower = ColourEncoder(fingerprint="other")
    shelf.index()
    assert shelf.ids() == {"b.jpg": identity}
    assert "other" in shelf.catalog.fingerprints_of(identity)


def test_a_place_that_may_not_be_looked_at_is_no_place_left(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without permission nobody can say that the original is gone, so the file is a copy; and the run goes on."""
    file = paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    shutil.copy(file, shelf.photographs / "b.jpg")
    real = os.stat, os.lstat

    def refuse(path: object, **settings: object) -> os.stat_result:
        if str(path) == str(file):
            raise PermissionError(13, "Permission denied", str(path))
        return real[bool(settings.get("follow_symlinks") is False)](path)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(os, "lstat", refuse)
    assert counts(shelf.index()) == {"added": 1, "unchanged": 1}


# -- what is gone --------------------------------------------------------------------------------------


def test_missing_photographs_are_counted_and_kept(shelf: Shelf) -> None:
    paint(shelf.photographs / "a.jpg", "red")
    paint(shelf.photographs / "b.jpg", "blue")
    shelf.index()
    (shelf.photographs / "b.jpg").unlink()
    assert counts(shelf.index()) == {"unchanged": 1, "missing": 1}
    assert shelf.catalog.count() == 2


def test_prune_takes_missing_photographs_out(shelf: Shelf) -> None:
    paint(shelf.photographs / "a.jpg", "red")
    paint(shelf.photographs / "trip" / "b.jpg", "blue")
    shelf.index()
    ids = shelf.ids()
    shutil.rmtree(shelf.photographs / "trip")
    assert counts(shelf.index(prune=True)) == {"unchanged": 1, "removed": 1}
    assert set(shelf.ids()) == {"a.jpg"}
    paint(shelf.photographs / "c.jpg", "green")
    shelf.index()
    assert shelf.ids()["c.jpg"] > max(ids.values()), "ids are never used again"


def test_prune_of_a_folder_leaves_its_neighbours_alone(shelf: Shelf) -> None:
    """Names that differ in case, or that look like patterns to a database, are other folders."""
    kept = ["trip/x/a.jpg", "TRIP/x/b.jpg", "tripx/x/c.jpg", "tr_p/x/d.jpg", "tr%/x/e.jpg", "Trip2/f.jpg"]
    for number, name in enumerate(kept):
        paint(shelf.photographs / name, (number * 30, 0, 200))
    paint(shelf.photographs / "Trip" / "x" / "gone.jpg", "red")
    if len(list(shelf.photographs.iterdir())) < 7:
        pytest.skip("this disk takes Trip and trip for one name")
    shelf.index()
    (shelf.photographs / "Trip" / "x" / "gone.jpg").unlink()
    for folder in ("Trip", "tr_p", "tr%"):
        shelf.index(shelf.photographs / folder, prune=True)
    assert set(shelf.ids()) == set(kept)


def test_a_root_that_is_gone_is_not_pruned(shelf: Shelf) -> None:
    paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    shelf.photographs.rename(shelf.photographs.with_name("unplugged"))
    summary = shelf.index(prune=True)
    assert counts(summary) == {"failed": 1}
    assert "folder cannot be read" in summary.failed[0].reason
    assert shelf.catalog.count() == 1


def test_a_folder_that_cannot_be_read_is_not_pruned(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(shelf.photographs / "shut" / "deep" / "a.jpg", "red")
    paint(shelf.photographs / "shut2" / "b.jpg", "blue")
    shelf.index()
    (shelf.photographs / "shut2" / "b.jpg").unlink()
    real = os.scandir

    def refuse(folder: Path) -> object:
        if Path(folder).name == "shut":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    summary = shelf.index(prune=True)
    assert counts(summary) == {"removed": 1, "failed": 1}
    assert summary.failed == [Failure(str(shelf.photographs / "shut"), "the folder cannot be read (Permission denied)")]
    assert set(shelf.ids()) == {"shut/deep/a.jpg"}


def test_a_file_where_a_root_was_prunes_nothing(shelf: Shelf) -> None:
    paint(shelf.photographs / "a.jpg", "red")
    shelf.index()
    shutil.rmtree(shelf.photographs)
    shelf.photographs.write_bytes(b"")
    assert counts(shelf.index(prune=True)) == {"failed": 1}
    assert shelf.catalog.count() == 1


# -- links, hidden files, pipes, names -----------------------------------------------------------------


def test_links_are_counted_and_not_followed(shelf: Shelf, tmp_path: Path) -> None:
    outside = paint(tmp_path / "outside" / "x.jpg", "red")
    paint(shelf.photographs / "a.jpg", "blue")
    (shelf.photographs / "file.jpg").symlink_to(outside)
    (shelf.photographs / "folder").symlink_to(outside.parent)
    (shelf.photographs / "loop").symlink_to(shelf.photographs)
    (shelf.photographs / "self.jpg").symlink_to("self.jpg")
    (shelf.photographs / "dangling.jpg").symlink_to("nowhere.jpg")
    summary = shelf.index()
    assert counts(summary) == {"added": 1}
    assert summary.skipped[LINKS] == 5


def test_hidden_files_and_folders_are_left_alone(shelf: Shelf) -> None:
    paint(shelf.photographs / ".hidden.jpg", "red")
    paint(shelf.photographs / ".thumbnails" / "a.jpg", "red")
    paint(shelf.photographs / "seen.jpg", "red")
    summary = shelf.index()
    assert counts(summary) == {"added": 1}
    assert not summary.skipped


def test_files_of_other_kinds_are_counted(shelf: Shelf) -> None:
    for name in ("notes.txt", "movie.mov", "raw.dng", "RAW.NEF", "picture.jxl", "a.jpg.xmp", "noending"):
        (shelf.photographs / name).write_bytes(b"x")
    summary = shelf.index()
    assert counts(summary) == {}
    assert summary.skipped == {OTHER: 4, UNSUPPORTED: 3}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_named_like_a_photograph_does_not_hold_the_run_up(shelf: Shelf) -> None:
    os.mkfifo(shelf.photographs / "pipe.jpg")
    paint(shelf.photographs / "a.jpg", "red")
    summary = shelf.index()
    assert counts(summary) == {"added": 1}
    assert summary.skipped[OTHER] == 1


def test_a_folder_named_like_a_photograph_is_a_folder(shelf: Shelf) -> None:
    paint(shelf.photographs / "trip.jpg" / "a.jpg", "red")
    shelf.index()
    assert set(shelf.ids()) == {"trip.jpg/a.jpg"}


NAMES = [
    "with spaces.jpg", "Тауэрский мост.jpg", "dog 🐶.jpg", "it's \"quoted\".jpg", "100%_sure.jpg", "a;DROP TABLE.jpg",
    "new\nline.jpg", "tab\t.jpg", "back\\slash.jpg", "\u00e9.jpg", "e\u0301.jpg", "[bold]x[/bold].jpg",
    "-k.jpg", "#?&=.jpg",
]  # fmt: skip


def test_names_of_every_kind_are_kept_as_they_are(shelf: Shelf) -> None:
    for number, name in enumerate(NAMES):
        paint(shelf.photographs / f"in {name}" / name, (number, 0, 100))
    assert counts(shelf.index()) == {"added": len(NAMES)}
    assert set(shelf.ids()) == {f"in {name}/{name}" for name in NAMES}
    assert counts(shelf.index(prune=True)) == {"unchanged": len(NAMES)}
    shutil.rmtree(shelf.photographs / f"in {NAMES[4]}")
    assert counts(shelf.index(prune=True)) == {"unchanged": len(NAMES) - 1, "removed": 1}


def test_a_name_that_is_no_utf8_is_named_and_stops_nothing(shelf: Shelf) -> None:
    bad = os.fsencode(shelf.photographs) + b"/caf\xe9.jpg"
    try:
        Path(os.fsdecode(bad)).write_bytes(paint(shelf.photographs / "a.jpg", "red").read_bytes())
    except OSError:
        pytest.skip("this disk takes no such names")
    summary = shelf.index()
    assert counts(summary) == {"added": 1, "failed": 1}
    assert summary.failed == [Failure(f"{shelf.photographs}/caf\ufffd.jpg", "its name is not valid UTF-8")]


# -- roots inside each other ---------------------------------------------------------------------------


def test_an_inner_folder_after_an_outer_one_adds_nothing(shelf: Shelf) -> None:
    paint(shelf.photographs / "inner" / "a.jpg", "red")
    paint(shelf.photographs / "b.jpg", "blue")
    shelf.index()
    assert counts(shelf.index(shelf.photographs / "inner")) == {"unchanged": 1}
    assert [root.path for root in shelf.catalog.roots()] == [shelf.photographs]


def test_an_outer_folder_after_an_inner_one_takes_its_photographs_over(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = paint(shelf.photographs / "one" / "deep" / "a.jpg", "red")
    two = paint(shelf.photographs / "two" / "b.jpg", "blue")
    shelf.index(one.parent.parent, two.parent)
    before = set(shelf.ids().values())
    forbid_reading(monkeypatch)
    assert counts(shelf.index(prune=True)) == {"unchanged": 2}
    assert set(shelf.ids()) == {"one/deep/a.jpg", "two/b.jpg"}
    assert set(shelf.ids().values()) == before
    assert [root.path for root in shelf.catalog.roots()] == [shelf.photographs]


def test_a_root_whose_name_begins_like_another_is_beside_it(shelf: Shelf) -> None:
    paint(shelf.photographs / "2024" / "a.jpg", "red")
    paint(shelf.photographs / "2024-summer" / "b.jpg", "blue")
    shelf.index(shelf.photographs / "2024")
    assert counts(shelf.index(shelf.photographs / "2024-summer")) == {"added": 1}
    assert len(shelf.catalog.roots()) == 2


# -- the run itself ------------------------------------------------------------------------------------


def test_events_tell_how_far_the_run_is(shelf: Shelf) -> None:
    for number in range(5):
        paint(shelf.photographs / f"{number}.jpg", (number * 40, 0, 90))
    events = list(shelf.events(batch_size=2))
    assert events[0] == Scanned(to_read=5, unchanged=0)
    assert isinstance(events[-1], Finished)
    steps = [event.done for event in events if isinstance(event, Advanced)]
    assert steps == sorted(steps)
    assert steps[-1] == 5


def test_a_run_that_is_stopped_keeps_its_batches_and_goes_on_later(shelf: Shelf) -> None:
    for number in range(8):
        paint(shelf.photographs / f"{number}.jpg", (number * 30, 0, 90))
    events = shelf.events(batch_size=2)
    assert next(event for event in events if isinstance(event, Advanced)).done == 2
    events.close()  # type: ignore[attr-defined]
    kept = shelf.catalog.count()
    assert kept >= 2
    assert kept == shelf.tower.encoded, "what the tower has made is not thrown away"
    assert shelf.orphans() == (0, 0)
    assert counts(shelf.index()) == {key: count for key, count in (("added", 8 - kept), ("unchanged", kept)) if count}
    assert shelf.tower.encoded == 8


def test_an_interrupt_while_the_tower_works_leaves_whole_batches(shelf: Shelf) -> None:
    for number in range(6):
        paint(shelf.photographs / f"{number}.jpg", (number * 30, 0, 90))
    real = shelf.tower.encode_prepared

    def interrupted(prepared: list[Float32Array]) -> Float32Array:
        if shelf.tower.encoded >= 2:
            raise KeyboardInterrupt
        return real(prepared)

    shelf.tower.encode_prepared = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        list(shelf.events(batch_size=2))
    assert shelf.catalog.count() == 2
    assert shelf.orphans() == (0, 0)


def test_every_file_of_the_collection_is_indexed_skipped_or_named(shelf: Shelf, shared_data: Path) -> None:
    formats = shared_data / "formats"
    summary = shelf.index(formats.resolve())
    assert {Path(failure.path).relative_to(formats.resolve()).as_posix() for failure in summary.failed} == {
        "jpeg/digikam-unicode.jpg", "other/multipage.tiff", "broken/text.jpg", "broken/truncated.jpg",
        "broken/zero-bytes.jpg", "png/bomb-30000x30000.png",
    }  # fmt: skip
    assert all(failure.reason for failure in summary.failed)
    files = [path for path in formats.rglob("*") if path.is_file()]
    other = [path for path in files if path.suffix.lower() in {".mov", ".xmp", ".tsv", ".md"}]
    raw = [path for path in files if path.suffix.lower() in {".dng", ".nef", ".rw2", ".arw", ".cr3", ".jxl"}]
    assert summary.skipped == {OTHER: len(other), UNSUPPORTED: len(raw)}
    assert summary.added == len(files) - len(other) - len(raw) - len(summary.failed)
    assert "heif/iphone-sign.heic" in shelf.ids()


# -- several towers ------------------------------------------------------------------------------------


def run_with(shelf: Shelf, *tasks: EncodingTask) -> Summary:
    folders = [shelf.catalog.add_root(shelf.photographs)]
    events = update_catalog(shelf.catalog, tasks, folders, prune=False, batch_size=2, threads=2)
    (summary,) = [event.summary for event in events if isinstance(event, Finished)]
    return summary


def test_a_photograph_is_decoded_once_for_all_towers(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        paint(shelf.photographs / f"{number}.jpg", (number * 60, 90, 10))
    opened: list[object] = []
    real = service.indexing.decoder.open_photograph
    monkeypatch.setattr(
        service.indexing.decoder, "open_photograph", lambda *given, **more: opened.append(given) or real(*given, **more)
    )
    main, additional = ColourEncoder(own_features=True), ColourEncoder(fingerprint="b", own_features=True, dimension=6)
    assert counts(run_with(shelf, EncodingTask.main(main), EncodingTask.additional(additional))) == {"added": 3}
    assert vectors_of(shelf.catalog) == {"colours": 3, "colours.features": 3, "b.features": 3}
    assert (main.encoded, additional.encoded, len(opened)) == (3, 3, 3)


def test_only_the_tower_whose_vectors_are_missing_works(shelf: Shelf) -> None:
    paint(shelf.photographs / "a.jpg", "red")
    main, additional = ColourEncoder(own_features=True), ColourEncoder(fingerprint="b")
    run_with(shelf, EncodingTask.main(main))
    paint(shelf.photographs / "b.jpg", "blue")
    both = (EncodingTask.main(main), EncodingTask.additional(additional))
    assert counts(run_with(shelf, *both)) == {"added": 1, "changed": 1}
    assert (main.encoded, additional.encoded) == (2, 2)
    assert counts(run_with(shelf, *both)) == {"unchanged": 2}
    assert vectors_of(shelf.catalog) == {"colours": 2, "colours.features": 2, "b": 2}


def test_features_are_made_for_what_is_unchanged_only_where_they_are_required(shelf: Shelf) -> None:
    paint(shelf.photographs / "a.jpg", "red")
    tower = ColourEncoder(own_features=True)
    run_with(shelf, EncodingTask.main(tower))
    with sqlite3.connect(shelf.catalog.file) as connection:
        connection.execute("DELETE FROM vector WHERE fingerprint = 'colours.features'")
    connection.close()
    assert counts(run_with(shelf, EncodingTask.main(tower))) == {"unchanged": 1}
    assert vectors_of(shelf.catalog) == {"colours": 1}
    assert counts(run_with(shelf, EncodingTask.main(tower, features_required=True))) == {"changed": 1}
    assert vectors_of(shelf.catalog) == {"colours": 1, "colours.features": 1}
