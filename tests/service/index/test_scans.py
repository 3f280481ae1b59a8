"""Exact and coded indexes agree with brute force, whatever is added, deleted or damaged."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import service.index.files
from service.errors import LibraryError
from service.index import Limits, VectorIndex
from service.index.rows import Spool, evenly_spaced, exact_search, release_pages, to_float16, to_float32
from service.index.scans import CodeScan, ExactScan, build_scan
from service.store.array_files import checksum_of
from service.types import Float16Array
from tests.conftest import ROOT
from tests.service.index.vector_catalog import DIMENSION, MODEL, Shelf, answers_equal, unit

NEVER = 1_000_000
KINDS = {
    "exact": Limits(codes_from=NEVER, small_until=40, rewrite_share=0.2),
    "codes": Limits(codes_from=50, shortlists=(140,), small_until=40, rewrite_share=0.2),
}
"""Both kinds of scan at sizes of a few hundred."""
MANY = 600


@pytest.fixture(params=list(KINDS))
def shelf(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A shelf for each kind of scan; codes are used whatever their recall, which is low in sixteen dimensions."""
    monkeypatch.setattr("service.index.scans._LEAST_RECALL_AT_10", 0.0)
    monkeypatch.setattr("service.index.scans._LEAST_RECALL_AT_DEPTH", 0.0)
    shelf = Shelf(tmp_path, limits=KINDS[request.param])
    shelf.add(MANY)
    yield shelf
    shelf.catalog.close()


def recall(shelf: Shelf, index: VectorIndex, k: int = 10) -> float:
    """Recall@k against brute force; also checks that hits have exact similarities and are not deleted."""
    shares = []
    for query in unit(np.random.default_rng(3).normal(size=(20, DIMENSION))):
        similarities, ids = index.search(query, k)
        assert len(set(ids.tolist())) == len(ids) == min(k, len(shelf.truth))
        assert set(ids.tolist()) <= set(shelf.truth)
        own = np.stack([shelf.truth[int(identity)] for identity in ids]).astype(np.float32) @ query
        assert similarities == pytest.approx(own, abs=1e-5)
        assert (np.diff(similarities) <= 0).all()
        shares.append(len(set(ids.tolist()) & set(shelf.answers(query, k)[1].tolist())) / min(k, len(shelf.truth)))
    return float(np.mean(shares))


def least(shelf: Shelf) -> float:
    """The recall that the kind of scan must reach."""
    return 0.85 if shelf.limits == KINDS["codes"] else 1.0


def test_the_scan_is_chosen_by_size_and_has_a_name(shelf: Shelf) -> None:
    index = shelf.open()
    names = {"exact": "SQfp16", "codes": "PQ4x4fs,Refine(SQfp16)"}
    assert index.kind == names[next(name for name, limits in KINDS.items() if limits == shelf.limits)]
    assert recall(shelf, index) >= least(shelf)
    index.save(shelf.folder)
    again = shelf.open()
    assert again.kind == index.kind
    answers_equal(again, index)
    assert again.bytes == index.bytes >= MANY * (2 * DIMENSION + 8)


def test_small_libraries_are_exact_and_shortlists_ascend() -> None:
    limits = Limits()
    rows = to_float16(unit(np.random.default_rng(0).normal(size=(1_000, DIMENSION))))
    assert isinstance(build_scan(rows, limits), ExactScan)
    assert limits.shortlists == tuple(sorted(limits.shortlists))


def test_vectors_for_which_codes_have_too_little_recall_are_scanned_exactly() -> None:
    """In many dimensions random directions are all equally far apart, so no shortlist contains the nearest."""
    rows = to_float16(unit(np.random.default_rng(0).normal(size=(4_000, 128))))
    assert isinstance(build_scan(rows, Limits(codes_from=1, shortlists=(300,))), ExactScan)
    made = build_scan(rows, Limits(codes_from=1, shortlists=(300, 4_000)))
    assert isinstance(made, CodeScan) and made.shortlist == 4_000


