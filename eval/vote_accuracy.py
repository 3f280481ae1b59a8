"""How reliable classification by k-NN vote is, on photographs sorted into folders by kind.

Photographs of `test/` are classified by the votes of those of `train/`; without that split, each fifth in turn is
classified by the others. Without a head the similarity is the cosine of the encoder's vectors and the vote is
calibrated on the voting photographs, as a library does it (`service.kinds.vote_calibration`); a head brings its own
calibration.

- `accuracy`: share of right votes; `ece`: expected calibration error of the confidence in ten bins of equal width.
- `unknown_auroc`: each kind in turn is removed from the voting photographs, the vote is calibrated without it (a head
  is fitted again without it), and AUROC says how well confidence separates the photographs of the other kinds from
  those of the removed one; the mean over the kinds.
- `known_lost`: share of the photographs of voting kinds whose confidence is below the threshold; `unknown_found`: the
  same share of the photographs whose kind was removed. `ece_mixed`: calibration error where a tenth of the photographs
  are of unknown kinds, which is what the confidence is calibrated for.
- `nearest_right` and `recommended_right`: share of the ten nearest photographs, and of the ten that a library
  recommends, that are of the photograph's kind.

Intervals are bootstrap 95 % intervals over the classified photographs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.kinds import KindFolder, LeftOut, copies, read_kinds
from eval.bootstrap import Interval, interval, resample_counts
from service.compute.cores import usable_cores
from service.errors import DataError, LibraryError, PhotographError
from service.heads.projection import Head
from service.kinds.knn_vote import KnnVote, count_votes
from service.kinds.vote_calibration import (
    CALIBRATION_SAMPLE,
    NEIGHBOURS,
    UNKNOWN_SHARE,
    LabelledVectors,
    auroc,
    calibrate,
    calibration_error,
    held_out_neighbours,
)
from service.photos.decode import open_photograph
from service.photos.formats import is_photograph_name
from service.search.classify import DEFAULT_K
from service.types import AnyArray, BoolArray, Float32Array, Float64Array, Int64Array, OnProgress, OnStage, UInt8Array

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

Refit = Callable[[Sequence[str]], Head]
"""Fits the head again on the photographs of some kinds only, given by name."""

MAX_REMOVED = 50
"""Kinds that are removed in turn; a random choice where there are more."""
_FOLDS = 5
_BATCH = 16
_DEPTH = 200
"""Nearest photographs among which a library prefers those of the winning kind."""


@dataclass(frozen=True, eq=False)
class VoteOutcomes:
    """The votes on n photographs: `confidence` (n,), 0 to 1, `right` and `known` (n,), above the threshold.

    `nearest` and `recommended` (n,) are the shares of the ten nearest and of the ten recommended photographs that are
    of the same kind.
    """

    confidence: Float64Array
    right: BoolArray
    known: BoolArray
    nearest: Float64Array
    recommended: Float64Array

    def at(self, rows: AnyArray) -> VoteOutcomes:
        """The outcomes in some rows, which may repeat."""
        return VoteOutcomes(*(getattr(self, each.name)[rows] for each in fields(self)))

    @classmethod
    def concatenated(cls, parts: Sequence[VoteOutcomes]) -> VoteOutcomes:
        """The outcomes of several parts, one after the other."""
        return cls(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)))


@dataclass(frozen=True)
class ClassifyReport:
    """Figures by name, with their intervals; shares and `accuracy` in percent, the others from 0 to 1.

    `by_kind` has the AUROC of each removed kind. `refitted` says whether the figures of unknown kinds are those of a
    head that had not seen them; True without a head.
    """

    figures: dict[str, float]
    intervals: dict[str, Interval]
    by_kind: dict[str, float]
    photos: int
    voting: int
    kinds: int
    split: bool
    refitted: bool
    vote: dict[str, float]
    model: str
    fingerprint: str
    head: str | None
    left_out: list[str]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The figures first and flat, for `--json`."""
        return {
            **{name: round(value, 4) for name, value in self.figures.items()},
            "intervals": {name: [round(end, 4) for end in ends] for name, ends in self.intervals.items()},
            "unknown_auroc_by_kind": {kind: round(value, 4) for kind, value in self.by_kind.items()},
            "photos": self.photos,
            "voting": self.voting,
            "kinds": self.kinds,
            "split": self.split,
            "refitted": self.refitted,
            "vote": self.vote,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "head": self.head,
            "left_out": self.left_out,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True, eq=False)
