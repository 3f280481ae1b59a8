"""Paths: folders that a person names, and the files of a library's photographs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from service.errors import ForbiddenError, NotFoundError, UsageError
from service.store.records import Record


def resolve_folder(folder: Path) -> Path:
    """Resolves an existing folder to an absolute path without links; raises `NotFoundError` or `UsageError`."""
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


def is_folder(path: Path) -> bool:
    """Whether there is a folder; not where the disk does not answer, for which `Path.is_dir` raises `OSError`."""
    return os.path.isdir(path)  # noqa: PTH112


def real_path(path: Path) -> Path:
    """The absolute path without links of a file or folder, which need not be there."""
    # `Path.expanduser` raises where no user has the name after a tilde.
    return Path(os.path.realpath(os.path.expanduser(path)))  # noqa: PTH111


def bytes_in(folder: Path) -> int:
    """Total size of the files directly in a folder."""
    size = 0
    for file in folder.iterdir():
        # Other processes create and delete files meanwhile.
        with suppress(FileNotFoundError):
            size += file.stat().st_size if file.is_file() else 0
    return size


def written_at(file: Path) -> tuple[int, int] | None:
    """Modification time (ns) and inode of a file, which tell whether it was replaced; None if there is no file."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def file_of(record: Record) -> Path:
    """The resolved path of a photograph's file, for reading it.

    Raises:
        NotFoundError: the file is gone.
        ForbiddenError: the path now leads out of the photograph's root, through a link.
    """
    try:
        real = record.path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise NotFoundError(
            f"The file of photograph {record.id}, {record.relative}, is not there any more; `smysl index` finds "
            "where it went, `smysl index --prune` takes it out of the library."
        ) from None
    if not real.is_relative_to(record.root):
        raise ForbiddenError(f"The file of photograph {record.id} leads out of its folder and is not shown.")
    return real