def test_rows_newer_than_the_base_and_deleted_rows_are_respected_at_once(shelf: Shelf) -> None:
    index = shelf.open()
    index.save(shelf.folder)
    ids = sorted(shelf.truth)
    shelf.add(20)
    shelf.change(ids[:15])
    shelf.remove(ids[100:130])
    index.catch_up(shelf.catalog)
    assert recall(shelf, index) >= least(shelf)
    index.save(shelf.folder)
    assert recall(shelf, shelf.open()) >= least(shelf)


def test_the_nearest_are_found_when_everything_nearer_was_deleted(shelf: Shelf) -> None:
    query = unit(np.ones(DIMENSION, np.float32))
    nearer = shelf.answers(query, MANY - 8)[1].tolist()
    index = shelf.open()
    shelf.remove(nearer)
    index.catch_up(shelf.catalog)
    for k in (3, 8, 500):
        assert index.search(query, k)[1].tolist() == shelf.answers(query, k)[1].tolist()
        assert index.candidates(query, k)[1].tolist() == shelf.answers(query, k)[1].tolist()
    assert index.search_many(query[None], 9)[1][0].tolist() == [*shelf.answers(query, 8)[1].tolist(), -1]


def test_a_batch_of_queries_gets_the_same_hits_as_single_queries(shelf: Shelf) -> None:
    index = shelf.open()
    shelf.add(30)
    shelf.remove(sorted(shelf.truth)[::20])
    index.catch_up(shelf.catalog)
    queries = unit(shelf.random.normal(size=(12, DIMENSION)))
    similarities, ids = index.search_many(queries, 15)
    assert similarities.shape == ids.shape == (12, 15)
    for query, likeness, found in zip(queries, similarities, ids, strict=True):
        alone, alone_ids = index.search(query, 15)
        assert likeness == pytest.approx(alone, abs=1e-6)
        assert len(set(found.tolist()) & set(alone_ids.tolist())) >= 14
    assert index.search_many(queries[:0], 5)[1].shape == (0, 5)
    assert (index.search_many(queries, 2 * MANY)[1][:, len(shelf.truth) :] == -1).all()


@pytest.mark.parametrize("share", [0.004, 0.02, 0.5, 1.0])
def test_a_search_among_some_photographs_is_exact(shelf: Shelf, share: float) -> None:
    index = shelf.open()
    shelf.change(sorted(shelf.truth)[:10])
    shelf.remove(sorted(shelf.truth)[50:60])
    index.catch_up(shelf.catalog)
    known = np.arange(1, MANY + 50)
    chosen = np.sort(shelf.random.choice(known, int(share * len(known)), replace=False)).astype(np.int64)
    query = unit(shelf.random.normal(size=DIMENSION))
    every = shelf.answers(query, MANY)[1]
    wanted = [identity for identity in every.tolist() if identity in set(chosen.tolist())][:25]
    assert index.search(query, 25, chosen)[1].tolist() == wanted
    similarities, ids, vectors = index.candidates(query, 25, chosen)
    assert ids.tolist() == wanted
    assert similarities == pytest.approx(vectors @ query, abs=1e-5)


def test_a_search_among_no_photographs_finds_none(shelf: Shelf) -> None:
    index = shelf.open()
    query = unit(np.ones(DIMENSION, np.float32))
    for nobody in (np.empty(0, np.int64), np.array([-1, 10 * MANY], np.int64)):
        similarities, ids, vectors = index.candidates(query, 5, nobody)
        assert (similarities.shape, ids.shape, vectors.shape) == ((0,), (0,), (0, DIMENSION))


@given(changes=st.lists(st.tuples(st.sampled_from("acrs"), st.integers(0, 2**20)), min_size=3, max_size=14))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_changes_and_saves_agrees_with_brute_force(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int]]
) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("any"), limits=Limits(codes_from=NEVER, small_until=20))
    index = shelf.open()
    shelf.add(70)
    for change, number in changes:
        ids = sorted(shelf.truth)
        some = [int(each) for each in np.random.default_rng(number).permutation(ids)[: number % 40]]
        if change == "a" or not some:
            shelf.add(number % 50 + 1)
        elif change == "c":
            shelf.change(some)
        elif change == "r":
            shelf.remove(some)
        index.catch_up(shelf.catalog)
        if change == "s":
            index.save(shelf.folder)
            index = shelf.open()
    shelf.check(index)
    shelf.catalog.close()