class _EvaluatedPhotographs:
    """Kinds (n,) as indices of `names`, which photographs are in `test/` (n,), and whether that folder exists."""

    names: tuple[str, ...]
    kind: Int64Array
    test: BoolArray
    split: bool


def eval_classify(
    data: Path,
    encoder: Encoder,
    head: Head | None = None,
    *,
    refit: Refit | None = None,
    cache: Path | None = None,
    threads: int | None = None,
    on_stage: OnStage = lambda what, done, total: None,
) -> ClassifyReport:
    """Measure the vote on a folder of kinds, whose layout `data.kinds` describes.

    Args:
        data: the folder.
        encoder: encodes the photographs.
        head: a head fitted on the features of `encoder` alone; None uses the encoder's vectors.
        refit: fits the head again without a kind; None keeps the head as it is, which flatters the figures of unknown
            kinds.
        cache: folder that keeps the features for a head between runs.
        threads: threads that decode; None is one per core.
        on_stage: follows the progress.

    Raises:
        DataError: the folder has another layout, or too few photographs or kinds.
    """
    start = time.monotonic()
    folder = read_kinds(data, is_photograph_name)
    rows, left_out = _usable(folder)
    files = [folder.files[row] for row in rows]
    if head is None:
        vectors, read, failed = _vectors_of(files, encoder, threads, partial(on_stage, "encoding"))
    else:
        vectors, read, failed = _features_of(files, encoder, cache, threads, partial(on_stage, "encoding"))
    rows = rows[read]
    left_out += [f"{each.file.relative_to(data)}: {each.reason}" for each in failed]
    photographs = _EvaluatedPhotographs(folder.names, folder.kind[rows], folder.test[rows], folder.split)
    _check_enough(data, photographs)
    measurement = _VoteMeasurement(photographs, vectors, encoder.fingerprint, head, refit, on_stage)
    figures, intervals, by_kind = measurement.figures()
    return ClassifyReport(
        figures=figures,
        intervals=intervals,
        by_kind=by_kind,
        photos=len(measurement.classified),
        voting=int((~photographs.test).sum()),
        kinds=len(np.unique(photographs.kind)),
        split=folder.split,
        refitted=head is None or refit is not None,
        vote=measurement.vote.facts(),
        model=encoder.name,
        fingerprint=encoder.fingerprint,
        head=None if head is None else head.candidate,
        left_out=left_out,
        seconds=time.monotonic() - start,
    )


@dataclass(eq=False)
class _VoteMeasurement:
    """Votes on all photographs, with all kinds and with each kind removed in turn."""

    photographs: _EvaluatedPhotographs
    features: Float32Array
    fingerprint: str
    head: Head | None
    refit: Refit | None
    on_stage: OnStage
    classified: Int64Array = field(init=False)
    vote: KnnVote = field(init=False)

    def figures(self) -> tuple[dict[str, float], dict[str, Interval], dict[str, float]]:
        """The figures, their intervals, and AUROC by removed kind."""
        splits = list(_splits(self.photographs))
        self.classified = np.concatenate([classified for _, classified in splits])
        outcomes = self._outcomes(splits, self.photographs.kind, self.head)
        kinds = _removed_kinds(self.photographs.kind)
        without: dict[int, VoteOutcomes] = {}
        for done, kind in enumerate(kinds):
            self.on_stage("removing kinds", done, len(kinds))
            fewer = [(voting[self.photographs.kind[voting] != kind], classified) for voting, classified in splits]
            without[int(kind)] = self._outcomes(fewer, self.photographs.kind, self._head_without(int(kind)))
        self.on_stage("removing kinds", len(kinds), len(kinds))
        own = self.photographs.kind[self.classified]
        figures = _figures(outcomes, without, own, np.arange(len(own)))
        drawn = [
            _figures(outcomes, without, own, np.repeat(np.arange(len(own)), times))
            for times in resample_counts(len(own))
        ]
        intervals = {name: interval([each.get(name, np.nan) for each in drawn]) for name in figures}
        names = self.photographs.names
        by_kind = {names[kind]: _auroc(without[kind], own == kind) for kind in without}
        return figures, intervals, {name: value for name, value in by_kind.items() if np.isfinite(value)}

    def _head_without(self, kind: int) -> Head | None:
        if self.head is None or self.refit is None:
            return self.head
        voting = np.unique(self.photographs.kind[~self.photographs.test])
        return self.refit([self.photographs.names[each] for each in voting if each != kind])

    def _outcomes(
        self, splits: Sequence[tuple[Int64Array, Int64Array]], kinds: Int64Array, head: Head | None
    ) -> VoteOutcomes:
        vectors = self.features if head is None else head.project({self.fingerprint: self.features})
        parts = []
        for voting, classified in splits:
            vote = _calibrated(vectors[voting], kinds[voting]) if head is None else head.vote
            self.vote = vote if not hasattr(self, "vote") else self.vote
            parts.append(_votes(vote, vectors[classified], kinds[classified], vectors[voting], kinds[voting]))
        return VoteOutcomes.concatenated(parts)


