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
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import service.index.files
from service.errors import LibraryError
from service.index import Limits, VectorIndex
from service.index.id_mask import IdMask
from service.index.rows import Spool, evenly_spaced, exact_search, flat_index, release_pages, to_float16, to_float32
from service.index.scans import CodeScan, ExactScan, build_scan
from service.store.array_files import checksum_of
from service.types import Float16Array
from tests.conftest import ROOT
from tests.service.index.vector_catalog import DIMENSION, MODEL, VectorCatalog, assert_same_hits, unit

NEVER = 1_000_000
KINDS = {
    "exact": Limits(codes_from=NEVER, small_until=40, rewrite_share=0.2),
    "codes": Limits(codes_from=50, shortlists=(140,), small_until=40, rewrite_share=0.2),
}
"""Both kinds of scan at sizes of a few hundred."""
MANY = 600


@pytest.fixture(params=list(KINDS))
def stored(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VectorCatalog]:
    """A catalog for each kind of scan; codes are used whatever their recall, which is low in sixteen dimensions."""
    monkeypatch.setattr("service.index.scans._LEAST_RECALL_AT_10", 0.0)
    monkeypatch.setattr("service.index.scans._LEAST_RECALL_AT_DEPTH", 0.0)
    stored = VectorCatalog(tmp_path, limits=KINDS[request.param])
    stored.add(MANY)
    yield stored
    stored.catalog.close()


def recall(stored: VectorCatalog, index: VectorIndex, k: int = 10) -> float:
    """Recall@k against brute force; also checks that hits have exact similarities and are not deleted."""
    shares = []
    for query in unit(np.random.default_rng(3).normal(size=(20, DIMENSION))):
        similarities, ids = index.search(query, k)
        assert len(set(ids.tolist())) == len(ids) == min(k, len(stored.truth))
        assert set(ids.tolist()) <= set(stored.truth)
        own = np.stack([stored.truth[int(identity)] for identity in ids]).astype(np.float32) @ query
        assert similarities == pytest.approx(own, abs=1e-5)
        assert (np.diff(similarities) <= 0).all()
        shares.append(
            len(set(ids.tolist()) & set(stored.brute_force(query, k)[1].tolist())) / min(k, len(stored.truth))
        )
    return float(np.mean(shares))


def least(stored: VectorCatalog) -> float:
    """The recall that the kind of scan must reach."""
    return 0.85 if stored.limits == KINDS["codes"] else 1.0


def test_the_scan_is_chosen_by_size_and_has_a_name(stored: VectorCatalog) -> None:
    index = stored.open()
    names = {"exact": "SQfp16", "codes": "PQ4x4fs,Refine(SQfp16)"}
    assert index.kind == names[next(name for name, limits in KINDS.items() if limits == stored.limits)]
    assert recall(stored, index) >= least(stored)
    index.save(stored.folder)
    again = stored.open()
    assert again.kind == index.kind
    assert_same_hits(again, index)
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


def test_rows_newer_than_the_base_and_deleted_rows_are_respected_at_once(stored: VectorCatalog) -> None:
    index = stored.open()
    index.save(stored.folder)
    ids = sorted(stored.truth)
    stored.add(20)
    stored.change(ids[:15])
    stored.remove(ids[100:130])
    index.catch_up(stored.catalog)
    assert recall(stored, index) >= least(stored)
    index.save(stored.folder)
    assert recall(stored, stored.open()) >= least(stored)


def test_the_nearest_are_found_when_everything_nearer_was_deleted(stored: VectorCatalog) -> None:
    query = unit(np.ones(DIMENSION, np.float32))
    nearer = stored.brute_force(query, MANY - 8)[1].tolist()
    index = stored.open()
    stored.remove(nearer)
    index.catch_up(stored.catalog)
    for k in (3, 8, 500):
        assert index.search(query, k)[1].tolist() == stored.brute_force(query, k)[1].tolist()
        assert index.candidates(query, k)[1].tolist() == stored.brute_force(query, k)[1].tolist()
    assert index.search_many(query[None], 9)[1][0].tolist() == [*stored.brute_force(query, 8)[1].tolist(), -1]


