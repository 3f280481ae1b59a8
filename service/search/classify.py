"""Classification: the kinds of photographs by the vote of their nearest neighbours in a library (k-NN)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.compute.cores import usable_cores
from service.config import USUAL_BATCH
from service.errors import PhotographError, SmyslError, UsageError
from service.kinds.knn_vote import KnnVote
from service.kinds.labels import Kinds
from service.photos.crop import QUERY_SIDE, crop
from service.photos.decode import open_photograph, read_file
from service.photos.letterbox import box_inside_borders
from service.photos.metadata.reader import read_metadata
from service.search.neighbours import Neighbours, neighbours_of
from service.search.target import SearchTarget
from service.store.catalog import Catalog
from service.store.metadata import Metadata
from service.store.records import Details, Record

if TYPE_CHECKING:
    from PIL import Image


DEFAULT_K = 10
MAX_K = 200
"""Neighbours that come with an answer."""
_DEPTH = 200
"""Neighbours of the first search: enough to vote, and to recommend more photographs of the kind that wins."""
_DEEPER = 8
"""Factor by which the next search has more neighbours, where too few of them have a kind."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A photograph that is not a file of this machine: its name, and a function that reads its bytes.

    `read` is called once, in a thread, and may raise `SmyslError`.
    """

    name: str
    read: Callable[[], bytes]


PhotographSource = Path | Upload


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A photograph of the library that votes; `similarity` is the cosine, in [-1, 1]."""

    photograph: Record
    kind: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Classified:
    """A photograph with the kind that its neighbours voted for.

    Attributes:
        file: the photograph's path or name.
        kind: the kind that won.
        confidence: the probability, 0 to 1, that the kind is right.
        known: whether the confidence reaches the threshold; otherwise the photograph is better called unknown.
        neighbours: the nearest photographs that have a kind, nearest first.
        recommended: as many; where the kind is known, photographs of that kind come first.
        in_library: whether the library holds the same file, which did not vote.
        photograph: that photograph of the library; None where there is none.
        details: what the catalog knows about that photograph, or else what the file says.
    """

    file: str
    kind: str
    confidence: float
    known: bool
    neighbours: list[Neighbour]
    recommended: list[Neighbour]
    in_library: bool
    photograph: Record | None = None
    details: Details = field(default_factory=Details)


@dataclass(frozen=True, slots=True)
class Unclassified:
    """A photograph that could not be classified; `reason` does not name the file and has no full stop."""

    file: str
    error: str
    reason: str


Classification = Classified | Unclassified


def check_request(k: int, min_confidence: float | None) -> None:
    """Raise `UsageError` where `k` or `min_confidence` is out of range."""
    if not 1 <= k <= MAX_K:
        raise UsageError(f"k is {k}; it must be from 1 to {MAX_K}.", {"k": "k"})
    if min_confidence is not None and not 0.0 <= min_confidence <= 1.0:
        raise UsageError(
            f"The least confidence is {min_confidence:g}; it must be from 0 to 1.",
            {"The least confidence": "min_confidence"},
        )


