"""Progress of long work on standard error: bars on a terminal, plain lines in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

from service.cli.wrapping import print_wrapped
from service.indexing.decoder import Failure, Flaw
from service.indexing.indexer import Advanced, Event, Finished, Scanned, Summary
from service.types import OnStage

if TYPE_CHECKING:
    from service.encoder.models import DownloadProgress
    from service.indexing.watch_events import Ran

_BAR_WIDTH = 32
"""Characters of a bar with share, amount and time left."""

_SPEED_WIDTH = 12
"""Characters of the speed."""

_LINE_INTERVAL_S = 5.0
"""Seconds between two lines in a pipe."""


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        """The rate, or a dash before the first step."""
        return Text(f"{task.speed:.0f}/s" if task.speed else "–/s", style="progress.data.speed")


class Steps:
    """Progress of a known number of steps, an `OnProgress`: a bar on a terminal, a line every few seconds in a pipe."""

    def __init__(self, console: Console, what: str, *, of_bytes: bool = False) -> None:
        self._console = console
        self._what = what
        self._of_bytes = of_bytes
        self._start = time.monotonic()
        self._last_line = self._start
        self._done_before: int | None = None
        self._bar: Progress | None = None
        if console.is_terminal:
            amount = (DownloadColumn if of_bytes else MofNCompleteColumn)(table_column=Column(no_wrap=True))
            speed = (TransferSpeedColumn if of_bytes else _Rate)(table_column=Column(no_wrap=True))
            left = console.width - _BAR_WIDTH
            if len(what) > left:
                print_wrapped(console, what)
                what = ""
            self._bar = Progress(
                *([TextColumn("{task.description}", table_column=Column(no_wrap=True))] if what else []),
                BarColumn(),
                TaskProgressColumn(table_column=Column(no_wrap=True)),
                amount,
                *([speed] if len(what) <= left - _SPEED_WIDTH else []),
                TimeRemainingColumn(table_column=Column(no_wrap=True)),
                console=console,
            )
            self._task = self._bar.add_task(what, total=None)
            self._bar.start()

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` steps are done."""
        if self._done_before is None:
            # Bytes of an interrupted download do not count towards the speed of this one.
            self._done_before = done if self._of_bytes else 0
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
            return
        now = time.monotonic()
        if total and now - self._last_line >= _LINE_INTERVAL_S:
            self._last_line = now
            rate = (done - self._done_before) / (now - self._start)
            line = f"{self._what}: {done:,} of {total:,}, {rate:,.1f}/s"
            if self._of_bytes:
                line = f"{self._what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {rate / 1e6:,.1f} MB/s"
            if rate > 0 and done < total:
                line += f", {(total - done) / rate:,.0f} s left"
            print_wrapped(self._console, line)

    def close(self) -> None:
        """Stop updating the bar, which stays on the screen."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def steps(console: Console, what: str, *, of_bytes: bool = False) -> Iterator[Steps]:
    """A `Steps` named `what`, closed at the end of the block."""
    on_progress = Steps(console, what, of_bytes=of_bytes)
    try:
        yield on_progress
    finally:
        on_progress.close()


@contextmanager
def stages(console: Console) -> Iterator[OnStage]:
    """An `OnStage` that shows the progress of each stage by itself."""
    current: Steps | None = None
    current_name = ""

    def on_stage(name: str, done: int, total: int) -> None:
        nonlocal current, current_name
        if current is None or name != current_name:
            if current is not None:
                current.close()
            current, current_name = Steps(console, name[:1].upper() + name[1:]), name
        current(done, total)

    try:
        yield on_stage
    finally:
        if current is not None:
            current.close()


@contextmanager
def download(console: Console) -> Iterator[Callable[[DownloadProgress], None]]:
    """A callback for the download of a model; shows nothing before the download starts."""
    steps: Steps | None = None

    def on_progress(progress: DownloadProgress) -> None:
        nonlocal steps
        if progress.stage == "start":
            steps = Steps(console, f"Downloading {progress.model}", of_bytes=True)
        if steps is not None:
            steps(progress.done_bytes, progress.total_bytes)

    try:
        yield on_progress
    finally:
        if steps is not None:
            steps.close()


def follow_index(console: Console, events: Iterable[Event], *, verbose: bool = False) -> Summary:
    """Consume the events of an index run, show its progress and failures, and return its summary.

    If `verbose`, also what is wrong with metadata alone, and everything that was left out.
    """
    summary = Summary()
    with steps(console, "Indexing") as on_progress:
        for event in events:
            if isinstance(event, Scanned):
                on_progress(0, event.to_read)
            elif isinstance(event, Advanced):
                on_progress(event.done, event.total)
            elif isinstance(event, Finished):
                summary = event.summary
                if verbose:
                    for path, skipped in summary.skipped:
                        print_wrapped(console, f"  skipped {path}: {skipped.sentence}")
            else:
                print_problem(console, event, verbose=verbose)
    return summary


def print_problem(console: Console, problem: Failure | Flaw, *, verbose: bool = False) -> None:
    """Say what is wrong with a file; what is wrong with metadata alone only if `verbose`."""
    if isinstance(problem, Failure):
        print_wrapped(console, f"  cannot index {problem.path}: {problem.reason}")
    elif verbose or not problem.is_minor:
        print_wrapped(console, f"  indexed {problem.path}, but {problem.sentence}")


def count(photographs: int) -> str:
    """A number of photographs, in words."""
    return "1 photograph" if photographs == 1 else f"{photographs:,} photographs"


def describe(summary: Summary) -> str:
    """The summary of an index run in a few lines."""
    parts = [
        f"{summary.added:,} added",
        f"{summary.changed:,} changed" if summary.changed else "",
        f"{summary.moved:,} moved" if summary.moved else "",
        f"{summary.revived:,} came back" if summary.revived else "",
        f"{summary.unchanged:,} unchanged",
        f"{summary.removed:,} removed",
        f"{len(summary.failed):,} failed",
    ]
    lines = [f"{', '.join(part for part in parts if part)}, in {summary.seconds:.1f} s"]
    if summary.missing:
        is_one = summary.missing == 1
        hint = "" if summary.losses else f"; --prune removes {'it' if is_one else 'them'} from the library"
        lines.append(f"{count(summary.missing)} {'is' if is_one else 'are'} missing{hint}")
    lines += [f"skipped {reason.sentence}: {count:,}" for reason, count in summary.reasons().most_common()]
    return "\n".join(lines)


def describe_changes(ran: Ran) -> str:
    """What an index run of a watch has changed, in a line; empty if nothing."""
    summary = ran.summary
    counts = {
        "added": summary.added,
        "changed": summary.changed,
        "moved": summary.moved,
        "came back": summary.revived,
        "removed": summary.removed,
        "missing": ran.new_missing,
        "failed": ran.new_failures,
    }
    return ", ".join(f"{number:,} {what}" for what, number in counts.items() if number)


def describe_losses(summary: Summary) -> str:
    """Why nothing was removed from the library, and how to remove it all the same."""
    folders = " and ".join(
        f"{loss.gone:,} of {count(loss.known)} of {loss.folder} {'is' if loss.gone == 1 else 'are'} gone"
        for loss in summary.losses
    )
    return (
        f"Nothing was removed: {folders}. If a drive is away or a folder was moved, connect it or run `smysl roots "
        f"move`. If they really are gone, run `smysl index --prune --confirm {summary.missing}`; ratings are kept."
    )
