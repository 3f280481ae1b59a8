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
from tests.service.index.vector_catalog import DIMENSION, MODEL, VectorCatalog, assert_same_hits, unit


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[VectorCatalog]:
    stored = VectorCatalog(tmp_path)
    yield stored
    stored.catalog.close()


# -- search --------------------------------------------------------------------------------------------


def test_search_agrees_with_brute_force(stored: VectorCatalog) -> None:
    stored.add(300)
    stored.check(stored.open())


def test_hits_are_sorted_and_no_more_than_there_are_photographs(stored: VectorCatalog) -> None:
    stored.add(3)
    similarities, ids = stored.open().search(unit(np.ones(DIMENSION, np.float32)), 200)
    assert len(ids) == len(set(ids.tolist())) == 3
    assert (np.diff(similarities) <= 0).all()


def test_an_empty_index_finds_nothing(stored: VectorCatalog) -> None:
    similarities, ids = stored.open().search(unit(np.ones(DIMENSION, np.float32)), 5)
    assert len(similarities) == len(ids) == 0


def test_a_vector_finds_itself_with_a_similarity_of_at_most_one(stored: VectorCatalog) -> None:
    (identity, *_) = stored.add(50)
    similarities, ids = stored.open().search(stored.catalog.vector(identity, MODEL), 1)
    assert ids.tolist() == [identity]
    assert 0.999 < similarities[0] <= 1.0


def test_vectors_of_another_model_are_never_found(stored: VectorCatalog) -> None:
    stored.add(10)
    stored.add(10, "other")
    stored.check(stored.open())


def test_candidates_are_the_hits_of_a_search_with_their_vectors(stored: VectorCatalog) -> None:
    ids = stored.add(60)
    index = stored.open()
    stored.remove(ids[10:30])
    stored.change(ids[:5])
    index.catch_up(stored.catalog)
    query = unit(stored.random.normal(size=DIMENSION))
    for k in (1, 7, 40, 200):
        similarities, found, vectors = index.candidates(query, k)
        wanted, wanted_ids = index.search(query, k)
        assert np.array_equal(similarities, wanted)
        assert np.array_equal(found, wanted_ids)
        assert (vectors.shape, vectors.dtype) == ((len(found), DIMENSION), np.float32)
        written = np.stack([stored.truth[int(identity)] for identity in found])
        assert np.array_equal(vectors, written.astype(np.float32))


def test_candidates_of_a_saved_and_of_an_empty_index(stored: VectorCatalog) -> None:
    query = unit(np.ones(DIMENSION, np.float32))
    similarities, ids, vectors = stored.open().candidates(query, 5)
    assert (len(similarities), len(ids), vectors.shape) == (0, 0, (0, DIMENSION))
    index = saved(stored)
    for fresh, again in zip(index.candidates(query, 50), stored.open().candidates(query, 50), strict=True):
        assert np.array_equal(fresh, again)


def test_a_sample_is_evenly_spaced_and_always_the_same(stored: VectorCatalog) -> None:
    stored.add(100)
    index = stored.open()
    written = np.stack([stored.truth[identity] for identity in sorted(stored.truth)]).astype(np.float32)
    sample = index.sample(5)
    assert np.array_equal(sample, index.sample(5))
    assert sample == pytest.approx(written[[0, 24, 49, 74, 99]], abs=1e-6)
    assert index.sample(1000).shape == (100, DIMENSION)
    assert VectorIndex("empty", DIMENSION).sample(5).shape == (0, DIMENSION)


# -- catching up ---------------------------------------------------------------------------------------


def test_an_open_index_sees_what_was_added_changed_and_removed(stored: VectorCatalog) -> None:
    ids = stored.add(30)
    index = stored.open()
    assert not index.catch_up(stored.catalog), "nothing has changed yet"
    stored.add(5)
    stored.change(ids[:4])
    stored.remove(ids[10:20])
    assert index.catch_up(stored.catalog)
    stored.check(index)