def test_a_batch_of_queries_gets_the_same_hits_as_single_queries(stored: VectorCatalog) -> None:
    index = stored.open()
    stored.add(30)
    stored.remove(sorted(stored.truth)[::20])
    index.catch_up(stored.catalog)
    queries = unit(stored.random.normal(size=(12, DIMENSION)))
    similarities, ids = index.search_many(queries, 15)
    assert similarities.shape == ids.shape == (12, 15)
    for query, likeness, found in zip(queries, similarities, ids, strict=True):
        alone, alone_ids = index.search(query, 15)
        assert likeness == pytest.approx(alone, abs=1e-6)
        assert len(set(found.tolist()) & set(alone_ids.tolist())) >= 14
    assert index.search_many(queries[:0], 5)[1].shape == (0, 5)
    assert (index.search_many(queries, 2 * MANY)[1][:, len(stored.truth) :] == -1).all()


@pytest.mark.parametrize("share", [0.004, 0.02, 0.5, 1.0])
def test_a_search_among_some_photographs_is_exact(stored: VectorCatalog, share: float) -> None:
    index = stored.open()
    stored.change(sorted(stored.truth)[:10])
    stored.remove(sorted(stored.truth)[50:60])
    index.catch_up(stored.catalog)
    known = np.arange(1, MANY + 50)
    chosen = np.sort(stored.random.choice(known, int(share * len(known)), replace=False)).astype(np.int64)
    query = unit(stored.random.normal(size=DIMENSION))
    every = stored.brute_force(query, MANY)[1]
    wanted = [identity for identity in every.tolist() if identity in set(chosen.tolist())][:25]
    assert index.search(query, 25, chosen)[1].tolist() == wanted
    similarities, ids, vectors = index.candidates(query, 25, chosen)
    assert ids.tolist() == wanted
    assert similarities == pytest.approx(vectors @ query, abs=1e-5)


@pytest.mark.parametrize("share", [0.004, 0.3, 1.0])
def test_a_mask_of_ids_is_the_same_as_these_ids(stored: VectorCatalog, share: float) -> None:
    index = stored.open()
    stored.change(sorted(stored.truth)[:10])
    stored.remove(sorted(stored.truth)[50:60])
    index.catch_up(stored.catalog)
    known = np.arange(1, MANY + 50, dtype=np.int64)
    mask = stored.random.random(len(known)) < share
    query = unit(stored.random.normal(size=DIMENSION))
    wanted = index.rank(query, 25, known[mask])
    for among in (known[mask], IdMask(known, mask)):
        assert index.candidates(query, 25, among)[1].tolist() == wanted.ids.tolist()
        assert index.rank(query, 25, among).ids.tolist() == wanted.ids.tolist()
    similarities, ids = wanted.similarities, wanted.ids
    every = stored.brute_force(query, MANY)[1].tolist()
    assert ids.tolist() == [identity for identity in every if identity in set(known[mask].tolist())][:25]
    assert similarities == pytest.approx(wanted.vectors(np.arange(len(ids))) @ query, abs=1e-5)


FILTERED: dict[str, tuple[slice, set[int]]] = {
    "what is near": (slice(0, 15_000), {1_500}),
    "what is not so near": (slice(3_000, 18_000), {1_500, 6_000}),
    "what is far": (slice(15_000, 30_000), {1_500, 6_000}),
}
"""Which of 30,000 photographs a filter leaves, of those by falling similarity, and how long shortlists become."""


