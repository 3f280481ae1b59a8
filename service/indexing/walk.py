"""List the photographs in a folder and below it, and count the files that are skipped."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from service.photos.decode import is_photograph_name, is_unsupported_photograph_name

UNSUPPORTED = "RAW and JPEG XL photographs, which smysl cannot read yet"
LINKS = "symbolic links, which are not followed"
OTHER = "files that are not photographs"
"""What is skipped, as a person reads it."""

NOT_UTF8 = "its name is not valid UTF-8"
"""Why a file or folder fails whose name is not text."""


@dataclass(slots=True)
class Listing:
    """What is directly in a folder, sorted by name: `files` with a photograph's extension, and names of `folders`.

    `not_utf8` are the paths, made readable, of entries whose names are not valid UTF-8.
    """

    files: list[os.DirEntry[str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    not_utf8: list[str] = field(default_factory=list)


def list_folder(folder: Path, skipped: Counter[str]) -> Listing:
    """List a folder. Hidden entries are ignored; other files that are not photographs are counted in `skipped`.

    Raises `OSError` if the folder cannot be read.
    """
    listing = Listing()
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            skipped[LINKS] += 1
        elif not _is_text(entry.name):
            listing.not_utf8.append(os.fsencode(entry.path).decode("utf-8", "replace"))
        elif entry.is_dir(follow_symlinks=False):
            listing.folders.append(entry.name)
        elif is_unsupported_photograph_name(entry.name):
            skipped[UNSUPPORTED] += 1
        elif not is_photograph_name(entry.name) or not entry.is_file(follow_symlinks=False):
            skipped[OTHER] += 1
        else:
            listing.files.append(entry)
    return listing


@dataclass(slots=True)
class WalkResult:
    """The photographs in a folder and below it, sorted by name, each folder's files before its subfolders.

    `failed` are path and reason of folders and names that could not be read; `skipped` counts other files by reason.
    """

    files: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def walk(folder: Path) -> WalkResult:
    """Find the photographs in a folder and below it, as an index run does."""
    result = WalkResult()
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            listing = list_folder(current, result.skipped)
        except OSError as error:
            result.failed.append((str(current), f"the folder cannot be read ({error.strerror})"))
            continue
        result.files.extend(current / entry.name for entry in listing.files)
        result.failed.extend((path, NOT_UTF8) for path in listing.not_utf8)
        pending.extend(current / name for name in reversed(listing.folders))
    return result


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
