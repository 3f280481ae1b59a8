"""When a watched library is indexed, what is covered and what is said: over a fake disk, clock and index run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.errors import BusyError, LibraryError, MismatchError, NotFoundError, SmyslError, UsageError
from service.indexing.changes import Scope
from service.indexing.decoder import Failure
from service.indexing.indexer import Event, Finished, Scanned, Summary
from service.indexing.watch import BUSY_S, MOST_WAIT_S, QUIET_S, RETRY_S, TICK_S, Watch
from service.indexing.watch_events import Notice, Ran, WatchEvent, Watching, WatchOptions
from service.indexing.watched_folder import CHECK_S
from service.store.catalog import Catalog
from service.store.records import FileInfo
from tests.service.indexing.change_sources import Clock, FakeSources

START = 1000.0


@dataclass
class Run:
    """An index run that was asked for, and when."""

    seconds: float
    scope: Scope
    prune: bool
    postpone: Callable[[Path, FileInfo], bool] | None


@dataclass
class FakeLibrary:
    """A library whose index runs do nothing but what a test says, and a disk on which things happen at set times."""

    folder: Path
    options: WatchOptions = field(default_factory=WatchOptions)

    def __post_init__(self) -> None:
        self.first, self.second = self.folder / "first", self.folder / "second"
        for root in (self.first, self.second):
            (root / "2020").mkdir(parents=True)
            (root / "one.jpg").write_bytes(b"1")
        self.library = self.folder / "library"
        self.library.mkdir()
        self.catalog = Catalog(self.library / "catalog.sqlite")
        self.catalog.add_root(self.first)
        self.catalog.add_root(self.second)
        self.clock, self.sources = Clock(), FakeSources()
        self.wall = 0.0
        self.actions: list[tuple[float, Callable[[], object]]] = []
        self.results: list[SmyslError | list[Event]] = []
        self.runs: list[Run] = []
        self.stop_at = 0.0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self.clock.now - START

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something so many seconds after the start."""
        self.actions.append((seconds, action))

    def change(self, seconds: float, folder: Path, *, below: bool = False) -> None:
        """Report a change in a folder so many seconds after the start."""
        self.at(seconds, lambda: self.sources.report(folder, below=below))

    def watch(self, seconds: float, *named: Path) -> list[WatchEvent]:
        """Watch for so many seconds; returns what happened."""
        watch = Watch(
            self.catalog,
            self.library,
            self.index,
            named,
            self.options,
            sources=self.sources,  # type: ignore[arg-type]
            clock=self.clock,
            wall_clock=lambda: self.wall,
        )
        self.stop_at = START + seconds
        events = list(watch.run(self))
        assert list(self.sources.current()) == [], "nothing is watched any more"
        return events

    def is_set(self) -> bool:
        return self.clock.now >= self.stop_at

    def wait(self, timeout: float) -> bool:
        self.clock.now += timeout
        due = [action for seconds, action in self.actions if seconds <= self.seconds]
        self.actions = [each for each in self.actions if each[0] > self.seconds]
        for action in due:
            action()
        return self.is_set()

    def index(
        self, scope: Scope, *, prune: bool, postpone: Callable[[Path, FileInfo], bool] | None
    ) -> Generator[Event, None, None]:
        self.runs.append(Run(self.seconds, scope, prune, postpone))
        result = self.results.pop(0) if self.results else [Finished(Summary())]
        if isinstance(result, SmyslError):
            raise result
        yield from result

    def scopes(self) -> list[Scope]:
        return [run.scope for run in self.runs]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[FakeLibrary]:
    library = FakeLibrary(tmp_path.resolve())
    yield library
    library.catalog.close()


def said(events: list[WatchEvent]) -> list[str]:
    return [event.sentence for event in events if isinstance(event, Notice)]


def ran(events: list[WatchEvent]) -> list[Ran]:
    return [event for event in events if isinstance(event, Ran)]


def finished(**counts: int) -> list[Event]:
    return [Finished(Summary(**counts))]  # type: ignore[arg-type]


def test_all_folders_are_indexed_at_once_and_then_nothing_without_a_change(library: FakeLibrary) -> None:
    events = library.watch(600)
    both = (library.first, library.second)
    assert [(run.seconds, run.scope, run.postpone) for run in library.runs] == [(0, Scope(deep=both), None)]
    assert events == [Finished(Summary()), Ran(Summary(), 0, 0), Watching(both, ())]