def test_a_photograph_that_changes_twice_is_found_once(shelf: Shelf) -> None:
    index = shelf.open()
    shelf.add(5)
    index.catch_up(shelf.catalog)
    newest = max(shelf.truth)
    for _ in range(3):
        shelf.change([newest])
        index.catch_up(shelf.catalog)
        shelf.check(index)
    shelf.remove([newest])
    index.catch_up(shelf.catalog)
    shelf.check(index)


# -- files ---------------------------------------------------------------------------------------------


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("vectors*")}


def of_base(folder: Path) -> set[str]:
    return {name for name in names(folder) if not name.endswith((".json", ".tail"))}


def changed(shelf: Shelf) -> VectorIndex:
    """A saved index with a base, a tail and deleted rows."""
    shelf.open().save(shelf.folder)
    index = shelf.open()
    ids = sorted(shelf.truth)
    shelf.add(10)
    shelf.remove(ids[:10])
    index.catch_up(shelf.catalog)
    index.save(shelf.folder)
    return index


def test_a_few_changes_are_saved_without_rewriting_the_base(shelf: Shelf) -> None:
    shelf.open().save(shelf.folder)
    base = of_base(shelf.folder)
    index = changed(shelf)
    assert of_base(shelf.folder) == base
    assert len([name for name in names(shelf.folder) if name.endswith(".tail")]) == 1
    answers_equal(shelf.open(), index)


