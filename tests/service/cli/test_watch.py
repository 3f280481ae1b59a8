"""`smysl watch`: what it prints of what happens, how it ends, and wrong use."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.indexing.decoder import Failure, Flaw
from service.indexing.indexer import Advanced, Event, Finished, Scanned, Summary
from service.indexing.sweep import Loss
from service.indexing.watch_events import Notice, Ran, WatchEvent, Watching, WatchOptions
from service.library import Library
from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary

Watch = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def happens(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Has watching give these events, and then be interrupted; returns what was asked for."""

    def replace(*events: WatchEvent) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def watch(
            library: Library, folders: object, options: WatchOptions, **others: object
        ) -> Generator[WatchEvent, None, None]:
            asked.append({"folders": folders, "options": options})
            yield from events
            raise KeyboardInterrupt

        monkeypatch.setattr(Library, "watch", watch)
        return asked

    return replace


def run(*events: Event, new_failures: int = 0, new_missing: int = 0, **counts: Any) -> list[WatchEvent]:
    summary = Summary(**counts)
    return [*events, Finished(summary), Ran(summary, new_failures, new_missing)]


FIRST = [*run(Scanned(3, 0), Advanced(3, 3), added=3), Watching((Path("/a"), Path("/b")), ())]


def test_each_run_that_changed_something_is_a_line(sample_library: SampleLibrary, smysl: Run, happens: Watch) -> None:
    happens(
        *FIRST,
        *run(Scanned(4, 1), added=3, moved=1, unchanged=1),
        *run(Scanned(0, 7), unchanged=7),
        *run(changed=1_000, revived=2, removed=3, missing=9, new_missing=4, new_failures=5),
        *run(missing=9),
    )
    done = smysl("watch", "--library", sample_library.folder)
    assert done.code == 0
    assert done.out.splitlines() == [
        "3 added, 0 unchanged, 0 removed, 0 failed, in 0.0 s",
        "Watching 2 folders. Stop with Ctrl-C.",
        "3 added, 1 moved",
        "1,000 changed, 2 came back, 3 removed, 4 missing, 5 failed",
    ]
    assert done.err == "Stopped watching.\n"


def test_notices_and_problems_of_files_are_said(sample_library: SampleLibrary, smysl: Run, happens: Watch) -> None:
    happens(
        Notice("Waiting for another process."),
        Failure("/a/bad.jpg", "it is not a photograph"),
        *FIRST,
        Notice("/a is not there."),
        Watching((Path("/b"),), (Path("/a"),)),
        Failure("/b/bad.jpg", "the file is empty"),
        Flaw("/b/half.jpg", "the file ends too early", is_minor=False),
        Flaw("/b/date.jpg", "its date is none", is_minor=True),
        *run(),
    )
    done = smysl("watch", "--library", sample_library.folder)
    assert done.err.splitlines() == [
        "Waiting for another process.",
        "  cannot index /a/bad.jpg: it is not a photograph",
        "/a is not there.",
        "  cannot index /b/bad.jpg: the file is empty",
        "  indexed /b/half.jpg, but the file ends too early",
        "Stopped watching.",
    ]
    assert done.out.count("Watching") == 1


def test_progress_is_shown_of_runs_that_take_long(
    sample_library: SampleLibrary, smysl: Run, happens: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.cli.progress._LINE_INTERVAL_S", 0.0)
    few = run(Scanned(99, 0), Advanced(98, 99), added=99)
    failed = [Scanned(100, 0), Advanced(16, 100), Notice("The disk is full. Trying again every 60 s.")]
    failed_likewise = failed[:2]
    happens(*FIRST, *few, *failed, *failed_likewise, Scanned(90, 10), Advanced(90, 90), *run(added=90))
    done = smysl("watch", "--library", sample_library.folder)
    assert done.out.splitlines()[2:] == ["99 added", "90 added"]
    assert [line.split(",")[0] for line in done.err.splitlines() if " of 3," not in line] == [
        "Indexing: 0 of 100",
        "Indexing: 16 of 100",
        "The disk is full. Trying again every 60 s.",
        "Indexing: 0 of 100",
        "Indexing: 16 of 100",
        "Stopped watching.",
    ]


def test_folders_that_are_all_away_are_not_described_as_indexed(
    sample_library: SampleLibrary, smysl: Run, happens: Watch
) -> None:
    happens(Notice("/a is not there."), Watching((), (Path("/a"),)), *run(added=1))
    done = smysl("watch", "--library", sample_library.folder)
    assert done.out.splitlines() == ["Waiting for a folder to come back. Stop with Ctrl-C.", "1 added"]


def test_why_nothing_was_pruned_is_said_once(sample_library: SampleLibrary, smysl: Run, happens: Watch) -> None:
    lost = {"missing": 5, "losses": (Loss(Path("/a"), 5, 20),)}
    asked = happens(*FIRST, *run(new_missing=5, **lost), *run(**lost), *run())
    done = smysl("watch", "--prune", "--library", sample_library.folder)
    assert asked[0]["options"] == WatchOptions(prune=True)
    assert done.err.count("Nothing was removed: 5 of 20 photographs of /a are gone.") == 1


def test_losses_are_no_matter_without_prune(sample_library: SampleLibrary, smysl: Run, happens: Watch) -> None:
    happens(*FIRST, *run(new_missing=5, missing=5))
    done = smysl("watch", "--library", sample_library.folder)
    assert done.err == "Stopped watching.\n"


def test_an_interrupted_first_run_ends_as_index_does(sample_library: SampleLibrary, smysl: Run, happens: Watch) -> None:
    happens(Scanned(3, 0), Advanced(1, 3))
    done = smysl("watch", "--library", sample_library.folder)
    assert done.code == 130
    assert "What was indexed is kept; run the command again to continue." in done.err


def test_the_interval_is_a_flag_and_a_setting(
    sample_library: SampleLibrary, smysl: Run, happens: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = happens(*FIRST)
    smysl("watch", sample_library.photographs, "--library", sample_library.folder)
    smysl("watch", "--poll", "2.5", "--library", sample_library.folder)
    monkeypatch.setenv("SMYSL_POLL", "60")
    smysl("watch", "--library", sample_library.folder)
    assert [(list(each["folders"]), each["options"].poll_s) for each in asked] == [
        ([sample_library.photographs], None),
        ([], 2.5),
        ([], 60.0),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Name at least one folder of photographs: smysl watch DIR."),
        (("/no/such/folder",), "There is no folder /no/such/folder"),
        (("--poll", "0"), "--poll (or SMYSL_POLL) is '0.0'"),
        (("--poll", "nan"), "--poll (or SMYSL_POLL) is 'nan'"),
    ],
)
def test_wrong_use_is_reported(
    unindexed_library: SampleLibrary, smysl: Run, arguments: tuple[str, ...], says: str
) -> None:
    unindexed_library.open().close()
    done = smysl("watch", *arguments, "--library", unindexed_library.folder)
    assert says in error_of(done, 2)


def test_without_a_library_there_is_nothing_to_watch(tmp_path: Path, smysl: Run) -> None:
    done = smysl("watch", "--library", tmp_path / "library")
    assert "There is no library in" in error_of(done, 1)
    missing = smysl("watch", tmp_path / "gone", "--library", tmp_path / "library")
    assert missing.code == 2
    assert not (tmp_path / "library").exists(), "and none is made for a folder that is not there"