def test_changes_are_indexed_when_the_disk_is_quiet(library: FakeLibrary) -> None:
    for second in (10, 11, 12.5):
        library.change(second, library.first / "2020")
    library.change(12, library.second, below=True)
    library.watch(60)
    assert library.scopes()[1:] == [Scope((library.second,), (library.first / "2020",))]
    assert library.runs[1].seconds == pytest.approx(12.5 + QUIET_S, abs=2 * TICK_S)


def test_both_folders_of_a_move_are_in_one_run(library: FakeLibrary) -> None:
    library.change(10, library.first / "2020")
    library.change(11, library.second)
    library.watch(60)
    assert library.scopes()[1:] == [Scope(flat=(library.first / "2020", library.second))]
    assert library.runs[1].seconds == pytest.approx(11 + QUIET_S, abs=2 * TICK_S)


def test_constant_change_is_indexed_now_and_then(library: FakeLibrary) -> None:
    for second in range(10, 80):
        library.change(second, library.first)
    library.watch(100)
    pauses = [later.seconds - before.seconds for before, later in zip(library.runs[1:], library.runs[2:], strict=False)]
    assert len(library.runs) == 4
    assert pauses[0] == pytest.approx(MOST_WAIT_S, abs=2)


def test_new_folders_are_watched_before_they_are_indexed(library: FakeLibrary) -> None:
    new = library.first / "2021"
    library.at(10, new.mkdir)
    library.change(10, new, below=True)
    covered: list[list[Path]] = []
    real = library.index

    def index(scope: Scope, **options: object) -> Generator[Event, None, None]:
        covered.append(sorted(folder for source in library.sources.current() for folder in source.covered))
        return real(scope, **options)  # type: ignore[arg-type]

    library.index = index  # type: ignore[method-assign]
    library.watch(60)
    assert covered == [[library.first, library.second], [library.first, new, library.second]]


def test_a_file_that_changed_a_moment_ago_is_left_for_the_next_run(library: FakeLibrary) -> None:
    file = library.first / "2020" / "half.jpg"
    answers: list[bool] = []

    def index(scope: Scope, **options: object) -> Generator[Event, None, None]:
        postpone = options["postpone"]
        library.runs.append(Run(library.seconds, scope, False, None))
        if callable(postpone):
            for age in (library.seconds - 10, QUIET_S, -5):
                info = FileInfo(1, "2020", file.name, 1, 0, int((library.wall - age) * 1e9))
                answers.append(postpone(file, info))
        yield Finished(Summary())

    library.wall = 1_800_000_000.0
    library.index = index  # type: ignore[method-assign]
    # A copy begins 9 s after the start and ends at 11 s.
    library.change(9, library.first / "2020")
    library.watch(60)
    assert answers[:3] == [True, False, False], "one of the future, by the clock of another machine, is taken"
    assert library.scopes()[1:] == [Scope(flat=(file.parent,)), Scope(flat=(file.parent,))]
    assert answers[3:] == [False, False, False]


def test_a_modification_time_counts_like_that_of_the_inode(library: FakeLibrary) -> None:
    library.wall = 1_800_000_000.0
    library.change(10, library.first)
    library.watch(30)
    postpone = library.runs[1].postpone
    assert postpone is not None
    file = library.first / "a.jpg"
    assert postpone(file, FileInfo(1, "", "a.jpg", 1, int((library.wall - 1) * 1e9), None))
    assert not postpone(file, FileInfo(1, "", "a.jpg", 1, int((library.wall - 100) * 1e9), None))


def test_another_writer_is_waited_for_and_said_once(library: FakeLibrary) -> None:
    library.results = [BusyError("busy") for _ in range(5)] + [finished(added=2)] + [BusyError("busy")]
    library.change(60, library.first)
    events = library.watch(120)
    waiting = "Waiting for another process, which is writing to the library."
    assert said(events) == [waiting, waiting], "once each time"
    assert [run.seconds for run in library.runs[:6]] == pytest.approx([n * BUSY_S for n in range(6)], abs=6 * TICK_S)
    assert [each.summary.added for each in ran(events)] == [2, 0]
    assert library.scopes()[0] == library.scopes()[5], "what could not be indexed is indexed later"
    watching = [event for event in events if isinstance(event, Watching)]
    assert len(watching) == 1
    assert events.index(watching[0]) > events.index(ran(events)[0])


