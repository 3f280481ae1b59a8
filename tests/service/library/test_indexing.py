"""Index runs of a library: which folders they take, and what searches see of them meanwhile."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from service.errors import BusyError, NotFoundError, SmyslError, UsageError
from service.indexing.indexer import Advanced
from service.library import Library
from service.search.query import Query
from service.store.lock import write_lock
from service.store.paths import resolve_folder
from service.store.records import RootOptions
from tests.service.colours import NAMES, paint
from tests.service.library.colour_library import found, index, opened


def test_searches_follow_an_index_run_at_once(library: Library, photographs: Path) -> None:
    index(library, photographs)
    assert "cyan.png" not in found(library, "cyan")
    paint(photographs / "cyan.png", "cyan")
    (photographs / "red.png").unlink()
    index(library, prune=True, confirm=1)
    assert found(library, "cyan")[0] == "cyan.png"
    assert "red.png" not in found(library, "red")


def test_a_reader_sees_what_a_writer_of_another_process_commits(library: Library, photographs: Path) -> None:
    index(library, photographs)
    with opened(library.folder, None) as reader:
        assert len(found(reader, "white", 200)) == 4
        for number in range(4):
            paint(photographs / f"white {number}.png", (255, 255, 250 - number))
        run = library.index([photographs])
        next(event for event in run if isinstance(event, Advanced))
        assert len(found(reader, "white", 200)) == 6, "one batch of two is committed"
        list(run)
        assert len(found(reader, "white", 200)) == 8


def test_a_second_writer_is_refused_and_the_first_one_named(library: Library, photographs: Path) -> None:
    run = library.index([photographs])
    next(run)
    with pytest.raises(BusyError, match=f"process {os.getpid()} .*smysl index"):
        index(library, photographs)
    writer = library.status().writer
    assert writer is not None
    assert writer.pid == os.getpid()
    run.close()  # type: ignore[attr-defined]
    assert library.status().writer is None
    assert index(library, photographs).added == 4


def test_nested_folders_in_one_run_become_one_root(library: Library, photographs: Path) -> None:
    paint(photographs / "deep" / "a.png", "white")
    assert index(library, photographs / "deep", photographs, photographs).added == 5
    assert [root.path for root in library.status().roots] == [photographs]


def test_a_link_to_a_folder_is_the_same_root(library: Library, photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photographs)
    index(library, photographs)
    assert index(library, tmp_path / "link").unchanged == 4
    assert library.status().photographs == 4


def test_missing_folders_files_and_link_loops_are_refused_as_folders(tmp_path: Path) -> None:
    (tmp_path / "file.jpg").write_bytes(b"x")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NotFoundError, match=r"There is no folder .*gone"):
        resolve_folder(tmp_path / "gone")
    with pytest.raises(NotFoundError, match=r"There is no folder .*loop"):
        resolve_folder(tmp_path / "loop")
    with pytest.raises(UsageError, match="is a file"):
        resolve_folder(tmp_path / "file.jpg")
    with pytest.raises(NotFoundError):
        resolve_folder(Path("x" * 5000))


def test_a_folder_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system refuses such names")
    with pytest.raises(UsageError, match="caf\ufffd is not valid UTF-8"):
        resolve_folder(folder)


def test_a_pattern_that_cannot_be_understood_is_not_remembered(library: Library, photographs: Path) -> None:
    index(library, photographs)
    with pytest.raises(UsageError, match=r"--exclude \[z-a\] is not a pattern"):
        index(library, photographs, exclude=("[z-a]",))
    assert [root.options for root in library.catalog.roots()] == [RootOptions()]


def test_a_missing_root_is_reported_and_its_photographs_are_not_pruned(
    library: Library, photographs: Path, tmp_path: Path
) -> None:
    other = paint(tmp_path.resolve() / "other" / "a.png", "white").parent
    index(library, photographs, other)
    shutil.rmtree(photographs)
    summary = index(library, prune=True)
    assert [failure.path for failure in summary.failed] == [str(photographs)]
    assert (summary.removed, library.status().photographs) == (0, 5)


def test_many_threads_can_search_while_one_indexes(library: Library, photographs: Path) -> None:
    index(library, photographs)
    failures: list[BaseException] = []
    stop = threading.Event()

    def search() -> None:
        try:
            while not stop.is_set():
                for name in NAMES:
                    hits = library.search(Query(text=name, k=200)).hits
                    assert len({hit.photograph.id for hit in hits}) == len(hits) >= 4
        except (AssertionError, SmyslError, RuntimeError) as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(12):
        paint(photographs / f"{number}.png", (number * 20, 30, 60))
    index(library, photographs)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(found(library, "red", 200)) == 16


def test_searches_work_while_another_process_writes(library: Library, photographs: Path) -> None:
    index(library, photographs)
    with write_lock(library.folder, "another run"):
        assert found(library, "red")[0] == "red.png"
