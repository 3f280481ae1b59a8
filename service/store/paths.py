"""Folders that a person names: what they must be, and how much they hold."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from service.errors import NotFoundError, UsageError


def resolve_folder(folder: Path) -> Path:
    """An existing folder as an absolute path without links; raises `NotFoundError` or `UsageError`."""
    try:
        real = folder.expanduser().resolve(strict=True)
    except (OSError, RuntimeError):
        raise NotFoundError(
            f"There is no folder {folder}. Check the spelling, or whether the drive is there."
        ) from None
    if not real.is_dir():
        raise UsageError(f"{folder} is a file; name the folder that holds the photographs.")
    try:
        str(real).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(real).decode("utf-8", "replace")
        raise UsageError(f"The name of the folder {shown} is not valid UTF-8; rename it and try again.") from None
    return real


def bytes_in(folder: Path) -> int:
    """Size of the files directly in a folder."""
    size = 0
    for file in folder.iterdir():
        # A writer's note and the halves of an index come and go.
        with suppress(FileNotFoundError):
            size += file.stat().st_size if file.is_file() else 0
    return size


def written_at(file: Path) -> tuple[int, int] | None:
    """When a file was written and which file it is; None where there is none."""
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_ino
