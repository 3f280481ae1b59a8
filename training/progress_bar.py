"""Progress of a long training command: a bar for each stage on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.types import OnStage

if TYPE_CHECKING:
    from rich.console import Console

_EVERY_S = 30.0
"""Seconds between two lines where there is no terminal."""


@contextmanager
def progress_bar() -> Iterator[OnStage]:
    """Show progress on standard error; a stage's name ends at its first ", ", and what follows may change."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    from rich.progress import Progress, TaskID, TimeElapsedColumn, TimeRemainingColumn

    tasks: dict[str, TaskID] = {}
    columns = (*Progress.get_default_columns()[:-1], TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:

        def on_stage(stage: str, done: int, total: int) -> None:
            name = stage.partition(", ")[0]
            if name not in tasks:
                tasks[name] = bar.add_task(stage, total=total)
            bar.update(tasks[name], completed=done, total=total, description=stage)

        yield on_stage


def _lines(console: Console) -> OnStage:
    last_line = 0.0

    def on_stage(stage: str, done: int, total: int) -> None:
        nonlocal last_line
        if done == total or time.monotonic() - last_line >= _EVERY_S:
            last_line = time.monotonic()
            console.print(f"{stage}: {done:,} of {total:,}", highlight=False, soft_wrap=True)

    return on_stage