@dataclass(frozen=True, eq=False)
class Classifier:
    """Classifies photographs by the vote of their nearest neighbours (k-NN).

    Attributes:
        target: the model or head whose similarities count.
        catalog: the library's photographs.
        kinds: their kinds.
        vote: how neighbours vote, and how far their vote can be trusted.
        k: how many neighbours come with each answer.
        min_confidence: a vote with less makes the photograph's kind unknown.
        keep_borders: whether to keep letterboxes and frames, which are cropped otherwise.
    """

    target: SearchTarget
    catalog: Catalog
    kinds: Kinds
    vote: KnnVote
    k: int
    min_confidence: float
    keep_borders: bool = False

    def classify(
        self, photographs: Iterable[PhotographSource], *, batch_size: int | None = None, threads: int | None = None
    ) -> Iterator[Classification]:
        """Yield one answer for each photograph, in order; a bad photograph gets one and does not stop the others.

        Photographs are taken from the iterable as they are needed: threads decode at most two batches ahead.
        """
        batch_size = batch_size or USUAL_BATCH
        upcoming = iter(photographs)
        waiting: deque[Future[_Opened | Unclassified]] = deque()
        with ThreadPoolExecutor(threads or usable_cores(), thread_name_prefix="decode") as pool:
            try:
                while True:
                    while len(waiting) < 2 * batch_size and (photograph := next(upcoming, None)) is not None:
                        waiting.append(pool.submit(_open, photograph, self.keep_borders))
                    if not waiting:
                        return
                    batch = [waiting.popleft().result() for _ in range(min(batch_size, len(waiting)))]
                    yield from self._classify_batch(batch)
            finally:
                for future in waiting:
                    future.cancel()

    def _classify_batch(self, batch: Sequence[_Opened | Unclassified]) -> Iterator[Classification]:
        opened = [each for each in batch if isinstance(each, _Opened)]
        copies = [self.catalog.records_with_content(each.content_hash) for each in opened]
        depth = max(_DEPTH, self._voters_wanted) + max(map(len, copies), default=0)
        found = neighbours_of([each.image for each in opened], depth, self.target)
        details = self.catalog.details([records[0].id for records in copies if records])
        answers = iter([self._classify(*each, details, depth) for each in zip(opened, copies, found, strict=True)])
        for each in batch:
            yield each if isinstance(each, Unclassified) else next(answers)

    def _classify(
        self,
        opened: _Opened,
        copies: Sequence[Record],
        found: Neighbours,
        details: Mapping[int, Details],
        depth: int,
    ) -> Classification:
        excluded = {record.id for record in copies}
        voters = self._voters(found, excluded)
        total = self.catalog.count()
        while len(voters) < self._voters_wanted and len(found.ids) == depth and depth < total:
            depth *= _DEEPER
            (found,) = neighbours_of([opened.image], depth, self.target)
            voters = self._voters(found, excluded)
        if not voters:
            return Unclassified(opened.file, "library", "no other photograph of the library that is found has a kind")
        electors = voters[: self.vote.neighbours]
        opinion = self.vote(
            np.array([each.similarity for each in electors], np.float32), [each.kind for each in electors]
        )
        known = opinion.confidence >= self.min_confidence
        nearest = voters[: self.k]
        recommended = sorted(voters, key=lambda each: each.kind != opinion.kind)[: self.k] if known else nearest
        records = self.catalog.records(sorted({each.id for each in (*nearest, *recommended)}))
        photograph = copies[0] if copies else None
        return Classified(
            file=opened.file,
            kind=opinion.kind,
            confidence=opinion.confidence,
            known=known,
            neighbours=_with_records(nearest, records),
            recommended=_with_records(recommended, records),
            in_library=bool(copies),
            photograph=photograph,
            details=details.get(photograph.id, Details()) if photograph else Details(opened.metadata),
        )

    @property
    def _voters_wanted(self) -> int:
        return max(self.k, self.vote.neighbours)

    def _voters(self, found: Neighbours, copies: set[int]) -> list[_Voter]:
        """The neighbours that have a kind, nearest first, without copies of the photograph itself."""
        ids = [int(identity) for identity in found.ids]
        kinds = self.kinds.of(ids)
        return [
            _Voter(identity, kinds[identity], float(similarity))
            for identity, similarity in zip(ids, found.similarities, strict=True)
            if identity in kinds and identity not in copies
        ]


@dataclass(frozen=True, slots=True)
class _Opened:
    file: str
    content_hash: bytes
    image: Image.Image
    metadata: Metadata


def _open(photograph: PhotographSource, keep_borders: bool) -> _Opened | Unclassified:
    """Read a photograph once for its content hash, its metadata and its pixels; runs in a thread."""
    import xxhash

    file = str(photograph) if isinstance(photograph, Path) else photograph.name
    try:
        content = read_file(photograph) if isinstance(photograph, Path) else photograph.read()
        image = open_photograph(content, shorter_side=QUERY_SIDE).image
        part = None if keep_borders else box_inside_borders(image)
        image = _reduced(image if part is None else crop(image, part))
    except SmyslError as error:
        reason = error.message if isinstance(error, PhotographError) else error.message.rstrip(".")
        return Unclassified(file, error.kind, reason)
    metadata, _ = read_metadata(content, Path(file).name)
    return _Opened(file, xxhash.xxh3_128_digest(content), image, metadata)


def _reduced(image: Image.Image) -> Image.Image:
    """A smaller copy of an image with more pixels than a model needs, since two batches are held in memory."""
    factor = min(image.size) // QUERY_SIDE
    return image.reduce(factor) if factor > 1 else image


@dataclass(frozen=True, slots=True)
class _Voter:
    id: int
    kind: str
    similarity: float


def _with_records(voters: Sequence[_Voter], records: Mapping[int, Record]) -> list[Neighbour]:
    return [Neighbour(records[each.id], each.kind, each.similarity) for each in voters if each.id in records]
