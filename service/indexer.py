"""scan -> compare -> decode -> encode -> store, as a stream of progress events.

Files are read, hashed and decoded by a few threads; the tower encodes batches in the thread that consumes
the events; each batch is one transaction. Stopped at any point, the next run goes on where this one was.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.catalog import Catalog
from service.errors import PhotographError
from service.photos import (
    THUMBNAIL_SIDE,
    open_photograph,
    read_file,
    thumbnail,
)
from service.records import Entry, Facts, Known, Place, Root
from service.walk import NAMELESS, look_into


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be indexed, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class Summary:
    """What a run did. `missing` counts photographs whose files are gone and that were kept."""

    added: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    missing: int = 0
    failed: list[Failure] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Scanned:
    """The folders have been walked: `to_read` files are new or look changed, `unchanged` do not."""

    to_read: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Advanced:
    """`done` of `total` files have been dealt with."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over."""

    summary: Summary


Event = Scanned | Advanced | Failure | Finished


class Tower(Protocol):
    """What indexing needs of an encoder."""

    @property
    def fingerprint(self) -> str:
        """Names what makes the vectors."""

    @property
    def features_fingerprint(self) -> str:
        """Names what makes the features; the same where the tower has none of its own."""

    @property
    def photograph_side(self) -> int:
        """Pixels of the tower's input."""

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """One photograph as the tower's input; called from several threads."""

    def encode_with_features(
        self, prepared: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Unit vectors (n, dimension) and features (n, width) of a batch, at least one photograph."""


@dataclass(frozen=True, slots=True)
class Work:
    """A tower and what of it is kept.

    Every photograph that is encoded gets the vectors of the fingerprints `kept`; one that lacks any of `required`
    is encoded though its file has not changed.
    """

    tower: Tower
    kept: frozenset[str]
    required: frozenset[str]

    @classmethod
    def of(cls, tower: Tower, *, features_required: bool = False) -> Work:
        """What a library keeps of its main model: vectors and features."""
        features = {tower.features_fingerprint}
        kept = frozenset({tower.fingerprint} | features)
        return cls(tower, kept, kept if features_required else frozenset({tower.fingerprint}))

    @classmethod
    def of_additional(cls, tower: Tower) -> Work:
        """What a library keeps of an additional model: features, which are all that heads look at."""
        features = frozenset({tower.features_fingerprint})
        return cls(tower, features, features)


@dataclass(frozen=True, slots=True)
class _File:
    root: Root
    folder: str
    name: str
    size: int
    modified_ns: int
    known: Known | None

    @property
    def path(self) -> Path:
        return self.root.path / self.folder / self.name


@dataclass(frozen=True, slots=True)
class _Decoded:
    facts: Facts
    prepared: dict[int, NDArray[np.float32]]
    """By the place of the tower among those at work, for those that this photograph has to go through."""
    thumbnail: bytes
    id: int | None


@dataclass(frozen=True, slots=True)
class _Placed:
    """A file whose content the catalog has: only its place, size or time is new."""

    place: Place
    id: int
    moved: bool


class Indexer:
    """One run over folders of a library, for its encoder or encoders. Use `run` once."""

    def __init__(self, catalog: Catalog, works: Sequence[Work], *, batch_size: int, threads: int | None) -> None:
        self._catalog = catalog
        self._works = works
        self._required = frozenset[str]().union(*(work.required for work in works))
        self._side = max(2 * max(work.tower.photograph_side for work in works), THUMBNAIL_SIDE)
        self._batch_size = batch_size
        self._threads = threads or min(8, os.cpu_count() or 1)
        self._summary = Summary()
        self._seen: set[int] = set()
        self._unreadable: list[tuple[int, str]] = []
        self._claimed: set[int] = set()
        self._claiming = threading.Lock()

    @property
    def saw_everything(self) -> bool:
        """Whether every folder could be looked into."""
        return not self._unreadable

    def run(self, places: Sequence[tuple[Root, str]], *, prune: bool) -> Iterator[Event]:
        """Bring `places` (a root and a folder below it) up to date in the catalog; the events tell how.

        With `prune`, photographs whose files are gone leave the library; their files are gone already,
        and no file is ever deleted here. Closing the iterator stops the run after the current batch.
        """
        start = time.monotonic()
        files: list[_File] = []
        for root, folder in places:
            for found in self._walk(root, folder):
                if isinstance(found, Failure):
                    yield self._fail(found)
                else:
                    files.append(found)
        yield Scanned(len(files), self._summary.unchanged)
        yield from self._read(files)
        self._sweep(places, prune)
        self._summary.seconds = time.monotonic() - start
        yield Finished(self._summary)

    # -- scan and compare ---------------------------------------------------------------------------

    def _walk(self, root: Root, start: str) -> Iterator[_File | Failure]:
        pending = [start]
        while pending:
            folder = pending.pop()
            try:
                listing = look_into(root.path / folder, self._summary.skipped)
            except OSError as error:
                self._unreadable.append((root.id, folder))
                yield Failure(str(root.path / folder), f"the folder cannot be read ({error.strerror})")
                continue
            for path in listing.nameless:
                yield Failure(path, NAMELESS)
            known = self._catalog.known_in(root.id, folder, self._required)
            for entry in listing.files:
                yield from self._compare(root, folder, entry, known.get(entry.name))
            pending.extend(f"{folder}/{name}" if folder else name for name in reversed(listing.folders))

    def _compare(
        self, root: Root, folder: str, entry: os.DirEntry[str], known: Known | None
    ) -> Iterator[_File | Failure]:
        try:
            stat = entry.stat(follow_symlinks=False)
        except OSError as error:
            yield Failure(entry.path, f"the file cannot be read ({error.strerror})")
            return
        if known is not None:
            self._seen.add(known.id)
            if known.complete and (known.size, known.modified_ns) == (stat.st_size, stat.st_mtime_ns):
                self._summary.unchanged += 1
                return
        yield _File(root, folder, entry.name, stat.st_size, stat.st_mtime_ns, known)

    # -- decode, encode, store ----------------------------------------------------------------------

    def _read(self, files: Sequence[_File]) -> Iterator[Event]:
        batch: list[_Decoded] = []
        done = 0
        with ThreadPoolExecutor(self._threads, thread_name_prefix="decode") as pool:
            waiting: deque[tuple[_File, Future[_Decoded | _Placed]]] = deque()
            upcoming = iter(files)
            try:
                while True:
                    # Two batches ahead keep the tower busy and bound the memory.
                    while len(waiting) < 2 * self._batch_size and (file := next(upcoming, None)) is not None:
                        waiting.append((file, pool.submit(self._open, file)))
                    if not waiting:
                        break
                    file, future = waiting.popleft()
                    done += 1
                    try:
                        outcome = future.result()
                    except PhotographError as error:
                        yield self._fail(Failure(str(file.path), error.message))
                    else:
                        if isinstance(outcome, _Placed):
                            self._place(outcome)
                        else:
                            batch.append(outcome)
                    if len(batch) >= self._batch_size:
                        self._store(batch)
                        batch = []
                        yield Advanced(done, len(files))
                self._store(batch)
                yield Advanced(done, len(files))
            finally:
                for _, future in waiting:
                    future.cancel()

    def _open(self, file: _File) -> _Decoded | _Placed:
        """In a thread: one file read once, for its content hash and its pixels."""
        import xxhash

        content = read_file(file.path)
        content_hash = xxhash.xxh3_128_digest(content)
        place = Place(file.root.id, file.folder, file.name, file.size, file.modified_ns)
        identity, same = self._recognise(file, content_hash)
        has = self._catalog.fingerprints_of(identity) if identity is not None and same else set()
        if identity is not None and self._required <= has:
            return _Placed(place, identity, moved=file.known is None)
        photograph = open_photograph(content, max_side=self._side)
        facts = Facts(place, content_hash, photograph.width, photograph.height, photograph.format)
        prepared = {
            number: work.tower.prepare(photograph.image)
            for number, work in enumerate(self._works)
            if not same or not work.required <= has
        }
        return _Decoded(facts, prepared, thumbnail(photograph.image), identity)

    def _recognise(self, file: _File, content_hash: bytes) -> tuple[int | None, bool]:
        """The photograph that a file is, None for a new one, and whether it is known with this content.

        Known content is that of a file only touched, or moved here from a place where it no longer is.
        """
        for record in self._catalog.with_content(content_hash):
            if file.known is not None and record.id == file.known.id:
                return record.id, True
            if file.known is None and _is_gone(record.path) and self._claim(record.id):
                return record.id, True
        return (file.known.id if file.known else None), False

    def _claim(self, identity: int) -> bool:
        """Whether this is the first file of the run to take over a vanished photograph."""
        with self._claiming:
            if identity in self._claimed:
                return False
            self._claimed.add(identity)
        return True

    def _place(self, placed: _Placed) -> None:
        self._catalog.place(placed.id, placed.place)
        self._seen.add(placed.id)
        if placed.moved:
            self._summary.moved += 1
        else:
            self._summary.unchanged += 1

    def _store(self, batch: Sequence[_Decoded]) -> None:
        if not batch:
            return
        vectors: list[dict[str, NDArray[np.float16]]] = [{} for _ in batch]
        for number, work in enumerate(self._works):
            _encode(
                work, [(photograph.prepared.get(number), into) for photograph, into in zip(batch, vectors, strict=True)]
            )
        entries = [
            Entry(photograph.facts, each, photograph.thumbnail, photograph.id)
            for photograph, each in zip(batch, vectors, strict=True)
        ]
        self._seen.update(self._catalog.write(entries))
        changed = sum(photograph.id is not None for photograph in batch)
        self._summary.changed += changed
        self._summary.added += len(batch) - changed

    def _fail(self, failure: Failure) -> Failure:
        self._summary.failed.append(failure)
        return failure

    # -- sweep --------------------------------------------------------------------------------------

    def _sweep(self, places: Iterable[tuple[Root, str]], prune: bool) -> None:
        """Count, or take out, what the catalog has below `places` and the walk did not meet."""
        gone = [
            identity
            for root, start in places
            for identity, folder in self._catalog.ids_under(root.id, start)
            if identity not in self._seen and not self._hidden_by_failure(root.id, folder)
        ]
        if prune and gone:
            self._summary.removed = self._catalog.remove(gone)
        else:
            self._summary.missing = len(gone)

    def _hidden_by_failure(self, root_id: int, folder: str) -> bool:
        """Whether a folder could not be looked into: what is in it is unknown, not gone."""
        return any(
            root_id == unreadable_root
            and (not unreadable or folder == unreadable or folder.startswith(f"{unreadable}/"))
            for unreadable_root, unreadable in self._unreadable
        )


def _encode(
    work: Work, photographs: Sequence[tuple[NDArray[np.float32] | None, dict[str, NDArray[np.float16]]]]
) -> None:
    """Put what is kept of a tower into the vectors of the photographs that were prepared for it."""
    waiting = [(prepared, into) for prepared, into in photographs if prepared is not None]
    if not waiting:
        return
    vectors, features = work.tower.encode_with_features([prepared for prepared, _ in waiting])
    made = {work.tower.fingerprint: vectors, work.tower.features_fingerprint: features}
    for fingerprint in work.kept:
        for (_, into), vector in zip(waiting, made[fingerprint].astype(np.float16), strict=True):
            into[fingerprint] = vector


def _is_gone(path: Path) -> bool:
    """Whether no walk can meet a photograph here any more; where nobody can say, it is not gone."""
    try:
        return os.path.realpath(path) != str(path) or not stat.S_ISREG(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