@pytest.mark.parametrize("seed", range(6))
def test_catching_up_equals_a_rebuild_after_any_changes(tmp_path: Path, seed: int) -> None:
    stored = VectorCatalog(tmp_path, seed)
    index = stored.open()
    for _ in range(25):
        ids = sorted(stored.truth)
        some = [int(identity) for identity in stored.random.permutation(ids)[: stored.random.integers(1, 8)]]
        change = stored.random.integers(0, 5)
        if change <= 1 or not some:
            stored.add(int(stored.random.integers(1, 9)))
        elif change == 2:
            stored.change(some)
        elif change == 3:
            stored.remove(some)
        else:
            index.catch_up(stored.catalog)
        if stored.random.random() < 0.2:
            index.save(stored.folder)
            index = stored.open()
    index.catch_up(stored.catalog)
    stored.check(index)
    rebuilt = VectorIndex(MODEL, DIMENSION)
    rebuilt.catch_up(stored.catalog)
    stored.check(rebuilt)
    stored.catalog.close()


def test_a_photograph_written_again_unchanged_is_found_once(stored: VectorCatalog) -> None:
    one = stored.entry()
    (identity,) = stored.catalog.write([one])
    index = stored.open()
    stored.catalog.write([replace(one, id=identity)])
    index.catch_up(stored.catalog)
    assert len(index) == 1


def test_changes_come_in_chunks_of_any_size(stored: VectorCatalog) -> None:
    stored.add(10)
    generation, removed, chunks = stored.catalog.changes([MODEL], 0, chunk=3)
    sizes = [(len(ids), vectors.shape) for ids, (vectors,) in chunks]
    assert sizes == [(3, (3, DIMENSION))] * 3 + [(1, (1, DIMENSION))]
    assert (generation, removed) == (1, [])


def test_a_restored_catalog_is_read_from_the_start(stored: VectorCatalog, tmp_path: Path) -> None:
    """An older copy of the catalog replaces it while a service runs."""
    other = tmp_path / "older"
    other.mkdir()
    older = VectorCatalog(other, seed=1)
    older.add(4)
    index = stored.open()
    for _ in range(3):
        stored.add(2)
    index.catch_up(stored.catalog)
    index.catch_up(older.catalog)
    older.check(index)
    older.catalog.close()


# -- files ---------------------------------------------------------------------------------------------


def saved(stored: VectorCatalog) -> VectorIndex:
    ids = stored.add(40)
    stored.remove(ids[5:9])
    index = stored.open()
    index.save(stored.folder)
    return index


