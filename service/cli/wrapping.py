"""Lines that fit the terminal, broken between words and never within one, such as a path that a person may copy."""

from __future__ import annotations

import sys
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_LEAST_WIDTH = 16
"""Characters that a text gets in a line, however narrow the terminal is."""


def wrapped(text: str, width: int | None) -> list[str]:
    """The lines of a text, no longer than `width` characters where words allow it; None for no limit."""
    lines = []
    for line in text.split("\n"):
        if width is None or len(line) <= width:
            lines.append(line)
        else:
            lines += wrap(line, max(_LEAST_WIDTH, width), break_long_words=False, break_on_hyphens=False)
    return lines


def print_wrapped(console: Console, text: str) -> None:
    """Print text without markup to a console, without line breaks of its own where it is no terminal."""
    lines = wrapped(text, console.width if console.is_terminal else None)
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def terminal_width() -> int | None:
    """Columns of the terminal that standard output is shown on; None for a pipe."""
    from shutil import get_terminal_size

    return get_terminal_size().columns if sys.stdout.isatty() else None
