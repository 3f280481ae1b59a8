"""The calibration of a library's vote, kept beside its index: derived, and made again when it no longer fits."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from service.errors import LibraryError, NotFoundError
from service.kinds.knn_vote import Vote
from service.kinds.labels import Kinds
from service.kinds.vote_calibration import MOST_ASKED, Chunk, VoteCalibration, calibrate, nearest_others
from service.store.atomic import write_text
from service.store.catalog import Catalog
from service.types import Float32Array, OnProgress

FILE = "vote.json"
VERSION = 1
CHANGED = 0.1
"""Share of the photographs that may have come, gone or changed their kind before the vote is calibrated again."""
_CHUNK = 4096
_SEED = 0


class Votes:
    """The vote over the vectors of one library. Safe to use from several threads.

    Calibrated at its first use, which takes a second for thousands of photographs and some minutes for a million,
    and kept in `vote.json`. It is calibrated again where the encoder is another one, where kinds have been read anew,
    and where more than a tenth of the photographs have come, gone or changed their kind since. This is looked at
    when the catalog's generation or the kinds have changed, and when the library is opened.
    """

    def __init__(self, folder: Path, catalog: Catalog, kinds: Kinds) -> None:
        self._file = folder / FILE
        self._catalog = catalog
        self._kinds = kinds
        self._making = threading.Lock()
        self._current: tuple[object, VoteCalibration] | None = None

    def current(self, fingerprint: str, on_progress: OnProgress = lambda done, total: None) -> VoteCalibration:
        """The calibration for vectors of `fingerprint`; `on_progress` follows one that has to be made.

        Raises `LibraryError` where the library's kinds are no ground for a vote.
        """
        with self._making:
            key = fingerprint, self._catalog.generation(), self._kinds.stamp
            if self._current is None or self._current[0] != key:
                counts = self._kinds.counts()
                check_kinds(counts)
                calibration = self._kept(fingerprint, counts)
                if calibration is None:
                    calibration = self._made(fingerprint, counts, on_progress)
                    self._keep(fingerprint, counts, calibration)
                self._current = key, calibration
            return self._current[1]

    def _kept(self, fingerprint: str, counts: Mapping[str, int]) -> VoteCalibration | None:
        try:
            facts = json.loads(self._file.read_text(encoding="utf-8"))
            if (facts["version"], facts["fingerprint"], facts["stamp"]) != (VERSION, fingerprint, self._kinds.stamp):
                return None
            before = {str(kind): int(count) for kind, count in facts["kinds"].items()}
            apart = sum(abs(counts.get(kind, 0) - before.get(kind, 0)) for kind in counts.keys() | before.keys())
            if apart > CHANGED * sum(before.values()):
                return None
            figures: dict[str, Any] = facts["figures"]
            unknown = figures["unknown_auroc"]
            return VoteCalibration(
                vote=Vote.of(facts["vote"]),
                accuracy=float(figures["accuracy"]),
                ece=float(figures["ece"]),
                unknown_auroc=None if unknown is None else float(unknown),
                photographs=int(figures["photographs"]),
            )
        # It is derived, so that nobody has to be told of one that cannot be read.
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _keep(self, fingerprint: str, counts: Mapping[str, int], calibration: VoteCalibration) -> None:
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
        # A library that cannot be written to can still be asked.
        with suppress(OSError):
            write_text(self._file, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")

    def _made(self, fingerprint: str, counts: Mapping[str, int], on_progress: OnProgress) -> VoteCalibration:
        numbers = {kind: number for number, kind in enumerate(counts)}
        ids, vectors = self._sample(fingerprint)
        kinds = self._kinds.of(ids)
        own = np.array([numbers.setdefault(kinds[identity], len(numbers)) for identity in ids], np.int64)
        copies = [self._with_copies(identity) for identity in ids]
        chunks = self._chunks(fingerprint, numbers, sum(counts.values()), on_progress)
        return calibrate(nearest_others(vectors, own, chunks, copies), seed=_SEED)

    def _sample(self, fingerprint: str) -> tuple[list[int], Float32Array]:
        """At most 2,000 photographs with kinds, by id, and their vectors."""
        every = self._kinds.ids()
        drawn = np.random.default_rng(_SEED).permutation(every)[:MOST_ASKED]
        ids, vectors = [], []
        for identity in sorted(int(each) for each in drawn):
            # While a model is changed, a photograph may not have a vector of the old one any more.
            with suppress(NotFoundError):
                vectors.append(self._catalog.vector(identity, fingerprint))
                ids.append(identity)
        still = self._kinds.of(ids)
        kept = [place for place, identity in enumerate(ids) if identity in still]
        if not kept:
            raise no_kinds(self._kinds.source)
        return [ids[place] for place in kept], np.stack([vectors[place] for place in kept])

    def _with_copies(self, identity: int) -> frozenset[int]:
        rows = self._catalog.connection.execute(
            "SELECT copy.id FROM photograph own JOIN photograph copy ON copy.content_hash = own.content_hash "
            "WHERE own.id = ?",
            (identity,),
        )
        return frozenset(row[0] for row in rows) | {identity}

    def _chunks(
        self, fingerprint: str, numbers: dict[str, int], total: int, on_progress: OnProgress
    ) -> Iterator[Chunk]:
        done = 0
        _, _, chunks = self._catalog.changes([fingerprint], 0, _CHUNK)
        for ids, (vectors,) in chunks:
            known = self._kinds.of([int(identity) for identity in ids])
            rows = np.flatnonzero(np.isin(ids, np.fromiter(known, np.int64)))
            if len(rows):
                kinds = [numbers.setdefault(known[int(identity)], len(numbers)) for identity in ids[rows]]
                yield Chunk(ids[rows], vectors[rows].astype(np.float32), np.array(kinds, np.int64))
            done += len(rows)
            on_progress(min(done, total), total)


def check_kinds(counts: Mapping[str, int], *, least: int = 2) -> None:
    """Raise `LibraryError` where there are fewer than `least` kinds (1 or 2), the keys of `counts`."""
    if not counts:
        raise LibraryError(
            "No photograph of the library has a kind. Sort them into folders named after their kinds and index the "
            "folder around these, or name a table with `smysl kinds --from FILE.tsv`."
        )
    if len(counts) < least:
        (kind,) = counts
        raise LibraryError(
            f"All photographs of the library that have a kind are of one, {kind}, so there is nothing to vote on. Add "
            "photographs of other kinds."
        )


def no_kinds(source: str) -> LibraryError:
    """No photograph with a kind can be asked about."""
    return LibraryError(f"No photograph with a kind (from {source}) has a vector yet. Run `smysl index`.")
