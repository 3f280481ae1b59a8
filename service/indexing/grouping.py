"""Which files of a folder are one photograph: RAW and JPEG of one shot, Live Photos, sidecars, the JSON of a Takeout.

Names alone decide. They are compared as they are spelled first, then without regard to case and Unicode
normalization: on a disk that tells `A.JPG` from `a.jpg`, each has its own companions.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from service.indexing.names import NameIndex, stem_of, suffix_of
from service.indexing.takeout_names import TakeoutNames
from service.photos.formats import RAW_SUFFIXES, SUFFIXES
from service.store.records import CompanionRole
from service.texts import fold

FileKind = Literal["photograph", "raw", "video", "xmp", "json"]

_VIDEO = frozenset(
    f".{name}"
    for name in (
        *("mov", "mp4", "m4v", "mp", "avi", "mkv", "webm", "wmv", "mpg", "mpeg", "mts", "m2ts", "3gp", "3g2", "vob"),
        *("flv", "ogv", "mod", "tod", "insv", "lrv", "dv"),
    )
)
_KINDS: dict[str, FileKind] = {
    **dict.fromkeys(SUFFIXES, "photograph"),
    **dict.fromkeys(RAW_SUFFIXES, "raw"),
    **dict.fromkeys(_VIDEO, "video"),
    ".xmp": "xmp",
    ".json": "json",
}

_DEVELOPED = (".jpg", ".jpeg", ".jpe", ".heic", ".heif", ".hif")
"""Extensions of what a camera writes beside a RAW file; of several the first is taken."""

_MOTION = (".mov", ".mp4", ".mp")
"""Extensions of the film of a Live Photo, or of a motion photograph as Google exports it: `A.MP.jpg` with `A.MP`."""

_MAX_MOTION_BYTES = 30 << 20
"""Bytes of the film of a Live Photo, which lasts three seconds; a larger one is a film of its own."""

_HEVC = "_HEVC"
"""What downloads from iCloud append to the name of a Live Photo's film."""


class CompanionFile(NamedTuple):
    """A file that belongs to a photograph, and what it is to it."""

    role: CompanionRole
    entry: os.DirEntry[str]


@dataclass(slots=True)
class Group:
    """The files of one photograph: the one that is shown, and those that belong to it.

    `companions` are in the order RAW, film, sidecars, JSON. A sidecar may belong to several photographs.
    """

    primary: os.DirEntry[str]
    companions: list[CompanionFile] = field(default_factory=list)


def kind_of(name: str) -> FileKind | None:
    """What a file is by its extension; None for what is no part of a photograph."""
    return _KINDS.get(suffix_of(name))


def group_files(files: Iterable[tuple[FileKind, os.DirEntry[str]]]) -> tuple[list[Group], list[os.DirEntry[str]]]:
    """The photographs of one folder, in the order of their names, and the files that belong to none.

    - RAW and JPEG or HEIC of one name are one photograph, shown by the JPEG; several RAW files of a name by the DNG.
    - A short film of the name of a JPEG, HEIC or RAW is its motion.
    - `A.jpg.xmp` and `A.xmp` are sidecars of `A.jpg`. If several photographs are called A, `A.xmp` belongs to the one
      with a RAW file, or to all.
    - JSON goes with what it describes as Google's Takeout names it.

    Other files of the same name stay apart: JPEG and HEIC, or a photograph and its edited versions.

    Args:
        files: sorted by name.
    """
    by_kind: dict[FileKind, list[os.DirEntry[str]]] = {"photograph": [], "raw": [], "video": [], "xmp": [], "json": []}
    for kind, entry in files:
        by_kind[kind].append(entry)
    if not by_kind["photograph"] and not by_kind["raw"]:
        return [], [*by_kind["video"], *by_kind["xmp"], *by_kind["json"]]
    groups = [Group(entry) for entry in by_kind["photograph"]]
    if by_kind["raw"]:
        groups += _attach_raw(groups, by_kind["raw"])
        groups.sort(key=lambda group: group.primary.name)
    left = _attach_motion(groups, by_kind["video"]) if by_kind["video"] else []
    left += _attach_xmp(groups, by_kind["xmp"]) if by_kind["xmp"] else []
    left += _attach_json(groups, by_kind["json"]) if by_kind["json"] else []
    return groups, left