def test_a_saved_index_gives_the_same_hits_without_reading_the_catalogs_vectors(
    stored: VectorCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = saved(stored)

    def refuse(*_: object) -> None:
        raise AssertionError("the vectors were read again")

    monkeypatch.setattr(stored.catalog, "changes", refuse)
    assert_same_hits(stored.open(), index)


def test_saving_leaves_no_temporary_files_behind(stored: VectorCatalog) -> None:
    saved(stored)
    names = {file.name for file in stored.folder.iterdir()}
    assert {"vectors.json", rows(stored.folder).name, ids(stored.folder).name} <= names
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
def test_a_damaged_index_is_rebuilt_and_gives_the_same_hits(stored: VectorCatalog, damage: str) -> None:
    saved(stored)
    DAMAGE[damage](stored.folder)
    stored.check(stored.open())


def test_a_manifest_that_claims_a_later_generation_hides_no_photograph(stored: VectorCatalog) -> None:
    """A flipped digit in the manifest must not make the index skip changes."""
    stored.add(10)
    index = stored.open()
    index.save(stored.folder)
    stored.add(10)
    edit(stored.folder, generation=2)
    stored.check(stored.open())


def test_an_index_of_an_older_generation_catches_up(stored: VectorCatalog) -> None:
    saved(stored)
    stored.change(sorted(stored.truth)[:5])
    stored.add(5)
    stored.check(stored.open())


def test_an_index_of_another_model_is_not_used(stored: VectorCatalog) -> None:
    entries = [stored.entry(fingerprint="other") for _ in range(10)]
    ids = stored.catalog.write(entries)
    own = [
        replace(entry, id=identity, vectors={MODEL: stored.vector()})
        for entry, identity in zip(entries, ids, strict=True)
    ]
    stored.catalog.write(own)
    stored.truth = {identity: entry.vectors[MODEL] for entry, identity in zip(own, ids, strict=True)}
    VectorIndex.open(stored.folder, stored.catalog, "other", DIMENSION).save(stored.folder)
    stored.check(stored.open())


def test_an_index_of_another_catalog_is_not_used(stored: VectorCatalog, tmp_path: Path) -> None:
    """The catalog was lost and created again; the index left from before names the same model."""
    saved(stored)
    other = tmp_path / "anew"
    other.mkdir()
    anew = VectorCatalog(other, seed=5)
    for _ in range(4):
        anew.add(10)
    for file in list(stored.folder.glob("vectors*")):
        file.rename(other / file.name)
    anew.check(anew.open())
    anew.catalog.close()


def test_a_manifest_of_missing_files_is_not_used(stored: VectorCatalog) -> None:
    saved(stored)
    older = (stored.folder / JSON).read_bytes()
    stored.add(7)
    stored.open().save(stored.folder)
    (stored.folder / JSON).write_bytes(older)
    stored.check(stored.open())


def test_a_folder_that_cannot_be_written_to_is_reported(stored: VectorCatalog) -> None:
    stored.add(3)
    (stored.folder / JSON).mkdir()
    with pytest.raises(LibraryError, match=r"index .* cannot be saved"):
        stored.open().save(stored.folder)


# -- derived and deleted vectors -----------------------------------------------------------------------


def doubled(catalog: Catalog, since: int) -> Any:
    """Vectors of twice the dimension, of photographs that have both of two vectors."""
    generation, removed, chunks = catalog.changes([MODEL, "other"], since)
    return generation, removed, ((ids, np.concatenate([one, other], axis=1) / 2**0.5) for ids, (one, other) in chunks)


def test_an_index_may_be_derived_from_several_vectors(stored: VectorCatalog) -> None:
    ids = stored.add(20)
    entries = [stored.entry(identity, "other") for identity in ids[:12]]
    for entry, identity in zip(entries, ids, strict=False):
        facts = replace(entry.facts, content_hash=content_of(stored.catalog, identity))
        stored.catalog.write([replace(entry, facts=facts)])
    index = VectorIndex.open(stored.folder, stored.catalog, "doubled", 2 * DIMENSION, doubled)
    assert len(index) == 12
    index.save(stored.folder)
    stored.remove(ids[:3])
    again = VectorIndex.open(stored.folder, stored.catalog, "doubled", 2 * DIMENSION, doubled)
    assert len(again) == 9
    wanted = np.concatenate([stored.catalog.vector(ids[5], name) for name in (MODEL, "other")]) / np.float32(2**0.5)
    assert again.search(wanted, 1)[1].tolist() == [ids[5]]


def content_of(catalog: Catalog, identity: int) -> bytes:
    row = catalog.connection.execute("SELECT content_hash FROM photograph WHERE id = ?", (identity,)).fetchone()
    return bytes(row[0])


def test_an_index_from_before_vectors_were_deleted_is_rebuilt(stored: VectorCatalog) -> None:
    ids = stored.add(6)
    index = stored.open()
    index.save(stored.folder)
    stored.catalog.drop_vectors(MODEL)
    entry = replace(stored.entry(ids[0]), id=ids[0])
    stored.catalog.write([entry])
    stored.truth = {ids[0]: entry.vectors[MODEL]}
    index.catch_up(stored.catalog)
    stored.check(index)
    stored.check(stored.open())


def test_a_batch_of_queries_gets_the_same_hits_as_single_queries(stored: VectorCatalog) -> None:
    stored.add(30)
    index = stored.open()
    queries = unit(stored.random.normal(size=(4, DIMENSION)))
    similarities, ids = index.search_many(queries, 7)
    for query, likeness, found in zip(queries, similarities, ids, strict=True):
        wanted, wanted_ids = index.search(query, 7)
        assert found.tolist() == wanted_ids.tolist()
        assert likeness == pytest.approx(wanted, abs=1e-6)
    assert (index.search_many(queries, 40)[1][:, 30:] == -1).all()
