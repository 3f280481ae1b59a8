"""Walks folders and compares what is there with the catalog: which files are new or look changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from service.indexing.decoder import Failure, File
from service.indexing.grouping import CompanionFile, Group
from service.indexing.known_files import KnownFiles
from service.indexing.options import IndexOptions
from service.indexing.skipped import Reason, Skipped
from service.indexing.walk import Listing, Walk
from service.store.catalog import READER_VERSION, Catalog
from service.store.records import Companion, FileInfo, KnownFile, Root, RootOptions
from service.store.skipped import SkippedFiles, SkippedRow


@dataclass(slots=True)
class Scan:
    """What the walks of a run found.

    Attributes:
        folders: what was walked, as roots and folders below them: those that the run began with, and those to which
            links led.
        found: ids of photographs whose files are there.
        unchanged: how many of these need nothing.
        skipped: what was left out, by absolute path.
        unreadable: root id and path of the folders that could not be listed.
    """

    folders: list[tuple[Root, str]]
    found: set[int] = field(default_factory=set)
    unchanged: int = 0
    skipped: list[tuple[str, Skipped]] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)


class Scanner:
    """Compares the folders of one run with the catalog.

    Args:
        catalog: of the library.
        required: fingerprints of the vectors that a photograph needs.
        folders: roots and folders below them.
        options: of the run.
    """

    def __init__(
        self,
        catalog: Catalog,
        required: Collection[str],
        folders: Collection[tuple[Root, str]],
        options: IndexOptions,
    ) -> None:
        self.scan = Scan(list(folders))
        self._catalog = catalog
        self._required = required
        self._options = options
        walked = [root.path / start for root, start in folders]
        self._walk = Walk(walked, [root.path for root in catalog.roots()])
        self._skipped = SkippedFiles(catalog)
        self._remembered: set[str] = set()

    def changed_files(self) -> Iterator[File | Failure]:
        """The files that are new or look changed, and what cannot be read; fills `scan` meanwhile."""
        pending = self.scan.folders
        while pending:
            for root, start in pending:
                rows: list[SkippedRow] = []
                shallow = root.path / start in self._options.shallow
                listings = self._walk.listings(root.path, start, root.options)
                for listing in islice(listings, 1) if shallow else listings:
                    yield from self._changed_in(root, listing, rows)
                self._skipped.replace(root.id, start, rows, below=not shallow)
            pending = [self._add_linked(*linked) for linked in self._walk.take_linked_folders().items()]
            self.scan.folders = [*self.scan.folders, *pending]

    def _add_linked(self, folder: Path, options: RootOptions) -> tuple[Root, str]:
        """A root for a folder to which a link led, walked like the root of the link, and the folder below that root."""
        known = {root.id for root in self._catalog.roots()}
        root, start = self._catalog.add_root(folder)
        if root.id not in known:
            self._catalog.set_root_options(root.id, options)
            root = self._catalog.root_at(root.path)
        return root, start

    def remember_unreadable(self, failures: Iterable[Failure]) -> None:
        """Keep which files could not be read beside what was left out, until the next walk.

        What the walk itself could not read is kept already, with its own reason.
        """
        by_root: dict[int, list[SkippedRow]] = {}
        for failure in failures:
            if failure.path in self._remembered:
                continue
            for root, _ in self.scan.folders:
                if Path(failure.path).is_relative_to(root.path):
                    path = Path(failure.path).relative_to(root.path).as_posix()
                    by_root.setdefault(root.id, []).append(SkippedRow(path, str(Reason.UNREADABLE), failure.reason))
                    break
        for root_id, rows in by_root.items():
            self._skipped.add(root_id, rows)

    def _changed_in(self, root: Root, listing: Listing, rows: list[SkippedRow]) -> Iterator[File | Failure]:
        if listing.unreadable:
            self.scan.unreadable.append((root.id, listing.folder))
        for skipped in (*listing.failures, *listing.skipped):
            rows.append(SkippedRow(listing.path_of(skipped), str(skipped.reason), skipped.detail or None))
        indexed = self._catalog.files_in(root.id, listing.folder, self._required)
        for unreadable in listing.failures:
            if unreadable.name in indexed:
                self.scan.found.add(indexed[unreadable.name].id)
            failure = Failure(str(root.path / listing.path_of(unreadable)), unreadable.sentence)
            self._remembered.add(failure.path)
            yield failure
        self.scan.skipped += [(str(root.path / listing.path_of(each)), each) for each in listing.skipped]
        names = {group.primary.name for group in listing.groups}
        known = KnownFiles(indexed, names)
        for group in listing.groups:
            yield from self._compare(root, listing.folder, group, known)

    def _compare(self, root: Root, folder: str, group: Group, known_files: KnownFiles) -> Iterator[File | Failure]:
        entry = group.primary
        known = known_files.find(entry.name, [each.entry.name for each in group.companions])
        if known is not None:
            self.scan.found.add(known.id)
        try:
            info = FileInfo.of(root.id, folder, entry.name, entry.stat())
            companions = tuple(_companion(each) for each in group.companions)
        except OSError as error:
            yield Failure(entry.path, f"the file cannot be read ({error.strerror})")
            return
        renamed = known is not None and entry.name not in known_files
        if known is not None and not (self._options.reread or renamed) and _is_unchanged(info, companions, known):
            self.scan.unchanged += 1
            return
        if self._options.postpone is not None and self._options.postpone(Path(entry.path), info):
            return
        yield File(root, info, known, companions, renamed)


def _companion(file: CompanionFile) -> Companion:
    status = file.entry.stat()
    return Companion(file.entry.name, file.role, status.st_size, status.st_mtime_ns)


def _is_unchanged(info: FileInfo, companions: Collection[Companion], known: KnownFile) -> bool:
    """Whether nothing says that a photograph's files, or what is to be known of it, are not as they were."""
    return (
        known.complete
        and known.read_with == READER_VERSION
        and (info.size, info.modified_ns, info.changed_ns) == (known.size, known.modified_ns, known.changed_ns)
        and set(companions) == set(known.companions)
    )