def _figures(
    outcomes: VoteOutcomes, without: dict[int, VoteOutcomes], own: Int64Array, rows: Int64Array
) -> dict[str, float]:
    """All figures of the photographs in `rows`, which may repeat."""
    at = outcomes.at(rows)
    figures = {
        "accuracy": 100 * float(at.right.mean()),
        "ece": calibration_error(at.confidence, at.right),
        "known_lost": 100 * float((~at.known).mean()),
        "nearest_right": 100 * float(at.nearest.mean()),
        "recommended_right": 100 * float(at.recommended.mean()),
    }
    aurocs, below_threshold, mixed = [], [], []
    for kind, each in without.items():
        of_kind = own[rows] == kind
        if of_kind.any() and not of_kind.all():
            here = each.at(rows)
            aurocs.append(_auroc(here, of_kind))
            below_threshold.append((~here.known[of_kind]).mean())
            weight = np.where(of_kind, UNKNOWN_SHARE / of_kind.sum(), (1.0 - UNKNOWN_SHARE) / (~of_kind).sum())
            mixed.append(calibration_error(here.confidence, here.right, weight))
    if aurocs:
        figures["unknown_auroc"] = float(np.mean(aurocs))
        figures["unknown_found"] = 100 * float(np.mean(below_threshold))
        figures["ece_mixed"] = float(np.mean(mixed))
    return figures


def _auroc(outcomes: VoteOutcomes, of_kind: BoolArray) -> float:
    """AUROC of the confidence as a detector of known kinds, against the photographs `of_kind` (n,), the removed one."""
    if not of_kind.any() or of_kind.all():
        return float("nan")
    return auroc(outcomes.confidence[~of_kind], outcomes.confidence[of_kind])


def _votes(
    vote: KnnVote, vectors: Float32Array, own: Int64Array, voting: Float32Array, kinds: Int64Array
) -> VoteOutcomes:
    """The votes of `voting` (m, d) of `kinds` (m,) on photographs (n, d) of the kinds `own` (n,)."""
    depth = min(_DEPTH, len(voting))
    similarities, neighbour_kinds = [], []
    for start in range(0, len(vectors), 256):
        each = np.clip(vectors[start : start + 256] @ voting.T, -1.0, 1.0)
        order = np.argsort(-each, axis=1, kind="stable")[:, :depth]
        similarities.append(np.take_along_axis(each, order, axis=1))
        neighbour_kinds.append(kinds[order])
    voters, votes = np.concatenate(similarities)[:, : vote.neighbours], np.concatenate(neighbour_kinds)
    winners, measures = count_votes(voters, votes[:, : vote.neighbours], vote.temperature)
    confidence = vote.confidence(measures)
    known = confidence >= vote.min_confidence
    # A library recommends photographs of the winning kind first where it is known.
    first = np.argsort((votes != winners[:, None]) & known[:, None], axis=1, kind="stable")
    of_kind = votes == own[:, None]
    return VoteOutcomes(
        confidence,
        winners == own,
        known,
        of_kind[:, :DEFAULT_K].mean(axis=1),
        np.take_along_axis(of_kind, first, axis=1)[:, :DEFAULT_K].mean(axis=1),
    )