def test_a_folder_that_goes_away_pauses_and_is_indexed_as_a_whole_when_it_is_back(library: FakeLibrary) -> None:
    away = library.second.with_name("away")
    library.at(10, lambda: library.second.rename(away))
    library.change(20, library.first)
    library.at(40, lambda: away.rename(library.second))
    events = library.watch(80)
    assert said(events) == [
        f"{library.second} is not there. Its photographs stay in the library, and it is watched again when it is back.",
        f"{library.second} is back.",
    ]
    assert library.scopes()[1:] == [Scope(flat=(library.first,)), Scope(deep=(library.second,))]
    both = (library.first, library.second)
    assert [event for event in events if isinstance(event, Watching)] == [
        Watching(both, ()),
        Watching((library.first,), (library.second,)),
        Watching(both, ()),
    ]


def test_a_folder_that_goes_away_while_it_is_indexed_pauses(library: FakeLibrary) -> None:
    away = library.second.with_name("away")

    def vanish(scope: Scope, **options: object) -> Generator[Event, None, None]:
        library.runs.append(Run(library.seconds, scope, False, None))
        if len(library.runs) == 1:
            raise BusyError("busy")
        if len(library.runs) == 2:
            library.second.rename(away)
            raise LibraryError("The folder vanished while it was being indexed.")
        yield Finished(Summary())

    library.index = vanish  # type: ignore[method-assign]
    library.at(30, lambda: away.rename(library.second))
    events = library.watch(60)
    assert library.scopes()[1:] == [
        Scope(deep=(library.first, library.second)),
        Scope(deep=(library.first,)),
        Scope(deep=(library.second,)),
    ]
    assert [sentence.split(". ")[0] for sentence in said(events)] == [
        "Waiting for another process, which is writing to the library.",
        f"{library.second} is not there",
        f"{library.second} is back.",
    ]


def test_folders_that_are_all_away_are_waited_for(library: FakeLibrary) -> None:
    library.first.rename(library.folder / "a")
    library.second.rename(library.folder / "b")
    library.at(30, lambda: (library.folder / "a").rename(library.first))
    events = library.watch(60)
    assert isinstance(events[2], Watching)
    assert events[2].folders == ()
    assert library.scopes() == [Scope(deep=(library.first,))]


def test_a_first_run_that_fails_ends_the_watch(library: FakeLibrary) -> None:
    library.results = [LibraryError("The disk is full.")]
    with pytest.raises(LibraryError, match="The disk is full"):
        library.watch(60)
    assert list(library.sources.current()) == []


@pytest.mark.parametrize("error", [LibraryError, NotFoundError, UsageError])
def test_a_later_run_that_fails_is_tried_again_and_said_once(library: FakeLibrary, error: type[SmyslError]) -> None:
    full = error("The disk is full.")
    library.results = [finished(), full, full, full, finished(added=1)]
    library.change(10, library.first)
    events = library.watch(300)
    assert said(events) == [f"The disk is full. Trying again every {RETRY_S:g} s."]
    assert [each.summary.added for each in ran(events)] == [0, 1]
    assert library.runs[-1].seconds - library.runs[1].seconds == pytest.approx(3 * RETRY_S, abs=3 * TICK_S)


def test_a_library_of_another_model_ends_the_watch(library: FakeLibrary) -> None:
    library.results = [finished(), MismatchError("Another model.")]
    library.change(10, library.first)
    with pytest.raises(MismatchError):
        library.watch(60)


