"""Which names on the disk matter to a library, and what a folder holds of them. No file is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from service.indexing.grouping import kind_of
from service.indexing.ignore import IGNORE_FILE
from service.indexing.names import is_utf8, suffix_of
from service.indexing.system_names import skipped_by_name
from service.indexing.walk import NOMEDIA

RULES = (IGNORE_FILE, NOMEDIA)
"""Files that decide whether the folder that they are in, and those below it, are indexed."""


def is_left_out(name: str, parent: str) -> bool:
    """Whether an index run passes over a file or folder for its name, in a folder named `parent`."""
    return name not in RULES and (skipped_by_name(name, parent) is not None or not is_utf8(name))


def may_be_photograph(name: str) -> bool:
    """Whether a file of this name can be a photograph or belong to one; without an extension its content decides."""
    return kind_of(name) is not None or not suffix_of(name)


class FolderState(NamedTuple):
    """Numbers that change with what a folder holds: names, sizes and times of `RULES`, and of everything else."""

    rules: int
    content: int


def state_of(folder: str) -> tuple[FolderState, list[str]]:
    """The state of a folder, and the paths of its subfolders; raises `OSError` if it cannot be listed."""
    rules: set[tuple[object, ...]] = set()
    content: set[tuple[object, ...]] = set()
    folders: list[str] = []
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.path)
            content.add((entry.name,))
        elif entry.name in RULES:
            rules.add((entry.name, *_stamp(entry)))
        elif may_be_photograph(entry.name):
            content.add((entry.name, *_stamp(entry)))
    return FolderState(hash(frozenset(rules)), hash(frozenset(content))), folders


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing that matters to a library; raises `OSError` if it cannot be listed."""
    return not any(_entries(str(folder)))


def folders_below(start: str, leave_out: str) -> Iterator[str]:
    """A folder and those below it that can be listed, but for `leave_out` and what is in it."""
    pending = [start]
    while pending:
        folder = pending.pop()
        if folder == leave_out:
            continue
        try:
            inside = [entry.path for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        yield folder
        pending.extend(inside)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    parent = os.path.basename(folder)  # noqa: PTH119 - of a string, thousands of times
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_left_out(entry.name, parent):
                yield entry


def _stamp(entry: os.DirEntry[str]) -> tuple[int, int, int]:
    """Size and times of a file, of what it leads to if it is a link."""
    try:
        status = entry.stat()
    except OSError:
        return 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
