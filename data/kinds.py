"""Reads and checks photographs sorted into folders by kind.

Either `train/KIND/*` and `test/KIND/*`, or `KIND/*` where there is no test set. As in an index run, links are not
followed and hidden names are skipped; other files beside the photographs are counted.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.errors import DataError
from service.types import BoolArray, Int64Array

IsPhotograph = Callable[[str], bool]

TRAIN, TEST = "train", "test"
_NAMED = 5
"""Kinds that an error message names at most."""


@dataclass(frozen=True)
class LeftOut:
    """A photograph that is left out, and the reason as the end of a sentence, without a full stop."""

    file: Path
    reason: str


@dataclass(frozen=True, eq=False)
class KindFolder:
    """Photographs (n,) and their kinds: `kind` (n,) int64 are indices into the sorted `names` (k,).

    `test` (n,) bool marks the photographs under `test/`, if any. Those of `train/` come first, and within each part
    photographs are sorted by kind and by name. `skipped` counts files and folders that are not photographs, and files
    whose names are not valid UTF-8.
    """

    folder: Path
    names: tuple[str, ...]
    files: tuple[Path, ...]
    kind: Int64Array
    test: BoolArray
    skipped: int = 0

    @property
    def split(self) -> bool:
        """Whether there is a test set."""
        return bool(self.test.any())

    @property
    def lone(self) -> Int64Array:
        """Indices (m,) of photographs that are the only one of their kind in the whole folder."""
        return np.flatnonzero(np.bincount(self.kind, minlength=len(self.names))[self.kind] == 1)


def read_kinds(folder: Path, is_photograph: IsPhotograph) -> KindFolder:
    """Read a folder of kinds; `is_photograph` tells from a file's name whether it may be a photograph.

    `train/` and `test/` are the two parts where they contain folders, else kinds like any other; `test/` is optional.
    No file is opened, so files that cannot be decoded are included.

    Raises:
        DataError: the folder is missing or has no kinds, there is `test/` without `train/`, a kind has no photograph,
            or a kind of `test/` is not in `train/`.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Name one that holds a folder for each kind.")
    parts = [part for part in (TRAIN, TEST) if (folder / part).is_dir() and _folders(folder / part)]
    if parts == [TEST]:
        raise DataError(
            f"{folder} has {TEST}/ but no {TRAIN}/ with folders of kinds. Put the photographs to search in into "
            f"{TRAIN}/, or the folders of kinds directly into one folder."
        )
    if TRAIN in parts and (folder / TEST).is_dir() and TEST not in parts:
        raise _no_kinds(folder / TEST)
    return _joined(folder, parts, [_read_part(folder / part, is_photograph) for part in parts or ["."]])


def copies(files: Sequence[Path]) -> dict[int, int]:
    """Indices of files with the same bytes as an earlier file, each with the index of the first such file.

    Only files of equal length are read. A file that cannot be read is not a copy.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        try:
            by_size[file.stat().st_size].append(index)
        except OSError:
            continue
    same: dict[int, int] = {}
    for indices in by_size.values():
        first: dict[str, int] = {}
        for index in indices if len(indices) > 1 else ():
            content = content_hash(files[index])
            if content is not None and (earlier := first.setdefault(content, index)) != index:
                same[index] = earlier
    return dict(sorted(same.items()))


def content_hash(file: Path) -> str | None:
    """32 hexadecimal digits (XXH3, 128 bits) of a file's content; None where it cannot be read."""
    import xxhash

    digest = xxhash.xxh3_128()
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


@dataclass(frozen=True)
class _KindsPart:
    """The sorted photographs of each kind of one folder, by the kind's name."""

    photographs: dict[str, list[Path]]
    skipped: int


def _read_part(folder: Path, is_photograph: IsPhotograph) -> _KindsPart:
    photographs: dict[str, list[Path]] = {}
    skipped = 0
    for name in _folders(folder):
        entries = _visible(folder / name)
        files = [
            each.name
            for each in entries
            if is_photograph(each.name) and _is_text(each.name) and each.is_file(follow_symlinks=False)
        ]
        photographs[name] = [folder / name / file for file in sorted(files)]
        skipped += len(entries) - len(files)
    if not photographs:
        raise _no_kinds(folder)
    empty = [name for name, files in photographs.items() if not files]
    if empty:
        raise DataError(
            f"{_kinds(empty)} in {folder} {'has' if len(empty) == 1 else 'have'} no photograph. Add some, or remove "
            "the empty folder; folders inside a kind are not read."
        )
    other_files = sum(1 for each in _visible(folder) if not each.is_dir(follow_symlinks=False))
    return _KindsPart(photographs, skipped + other_files)


def _joined(folder: Path, names: Sequence[str], parts: Sequence[_KindsPart]) -> KindFolder:
    known = parts[0].photographs
    unknown = [kind for part in parts[1:] for kind in part.photographs if kind not in known]
    if unknown:
        raise DataError(
            f"{_kinds(unknown)} in {folder / TEST} {'is' if len(unknown) == 1 else 'are'} not in {folder / TRAIN}, so "
            f"nothing of the kind can be found. Add photographs of the kind to {TRAIN}/, or remove it from {TEST}/."
        )
    index = {kind: number for number, kind in enumerate(known)}
    rows = [
        (file, index[kind], number == names.index(TEST) if TEST in names else False)
        for number, part in enumerate(parts)
        for kind, files in part.photographs.items()
        for file in files
    ]
    files, kinds, tests = zip(*rows, strict=True)
    skipped = sum(part.skipped for part in parts)
    return KindFolder(folder, tuple(known), files, np.array(kinds, np.int64), np.array(tests, bool), skipped)


def _folders(folder: Path) -> list[str]:
    names = sorted(each.name for each in _visible(folder) if each.is_dir(follow_symlinks=False))
    if not all(_is_text(name) for name in names):
        raise DataError(f"The name of a folder in {folder} is not valid UTF-8, so the kind has no name. Rename it.")
    return names


def _is_text(name: str) -> bool:
    """Whether a file name is valid UTF-8; Python represents other bytes by lone surrogates, which cannot be encoded."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return [entry for entry in listing if not entry.name.startswith(".") and not entry.is_symlink()]
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read ({error.strerror or error}).") from None


def _no_kinds(folder: Path) -> DataError:
    return DataError(f"{folder} holds no kinds. Put the photographs of each kind into a folder named after it.")


def _kinds(names: Sequence[str]) -> str:
    """“The kind rose” or “The kinds lily, rose and 3 more”."""
    if len(names) == 1:
        return f"The kind {names[0]}"
    listed = names[:_NAMED]
    rest = len(names) - len(listed)
    return (
        f"The kinds {', '.join(listed)} and {rest:,} more"
        if rest
        else (f"The kinds {', '.join(listed[:-1])} and {listed[-1]}")
    )
