"""The catalog stores what is written, completely or not at all, for every reader."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.errors import LibraryError, NotFoundError
from service.indexing.ignore import IgnoreRules
from service.store.attributes import attribute_changes
from service.store.catalog import Catalog
from service.store.migrations import MIGRATIONS
from service.store.ratings import Ratings
from service.store.records import Details, Entry, FileInfo, FileUpdate, PhotographFacts, RootOptions
from tests.service.colours import count_vectors

MODEL = "model"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    yield catalog
    catalog.close()


def entry(
    catalog: Catalog, name: str, content: int = 0, identity: int | None = None, of: Sequence[str] = (MODEL,)
) -> Entry:
    root, folder = catalog.add_root(Path("/photographs/all"))
    place = FileInfo(root.id, folder, name, 100, 1_700_000_000_123_456_789)
    vector = np.zeros(4, np.float16)
    vector[content % 4] = 1
    facts = PhotographFacts(place, content.to_bytes(16, "big"), 640, 480, "JPEG")
    return Entry(facts, dict.fromkeys(of, vector), b"thumbnail", identity)


def test_what_is_written_is_read_as_it_was(catalog: Catalog) -> None:
    (identity,) = catalog.write([entry(catalog, "a b.jpg", 1)])
    record = catalog.record(identity)
    assert record.path == Path("/photographs/all/a b.jpg")
    assert record.relative == "a b.jpg"
    assert (record.size, record.modified_ns) == (100, 1_700_000_000_123_456_789)
    assert (record.width, record.height, record.format) == (640, 480, "JPEG")
    assert catalog.vector(identity, MODEL).tolist() == [0, 1, 0, 0]
    assert catalog.vector(identity, MODEL).dtype == np.float32
    assert catalog.thumbnail(identity) == b"thumbnail"
    assert catalog.count() == 1


def test_content_is_still_there_when_the_catalog_is_opened_again(tmp_path: Path) -> None:
    first = Catalog(tmp_path / "catalog.sqlite")
    (identity,) = first.write([entry(first, "a.jpg", 1)])
    first.save_settings(model="mini")
    first.close()
    second = Catalog(tmp_path / "catalog.sqlite")
    assert second.record(identity).name == "a.jpg"
    assert second.setting("model") == "mini"
    assert second.setting("never written") is None
    second.close()


def test_each_change_makes_one_generation(catalog: Catalog) -> None:
    assert catalog.generation() == 0
    ids = catalog.write([entry(catalog, "a.jpg", 1), entry(catalog, "b.jpg", 2)])
    assert catalog.generation() == 1
    catalog.remove(ids[:1])
    assert catalog.generation() == 2
    catalog.save_settings(anything="x")
    catalog.update_files([FileUpdate(ids[1], FileInfo(1, "", "c.jpg", 1, 1), b"2", None, Details())])
    assert catalog.generation() == 3, "it is found by another folder"


def test_the_same_generation_of_two_catalogs_has_different_stamps(catalog: Catalog, tmp_path: Path) -> None:
    other = Catalog(tmp_path / "other.sqlite")
    for each in (catalog, other):
        each.write([entry(each, "a.jpg")])
    assert catalog.generation() == other.generation() == 1
    assert catalog.stamp(0) == other.stamp(0) == ""
    assert catalog.stamp(1) == catalog.stamp(1) != other.stamp(1)
    assert catalog.stamp(2) is None
    other.close()


def test_the_count_is_cached_per_generation_and_never_stale(catalog: Catalog) -> None:
    asked: list[str] = []
    catalog.connection.set_trace_callback(asked.append)
    other = Catalog(catalog.file)
    assert catalog.count() == catalog.count() == 0
    (first,) = other.write([entry(other, "a.jpg")])
    assert catalog.count() == 1
    other.write([entry(other, "b.jpg"), entry(other, "c.jpg")])
    assert catalog.count() == catalog.count() == 3
    other.remove([first])
    assert catalog.count() == 2
    assert sum("COUNT" in each for each in asked) == 4
    other.close()


def test_ids_are_never_used_again(catalog: Catalog) -> None:
    ids = catalog.write([entry(catalog, f"{number}.jpg", number) for number in range(3)])
    catalog.remove(ids)
    assert catalog.write([entry(catalog, "new.jpg", 9)])[0] > max(ids)


def test_removing_deletes_vector_and_thumbnail_too(catalog: Catalog) -> None:
    ids = catalog.write([entry(catalog, "a.jpg", 1), entry(catalog, "b.jpg", 2)])
    assert catalog.remove([ids[0], 999]) == 1
    for ask in (
        lambda: catalog.record(ids[0]), lambda: catalog.vector(ids[0], MODEL), lambda: catalog.thumbnail(ids[0])
    ):  # fmt: skip
        with pytest.raises(NotFoundError, match=f"no photograph {ids[0]} "):
            ask()
    assert count_vectors(catalog) == {MODEL: 1}


@pytest.mark.parametrize("identity", [0, -1, 77, 2**63 - 1, 2**63, 10**30, -(2**63), -(10**30)])
def test_an_unknown_id_is_reported(catalog: Catalog, identity: int) -> None:
    for ask in (catalog.record, catalog.thumbnail, lambda number: catalog.vector(number, MODEL)):
        with pytest.raises(NotFoundError, match="no photograph"):
            ask(identity)


def test_many_records_are_read_at_once(catalog: Catalog) -> None:
    ids = catalog.write([entry(catalog, f"{number}.jpg", number) for number in range(1201)])
    found = catalog.records([*ids, 99_999, 10**30])
    assert set(found) == set(ids)
    assert found[ids[700]].name == "700.jpg"


def test_a_batch_that_fails_writes_nothing(catalog: Catalog) -> None:
    good = entry(catalog, "a.jpg", 1)
    twice = replace(good, facts=replace(good.facts, content_hash=b"other"))
    with pytest.raises(sqlite3.IntegrityError):
        catalog.write([good, twice])
    assert catalog.count() == 0
    assert catalog.generation() == 0
    assert count_vectors(catalog) == {}


def test_new_content_drops_the_vectors_of_every_model(catalog: Catalog) -> None:
    (identity,) = catalog.write([entry(catalog, "a.jpg", 1)])
    catalog.write([entry(catalog, "a.jpg", 1, identity, ["other"])])
    assert count_vectors(catalog) == {MODEL: 1, "other": 1}, "the same content keeps both"
    catalog.write([entry(catalog, "a.jpg", 2, identity, ["other"])])
    assert count_vectors(catalog) == {"other": 1}
    assert catalog.fingerprints_of(identity) == {"other"}


def test_switching_the_model_drops_the_vectors_of_other_models(catalog: Catalog) -> None:
    (identity,) = catalog.write([entry(catalog, "a.jpg", 1)])
    catalog.write([entry(catalog, "a.jpg", 1, identity, ["other"])])
    catalog.switch_model("new model", "other")
    assert count_vectors(catalog) == {"other": 1}
    assert (catalog.setting("model"), catalog.setting("fingerprint")) == ("new model", "other")


def test_names_of_folders_are_not_patterns(catalog: Catalog) -> None:
    """Case, percent signs and underscores are part of a name."""
    root, _ = catalog.add_root(Path("/r"))
    folders = ["Trip", "Trip/x", "trip/x", "Trip2/x", "tr%/x", "tr_p/x", "", "Тест/x", "тест/x", "it's/x"]
    for number, folder in enumerate(folders):
        facts = PhotographFacts(FileInfo(root.id, folder, "a.jpg", 1, 1), bytes([number]), 9, 9, "JPEG")
        catalog.write([Entry(facts, {MODEL: np.zeros(4, np.float16)}, b"")])

    def under(folder: str) -> list[str]:
        return [found for _, found in catalog.photographs_under(root.id, folder)]

    assert under("Trip") == ["Trip", "Trip/x"]
    assert under("tr%") == ["tr%/x"]
    assert under("tr_p") == ["tr_p/x"]
    assert under("Тест") == ["Тест/x"]
    assert under("it's") == ["it's/x"]
    assert len(under("")) == len(folders)


# -- roots ---------------------------------------------------------------------------------------------


def test_a_root_is_added_once(catalog: Catalog) -> None:
    first, _ = catalog.add_root(Path("/a/b"))
    again, below = catalog.add_root(Path("/a/b"))
    assert (first, below) == (again, "")
    assert catalog.roots() == [first]


def test_a_folder_inside_a_root_belongs_to_it(catalog: Catalog) -> None:
    outer, _ = catalog.add_root(Path("/a"))
    assert catalog.add_root(Path("/a/b c/d")) == (outer, "b c/d")


def test_a_new_root_takes_over_the_photographs_of_roots_inside_it(catalog: Catalog) -> None:
    for root in ("/a/one", "/a/two/deep", "/ab"):
        known, _ = catalog.add_root(Path(root))
        for folder in ("", "x"):
            facts = PhotographFacts(FileInfo(known.id, folder, "p.jpg", 1, 1), root.encode(), 9, 9, "JPEG")
            catalog.write([Entry(facts, {MODEL: np.zeros(4, np.float16)}, b"")])
    outer, _ = catalog.add_root(Path("/a"))
    assert {root.path for root in catalog.roots()} == {Path("/a"), Path("/ab")}
    records = catalog.records(list(range(1, 10))).values()
    assert {record.path for record in records} == {
        Path(root) / name for root in ("/a/one", "/a/two/deep", "/ab") for name in ("p.jpg", "x/p.jpg")
    }
    assert sorted(record.relative for record in records if record.root == outer.path) == [
        "one/p.jpg", "one/x/p.jpg", "two/deep/p.jpg", "two/deep/x/p.jpg"
    ]  # fmt: skip
    _, _, chunks = attribute_changes(catalog, catalog.generation() - 1)
    changed = [(row.root, row.folder) for rows in chunks for row in rows]
    assert changed == [("/a", "one"), ("/a", "one/x"), ("/a", "two/deep"), ("/a", "two/deep/x")]


def test_what_a_root_leaves_out_stays_left_out_when_another_takes_it_over(catalog: Catalog) -> None:
    inner, _ = catalog.add_root(Path("/a/b [c]"))
    catalog.set_root_options(inner.id, RootOptions(exclude=("drafts/", "/raw", "x/*.tmp", "!keep.tmp")))
    outer, _ = catalog.add_root(Path("/a"))
    rules = IgnoreRules.excluding(outer.options.exclude)
    left_out = {"b [c]/drafts", "b [c]/deep/drafts", "b [c]/raw", "b [c]/x/1.tmp"}
    kept = {"drafts", "raw", "b [c]/deep/raw", "x/1.tmp", "b [c]/x/keep.tmp"}
    assert {path for path in left_out | kept if rules.reason(path, is_folder="." not in path)} == left_out
    assert catalog.roots() == [outer]


# -- readers and writers -------------------------------------------------------------------------------


def test_a_reader_sees_the_last_committed_generation_while_another_writes(catalog: Catalog) -> None:
    catalog.write([entry(catalog, "a.jpg", 1)])
    reader = Catalog(catalog.file)
    with catalog.change() as (connection, generation):
        connection.execute("DELETE FROM photograph")
        assert generation == 2
        assert (reader.count(), reader.generation()) == (1, 1)
    assert (reader.count(), reader.generation()) == (0, 2)
    reader.close()


def test_changes_are_one_snapshot_even_if_another_writes_meanwhile(catalog: Catalog) -> None:
    catalog.write([entry(catalog, f"{number}.jpg", number) for number in range(4)])
    generation, _, chunks = catalog.changes([MODEL], 0, chunk=2)
    first, _ = next(chunks)
    catalog.write([entry(catalog, "late.jpg", 9)])
    rest = [identity for ids, _ in chunks for identity in ids.tolist()]
    assert generation == 1
    assert len(first) + len(rest) == 4


def test_many_threads_may_read(catalog: Catalog) -> None:
    ids = catalog.write([entry(catalog, f"{number}.jpg", number) for number in range(20)])
    found: list[str] = []

    def read() -> None:
        for identity in ids:
            found.append(catalog.record(identity).name)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160


# -- invalid and older files --------------------------------------------------------------------------


def test_a_catalog_of_a_newer_smysl_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    Catalog(file).close()
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(LibraryError, match="newer smysl") as refusal:
        Catalog(file)
    assert "Upgrade smysl" in refusal.value.message
    assert str(file) in refusal.value.message


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_older_catalog_is_migrated_with_its_content(tmp_path: Path, version: int) -> None:
    file = tmp_path / "catalog.sqlite"
    connection = sqlite3.connect(file)
    for migration in MIGRATIONS[:version]:
        connection.executescript(migration)
    connection.execute("UPDATE setting SET value = '3' WHERE key = 'generation'")
    connection.execute("INSERT INTO history VALUES (3, 'a stamp')")
    connection.execute("INSERT INTO setting VALUES ('model', 'mini')")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()
    catalog = Catalog(file)
    assert catalog.setting("model") == "mini"
    assert catalog.generation() == 3
    assert catalog.stamp(3) == "a stamp"
    catalog.write([entry(catalog, "a.jpg")])
    catalog.close()


def test_a_migration_that_fails_leaves_the_catalog_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "catalog.sqlite"
    make_rated(file)
    with monkeypatch.context() as patched:
        broken = (*MIGRATIONS[:3], f"{MIGRATIONS[3]}; DROP TABLE nothing")
        patched.setattr("service.store.database.MIGRATIONS", broken)
        with pytest.raises(LibraryError, match="nothing was lost"):
            Catalog(file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        assert connection.execute("SELECT value FROM rating").fetchall() == [(4,)]
        assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 'tombstone'").fetchall() == []
    assert_rated(file)


def test_many_threads_can_migrate_a_catalog(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    make_rated(file)
    open_in_threads(file)
    assert_rated(file)


def make_rated(file: Path) -> None:
    """A catalog of version 0.1.0 with one rating."""
    with closing(sqlite3.connect(file)) as connection:
        for migration in MIGRATIONS[:3]:
            connection.executescript(migration)
        connection.executescript(
            """
            INSERT INTO root (path) VALUES ('/photographs');
            INSERT INTO photograph VALUES (7, 1, '', 'a.png', 10, 1, x'01', 48, 32, 'PNG');
            INSERT INTO rating VALUES (3, 7, 'a flower', 'expert', 4, 'me', 1700000000);
            PRAGMA user_version = 3;
            """
        )


def assert_rated(file: Path) -> None:
    catalog = Catalog(file)
    assert [rating.grade for rating in Ratings(catalog).select()] == [4]
    catalog.close()


def test_many_threads_can_open_a_new_catalog(tmp_path: Path) -> None:
    open_in_threads(tmp_path / "catalog.sqlite")


def open_in_threads(file: Path) -> None:
    failures: list[BaseException] = []

    def make() -> None:
        try:
            Catalog(file).close()
        except LibraryError as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("content", [b"This is a diary, not a database. " * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused_and_left_unchanged(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "catalog.sqlite"
    file.write_bytes(content)
    with pytest.raises(LibraryError, match="is not a catalog that can be read") as refusal:
        Catalog(file)
    assert "Restore it" in refusal.value.message
    assert file.read_bytes() == content


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").mkdir()
    with pytest.raises(LibraryError, match="cannot be opened"):
        Catalog(tmp_path / "catalog.sqlite")


def test_a_locked_catalog_is_reported_after_a_while(catalog: Catalog) -> None:
    catalog.connection.execute("PRAGMA busy_timeout = 50")
    holder = sqlite3.connect(catalog.file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LibraryError, match=r"cannot be written .*; nothing was lost"):
        catalog.save_settings(model="x")
    holder.execute("ROLLBACK")
    holder.close()
    catalog.save_settings(model="x")
    assert catalog.setting("model") == "x"


# -- several vectors of one photograph -----------------------------------------------------------------

BOTH = ["features", MODEL]


def read(catalog: Catalog, fingerprints: Sequence[str], since: int = 0) -> dict[int, list[list[float]]]:
    _, _, chunks = catalog.changes(fingerprints, since, chunk=2)
    return {
        int(identity): [vector.tolist() for vector in vectors]
        for ids, columns in chunks
        for identity, *vectors in zip(ids, *columns, strict=True)
    }


def test_vectors_of_several_fingerprints_are_read_together(catalog: Catalog) -> None:
    whole = replace(
        entry(catalog, "a.jpg", 1), vectors={MODEL: np.ones(4, np.float16), "features": np.zeros(4, np.float16)}
    )
    ids = catalog.write([whole, entry(catalog, "b.jpg", 2), entry(catalog, "c.jpg", 3, of=BOTH)])
    assert read(catalog, [MODEL, "features"]) == {
        ids[0]: [[1] * 4, [0] * 4],
        ids[2]: [[0, 0, 0, 1], [0, 0, 0, 1]],
    }
    assert read(catalog, ["features", MODEL])[ids[0]] == [[0] * 4, [1] * 4], "in the order asked for"
    assert catalog.count_with_vectors([MODEL]) == 3
    assert catalog.count_with_vectors(BOTH) == 2


@pytest.mark.parametrize("late", BOTH)
def test_a_photograph_has_changed_for_a_reader_of_several_vectors_if_any_has(catalog: Catalog, late: str) -> None:
    ids = catalog.write([entry(catalog, f"{number}.jpg", number, of=BOTH) for number in range(3)])
    assert read(catalog, BOTH, catalog.generation()) == {}
    catalog.write([entry(catalog, "1.jpg", 1, ids[1], of=[late])])
    assert set(read(catalog, BOTH, 1)) == {ids[1]}


def test_a_photograph_is_complete_with_a_vector_of_each_fingerprint(catalog: Catalog) -> None:
    catalog.write([entry(catalog, "a.jpg", 1, of=BOTH), entry(catalog, "b.jpg", 2)])
    root = catalog.roots()[0].id

    def complete(*fingerprints: str) -> set[str]:
        return {name for name, known in catalog.files_in(root, "", fingerprints).items() if known.complete}

    assert complete() == complete(MODEL) == {"a.jpg", "b.jpg"}
    assert complete(*BOTH) == {"a.jpg"}
    assert complete("unheard of") == set()


def test_switching_the_model_keeps_the_fingerprints_to_keep(catalog: Catalog) -> None:
    catalog.write([entry(catalog, "a.jpg", 1, of=["old", "new", "new.features", "additional"])])
    catalog.switch_model("new model", "new", {"new.features", "additional"}, features="new.features")
    assert count_vectors(catalog) == {"new": 1, "new.features": 1, "additional": 1}
    assert (catalog.setting("model"), catalog.setting("features")) == ("new model", "new.features")


def test_deleting_vectors_creates_a_generation(catalog: Catalog) -> None:
    catalog.write([entry(catalog, "a.jpg", 1, of=BOTH)])
    assert catalog.vectors_dropped_at() == 0
    catalog.drop_vectors("features", additional_models="[]")
    assert count_vectors(catalog) == {MODEL: 1}
    assert catalog.vectors_dropped_at() == catalog.generation() == 2
    assert catalog.setting("additional_models") == "[]"
