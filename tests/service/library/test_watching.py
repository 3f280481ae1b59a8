"""A library that is kept in step with the disk."""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import service.indexing.watch
from service.errors import MismatchError, NotFoundError, UsageError
from service.indexing.indexer import Scanned, Summary
from service.indexing.watch_events import Notice, Ran, Watching, WatchOptions
from service.library import Library
from service.search.query import Query
from service.store.lock import write_lock
from tests.service.colours import count_vectors, paint
from tests.service.library.colour_library import OTHER, Models, index, opened


class Watched:
    """A watch of a library over the real disk that waits for nothing to be quiet, and what happens in it."""

    def __init__(self, library: Library, *folders: Path, **options: Any) -> None:
        self.events = library.watch(folders, WatchOptions(**options))

    def run(self) -> tuple[Scanned, Summary]:
        """What the next index run finds and does."""
        scanned = Scanned(0, 0)
        for event in self.events:
            if isinstance(event, Scanned):
                scanned = event
            elif isinstance(event, Ran):
                return scanned, event.summary
        raise AssertionError("the watch has ended")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.indexing.watch, "QUIET_S", 0.1)
    monkeypatch.setattr(service.indexing.watch, "TICK_S", 0.02)


@pytest.mark.usefixtures("at_once")
def test_a_watch_indexes_the_folders_that_change_and_loads_the_model_once(
    library: Library, photographs: Path, models: Models
) -> None:
    watched = Watched(library, photographs)
    with closing(watched.events):
        _, first = watched.run()
        assert first.added == 4
        (identity,) = [hit.photograph.id for hit in library.search(Query(text="red", k=1)).hits]
        (photographs / "2020").mkdir()
        (photographs / "red.png").rename(photographs / "2020" / "rose.png")
        scanned, moved = watched.run()
        assert (scanned.to_read, moved.moved, moved.added, moved.missing) == (1, 1, 0, 0)
        paint(photographs / "2020" / "white.png", "white")
        scanned, added = watched.run()
        assert scanned == Scanned(to_read=1, unchanged=1), "the folder above it is not looked through"
        assert added.added == 1
        hit = library.search(Query(text="red", k=1)).hits[0]
        assert (hit.photograph.id, hit.photograph.relative) == (identity, "2020/rose.png")
    assert models.loaded == ["mini"]
    assert models.known["mini"].encoded == 5
    assert library.status().writer is None


@pytest.mark.usefixtures("at_once")
def test_a_watch_prunes_what_is_gone_only_if_that_is_wished(library: Library, photographs: Path) -> None:
    for number in range(20):
        paint(photographs / "many" / f"{number}.png", "red").write_bytes(
            (photographs / "red.png").read_bytes() + bytes([number])
        )
    watched = Watched(library, photographs, prune=True)
    watched.run()
    (photographs / "many" / "3.png").unlink()
    assert watched.run()[1].missing == 1, "one of twenty of the folder, as part of all of it"
    assert watched.run()[1].removed == 1
    for number in range(4, 10):
        (photographs / "many" / f"{number}.png").unlink()
    assert watched.run()[1].missing == 6
    _, refused = watched.run()
    assert (refused.removed, refused.missing) == (0, 6)
    assert [(loss.folder, loss.gone) for loss in refused.losses] == [(photographs, 6)]
    watched.events.close()
    assert library.status().photographs == 23


@pytest.mark.usefixtures("at_once")
def test_a_watch_follows_the_model_of_its_library(changing: Library, photographs: Path, models: Models) -> None:
    with opened(changing.folder, None) as follower:
        watched = Watched(follower)
        watched.run()
        with opened(changing.folder, OTHER) as writer:
            index(writer)
        paint(photographs / "white.png", "white")
        assert watched.run()[1].added == 1
        watched.events.close()
        assert count_vectors(follower.catalog) == {"others": 5}
        assert follower.status().model == OTHER


@pytest.mark.usefixtures("at_once")
def test_a_watch_with_a_named_model_does_not_change_back_what_another_process_changed(
    changing: Library, photographs: Path
) -> None:
    watched = Watched(changing)
    watched.run()
    with opened(changing.folder, OTHER) as writer:
        index(writer)
    paint(photographs / "white.png", "white")
    with pytest.raises(MismatchError, match=f"was made with the model {OTHER}, not with mini"):
        watched.run()
    assert count_vectors(changing.catalog) == {"others": 4}


@pytest.mark.usefixtures("at_once")
def test_a_watch_waits_for_another_writer(library: Library, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.indexing.watch, "BUSY_S", 0.1)
    watched = Watched(library, photographs)
    with write_lock(library.folder, "smysl index"):
        notice = next(watched.events)
    assert isinstance(notice, Notice)
    assert re.fullmatch(
        rf"Waiting for process {os.getpid()} on .* \(smysl index, since .*\), which is writing to the library\.",
        notice.sentence,
    )
    assert watched.run()[1].added == 4
    watched.events.close()


def test_a_folder_that_is_away_can_be_watched_if_the_library_knows_it(
    library: Library, photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="There is no folder"):
        next(library.watch([tmp_path / "misspelt"]))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is a file"):
        next(library.watch([tmp_path / "file"]))
    index(library, photographs)
    photographs.rename(tmp_path / "away")
    with closing(library.watch([photographs])) as events:
        assert isinstance(next(events), Notice)
        assert next(events) == Watching((), (photographs,))


def test_a_watch_can_be_stopped_from_another_thread(library: Library, photographs: Path) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(list, library.watch([photographs], stop=stop))
        while library.status().photographs < 4:
            assert not watching.done()
        stop.set()
        assert isinstance(watching.result(60)[-1], Ran | Watching)