@pytest.mark.parametrize("filtered", [*FILTERED, "anything"])
def test_codes_find_the_nearest_of_many_photographs(filtered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not a filter has to do with the query."""
    random = np.random.default_rng(0)
    spread = random.normal(size=(30_000, 6)) @ random.normal(size=(6, 64)) + 0.3 * random.normal(size=(30_000, 64))
    rows = to_float16(unit(spread))
    made = CodeScan.build(rows, (1_500,))
    assert made is not None
    searched: set[int] = set()
    real = made.codes.search
    monkeypatch.setattr(made, "codes", SimpleNamespace(search=lambda q, k: searched.add(k) or real(q, k)))
    part, lengths = FILTERED.get(filtered, (slice(0, 15_000), {1_500}))
    shares = []
    for query in to_float32(rows[:20]):
        by_similarity = np.argsort(-(to_float32(rows) @ query))
        chosen = random.permutation(30_000) if filtered == "anything" else by_similarity
        positions = np.sort(chosen[part])
        found = made.nearest_among(query[None], 10, positions)[1][0]
        wanted = exact_search(rows, query[None], 10, positions)[1][0]
        assert set(found.tolist()) <= set(positions.tolist())
        shares.append(float(np.isin(wanted, found).mean()))
    assert np.mean(shares) >= 0.99
    assert searched == lengths


def test_a_search_among_no_photographs_finds_none(stored: VectorCatalog) -> None:
    index = stored.open()
    query = unit(np.ones(DIMENSION, np.float32))
    for nobody in (np.empty(0, np.int64), np.array([-1, 10 * MANY], np.int64)):
        similarities, ids, vectors = index.candidates(query, 5, nobody)
        assert (similarities.shape, ids.shape, vectors.shape) == ((0,), (0,), (0, DIMENSION))


@given(changes=st.lists(st.tuples(st.sampled_from("acrs"), st.integers(0, 2**20)), min_size=3, max_size=14))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_changes_and_saves_agrees_with_brute_force(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int]]
) -> None:
    stored = VectorCatalog(tmp_path_factory.mktemp("any"), limits=Limits(codes_from=NEVER, small_until=20))
    index = stored.open()
    stored.add(70)
    for change, number in changes:
        ids = sorted(stored.truth)
        some = [int(each) for each in np.random.default_rng(number).permutation(ids)[: number % 40]]
        if change == "a" or not some:
            stored.add(number % 50 + 1)
        elif change == "c":
            stored.change(some)
        elif change == "r":
            stored.remove(some)
        index.catch_up(stored.catalog)
        if change == "s":
            index.save(stored.folder)
            index = stored.open()
    stored.check(index)
    stored.catalog.close()


def test_a_photograph_that_changes_twice_is_found_once(stored: VectorCatalog) -> None:
    index = stored.open()
    stored.add(5)
    index.catch_up(stored.catalog)
    newest = max(stored.truth)
    for _ in range(3):
        stored.change([newest])
        index.catch_up(stored.catalog)
        stored.check(index)
    stored.remove([newest])
    index.catch_up(stored.catalog)
    stored.check(index)


# -- files ---------------------------------------------------------------------------------------------


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("vectors*")}


def of_base(folder: Path) -> set[str]:
    return {name for name in names(folder) if not name.endswith((".json", ".tail"))}


def changed(stored: VectorCatalog) -> VectorIndex:
    """A saved index with a base, a tail and deleted rows."""
    stored.open().save(stored.folder)
    index = stored.open()
    ids = sorted(stored.truth)
    stored.add(10)
    stored.remove(ids[:10])
    index.catch_up(stored.catalog)
    index.save(stored.folder)
    return index


def test_a_few_changes_are_saved_without_rewriting_the_base(stored: VectorCatalog) -> None:
    stored.open().save(stored.folder)
    base = of_base(stored.folder)
    index = changed(stored)
    assert of_base(stored.folder) == base
    assert len([name for name in names(stored.folder) if name.endswith(".tail")]) == 1
    assert_same_hits(stored.open(), index)


@pytest.mark.parametrize("change", ["added", "removed"])
def test_many_changes_write_a_new_base_and_leave_no_file_behind(stored: VectorCatalog, change: str) -> None:
    index = changed(stored)
    base = of_base(stored.folder)
    if change == "added":
        stored.add(MANY // 4)
    else:
        stored.remove(sorted(stored.truth)[: MANY // 4])
    index.catch_up(stored.catalog)
    index.save(stored.folder)
    now = of_base(stored.folder)
    assert not now & base
    assert names(stored.folder) == {*now, "vectors.json"}
    assert len(now) == (3 if stored.limits == KINDS["codes"] else 2)
    assert recall(stored, stored.open()) >= least(stored)


def test_a_reader_can_go_on_with_a_base_that_was_replaced(stored: VectorCatalog) -> None:
    stored.open().save(stored.folder)
    reader, writer = stored.open(), stored.open()
    stored.add(MANY // 2)
    writer.catch_up(stored.catalog)
    writer.save(stored.folder)
    reader.catch_up(stored.catalog)
    assert recall(stored, reader) >= least(stored)


def test_a_base_that_another_process_has_saved_is_mapped_instead_of_built(
    stored: VectorCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running service shares the new base after many photographs were added."""
    stored.open().save(stored.folder)
    service_, writer = stored.open(), stored.open()
    stored.add(MANY)
    writer.catch_up(stored.catalog)
    writer.save(stored.folder)
    monkeypatch.setattr("service.index.vector_index.build_scan", lambda *_: pytest.fail("it built a base of its own"))
    service_.catch_up(stored.catalog)
    assert recall(stored, service_) >= least(stored)
    assert service_.generation == stored.catalog.generation()


def test_a_long_stream_is_spooled_to_disk_and_kept_in_memory_if_the_disk_is_full(
    stored: VectorCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_file = stored.open()

    def full(self: Spool, *_: object) -> None:
        if self._folder is not None:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, *_)  # type: ignore[arg-type]

    add = Spool.add
    monkeypatch.setattr(Spool, "add", full)
    assert_same_hits(stored.open(), in_file)


def damage(file: Path, position: float) -> None:
    content = bytearray(file.read_bytes())
    content[int((len(content) - 1) * position)] ^= 0x08
    file.write_bytes(content)


@pytest.mark.parametrize("position", [0.0, 0.3, 0.7, 1.0])
def test_a_flipped_bit_in_any_file_is_detected(stored: VectorCatalog, position: float) -> None:
    changed(stored)
    saved = {name: (stored.folder / name).read_bytes() for name in names(stored.folder)}
    assert len(saved) >= 4
    for name, content in saved.items():
        damage(stored.folder / name, position)
        assert recall(stored, stored.open()) >= least(stored), name
        (stored.folder / name).write_bytes(content)


def test_a_missing_or_truncated_file_is_detected(stored: VectorCatalog) -> None:
    changed(stored)
    saved = {name: (stored.folder / name).read_bytes() for name in names(stored.folder)}
    for name, content in saved.items():
        (stored.folder / name).unlink()
        assert recall(stored, stored.open()) >= least(stored), name
        (stored.folder / name).write_bytes(content[: len(content) // 2])
        assert recall(stored, stored.open()) >= least(stored), name
        (stored.folder / name).write_bytes(content)


def test_files_of_two_sets_are_not_mixed(stored: VectorCatalog) -> None:
    """The manifest of an older set is restored over a newer one."""
    changed(stored)
    older = (stored.folder / "vectors.json").read_bytes()
    index = stored.open()
    stored.add(MANY)
    index.catch_up(stored.catalog)
    index.save(stored.folder)
    (stored.folder / "vectors.json").write_bytes(older)
    assert recall(stored, stored.open()) >= least(stored)


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
def test_a_crash_at_any_step_leaves_a_valid_index(
    stored: VectorCatalog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    changed(stored)
    index = stored.open()
    stored.add(MANY // 2)
    index.catch_up(stored.catalog)
    with monkeypatch.context() as patch:
        STEPS[step](patch)
        patch.setattr("service.index.vector_index.write_snapshot", service.index.files.write_snapshot)
        try:
            index.save(stored.folder)
        except Killed:
            pass
        else:
            assert step == "before the codes", "an exact index has none"
    read = []
    changes = stored.catalog.changes
    monkeypatch.setattr(stored.catalog, "changes", lambda *given: read.append(given[1]) or changes(*given))
    again = stored.open()
    assert 0 not in read, "the previous index is still there"
    assert recall(stored, again) >= least(stored)
    again.save(stored.folder)
    assert len(names(stored.folder)) == len(of_base(stored.folder)) + 1 + len(list(stored.folder.glob("*.tail")))
    assert len(of_base(stored.folder)) == (3 if stored.limits == KINDS["codes"] else 2)


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("write error")])
def test_a_full_disk_is_reported_and_leaves_the_files_as_they_were(
    stored: VectorCatalog, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    index = changed(stored)
    before = names(stored.folder)
    stored.add(MANY // 2)
    index.catch_up(stored.catalog)

    def full(*_: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(service.index.files, "sync_file", full)
        with pytest.raises(LibraryError, match="cannot be saved"):
            index.save(stored.folder)
    assert names(stored.folder) == before
    assert recall(stored, index) >= least(stored)
    index.save(stored.folder)
    assert recall(stored, stored.open()) >= least(stored)


@pytest.mark.skipif(os.name == "nt", reason="folders of Windows have no such permission")
def test_an_index_in_a_read_only_folder_can_be_searched(stored: VectorCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(stored)
    stored.add(5)
    refused = OSError(errno.EROFS, "Read-only file system")

    def refuse(*given: object, **named: object) -> Any:
        raise refused

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr(service.index.files, "write_arrays", refuse)
    monkeypatch.setattr(service.index.files, "_write_base", refuse)
    index = stored.open()
    assert recall(stored, index) >= least(stored)
    with pytest.raises(LibraryError, match=r"cannot be saved .*Read-only"):
        index.save(stored.folder)
    (stored.folder / "vectors.json").unlink()
    assert recall(stored, stored.open()) >= least(stored)


def test_an_index_of_an_earlier_version_is_replaced(stored: VectorCatalog) -> None:
    (stored.folder / "vectors.faiss").write_bytes(b"old")
    killed = stored.folder / ".vectors-0123456789ab.01234567.part.tail"
    killed.write_bytes(b"half")
    (stored.folder / "vectors.json").write_text(json.dumps({"version": 1, "fingerprint": MODEL}), encoding="utf-8")
    stored.open().save(stored.folder)
    assert not (stored.folder / "vectors.faiss").exists()
    assert not killed.exists(), "left by a process that was killed while writing"
    assert recall(stored, stored.open()) >= least(stored)


def test_an_index_from_when_exact_scans_used_several_threads_opens_without_a_rebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest says only that it has no codes; 45,000 photographs were then scanned in parallel shards."""
    stored = VectorCatalog(tmp_path)
    stored.add(45_000)
    ids = np.array(sorted(stored.truth), np.int64)
    arrays = {"rows": np.stack([stored.truth[int(identity)] for identity in ids]), "ids": ids}
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
        "stamp": stored.catalog.stamp(1),
        "photographs": len(ids),
        "base": {"name": "vectors-0123456789ab", "list": None, "files": files},
        "tail": None,
    }
    checksum = xxhash.xxh3_128_hexdigest(json.dumps(manifest, sort_keys=True).encode())
    (tmp_path / "vectors.json").write_text(json.dumps({**manifest, "checksum": checksum}), encoding="utf-8")
    monkeypatch.setattr(stored.catalog, "changes", lambda *_: pytest.fail("the vectors were read again"))
    index = stored.open()
    assert index.kind == "SQfp16"
    assert recall(stored, index) == 1.0
    stored.catalog.close()


# -- concurrency ----------------------------------------------------------------------------------------


def test_threads_search_while_one_catches_up_and_saves(stored: VectorCatalog) -> None:
    index = stored.open()
    alive = set(stored.truth)
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
            stored.remove(some)
            alive -= set(some)
            alive |= set(stored.add(12))
            index.catch_up(stored.catalog)
            gone |= set(some)
            if turn % 5 == 0:
                index.save(stored.folder)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not faults
    assert recall(stored, index) >= least(stored)


ASK = """
import sys, json
import faiss
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
    stored = VectorCatalog(tmp_path, limits=Limits(codes_from=NEVER, small_until=40))
    stored.add(MANY)
    index = stored.open()
    index.save(tmp_path)
    other = subprocess.Popen(
        [sys.executable, "-c", ASK, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert other.stdin is not None and other.stdout is not None
    with other, other.stdin, other.stdout:
        assert other.stdout.readline() == "ready\n"
        for turn in range(4):
            stored.add(20 if turn % 2 else MANY)
            stored.remove(sorted(stored.truth)[:20])
            index.catch_up(stored.catalog)
            index.save(tmp_path)
            query = unit(stored.random.normal(size=DIMENSION))
            other.stdin.write(f"{query.tolist()}\n")
            other.stdin.flush()
            assert json.loads(other.stdout.readline()) == stored.brute_force(query, 10)[1].tolist()
    stored.catalog.close()


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


def test_the_owner_of_a_view_lives_until_the_view_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may use its memory otherwise, and the process crashes."""
    alive: list[object] = []

    class Recorded(faiss.MaybeOwnedVectorUInt8):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            alive.append(id(self))

        def __del__(self) -> None:
            alive.remove(id(self))

        @staticmethod
        def create_view(*arguments: object) -> object:
            assert len(alive) == 1
            return real.create_view(*arguments)

    real = faiss.MaybeOwnedVectorUInt8
    monkeypatch.setattr(faiss, "MaybeOwnedVectorUInt8", Recorded)
    rows = np.ones((3, 4), np.float16)
    assert flat_index(rows).reconstruct(1).tolist() == [1.0] * 4
