"""Walk, compare, decode, encode and store folders of photographs, as a stream of progress events.

Threads read, hash and decode files, one thread encodes batches, and the thread that consumes the events writes each
batch in one transaction, all at the same time. Stopped at any point, the next run continues from there.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from service.compute.cores import usable_cores
from service.config import USUAL_BATCH
from service.indexing.decoder import (
    AlreadyIndexed,
    Decoder,
    EncodingTask,
    Failure,
    File,
    PreparedPhotograph,
    required_by,
)
from service.indexing.pipeline import run_pipeline
from service.indexing.walk import NOT_UTF8, list_folder
from service.store.catalog import Catalog
from service.store.records import Entry, FileUpdate, KnownFile, Root
from service.types import Float16Array


@dataclass(slots=True)
class Summary:
    """What a run did.

    `missing` counts photographs whose files are gone and that were kept, `skipped` files by the reason. `unreadable`
    are root id and path of the folders that could not be listed; what is in them is neither missing nor removed.
    """

    added: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    missing: int = 0
    failed: list[Failure] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Scanned:
    """The folders have been walked: `to_read` files are new or look changed, `unchanged` do not."""

    to_read: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Advanced:
    """`done` of `total` files have been processed."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over."""

    summary: Summary


Event = Scanned | Advanced | Failure | Finished


@dataclass(frozen=True, slots=True)
class _Run:
    """State of one run; `found` are the ids of photographs whose files were found."""

    catalog: Catalog
    required: frozenset[str]
    summary: Summary = field(default_factory=Summary)
    found: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Files that are ready to be stored."""

    entries: list[Entry]
    already_indexed: list[AlreadyIndexed]
    failures: list[Failure]


def update_catalog(
    catalog: Catalog,
    tasks: Sequence[EncodingTask],
    folders: Sequence[tuple[Root, str]],
    *,
    prune: bool,
    batch_size: int | None,
    threads: int | None,
) -> Iterator[Event]:
    """Bring `folders` (a root and a folder below it) up to date in the catalog; yields progress events.

    With `prune`, photographs whose files are gone leave the library; no file is ever deleted. `batch_size` None is
    the smallest that an encoder asks for, `threads` None one for each core. Closing the iterator stops the run after
    the current batch.
    """
    start = time.monotonic()
    run = _Run(catalog, required_by(tasks))
    files: list[File] = []
    for root, folder in folders:
        for found in _changed_files(run, root, folder):
            if isinstance(found, Failure):
                run.summary.failed.append(found)
                yield found
            else:
                files.append(found)
    yield Scanned(len(files), run.summary.unchanged)
    done = 0
    for stored in run_pipeline(
        files,
        Decoder(catalog, tasks).decode,
        partial(_encode, tasks),
        partial(_store, run),
        needs_encoding=lambda outcome: isinstance(outcome, PreparedPhotograph),
        batch_size=batch_size or min(getattr(task.encoder, "batch_size", USUAL_BATCH) for task in tasks),
        threads=threads or usable_cores(),
    ):
        if isinstance(stored, Failure):
            yield stored
        else:
            done += stored
            yield Advanced(done, len(files))
    _sweep(run, folders, prune)
    run.summary.seconds = time.monotonic() - start
    yield Finished(run.summary)


def _changed_files(run: _Run, root: Root, start: str) -> Iterator[File | Failure]:
    """The files in and below a folder that are new or look changed."""
    pending = [start]
    while pending:
        folder = pending.pop()
        try:
            listing = list_folder(root.path / folder, run.summary.skipped)
        except OSError as error:
            run.summary.unreadable.append((root.id, folder))
            yield Failure(str(root.path / folder), f"the folder cannot be read ({error.strerror})")
            continue
        for path in listing.not_utf8:
            yield Failure(path, NOT_UTF8)
        known = run.catalog.files_in(root.id, folder, run.required)
        for entry in listing.files:
            yield from _compare(run, root, folder, entry, known.get(entry.name))
        pending.extend(f"{folder}/{name}" if folder else name for name in reversed(listing.folders))


def _compare(
    run: _Run, root: Root, folder: str, entry: os.DirEntry[str], known: KnownFile | None
) -> Iterator[File | Failure]:
    try:
        stat = entry.stat(follow_symlinks=False)
    except OSError as error:
        yield Failure(entry.path, f"the file cannot be read ({error.strerror})")
        return
    if known is not None:
        run.found.add(known.id)
        if known.complete and (known.size, known.modified_ns) == (stat.st_size, stat.st_mtime_ns):
            run.summary.unchanged += 1
            return
    yield File(root, folder, entry.name, stat.st_size, stat.st_mtime_ns, known)


def _encode(tasks: Sequence[EncodingTask], outcomes: Sequence[PreparedPhotograph | AlreadyIndexed | Failure]) -> _Batch:
    """Encode what a batch has for each task."""
    photographs = [outcome for outcome in outcomes if isinstance(outcome, PreparedPhotograph)]
    vectors: list[dict[str, Float16Array]] = [{} for _ in photographs]
    for number, task in enumerate(tasks):
        rows = [row for row, photograph in enumerate(photographs) if number in photograph.inputs]
        if not rows:
            continue
        own, features = task.encoder.encode_with_features([photographs[row].inputs[number] for row in rows])
        outputs = {task.encoder.fingerprint: own, task.encoder.features_fingerprint: features}
        for fingerprint in task.stored:
            for row, vector in zip(rows, outputs[fingerprint].astype(np.float16), strict=True):
                vectors[row][fingerprint] = vector
    return _Batch(
        [Entry(each.facts, own, each.thumbnail, each.id) for each, own in zip(photographs, vectors, strict=True)],
        [outcome for outcome in outcomes if isinstance(outcome, AlreadyIndexed)],
        [outcome for outcome in outcomes if isinstance(outcome, Failure)],
    )


def _store(run: _Run, batch: _Batch) -> list[Failure | int]:
    """Write a batch to the catalog; its failures, then the number of its files."""
    summary = run.summary
    run.catalog.update_files([FileUpdate(known.id, known.info) for known in batch.already_indexed])
    run.found.update(known.id for known in batch.already_indexed)
    if batch.entries:
        run.found.update(run.catalog.write(batch.entries))
    moved = sum(known.moved for known in batch.already_indexed)
    changed = sum(entry.id is not None for entry in batch.entries)
    summary.moved += moved
    summary.unchanged += len(batch.already_indexed) - moved
    summary.changed += changed
    summary.added += len(batch.entries) - changed
    summary.failed += batch.failures
    return [*batch.failures, len(batch.entries) + len(batch.already_indexed) + len(batch.failures)]


def _sweep(run: _Run, folders: Sequence[tuple[Root, str]], prune: bool) -> None:
    """Count, or with `prune` remove, the photographs of the catalog whose files were not found in `folders`."""
    gone = [
        identity
        for root, start in folders
        for identity, folder in run.catalog.photographs_under(root.id, start)
        if identity not in run.found and not _is_unreadable(run.summary, root.id, folder)
    ]
    if prune and gone:
        run.summary.removed = run.catalog.remove(gone)
    else:
        run.summary.missing = len(gone)


def _is_unreadable(summary: Summary, root_id: int, folder: str) -> bool:
    """Whether a folder, or one above it, could not be listed."""
    return any(
        root_id == unreadable_root and (not unreadable or folder == unreadable or folder.startswith(f"{unreadable}/"))
        for unreadable_root, unreadable in summary.unreadable
    )
