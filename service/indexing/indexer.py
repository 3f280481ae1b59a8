"""Walk, compare, decode, encode and store folders of photographs, as a stream of progress events.

Threads read, hash and decode files, one thread encodes batches, and the thread that consumes the events writes each
batch in one transaction, all at the same time. Stopped at any point, the next run continues from there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import numpy as np

from service.compute.cores import usable_cores
from service.config import USUAL_BATCH
from service.indexing.decoder import (
    AlreadyIndexed,
    Decoder,
    EncodingTask,
    Failure,
    File,
    Flaw,
    PreparedPhotograph,
    required_by,
)
from service.indexing.options import IndexOptions
from service.indexing.pipeline import run_pipeline
from service.indexing.scan import Scanner
from service.indexing.skipped import Reason, Skipped
from service.indexing.sweep import Loss, sweep
from service.store.catalog import Catalog
from service.store.records import Entry, Root
from service.types import Float16Array


@dataclass(slots=True)
class Summary:
    """What a run did.

    Attributes:
        added, changed, moved, unchanged: files by what was done with them.
        revived: files of photographs that had been removed and are back.
        removed: photographs that left the library.
        missing: photographs whose files are gone and that were kept.
        flawed: files that were indexed though something is wrong with them.
        failed: what could not be indexed.
        folders: what was walked, as roots and folders below them; links may have led to more than was named.
        skipped: what was left out, by path, with the reason.
        unreadable: root id and path of the folders that could not be listed; what is in them is neither missing nor
            removed.
        losses: the folders that lost so much that nothing was removed without confirmation.
        seconds: how long it took.
    """

    added: int = 0
    changed: int = 0
    moved: int = 0
    revived: int = 0
    unchanged: int = 0
    removed: int = 0
    missing: int = 0
    flawed: int = 0
    failed: list[Failure] = field(default_factory=list)
    folders: list[tuple[Root, str]] = field(default_factory=list)
    skipped: list[tuple[str, Skipped]] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    losses: tuple[Loss, ...] = ()
    seconds: float = 0.0

    def reasons(self) -> Counter[Reason]:
        """How many files and folders were left out for each reason."""
        return Counter(skipped.reason for _, skipped in self.skipped)


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


Event = Scanned | Advanced | Failure | Flaw | Finished


@dataclass(frozen=True, slots=True)
class _Run:
    """State of one run; `found` are the ids of photographs whose files were found."""

    catalog: Catalog
    summary: Summary
    found: set[int]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Files that are ready to be stored."""

    photographs: list[PreparedPhotograph]
    vectors: list[dict[str, Float16Array]]
    already_indexed: list[AlreadyIndexed]
    failures: list[Failure]


def update_catalog(
    catalog: Catalog,
    tasks: Sequence[EncodingTask],
    folders: Sequence[tuple[Root, str]],
    options: IndexOptions,
) -> Iterator[Event]:
    """Bring `folders` (a root and a folder below it) up to date in the catalog; yields progress events.

    Closing the iterator stops the run after the current batch.
    """
    start = time.monotonic()
    scanner = Scanner(catalog, required_by(tasks), folders, options)
    summary, scan = Summary(), scanner.scan
    run = _Run(catalog, summary, scan.found)
    files: list[File] = []
    for found in scanner.changed_files():
        if isinstance(found, Failure):
            summary.failed.append(found)
            yield found
        else:
            files.append(found)
    summary.unchanged, summary.skipped = scan.unchanged, scan.skipped
    summary.folders, summary.unreadable = scan.folders, scan.unreadable
    yield Scanned(len(files), scan.unchanged)
    pipeline = partial(
        run_pipeline,
        decode=Decoder(catalog, tasks, max_megapixels=options.max_megapixels).decode,
        encode=partial(_encode, tasks),
        store=partial(_store, run),
        needs_encoding=lambda outcome: isinstance(outcome, PreparedPhotograph) and bool(outcome.inputs),
        batch_size=options.batch_size or min(getattr(task.encoder, "batch_size", USUAL_BATCH) for task in tasks),
        threads=options.threads or usable_cores(),
    )
    done = 0
    # A photograph is the file with its content, if there is one, rather than the RAW file that it left behind.
    renamed = [file for file in files if file.renamed]
    for stored in chain(pipeline([file for file in files if not file.renamed]), pipeline(renamed)):
        if isinstance(stored, Failure | Flaw):
            yield stored
        else:
            done += stored
            yield Advanced(done, len(files))
    scanner.remember_unreadable(summary.failed)
    swept = sweep(catalog, scan.folders, scan.found, scan.unreadable, options)
    summary.removed, summary.missing, summary.losses = swept.removed, swept.missing, swept.losses
    summary.seconds = time.monotonic() - start
    yield Finished(summary)


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
        photographs,
        vectors,
        [outcome for outcome in outcomes if isinstance(outcome, AlreadyIndexed)],
        [outcome for outcome in outcomes if isinstance(outcome, Failure)],
    )


def _store(run: _Run, batch: _Batch) -> list[Failure | Flaw | int]:
    """Write a batch to the catalog; its failures and flaws, then the number of its files."""
    summary, known = run.summary, batch.already_indexed
    run.catalog.update_files([each.update for each in known])
    run.found.update(each.update.id for each in known)
    entries = [
        Entry(each.facts, own, each.thumbnail, each.id, each.preview, each.details, each.same_image)
        for each, own in zip(batch.photographs, batch.vectors, strict=True)
    ]
    if entries:
        run.found.update(run.catalog.write(entries))
    outcomes = Counter([*(each.outcome for each in batch.photographs), *(each.outcome for each in known)])
    for outcome, count in outcomes.items():
        setattr(summary, outcome, getattr(summary, outcome) + count)
    summary.failed += batch.failures
    flaws = [flaw for each in batch.photographs for flaw in each.flaws]
    flaws += [flaw for each in known for flaw in each.flaws]
    summary.flawed += len({flaw.path for flaw in flaws})
    return [*batch.failures, *flaws, len(entries) + len(known) + len(batch.failures)]
