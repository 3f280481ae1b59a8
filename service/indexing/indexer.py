"""scan -> compare -> decode -> encode -> store, as a stream of progress events.

Files are read, hashed and decoded by threads, the tower encodes batches in one of its own, and the thread that
consumes the events writes each batch in one transaction, all at the same time. Stopped at any point, the next run
goes on where this one was.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from service.compute.cores import usable_cores
from service.config import USUAL_BATCH
from service.indexing.decoder import AlreadyIndexed, Decoder, EncodingTask, Failure, File, PreparedPhotograph
from service.indexing.pipeline import Pipeline
from service.indexing.walk import NOT_UTF8, list_folder
from service.store.catalog import Catalog
from service.store.records import Entry, Known, Root
from service.types import AnyArray, Float16Array


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


@dataclass(frozen=True, slots=True)
class _Batch:
    """What has been made of some files."""

    entries: list[Entry]
    placed: list[AlreadyIndexed]
    failures: list[Failure]


class Indexer:
    """One run over folders of a library, for its encoder or encoders. Use `run` once."""

    def __init__(
        self, catalog: Catalog, works: Sequence[EncodingTask], *, batch_size: int | None, threads: int | None
    ) -> None:
        """None is for the number that suits the towers, and for a thread on each core."""
        self._catalog = catalog
        self._works = works
        self._required = frozenset[str]().union(*(work.required for work in works))
        self._batch_size = batch_size or min(getattr(work.tower, "batch_size", USUAL_BATCH) for work in works)
        self._threads = threads or usable_cores()
        self._summary = Summary()
        self._seen: set[int] = set()
        self._unreadable: list[tuple[int, str]] = []

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
        files: list[File] = []
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

    def _walk(self, root: Root, start: str) -> Iterator[File | Failure]:
        pending = [start]
        while pending:
            folder = pending.pop()
            try:
                listing = list_folder(root.path / folder, self._summary.skipped)
            except OSError as error:
                self._unreadable.append((root.id, folder))
                yield Failure(str(root.path / folder), f"the folder cannot be read ({error.strerror})")
                continue
            for path in listing.not_utf8:
                yield Failure(path, NOT_UTF8)
            known = self._catalog.known_in(root.id, folder, self._required)
            for entry in listing.files:
                yield from self._compare(root, folder, entry, known.get(entry.name))
            pending.extend(f"{folder}/{name}" if folder else name for name in reversed(listing.folders))

    def _compare(
        self, root: Root, folder: str, entry: os.DirEntry[str], known: Known | None
    ) -> Iterator[File | Failure]:
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
        yield File(root, folder, entry.name, stat.st_size, stat.st_mtime_ns, known)

    # -- decode, encode, store ----------------------------------------------------------------------

    def _read(self, files: Sequence[File]) -> Iterator[Event]:
        decoder = Decoder(self._catalog, self._works)
        pipeline = Pipeline(
            decoder.decode,
            self._encode,
            self._store,
            is_heavy=lambda outcome: isinstance(outcome, PreparedPhotograph),
            batch_size=self._batch_size,
            threads=self._threads,
        )
        done = 0
        for told in pipeline.run(files):
            if isinstance(told, Failure):
                yield self._fail(told)
            else:
                done += told
                yield Advanced(done, len(files))

    def _encode(self, outcomes: Sequence[PreparedPhotograph | AlreadyIndexed | Failure]) -> _Batch:
        """In the tower's thread: what is to be written of a batch."""
        photographs = [outcome for outcome in outcomes if isinstance(outcome, PreparedPhotograph)]
        vectors: list[dict[str, Float16Array]] = [{} for _ in photographs]
        for number, work in enumerate(self._works):
            pairs = zip(photographs, vectors, strict=True)
            _encode(work, [(photograph.prepared.get(number), into) for photograph, into in pairs])
        entries = [
            Entry(photograph.facts, each, photograph.thumbnail, photograph.id)
            for photograph, each in zip(photographs, vectors, strict=True)
        ]
        placed = [outcome for outcome in outcomes if isinstance(outcome, AlreadyIndexed)]
        return _Batch(entries, placed, [outcome for outcome in outcomes if isinstance(outcome, Failure)])

    def _store(self, batch: _Batch) -> list[Failure | int]:
        """Write a batch; its failures and how many files it was are to be told."""
        for placed in batch.placed:
            self._place(placed)
        if batch.entries:
            self._seen.update(self._catalog.write(batch.entries))
        changed = sum(entry.id is not None for entry in batch.entries)
        self._summary.changed += changed
        self._summary.added += len(batch.entries) - changed
        return [*batch.failures, len(batch.entries) + len(batch.placed) + len(batch.failures)]

    def _place(self, placed: AlreadyIndexed) -> None:
        self._catalog.place(placed.id, placed.place)
        self._seen.add(placed.id)
        if placed.moved:
            self._summary.moved += 1
        else:
            self._summary.unchanged += 1

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


def _encode(work: EncodingTask, photographs: Sequence[tuple[AnyArray | None, dict[str, Float16Array]]]) -> None:
    """Put what is kept of a tower into the vectors of the photographs that were prepared for it."""
    waiting = [(prepared, into) for prepared, into in photographs if prepared is not None]
    if not waiting:
        return
    vectors, features = work.tower.encode_with_features([prepared for prepared, _ in waiting])
    made = {work.tower.fingerprint: vectors, work.tower.features_fingerprint: features}
    for fingerprint in work.kept:
        for (_, into), vector in zip(waiting, made[fingerprint].astype(np.float16), strict=True):
            into[fingerprint] = vector
