"""The calibrated k-NN vote of a library, cached in a file; it can be computed again at any time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from service.errors import LibraryError, NotFoundError
from service.kinds.knn_vote import KnnVote
from service.kinds.labels import Kinds
from service.kinds.vote_calibration import (
    CALIBRATION_SAMPLE,
    LabelledVectors,
    VoteCalibration,
    calibrate,
    held_out_neighbours,
)
from service.store.atomic import write_text
from service.store.catalog import Catalog
from service.types import Float32Array, OnProgress

FILE = "vote.json"
VERSION = 1
_MAX_CHANGED_SHARE = 0.1
_CHUNK_SIZE = 4096
_SEED = 0


class VoteCache:
    """The vote over the vectors of one library. Safe to use from several threads.

    It is calibrated when it is first needed, which takes a second for thousands of photographs and some minutes for a
    million, and written to `vote.json`. It is calibrated again for another encoder, after kinds were read again, and
    once more than a tenth of the photographs were added, removed or got another kind. That is checked when the library
    is opened and when the catalog's generation or the kinds have changed.
    """

    def __init__(self, folder: Path, catalog: Catalog, kinds: Kinds) -> None:
        self._file = folder / FILE
        self._catalog = catalog
        self._kinds = kinds
        self._lock = threading.Lock()
        self._current: tuple[object, VoteCalibration] | None = None

    def current(self, fingerprint: str, on_progress: OnProgress = lambda done, total: None) -> VoteCalibration:
        """The calibration for vectors of the encoder with this fingerprint.

        Args:
            fingerprint: of the encoder.
            on_progress: follows the calibration where there is none that still fits.

        Raises:
            LibraryError: the library has too few photographs with kinds, or too few kinds.
        """
        with self._lock:
            key = fingerprint, self._catalog.generation(), self._kinds.stamp
            if self._current is None or self._current[0] != key:
                counts = self._kinds.counts()
                check_kinds(counts)
                calibration = self._load(fingerprint, counts)
                if calibration is None:
                    calibration = self._calibrate(fingerprint, counts, on_progress)
                    self._save(fingerprint, counts, calibration)
                self._current = key, calibration
            return self._current[1]

    def _load(self, fingerprint: str, counts: Mapping[str, int]) -> VoteCalibration | None:
        """The calibration in the file; None where it no longer fits or cannot be read."""
        try:
            facts = json.loads(self._file.read_text(encoding="utf-8"))
            if (facts["version"], facts["fingerprint"], facts["stamp"]) != (VERSION, fingerprint, self._kinds.stamp):
                return None
            before = {str(kind): int(count) for kind, count in facts["kinds"].items()}
            changed = sum(abs(counts.get(kind, 0) - before.get(kind, 0)) for kind in counts.keys() | before.keys())
            if changed > _MAX_CHANGED_SHARE * sum(before.values()):
                return None
            return VoteCalibration(KnnVote.of(facts["vote"]), **facts["figures"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _save(self, fingerprint: str, counts: Mapping[str, int], calibration: VoteCalibration) -> None:
        facts = {
            "version": VERSION,
            "fingerprint": fingerprint,
            "generation": self._catalog.generation(),
            "source": self._kinds.source,
            "stamp": self._kinds.stamp,
            "vote": calibration.vote.facts(),
            "figures": calibration.figures(),
            "kinds": counts,
        }
        # A library on a read-only disk can still classify.
        with suppress(OSError):
            write_text(self._file, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")

    def _calibrate(self, fingerprint: str, counts: Mapping[str, int], on_progress: OnProgress) -> VoteCalibration:
        label_of = {kind: label for label, kind in enumerate(counts)}
        kinds, vectors = self._sample(fingerprint)
        labels = np.array([label_of.setdefault(kind, len(label_of)) for kind in kinds.values()], np.int64)
        copies = [self._copies_of(identity) for identity in kinds]
        chunks = self._chunks(fingerprint, label_of, sum(counts.values()), on_progress)
        return calibrate(held_out_neighbours(vectors, labels, chunks, copies), seed=_SEED)

    def _sample(self, fingerprint: str) -> tuple[dict[int, str], Float32Array]:
        """Photographs to hold out, drawn from those with kinds: their kinds by id, and their vectors (n, dimension)."""
        drawn = np.random.default_rng(_SEED).permutation(self._kinds.ids())[:CALIBRATION_SAMPLE]
        found = {}
        for identity in sorted(int(each) for each in drawn):
            # While the model of the library changes, a photograph may already have lost its vector of the old one.
            with suppress(NotFoundError):
                found[identity] = self._catalog.vector(identity, fingerprint)
        kinds = self._kinds.of(list(found))
        if not kinds:
            raise LibraryError(
                f"No photograph with a kind (from {self._kinds.source}) has a vector yet. Run `smysl index`."
            )
        ids = sorted(kinds)
        return {identity: kinds[identity] for identity in ids}, np.stack([found[identity] for identity in ids])

    def _copies_of(self, identity: int) -> frozenset[int]:
        """The ids of all photographs with the same content, this one among them."""
        rows = self._catalog.connection.execute(
            "SELECT copy.id FROM photograph own JOIN photograph copy ON copy.content_hash = own.content_hash "
            "WHERE own.id = ?",
            (identity,),
        )
        return frozenset(row[0] for row in rows) | {identity}

    def _chunks(
        self, fingerprint: str, label_of: dict[str, int], total: int, on_progress: OnProgress
    ) -> Iterator[LabelledVectors]:
        done = 0
        _, _, chunks = self._catalog.changes([fingerprint], 0, _CHUNK_SIZE)
        for ids, (vectors,) in chunks:
            kinds = self._kinds.of([int(identity) for identity in ids])
            rows = np.flatnonzero(np.isin(ids, np.fromiter(kinds, np.int64)))
            if len(rows):
                labels = [label_of.setdefault(kinds[int(identity)], len(label_of)) for identity in ids[rows]]
                yield LabelledVectors(ids[rows], vectors[rows].astype(np.float32), np.array(labels, np.int64))
            done += len(rows)
            on_progress(min(done, total), total)


def check_kinds(counts: Mapping[str, int], *, at_least: int = 2) -> None:
    """Raise `LibraryError` where `counts`, of photographs by kind, has fewer than `at_least` kinds, 1 or 2."""
    if not counts:
        raise LibraryError(
            "No photograph of the library has a kind. Sort them into folders named after their kinds and index the "
            "folder around these, or name a table with `smysl kinds --from FILE.tsv`."
        )
    if len(counts) < at_least:
        (kind,) = counts
        raise LibraryError(
            f"All photographs of the library that have a kind are of the same one, {kind}, so there is nothing to vote "
            "on. Add photographs of other kinds."
        )