def test_a_library_whose_disk_goes_ends_the_watch_with_a_sentence(
    library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    library.at(10, lambda: monkeypatch.setattr(library.catalog, "roots", fail))
    with pytest.raises(LibraryError, match=r"cannot be read any more \(disk I/O error\)\. Watch its folders again"):
        library.watch(60)
    assert list(library.sources.current()) == []


def test_failures_are_told_once_and_again_when_the_file_has_changed(library: FakeLibrary) -> None:
    file = library.first / "bad.jpg"
    file.write_bytes(b"1")
    bad = Failure(str(file), "no photograph")

    def run() -> list[Event]:
        return [Scanned(1, 0), bad, Finished(Summary(failed=[bad]))]

    library.results = [run(), run(), run()]
    library.change(10, library.first)
    library.at(20, lambda: file.write_bytes(b"22"))
    library.change(20, library.first)
    events = library.watch(60)
    assert [each.new_failures for each in ran(events)] == [1, 0, 1]
    assert events.count(bad) == 2


def test_missing_photographs_are_told_once(library: FakeLibrary) -> None:
    library.results = [finished(missing=5), *(finished(missing=number) for number in (2, 2, 3, 1))]
    for second in (10, 20, 30, 40):
        library.change(second, library.first)
    assert [each.new_missing for each in ran(library.watch(60))] == [5, 2, 0, 1, 0]


def test_nothing_is_pruned_unless_that_is_wished(library: FakeLibrary) -> None:
    library.results = [finished(missing=5), finished(missing=5)]
    library.change(10, library.first, below=True)
    library.watch(60)
    assert [run.prune for run in library.runs] == [False, False]


def test_what_is_pruned_is_judged_by_all_of_a_folder(tmp_path: Path) -> None:
    library = FakeLibrary(tmp_path.resolve(), WatchOptions(prune=True))
    library.results = [finished(), finished(missing=1), finished(removed=1), finished()]
    library.change(10, library.first / "2020")
    library.change(20, library.first / "2020")
    library.watch(60)
    library.catalog.close()
    assert [(run.scope, run.prune) for run in library.runs] == [
        (Scope(deep=(library.first, library.second)), True),
        (Scope(flat=(library.first / "2020",)), False),
        (Scope(deep=(library.first,)), True),
        (Scope(flat=(library.first / "2020",)), False),
    ]


def test_named_folders_alone_are_watched(library: FakeLibrary) -> None:
    inner = library.first / "2020"
    library.change(10, library.first)
    library.change(10, library.second)
    library.change(20, inner)
    library.watch(60, inner, inner / "deeper", inner)
    assert library.scopes() == [Scope(deep=(inner,)), Scope(flat=(inner,))]


def test_roots_that_come_and_go_are_followed(library: FakeLibrary) -> None:
    third = library.folder / "third"
    third.mkdir()
    library.at(10, lambda: library.catalog.add_root(third))
    library.at(30, lambda: library.catalog.remove_root(library.catalog.root_at(library.second)))
    library.change(40, library.second)
    events = library.watch(60)
    assert library.scopes()[1:] == [Scope(deep=(third,))]
    assert library.runs[1].seconds == pytest.approx(10 + CHECK_S + QUIET_S, abs=2 * CHECK_S)
    assert said(events) == [f"{library.second} is no longer a folder of the library and is not watched any more."]
    assert [event.folders for event in events if isinstance(event, Watching)][-1] == (library.first, third)


def test_a_named_folder_that_leaves_the_library_does_not_come_back_into_it(library: FakeLibrary) -> None:
    library.at(10, lambda: library.catalog.remove_root(library.catalog.root_at(library.second)))
    library.change(20, library.second)
    events = library.watch(60, library.second)
    assert library.scopes() == [Scope(deep=(library.second,))]
    assert len(said(events)) == 1


def test_an_empty_library_waits_for_folders(tmp_path: Path) -> None:
    library = FakeLibrary(tmp_path.resolve())
    for root in library.catalog.roots():
        library.catalog.remove_root(root)
    library.at(10, lambda: library.catalog.add_root(library.first))
    events = library.watch(60)
    library.catalog.close()
    assert events[0] == Watching((), ())
    assert library.scopes() == [Scope(deep=(library.first,))]


def test_a_watch_that_is_closed_in_a_run_closes_the_run(library: FakeLibrary) -> None:
    closed: list[bool] = []

    def index(scope: Scope, **options: object) -> Generator[Event, None, None]:
        try:
            yield Scanned(1, 0)
            yield Finished(Summary())
        finally:
            closed.append(True)

    watch = Watch(
        library.catalog,
        library.library,
        index,
        (),
        WatchOptions(),
        sources=library.sources,  # type: ignore[arg-type]
        clock=library.clock,
    )
    library.stop_at = START + 60
    events = watch.run(library)
    assert next(events) == Scanned(1, 0)
    events.close()
    assert closed == [True]
    assert list(library.sources.current()) == []