def _attach_raw(groups: list[Group], files: list[os.DirEntry[str]]) -> list[Group]:
    """Adds RAW files to the photographs that were developed from them; the groups of those without one."""
    developed: NameIndex[Group] = NameIndex()
    for group in groups:
        if suffix_of(group.primary.name) in _DEVELOPED:
            developed.add(stem_of(group.primary.name), group)
    # Two files whose names differ in case alone are two photographs.
    spellings = Counter(fold(entry.name) for entry in files)
    alone: dict[tuple[bool, str], list[os.DirEntry[str]]] = {}
    for entry in files:
        stem = stem_of(entry.name)
        unique = spellings[fold(entry.name)] == 1
        found = [group for group in developed.find(stem) if unique or stem_of(group.primary.name) == stem]
        if found:
            best = min(found, key=lambda group: _DEVELOPED.index(suffix_of(group.primary.name)))
            best.companions.append(CompanionFile("raw", entry))
        else:
            alone.setdefault((unique, fold(stem) if unique else stem), []).append(entry)
    return [_raw_group(entries) for entries in alone.values()]


def _raw_group(entries: list[os.DirEntry[str]]) -> Group:
    primary = next((entry for entry in entries if suffix_of(entry.name) == ".dng"), entries[0])
    return Group(primary, [CompanionFile("raw", entry) for entry in entries if entry is not primary])


def _attach_motion(groups: list[Group], films: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """Adds the films of Live Photos to their photographs; the films that are none."""
    moving: NameIndex[Group] = NameIndex()
    for group in groups:
        if suffix_of(group.primary.name) in _DEVELOPED or kind_of(group.primary.name) == "raw":
            moving.add(stem_of(group.primary.name), group)
    left = []
    for entry in films:
        stem, suffix = stem_of(entry.name), suffix_of(entry.name)
        found = moving.find(entry.name if suffix == ".mp" else stem) or moving.find(stem.removesuffix(_HEVC))
        if suffix in _MOTION and found and _is_short(entry):
            best = min(found, key=lambda group: suffix_of(group.primary.name) in _DEVELOPED[:3])
            best.companions.append(CompanionFile("motion", entry))
        else:
            left.append(entry)
    return left


def _is_short(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat().st_size <= _MAX_MOTION_BYTES
    except OSError:
        return False


def _attach_xmp(groups: list[Group], sidecars: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """Adds sidecars to their photographs; those that have none."""
    by_name: NameIndex[Group] = NameIndex()
    by_stem: NameIndex[Group] = NameIndex()
    with_raw: set[int] = set()
    for group in groups:
        pictures = _pictures(group)
        for name in pictures:
            by_name.add(name, group)
        by_stem.add(stem_of(group.primary.name), group)
        if any(kind_of(name) == "raw" for name in pictures):
            with_raw.add(id(group))
    left = []
    for entry in sidecars:
        name = stem_of(entry.name)
        found = by_name.find(name)[:1]
        if not found:
            found = by_stem.find(name)
            found = [group for group in found if id(group) in with_raw] or found
        for group in found:
            group.companions.append(CompanionFile("sidecar", entry))
        if not found:
            left.append(entry)
    return left


def _attach_json(groups: list[Group], files: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """Adds the JSON of a Takeout to the photographs that it describes; the JSON that describes none."""
    owners = {name: group for group in groups for name in _pictures(group)}
    names = TakeoutNames(owners)
    used: set[int] = set()
    for entry in files:
        for name in names.described_by(entry.name):
            owners[name].companions.append(CompanionFile("takeout", entry))
            used.add(id(entry))
    described = {id(group) for group in groups if any(each.role == "takeout" for each in group.companions)}
    for entry in files:
        for name in names.edited_of(entry.name):
            # An edited version with a JSON of its own needs no other.
            if id(owners[name]) not in described:
                owners[name].companions.append(CompanionFile("takeout", entry))
                used.add(id(entry))
    return [entry for entry in files if id(entry) not in used]


def _pictures(group: Group) -> list[str]:
    """The names of a group's photograph and RAW files."""
    return [group.primary.name, *(each.entry.name for each in group.companions if each.role == "raw")]
