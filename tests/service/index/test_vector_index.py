"""An index finds what brute force over the catalog's vectors finds, whatever happens to its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import LibraryError
from service.index import VectorIndex
from service.store.catalog import Catalog
from tests.service.index.vector_catalog import DIMENSION, MODEL, Shelf, answers_equal, unit


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.catalog.close()


# -- search --------------------------------------------------------------------------------------------


def test_search_agrees_with_brute_force(shelf: Shelf) -> None:
    shelf.add(300)
    shelf.check(shelf.open())


def test_hits_are_sorted_and_no_more_than_there_are_photographs(shelf: Shelf) -> None:
    shelf.add(3)
    similarities, ids = shelf.open().search(unit(np.ones(DIMENSION, np.float32)), 200)
    assert len(ids) == len(set(ids.tolist())) == 3
    assert (np.diff(similarities) <= 0).all()


def test_an_empty_index_finds_nothing(shelf: Shelf) -> None:
    similarities, ids = shelf.open().search(unit(np.ones(DIMENSION, np.float32)), 5)
    assert len(similarities) == len(ids) == 0


def test_a_vector_finds_itself_with_a_similarity_of_at_most_one(shelf: Shelf) -> None:
    (identity, *_) = shelf.add(50)
    similarities, ids = shelf.open().search(shelf.catalog.vector(identity, MODEL), 1)
    assert ids.tolist() == [identity]
    assert 0.999 < similarities[0] <= 1.0


def test_vectors_of_another_model_are_never_found(shelf: Shelf) -> None:
    shelf.add(10)
    shelf.add(10, "other")
    shelf.check(shelf.open())


def test_candidates_are_the_hits_of_a_search_with_their_vectors(shelf: Shelf) -> None:
    ids = shelf.add(60)
    index = shelf.open()
    shelf.remove(ids[10:30])
    shelf.change(ids[:5])
    index.catch_up(shelf.catalog)
    query = unit(shelf.random.normal(size=DIMENSION))
    for k in (1, 7, 40, 200):
        similarities, found, vectors = index.candidates(query, k)
        wanted, wanted_ids = index.search(query, k)
        assert np.array_equal(similarities, wanted)
        assert np.array_equal(found, wanted_ids)
        assert (vectors.shape, vectors.dtype) == ((len(found), DIMENSION), np.float32)
        stored = np.stack([shelf.truth[int(identity)] for identity in found])
        assert np.array_equal(vectors, stored.astype(np.float32))


def test_candidates_of_a_saved_and_of_an_empty_index(shelf: Shelf) -> None:
    query = unit(np.ones(DIMENSION, np.float32))
    similarities, ids, vectors = shelf.open().candidates(query, 5)
    assert (len(similarities), len(ids), vectors.shape) == (0, 0, (0, DIMENSION))
    index = saved(shelf)
    for fresh, again in zip(index.candidates(query, 50), shelf.open().candidates(query, 50), strict=True):
        assert np.array_equal(fresh, again)


def test_a_sample_is_evenly_spaced_and_always_the_same(shelf: Shelf) -> None:
    shelf.add(100)
    index = shelf.open()
    stored = np.stack([shelf.truth[identity] for identity in sorted(shelf.truth)]).astype(np.float32)
    sample = index.sample(5)
    assert np.array_equal(sample, index.sample(5))
    assert sample == pytest.approx(stored[[0, 24, 49, 74, 99]], abs=1e-6)
    assert index.sample(1000).shape == (100, DIMENSION)
    assert VectorIndex("empty", DIMENSION).sample(5).shape == (0, DIMENSION)


# -- catching up ---------------------------------------------------------------------------------------


def test_an_open_index_sees_what_was_added_changed_and_removed(shelf: Shelf) -> None:
    ids = shelf.add(30)
    index = shelf.open()
    assert not index.catch_up(shelf.catalog), "nothing has changed yet"
    shelf.add(5)
    shelf.change(ids[:4])
    shelf.remove(ids[10:20])
    assert index.catch_up(shelf.catalog)
    shelf.check(index)


@pytest.mark.parametrize("seed", range(6))
def test_catching_up_equals_a_rebuild_after_any_changes(tmp_path: Path, seed: int) -> None:
    shelf = Shelf(tmp_path, seed)
    index = shelf.open()
    for _ in range(25):
        ids = sorted(shelf.truth)
        some = [int(identity) for identity in shelf.random.permutation(ids)[: shelf.random.integers(1, 8)]]
        change = shelf.random.integers(0, 5)
        if change <= 1 or not some:
            shelf.add(int(shelf.random.integers(1, 9)))
        elif change == 2:
            shelf.change(some)
        elif change == 3:
            shelf.remove(some)
        else:
            index.catch_up(shelf.catalog)
        if shelf.random.random() < 0.2:
            index.save(shelf.folder)
            index = shelf.open()
    index.catch_up(shelf.catalog)
    shelf.check(index)
    rebuilt = VectorIndex(MODEL, DIMENSION)
    rebuilt.catch_up(shelf.catalog)
    shelf.check(rebuilt)
    shelf.catalog.close()


def test_a_photograph_written_again_unchanged_is_found_once(shelf: Shelf) -> None:
    one = shelf.entry()
    (identity,) = shelf.catalog.write([one])
    index = shelf.open()
    shelf.catalog.write([replace(one, id=identity)])
    index.catch_up(shelf.catalog)
    assert len(index) == 1


def test_changes_come_in_chunks_of_any_size(shelf: Shelf) -> None:
    shelf.add(10)
    generation, removed, chunks = shelf.catalog.changes([MODEL], 0, chunk=3)
    sizes = [(len(ids), vectors.shape) for ids, (vectors,) in chunks]
    assert sizes == [(3, (3, DIMENSION))] * 3 + [(1, (1, DIMENSION))]
    assert (generation, removed) == (1, [])


def test_a_restored_catalog_is_read_from_the_start(shelf: Shelf, tmp_path: Path) -> None:
    """An older copy of the catalog replaces it while a service runs."""
    other = tmp_path / "older"
    other.mkdir()
    older = Shelf(other, seed=1)
    older.add(4)
    index = shelf.open()
    for _ in range(3):
        shelf.add(2)
    index.catch_up(shelf.catalog)
    index.catch_up(older.catalog)
    older.check(index)
    older.catalog.close()


# -- files ---------------------------------------------------------------------------------------------


def saved(shelf: Shelf) -> VectorIndex:
    ids = shelf.add(40)
    shelf.remove(ids[5:9])
    index = shelf.open()
    index.save(shelf.folder)
    return index


def test_a_saved_index_gives_the_same_hits_without_reading_the_catalogs_vectors(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = saved(shelf)

    def refuse(*_: object) -> None:
        raise AssertionError("the vectors were read again")

    monkeypatch.setattr(shelf.catalog, "changes", refuse)
    answers_equal(shelf.open(), index)


def test_saving_leaves_no_temporary_files_behind(shelf: Shelf) -> None:
    saved(shelf)
    names = {file.name for file in shelf.folder.iterdir()}
    assert {"vectors.json", rows(shelf.folder).name, ids(shelf.folder).name} <= names
    assert not [name for name in names if ".part" in name]


def edit(folder: Path, **changes: object) -> None:
    facts = json.loads((folder / "vectors.json").read_text(encoding="utf-8"))
    (folder / "vectors.json").write_text(json.dumps(facts | changes), encoding="utf-8")


def flip(file: Path, position: float) -> None:
    content = bytearray(file.read_bytes())
    content[int((len(content) - 1) * position)] ^= 0x10
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def rows(folder: Path) -> Path:
    (file,) = folder.glob("vectors-*.rows.npy")
    return file


def ids(folder: Path) -> Path:
    (file,) = folder.glob("vectors-*.ids.npy")
    return file


JSON = "vectors.json"
DAMAGE: dict[str, Callable[[Path], object]] = {
    "first bytes flipped": lambda folder: flip(rows(folder), 0.0),
    "a bit of a vector flipped": lambda folder: flip(rows(folder), 0.5),
    "a bit of an id flipped": lambda folder: flip(ids(folder), 1.0),
    "rows truncated": lambda folder: cut(rows(folder)),
    "rows empty": lambda folder: rows(folder).write_bytes(b""),
    "rows missing": lambda folder: rows(folder).unlink(),
    "a folder instead of rows": lambda folder: (file := rows(folder), file.unlink(), file.mkdir()),
    "manifest missing": lambda folder: (folder / JSON).unlink(),
    "manifest truncated": lambda folder: cut(folder / JSON),
    "manifest of another type": lambda folder: (folder / JSON).write_text("[1]"),
    "manifest not UTF-8": lambda folder: (folder / JSON).write_bytes(b"\xff\xfe\0"),
    "both missing": lambda folder: (rows(folder).unlink(), (folder / JSON).unlink()),
    "another model": lambda folder: edit(folder, fingerprint="other"),
    "another dimension": lambda folder: edit(folder, dimension=8),
    "another version": lambda folder: edit(folder, version=0),
    "a future generation": lambda folder: edit(folder, generation=99),
    "a generation that is text": lambda folder: edit(folder, generation="two"),
    "another checksum": lambda folder: edit(folder, checksum="0" * 32),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_index_is_rebuilt_and_gives_the_same_hits(shelf: Shelf, damage: str) -> None:
    saved(shelf)
    DAMAGE[damage](shelf.folder)
    shelf.check(shelf.open())


def test_a_manifest_that_claims_a_later_generation_hides_no_photograph(shelf: Shelf) -> None:
    """A flipped digit in the manifest must not make the index skip changes."""
    shelf.add(10)
    index = shelf.open()
    index.save(shelf.folder)
    shelf.add(10)
    edit(shelf.folder, generation=2)
    shelf.check(shelf.open())


def test_an_index_of_an_older_generation_catches_up(shelf: Shelf) -> None:
    saved(shelf)
    shelf.change(sorted(shelf.truth)[:5])
    shelf.add(5)
    shelf.check(shelf.open())


def test_an_index_of_another_model_is_not_used(shelf: Shelf) -> None:
    entries = [shelf.entry(fingerprint="other") for _ in range(10)]
    ids = shelf.catalog.write(entries)
    own = [
        replace(entry, id=identity, vectors={MODEL: shelf.vector()})
        for entry, identity in zip(entries, ids, strict=True)
    ]
    shelf.catalog.write(own)
    shelf.truth = {identity: entry.vectors[MODEL] for entry, identity in zip(own, ids, strict=True)}
    VectorIndex.open(shelf.folder, shelf.catalog, "other", DIMENSION).save(shelf.folder)
    shelf.check(shelf.open())


def test_an_index_of_another_catalog_is_not_used(shelf: Shelf, tmp_path: Path) -> None:
    """The catalog was lost and created again; the index left from before names the same model."""
    saved(shelf)
    other = tmp_path / "anew"
    other.mkdir()
    anew = Shelf(other, seed=5)
    for _ in range(4):
        anew.add(10)
    for file in list(shelf.folder.glob("vectors*")):
        file.rename(other / file.name)
    anew.check(anew.open())
    anew.catalog.close()


def test_a_manifest_of_missing_files_is_not_used(shelf: Shelf) -> None:
    saved(shelf)
    older = (shelf.folder / JSON).read_bytes()
    shelf.add(7)
    shelf.open().save(shelf.folder)
    (shelf.folder / JSON).write_bytes(older)
    shelf.check(shelf.open())


def test_a_folder_that_cannot_be_written_to_is_reported(shelf: Shelf) -> None:
    shelf.add(3)
    (shelf.folder / JSON).mkdir()
    with pytest.raises(LibraryError, match=r"index .* cannot be saved"):
        shelf.open().save(shelf.folder)


# -- derived and deleted vectors -----------------------------------------------------------------------


def doubled(catalog: Catalog, since: int) -> Any:
    """Vectors of twice the dimension, of photographs that have both of two vectors."""
    generation, removed, chunks = catalog.changes([MODEL, "other"], since)
    return generation, removed, ((ids, np.concatenate([one, other], axis=1) / 2**0.5) for ids, (one, other) in chunks)


def test_an_index_may_be_derived_from_several_vectors(shelf: Shelf) -> None:
    ids = shelf.add(20)
    entries = [shelf.entry(identity, "other") for identity in ids[:12]]
    for entry, identity in zip(entries, ids, strict=False):
        facts = replace(entry.facts, content_hash=content_of(shelf.catalog, identity))
        shelf.catalog.write([replace(entry, facts=facts)])
    index = VectorIndex.open(shelf.folder, shelf.catalog, "doubled", 2 * DIMENSION, doubled)
    assert len(index) == 12
    index.save(shelf.folder)
    shelf.remove(ids[:3])
    again = VectorIndex.open(shelf.folder, shelf.catalog, "doubled", 2 * DIMENSION, doubled)
    assert len(again) == 9
    wanted = np.concatenate([shelf.catalog.vector(ids[5], name) for name in (MODEL, "other")]) / np.float32(2**0.5)
    assert again.search(wanted, 1)[1].tolist() == [ids[5]]


def content_of(catalog: Catalog, identity: int) -> bytes:
    row = catalog.connection.execute("SELECT content_hash FROM photograph WHERE id = ?", (identity,)).fetchone()
    return bytes(row[0])


def test_an_index_from_before_vectors_were_deleted_is_rebuilt(shelf: Shelf) -> None:
    ids = shelf.add(6)
    index = shelf.open()
    index.save(shelf.folder)
    shelf.catalog.drop_vectors(MODEL)
    entry = replace(shelf.entry(ids[0]), id=ids[0])
    shelf.catalog.write([entry])
    shelf.truth = {ids[0]: entry.vectors[MODEL]}
    index.catch_up(shelf.catalog)
    shelf.check(index)
    shelf.check(shelf.open())


def test_a_batch_of_queries_gets_the_same_hits_as_single_queries(shelf: Shelf) -> None:
    shelf.add(30)
    index = shelf.open()
    queries = unit(shelf.random.normal(size=(4, DIMENSION)))
    similarities, ids = index.search_many(queries, 7)
    for query, likeness, found in zip(queries, similarities, ids, strict=True):
        wanted, wanted_ids = index.search(query, 7)
        assert found.tolist() == wanted_ids.tolist()
        assert likeness == pytest.approx(wanted, abs=1e-6)
    assert (index.search_many(queries, 40)[1][:, 30:] == -1).all()