def _calibrated(vectors: Float32Array, kinds: Int64Array) -> KnnVote:
    """The vote that a library of these photographs would calibrate for itself."""
    ids = np.arange(len(kinds))
    sample = np.sort(np.random.default_rng(0).permutation(ids)[:CALIBRATION_SAMPLE])
    chunks = [
        LabelledVectors(ids[first : first + 4096], vectors[first : first + 4096], kinds[first : first + 4096])
        for first in range(0, len(ids), 4096)
    ]
    itself = [frozenset([int(row)]) for row in sample]
    return calibrate(held_out_neighbours(vectors[sample], kinds[sample], chunks, itself, NEIGHBOURS)).vote


def _splits(photographs: _EvaluatedPhotographs) -> Iterator[tuple[Int64Array, Int64Array]]:
    """Rows that vote, and rows that are classified."""
    if photographs.split:
        yield np.flatnonzero(~photographs.test), np.flatnonzero(photographs.test)
        return
    fold = np.random.default_rng(0).permutation(len(photographs.kind)) % _FOLDS
    for each in range(_FOLDS):
        yield np.flatnonzero(fold != each), np.flatnonzero(fold == each)


def _removed_kinds(kinds: Int64Array) -> Int64Array:
    """The kinds that are removed in turn, sorted."""
    every = np.unique(kinds)
    return np.sort(np.random.default_rng(0).permutation(every)[:MAX_REMOVED])


def _usable(folder: KindFolder) -> tuple[Int64Array, list[str]]:
    """Rows of the photographs that are measured, and those left out: copies, and the only ones of their kind."""
    same = copies(folder.files)
    left_out = {
        copy: f"{folder.files[copy].relative_to(folder.folder)}: the same photograph as "
        f"{folder.files[first].relative_to(folder.folder)}"
        for copy, first in same.items()
    }
    for row in folder.lone:
        left_out.setdefault(int(row), f"{folder.files[row].relative_to(folder.folder)}: alone of its kind")
    rows = np.array([row for row in range(len(folder.files)) if row not in left_out], np.int64)
    return rows, [left_out[row] for row in sorted(left_out)]


def _check_enough(data: Path, photographs: _EvaluatedPhotographs) -> None:
    voting = photographs.kind[~photographs.test]
    if len(np.unique(voting)) < 3 or (photographs.split and not photographs.test.any()):
        raise DataError(
            f"{data} has {len(np.unique(voting))} kinds that can be measured; at least 3 are needed, so that two "
            "remain where one is removed."
        )
    try:
        _calibrated(np.zeros((len(voting), 1), np.float32), voting)
    except LibraryError as error:
        raise DataError(f"{data} is too small to be measured. {error.message}") from None


def _vectors_of(
    files: Sequence[Path], encoder: Encoder, threads: int | None, on_progress: OnProgress
) -> tuple[Float32Array, Int64Array, list[LeftOut]]:
    """Vectors (m, dimension), the rows (m,) of their files, and the files that cannot be read."""
    vectors, rows, failed = [], [], []

    def prepared(file: Path) -> UInt8Array | str:
        try:
            return encoder.prepare(open_photograph(file, shorter_side=2 * encoder.photograph_side).image)
        except PhotographError as error:
            return error.message

    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        for start in range(0, len(files), _BATCH):
            batch = list(pool.map(prepared, files[start : start + _BATCH]))
            vectors.append(encoder.encode_prepared([each for each in batch if not isinstance(each, str)]))
            rows += [row for row, each in enumerate(batch, start) if not isinstance(each, str)]
            failed += [LeftOut(files[row], each) for row, each in enumerate(batch, start) if isinstance(each, str)]
            on_progress(start + len(batch), len(files))
    return np.concatenate(vectors), np.array(rows, np.int64), failed


def _features_of(
    files: Sequence[Path],
    encoder: Encoder,
    cache: Path | None,
    threads: int | None,
    on_progress: OnProgress,
) -> tuple[Float32Array, Int64Array, list[LeftOut]]:
    from eval.feature_cache import features_of

    found = features_of(files, encoder, cache, on_progress, threads=threads)
    return found.features, found.rows, list(found.failed)
