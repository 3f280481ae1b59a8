"""List the photographs in a folder and below it, each with its files, and what is left out, with the reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from service.indexing.grouping import FileKind, Group, group_files, kind_of
from service.indexing.ignore import IGNORE_FILE, IgnoreRules
from service.indexing.names import is_utf8, suffix_of
from service.indexing.skipped import Reason, Skipped
from service.indexing.system_names import skipped_by_name
from service.photos.formats import SNIFFED_BYTES, looks_like_photograph
from service.store.records import RootOptions

NOMEDIA = ".nomedia"
"""A file of this name hides its folder, and all below it, from Android's galleries."""


@dataclass(slots=True)
class Listing:
    """What is directly in one folder, in the order of names.

    Attributes:
        folder: relative to its root, with forward slashes; "" for the root itself.
        groups: the photographs with their files.
        skipped: what is not indexed, with the reason.
        failures: what could not be read, with the reason; among them the folder itself, as "", if it is unreadable.
        unreadable: whether the folder could not be listed. Nothing is known of what is in it.
        subfolders: names of the folders that are walked next.
    """

    folder: str
    groups: list[Group] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    failures: list[Skipped] = field(default_factory=list)
    unreadable: bool = False
    subfolders: list[str] = field(default_factory=list)

    def path_of(self, skipped: Skipped) -> str:
        """The path of what was skipped, below the root; that of a folder ends with a slash, the root's is "./"."""
        path = _joined(self.folder, skipped.name) if skipped.name else self.folder or "."
        return f"{path}/" if skipped.is_folder else path


