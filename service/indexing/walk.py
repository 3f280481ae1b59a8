"""What a walk through folders of photographs looks at, and what it passes over."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from service.photos.decode import is_photograph_name, is_unsupported_photograph_name

UNSUPPORTED = "RAW and JPEG XL photographs, which smysl cannot read yet"
LINKS = "symbolic links, which are not followed"
OTHER = "files that are no photographs by their names"


@dataclass(slots=True)
class Listing:
    """What lies directly in a folder, by name: `files` to be tried as photographs, and `folders`, by their names.

    `not_utf8` are paths, made readable, of what has a name that is not valid UTF-8.
    """

    files: list[os.DirEntry[str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    not_utf8: list[str] = field(default_factory=list)


NOT_UTF8 = "its name is not valid UTF-8"


def list_folder(folder: Path, skipped: Counter[str]) -> Listing:
    """List a folder; hidden names are passed over, and what else is not tried is counted in `skipped`.

    Raises `OSError` where the folder cannot be read.
    """
    found = Listing()
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            skipped[LINKS] += 1
        elif not _is_text(entry.name):
            found.not_utf8.append(os.fsencode(entry.path).decode("utf-8", "replace"))
        elif entry.is_dir(follow_symlinks=False):
            found.folders.append(entry.name)
        elif is_unsupported_photograph_name(entry.name):
            skipped[UNSUPPORTED] += 1
        elif not is_photograph_name(entry.name) or not entry.is_file(follow_symlinks=False):
            skipped[OTHER] += 1
        else:
            found.files.append(entry)
    return found


@dataclass(slots=True)
class WalkResult:
    """The photographs found in a folder and below it, in the order of their names, folders after files.

    `failed` are folders and names that could not be read, with the reason; `skipped` counts what was passed over.
    """

    files: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def walk(folder: Path) -> WalkResult:
    """Look for photographs in a folder and all below it, as an index run does."""
    walked = WalkResult()
    pending = [folder]
    while pending:
        inner = pending.pop()
        try:
            listing = list_folder(inner, walked.skipped)
        except OSError as error:
            walked.failed.append((str(inner), f"the folder cannot be read ({error.strerror})"))
            continue
        walked.files.extend(inner / entry.name for entry in listing.files)
        walked.failed.extend((path, NOT_UTF8) for path in listing.not_utf8)
        pending.extend(inner / name for name in reversed(listing.folders))
    return walked


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