@pytest.mark.parametrize("change", ["added", "removed"])
def test_many_changes_write_a_new_base_and_leave_no_file_behind(shelf: Shelf, change: str) -> None:
    index = changed(shelf)
    base = of_base(shelf.folder)
    if change == "added":
        shelf.add(MANY // 4)
    else:
        shelf.remove(sorted(shelf.truth)[: MANY // 4])
    index.catch_up(shelf.catalog)
    index.save(shelf.folder)
    now = of_base(shelf.folder)
    assert not now & base
    assert names(shelf.folder) == {*now, "vectors.json"}
    assert len(now) == (3 if shelf.limits == KINDS["codes"] else 2)
    assert recall(shelf, shelf.open()) >= least(shelf)


def test_a_reader_can_go_on_with_a_base_that_was_replaced(shelf: Shelf) -> None:
    shelf.open().save(shelf.folder)
    reader, writer = shelf.open(), shelf.open()
    shelf.add(MANY // 2)
    writer.catch_up(shelf.catalog)
    writer.save(shelf.folder)
    reader.catch_up(shelf.catalog)
    assert recall(shelf, reader) >= least(shelf)


def test_a_base_that_another_process_has_saved_is_mapped_instead_of_built(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running service shares the new base after many photographs were added."""
    shelf.open().save(shelf.folder)
    service_, writer = shelf.open(), shelf.open()
    shelf.add(MANY)
    writer.catch_up(shelf.catalog)
    writer.save(shelf.folder)
    monkeypatch.setattr("service.index.vector_index.build_scan", lambda *_: pytest.fail("it built a base of its own"))
    service_.catch_up(shelf.catalog)
    assert recall(shelf, service_) >= least(shelf)
    assert service_.generation == shelf.catalog.generation()


def test_a_long_stream_is_spooled_to_disk_and_kept_in_memory_if_the_disk_is_full(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_file = shelf.open()

    def full(self: Spool, *_: object) -> None:
        if self._folder is not None:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, *_)  # type: ignore[arg-type]

    add = Spool.add
    monkeypatch.setattr(Spool, "add", full)
    answers_equal(shelf.open(), in_file)


def damage(file: Path, position: float) -> None:
    content = bytearray(file.read_bytes())
    content[int((len(content) - 1) * position)] ^= 0x08
    file.write_bytes(content)


@pytest.mark.parametrize("position", [0.0, 0.3, 0.7, 1.0])
def test_a_flipped_bit_in_any_file_is_detected(shelf: Shelf, position: float) -> None:
    changed(shelf)
    saved = {name: (shelf.folder / name).read_bytes() for name in names(shelf.folder)}
    assert len(saved) >= 4
    for name, content in saved.items():
        damage(shelf.folder / name, position)
        assert recall(shelf, shelf.open()) >= least(shelf), name
        (shelf.folder / name).write_bytes(content)


def test_a_missing_or_truncated_file_is_detected(shelf: Shelf) -> None:
    changed(shelf)
    saved = {name: (shelf.folder / name).read_bytes() for name in names(shelf.folder)}
    for name, content in saved.items():
        (shelf.folder / name).unlink()
        assert recall(shelf, shelf.open()) >= least(shelf), name
        (shelf.folder / name).write_bytes(content[: len(content) // 2])
        assert recall(shelf, shelf.open()) >= least(shelf), name
        (shelf.folder / name).write_bytes(content)


def test_files_of_two_sets_are_not_mixed(shelf: Shelf) -> None:
    """The manifest of an older set is restored over a newer one."""
    changed(shelf)
    older = (shelf.folder / "vectors.json").read_bytes()
    index = shelf.open()
    shelf.add(MANY)
    index.catch_up(shelf.catalog)
    index.save(shelf.folder)
    (shelf.folder / "vectors.json").write_bytes(older)
    assert recall(shelf, shelf.open()) >= least(shelf)


STEPS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "while the rows are written": lambda patch: patch.setattr(service.index.files, "sync_file", stop),
    "before the codes": lambda patch: patch.setattr(service.index.files, "build_scan", stop),
    "before the manifest": lambda patch: patch.setattr(service.index.files, "write_snapshot", stop),
    "before the manifest is replaced": lambda patch: patch.setattr(Path, "replace", stop),
    "before old files are removed": lambda patch: patch.setattr(service.index.files, "_delete", stop),
}


class Killed(BaseException):
    """Caught by no error handler, as if the process ended here."""


def stop(*_: object, **__: object) -> Any:
    raise Killed


@pytest.mark.parametrize("step", list(STEPS))
def test_a_crash_at_any_step_leaves_a_valid_index(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    changed(shelf)
    index = shelf.open()
    shelf.add(MANY // 2)
    index.catch_up(shelf.catalog)
    with monkeypatch.context() as patch:
        STEPS[step](patch)
        patch.setattr("service.index.vector_index.write_snapshot", service.index.files.write_snapshot)
        try:
            index.save(shelf.folder)
        except Killed:
            pass
        else:
            assert step == "before the codes", "an exact index has none"
    read = []
    changes = shelf.catalog.changes
    monkeypatch.setattr(shelf.catalog, "changes", lambda *given: read.append(given[1]) or changes(*given))
    again = shelf.open()
    assert 0 not in read, "the previous index is still there"
    assert recall(shelf, again) >= least(shelf)
    again.save(shelf.folder)
    assert len(names(shelf.folder)) == len(of_base(shelf.folder)) + 1 + len(list(shelf.folder.glob("*.tail")))
    assert len(of_base(shelf.folder)) == (3 if shelf.limits == KINDS["codes"] else 2)


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("write error")])
def test_a_full_disk_is_reported_and_leaves_the_files_as_they_were(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    index = changed(shelf)
    before = names(shelf.folder)
    shelf.add(MANY // 2)
    index.catch_up(shelf.catalog)

    def full(*_: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(service.index.files, "sync_file", full)
        with pytest.raises(LibraryError, match="cannot be saved"):
            index.save(shelf.folder)
    assert names(shelf.folder) == before
    assert recall(shelf, index) >= least(shelf)
    index.save(shelf.folder)
    assert recall(shelf, shelf.open()) >= least(shelf)


@pytest.mark.skipif(os.name == "nt", reason="folders of Windows have no such permission")
def test_an_index_in_a_read_only_folder_can_be_searched(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(shelf)
    shelf.add(5)
    refused = OSError(errno.EROFS, "Read-only file system")

    def refuse(*given: object, **named: object) -> Any:
        raise refused

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr(service.index.files, "write_arrays", refuse)
    monkeypatch.setattr(service.index.files, "_write_base", refuse)
    index = shelf.open()
    assert recall(shelf, index) >= least(shelf)
    with pytest.raises(LibraryError, match=r"cannot be saved .*Read-only"):
        index.save(shelf.folder)
    (shelf.folder / "vectors.json").unlink()
    assert recall(shelf, shelf.open()) >= least(shelf)


def test_an_index_of_an_earlier_version_is_replaced(shelf: Shelf) -> None:
    (shelf.folder / "vectors.faiss").write_bytes(b"old")
    killed = shelf.folder / ".vectors-0123456789ab.01234567.part.tail"
    killed.write_bytes(b"half")
    (shelf.folder / "vectors.json").write_text(json.dumps({"version": 1, "fingerprint": MODEL}), encoding="utf-8")
    shelf.open().save(shelf.folder)
    assert not (shelf.folder / "vectors.faiss").exists()
    assert not killed.exists(), "left by a process that was killed while writing"
    assert recall(shelf, shelf.open()) >= least(shelf)


def test_an_index_from_when_exact_scans_used_several_threads_opens_without_a_rebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest says only that it has no codes; 45,000 photographs were then scanned in parallel shards."""
    shelf = Shelf(tmp_path)
    shelf.add(45_000)
    ids = np.array(sorted(shelf.truth), np.int64)
    arrays = {"rows": np.stack([shelf.truth[int(identity)] for identity in ids]), "ids": ids}
    files = {}
    for name, array in arrays.items():
        file = tmp_path / f"vectors-0123456789ab.{name}.npy"
        np.save(file, array)
        files[file.name] = {"bytes": file.stat().st_size, "checksum": checksum_of(file)}
    manifest = {
        "version": 2,
        "fingerprint": MODEL,
        "dimension": DIMENSION,
        "generation": 1,
        "stamp": shelf.catalog.stamp(1),
        "photographs": len(ids),
        "base": {"name": "vectors-0123456789ab", "list": None, "files": files},
        "tail": None,
    }
    checksum = xxhash.xxh3_128_hexdigest(json.dumps(manifest, sort_keys=True).encode())
    (tmp_path / "vectors.json").write_text(json.dumps({**manifest, "checksum": checksum}), encoding="utf-8")
    monkeypatch.setattr(shelf.catalog, "changes", lambda *_: pytest.fail("the vectors were read again"))
    index = shelf.open()
    assert index.kind == "SQfp16"
    assert recall(shelf, index) == 1.0
    shelf.catalog.close()


# -- concurrency ----------------------------------------------------------------------------------------


def test_threads_search_while_one_catches_up_and_saves(shelf: Shelf) -> None:
    index = shelf.open()
    alive = set(shelf.truth)
    gone: set[int] = set()
    faults: list[str] = []
    done = threading.Event()
    queries = unit(np.random.default_rng(1).normal(size=(8, DIMENSION)))

    def ask(number: int) -> None:
        while not done.is_set():
            removed = set(gone)
            similarities, ids, vectors = index.candidates(queries[number], 20)
            if set(ids.tolist()) & removed or len(ids) != 20 or len(set(ids.tolist())) != 20:
                faults.append(f"found {sorted(ids.tolist())}")
            if not np.allclose(vectors @ queries[number], similarities, atol=1e-4):
                faults.append("vectors of other photographs")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(25):
            some = sorted(alive)[turn * 7 : turn * 7 + 6]
            shelf.remove(some)
            alive -= set(some)
            alive |= set(shelf.add(12))
            index.catch_up(shelf.catalog)
            gone |= set(some)
            if turn % 5 == 0:
                index.save(shelf.folder)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not faults
    assert recall(shelf, index) >= least(shelf)


ASK = """
import sys, json
import numpy as np
from pathlib import Path
from service.store.catalog import Catalog
from service.index import Limits, VectorIndex
catalog = Catalog(Path(sys.argv[1]) / "catalog.sqlite")
limits = Limits(codes_from=1_000_000, small_until=40)
index = VectorIndex.open(Path(sys.argv[1]), catalog, "model", 16, limits=limits)
print("ready", flush=True)
for line in sys.stdin:
    index.catch_up(catalog)
    print(json.dumps(index.search(np.array(json.loads(line), np.float32), 10)[1].tolist()), flush=True)
catalog.close()
"""


def test_two_processes_share_an_index_while_one_writes(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, limits=Limits(codes_from=NEVER, small_until=40))
    shelf.add(MANY)
    index = shelf.open()
    index.save(tmp_path)
    other = subprocess.Popen(
        [sys.executable, "-c", ASK, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert other.stdin is not None and other.stdout is not None
    with other, other.stdin, other.stdout:
        assert other.stdout.readline() == "ready\n"
        for turn in range(4):
            shelf.add(20 if turn % 2 else MANY)
            shelf.remove(sorted(shelf.truth)[:20])
            index.catch_up(shelf.catalog)
            index.save(tmp_path)
            query = unit(shelf.random.normal(size=DIMENSION))
            other.stdin.write(f"{query.tolist()}\n")
            other.stdin.flush()
            assert json.loads(other.stdout.readline()) == shelf.answers(query, 10)[1].tolist()
    shelf.catalog.close()


# -- rows ----------------------------------------------------------------------------------------------


def rows_of(count: int, dimension: int = 7) -> Float16Array:
    return to_float16(unit(np.random.default_rng(count).normal(size=(count, dimension))))


def test_conversion_to_float16_and_back_equals_that_of_numpy() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(33, 7)))
    assert np.array_equal(to_float16(vectors), vectors.astype(np.float16))
    assert np.array_equal(to_float32(to_float16(vectors)), vectors.astype(np.float16).astype(np.float32))
    assert to_float32(rows_of(0)).shape == (0, 7)


def test_a_search_in_blocks_equals_one_in_a_single_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(500)
    queries = to_float32(rows_of(9))
    positions = np.sort(np.random.default_rng(1).choice(500, 200, replace=False))
    whole = exact_search(rows, queries, 30), exact_search(rows, queries, 30, positions)
    monkeypatch.setattr("service.index.rows.BLOCK", 64)
    blocks = exact_search(rows, queries, 30), exact_search(rows, queries, 30, positions)
    for one, other in zip(whole, blocks, strict=True):
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])
    assert set(whole[1][1].ravel().tolist()) <= set(positions.tolist())
    assert (exact_search(rows[:3], queries, 5)[1][:, 3:] == -1).all()


@pytest.mark.parametrize("dimension", [2, 6, 9, 13])
def test_codes_work_for_any_number_of_dimensions(dimension: int) -> None:
    rows = rows_of(2_000, dimension)
    made = CodeScan.build(rows, (2_000,))
    assert made is not None
    query = to_float32(rows[:1])
    assert np.array_equal(made.nearest(query, 10)[1], exact_search(rows, query, 10)[1])


def test_mapped_rows_keep_their_content_when_their_pages_are_released(tmp_path: Path) -> None:
    rows = rows_of(5_000)
    spool = Spool(7, tmp_path, in_memory=10)
    for start in range(0, 5_000, 700):
        spool.add(np.arange(start, min(start + 700, 5_000)), rows[start : start + 700])
    mapped, ids = spool.finish()
    assert not list(tmp_path.iterdir()), "the temporary file has no name"
    release_pages(mapped)
    assert np.array_equal(mapped, rows)
    assert np.array_equal(ids, np.arange(5_000))
    assert np.array_equal(evenly_spaced(mapped, 3), to_float32(rows[[0, 2_499, 4_999]]))
    assert np.array_equal(evenly_spaced(mapped, 9_000), to_float32(rows))
    release_pages(rows)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 0