class Walk:
    """One run over folders of photographs. It remembers where links have led, so that no folder is walked twice.

    Args:
        folders: absolute paths without links of the folders that are walked. Links to what is inside them are not
            followed.
        roots: of the library, in the same form; a link to a folder around one of them is not followed.
    """

    def __init__(self, folders: Iterable[Path], roots: Iterable[Path] = ()) -> None:
        self._folders = list(folders)
        self._roots = list(roots)
        self._linked: dict[Path, RootOptions] = {}

    def listings(self, root: Path, start: str = "", options: RootOptions | None = None) -> Iterator[Listing]:
        """The folder `start` of a root and all folders below it, each before its subfolders, in the order of names.

        If `start`, or a folder above it, is left out, there is one listing, of that folder, which says so. The root
        itself is walked whatever it is called, and even if it holds a file `.nomedia`.

        Raises:
            UsageError: what `options` exclude is no pattern.
        """
        options = options or RootOptions()
        rules = IgnoreRules.excluding(options.exclude)
        above = ""
        for name in start.split("/") if start else ():
            if os.path.lexists(root / above / IGNORE_FILE):
                rules, _ = rules.with_file(root, above)
            parent, above = (root / above).name, _joined(above, name)
            reason = skipped_by_name(name, parent) or rules.reason(above, is_folder=True)
            if reason is None and os.path.lexists(root / above / NOMEDIA):
                reason = Reason.NOMEDIA
            if reason is not None:
                yield Listing(above, skipped=[Skipped("", reason, is_folder=True)])
                return
        pending = [(start, rules)]
        while pending:
            folder, rules = pending.pop()
            listing, rules = self._list(root, folder, rules, options)
            yield listing
            pending.extend((_joined(folder, name), rules) for name in reversed(listing.subfolders))

    def take_linked_folders(self) -> dict[Path, RootOptions]:
        """The folders to which links led since the last call, with the options of the root of the link.

        They are absolute paths without links, none inside another or inside a folder that is walked already. They are
        to be walked next, as new roots unless they are in one, and links in them may lead on.
        """
        outer = {
            path: options
            for path, options in self._linked.items()
            if not any(other in path.parents for other in self._linked)
        }
        self._linked = {}
        self._folders += outer
        return outer

    def _list(self, root: Path, folder: str, rules: IgnoreRules, options: RootOptions) -> tuple[Listing, IgnoreRules]:
        """List one folder. `rules` are those of the folder above; those of this one are returned."""
        listing = Listing(folder)
        try:
            with os.scandir(root / folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            listing.unreadable = True
            detail = f"the folder cannot be read ({error.strerror})"
            listing.failures.append(Skipped("", Reason.UNREADABLE, is_folder=True, detail=detail))
            return listing, rules
        special = {entry.name for entry in entries if entry.name in (NOMEDIA, IGNORE_FILE)}
        if NOMEDIA in special and folder:
            listing.skipped.append(Skipped("", Reason.NOMEDIA, is_folder=True))
            return listing, rules
        if IGNORE_FILE in special:
            rules, problem = rules.with_file(root, folder)
            if problem:
                listing.failures.append(Skipped(IGNORE_FILE, Reason.BAD_IGNORE_FILE, detail=problem))
        parent = (root / folder).name
        files: list[tuple[FileKind, os.DirEntry[str]]] = []
        for entry in entries:
            if entry.name in special:
                continue
            try:
                found = self._examine(entry, parent, rules, options, listing)
            except OSError as error:
                detail = f"it cannot be read ({error.strerror})"
                listing.failures.append(Skipped(_readable(entry.name), Reason.UNREADABLE, detail=detail))
                continue
            if isinstance(found, Skipped):
                (listing.failures if found.reason is Reason.NOT_UTF8 else listing.skipped).append(found)
            elif found is not None:
                files.append((found, entry))
        _group(files, listing)
        return listing, rules

    def _examine(
        self, entry: os.DirEntry[str], parent: str, rules: IgnoreRules, options: RootOptions, listing: Listing
    ) -> FileKind | Skipped | None:
        """The kind of a file, or why an entry is left out; None for a folder, which is added to its listing.

        Raises `OSError` if the entry cannot be examined.
        """
        name, is_link = entry.name, entry.is_symlink()
        is_folder = _is_folder(entry, follow_link=is_link and options.follow_links)
        reason = skipped_by_name(name, parent)
        if reason is None and not is_utf8(name):
            return Skipped(_readable(name), Reason.NOT_UTF8, is_folder, "its name is not valid UTF-8")
        reason = reason or rules.reason(_joined(listing.folder, name), is_folder=is_folder)
        if reason is None and is_folder and not is_link:
            listing.subfolders.append(name)
            return None
        found: FileKind | Reason | None
        if reason is not None:
            found = reason
        elif is_link:
            found = self._follow(entry, options) if is_folder else Reason.LINK
        else:
            found = self._file(entry, options)
        return Skipped(_readable(name), found, is_folder) if isinstance(found, Reason) else found

    def _file(self, entry: os.DirEntry[str], options: RootOptions) -> FileKind | Reason:
        """The kind of a file, or why it is left out."""
        if not entry.is_file(follow_symlinks=False):
            return Reason.SPECIAL
        kind = kind_of(entry.name)
        if kind is None:
            if suffix_of(entry.name) or not _begins_like_photograph(Path(entry.path)):
                return Reason.NOT_PHOTOGRAPH
            kind = "photograph"
        if options.min_bytes and kind in ("photograph", "raw") and entry.stat().st_size < options.min_bytes:
            return Reason.TOO_SMALL_FILE
        return kind

    def _follow(self, link: os.DirEntry[str], options: RootOptions) -> Reason | None:
        """Remember the folder that a link leads to, or say why it is left out."""
        real = Path(os.path.realpath(link.path))
        if not is_utf8(str(real)):
            return Reason.NOT_UTF8
        if any(real.is_relative_to(folder) for folder in (*self._folders, *self._linked)):
            return Reason.REPEATED
        if any(folder.is_relative_to(real) for folder in (*self._folders, *self._roots) if folder != real):
            return Reason.LINK_UPWARDS
        self._linked.setdefault(real, options)
        return None


def _group(files: Iterable[tuple[FileKind, os.DirEntry[str]]], listing: Listing) -> None:
    """Add the photographs among the files of a folder to its listing, and what belongs to none of them."""
    listing.groups, left = group_files(files)
    listing.skipped += [
        Skipped(entry.name, Reason.VIDEO if kind_of(entry.name) == "video" else Reason.NOT_PHOTOGRAPH) for entry in left
    ]


@dataclass(slots=True)
class WalkResult:
    """The photographs in a folder and below it, sorted by name, each folder's files before its subfolders.

    `failed` are path and reason of folders and names that could not be read; `skipped` counts other files by reason.
    """

    files: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[Reason] = field(default_factory=Counter)


def walk(folder: Path) -> WalkResult:
    """Find the photographs in a folder and below it, as an index run does; of each the file that is shown."""
    result = WalkResult()
    for listing in Walk([folder]).listings(folder):
        result.files.extend(folder / listing.folder / group.primary.name for group in listing.groups)
        result.failed.extend((str(folder / listing.path_of(each)), each.sentence) for each in listing.failures)
        result.skipped.update(each.reason for each in listing.skipped)
    return result


def _is_folder(entry: os.DirEntry[str], *, follow_link: bool) -> bool:
    """Whether an entry, or what a link leads to, is a folder; a link that leads nowhere is none."""
    try:
        return entry.is_dir(follow_symlinks=follow_link)
    except OSError:
        if follow_link:
            return False
        raise


def _begins_like_photograph(file: Path) -> bool:
    """Whether the first bytes of a file are those of a photograph; not if they cannot be read."""
    try:
        with file.open("rb") as stream:
            return looks_like_photograph(stream.read(SNIFFED_BYTES))
    except OSError:
        return False


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _readable(name: str) -> str:
    return name if is_utf8(name) else os.fsencode(name).decode("utf-8", "replace")
