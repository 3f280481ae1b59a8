"""What a person sees while something takes its time: bars on a terminal, plain lines in a pipe."""

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
from rich.text import Text

from service.indexing.decoder import Failure
from service.indexing.indexer import Advanced, Event, Finished, Scanned, Summary
from service.types import OnStage

if TYPE_CHECKING:
    from service.encoder.models import DownloadProgress

_EVERY_S = 5.0
"""Seconds between two lines where there is no terminal."""


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        """The rate, or a dash before there is one."""
        return Text(f"{task.speed:.0f}/s" if task.speed else "–/s", style="progress.data.speed")


class Steps:
    """Progress of a known number of steps; on a terminal a bar, elsewhere a line every few seconds."""

    def __init__(self, console: Console, what: str, *, of_bytes: bool = False) -> None:
        self._console = console
        self._what = what
        self._of_bytes = of_bytes
        self._start = time.monotonic()
        self._told = self._start
        self._before: int | None = None
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (DownloadColumn(), TransferSpeedColumn()) if of_bytes else (MofNCompleteColumn(), _Rate())
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                *columns,
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task(what, total=None)
            self._bar.start()

    def __call__(self, done: int, total: int) -> None:
        """Say that `done` of `total` steps are over."""
        if self._before is None:
            # Bytes of an earlier run say nothing about how fast they come now.
            self._before = done if self._of_bytes else 0
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
            return
        now = time.monotonic()
        if total and (now - self._told >= _EVERY_S):
            self._told = now
            rate = (done - self._before) / (now - self._start)
            line = f"{self._what}: {done:,} of {total:,}, {rate:,.1f}/s"
            if self._of_bytes:
                line = f"{self._what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {rate / 1e6:,.1f} MB/s"
            if rate > 0 and done < total:
                line += f", {(total - done) / rate:,.0f} s left"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def steps(console: Console, what: str, *, of_bytes: bool = False) -> Iterator[Steps]:
    """A `Steps` that is closed in the end."""
    shown = Steps(console, what, of_bytes=of_bytes)
    try:
        yield shown
    finally:
        shown.close()


@contextmanager
def stages(console: Console) -> Iterator[OnStage]:
    """A callback for work in several parts: what is being done, how much of it, and how much there is."""
    shown: Steps | None = None
    current = ""

    def tell(what: str, done: int, total: int) -> None:
        nonlocal shown, current
        if shown is None or what != current:
            if shown is not None:
                shown.close()
            shown, current = Steps(console, what[:1].upper() + what[1:]), what
        shown(done, total)

    try:
        yield tell
    finally:
        if shown is not None:
            shown.close()


@contextmanager
def download(console: Console) -> Iterator[Callable[[DownloadProgress], None]]:
    """A callback for `ensure_downloaded` and `choose_first_model`; shows nothing before a download starts."""
    shown: Steps | None = None

    def tell(progress: DownloadProgress) -> None:
        nonlocal shown
        if progress.stage == "start":
            shown = Steps(console, f"Downloading {progress.model}", of_bytes=True)
        if shown is not None:
            shown(progress.done_bytes, progress.total_bytes)

    try:
        yield tell
    finally:
        if shown is not None:
            shown.close()


def follow_index(console: Console, events: Iterable[Event]) -> Summary:
    """Show an index run as it goes; its summary."""
    summary = Summary()
    with steps(console, "Indexing") as shown:
        for event in events:
            if isinstance(event, Scanned):
                shown(0, event.to_read)
            elif isinstance(event, Advanced):
                shown(event.done, event.total)
            elif isinstance(event, Finished):
                summary = event.summary
            elif isinstance(event, Failure):
                line = f"  cannot index {event.path}: {event.reason}"
                console.print(line, highlight=False, markup=False, soft_wrap=True)
    return summary


def count(photographs: int) -> str:
    """How many photographs, in words."""
    return "1 photograph" if photographs == 1 else f"{photographs:,} photographs"


def describe(summary: Summary) -> str:
    """The summary of an index run in a few lines."""
    parts = [
        f"{summary.added:,} added",
        f"{summary.changed:,} changed" if summary.changed else "",
        f"{summary.moved:,} moved" if summary.moved else "",
        f"{summary.unchanged:,} unchanged",
        f"{summary.removed:,} removed",
        f"{len(summary.failed):,} failed",
    ]
    lines = [f"{', '.join(part for part in parts if part)}, in {summary.seconds:.1f} s"]
    if summary.missing:
        many = f"{summary.missing:,} photographs are not where they were; --prune takes them out of the library"
        one = "1 photograph is not where it was; --prune takes it out of the library"
        lines.append(one if summary.missing == 1 else many)
    lines += [f"skipped {what}: {count:,}" for what, count in summary.skipped.items()]
    return "\n".join(lines)
