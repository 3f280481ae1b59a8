"""The kinds of photographs by the vote of their nearest in a library."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.compute.cores import usable_cores
from service.config import USUAL_BATCH
from service.errors import PhotographError, SmyslError, UsageError
from service.photos.crop import QUERY_SIDE, crop
from service.photos.decode import open_photograph, read_file
from service.photos.letterbox import box_inside_borders
from service.search.search import MOST_K
from service.store.records import Record
from service.types import OnProgress

if TYPE_CHECKING:
    from PIL import Image

    from service.kinds.knn_vote import Vote
    from service.library import Library
    from service.search.neighbours import Neighbours

DEFAULT_K = 10
_DEPTH = 200
"""Photographs that are looked through for neighbours with a kind, and for more of the kind that wins."""
_DEEPER = 8


@dataclass(frozen=True, slots=True)
class Upload:
    """A photograph that is no file of this machine: the name that it came with, and how its bytes are read.

    `read` is called once, in a thread, and may raise `SmyslError`.
    """

    name: str
    read: Callable[[], bytes]


PhotographSource = Path | Upload


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A photograph of the library that votes; `similarity` in [-1, 1]."""

    photograph: Record
    kind: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Classified:
    """What the library says of a photograph.

    `kind` is what its nearest voted for, `confidence` (0 to 1) the probability that this is right, `known` whether it
    reaches the threshold; a photograph that is not known is better called unknown. `neighbours` are the nearest with a
    kind, nearest first. `recommended` are as many: where the kind is known those of the kind first, each part by
    nearness, else the same. `in_library` says that the library holds the same file, which did not vote.
    """

    file: str
    kind: str
    confidence: float
    known: bool
    neighbours: list[Neighbour]
    recommended: list[Neighbour]
    in_library: bool


@dataclass(frozen=True, slots=True)
class Unclassified:
    """A photograph that could not be classified, and why; `reason` names no file and has no full stop."""

    file: str
    error: str
    reason: str


Classification = Classified | Unclassified


def classify(
    library: Library,
    photographs: Iterable[PhotographSource],
    *,
    head: str | None = None,
    k: int = DEFAULT_K,
    min_confidence: float | None = None,
    keep_borders: bool = False,
    on_progress: OnProgress = lambda done, total: None,
) -> Iterator[Classification]:
    """Ask a library for the kinds of photographs; answers come in their order, as they are ready.

    `head` names one of the library's heads, whose own calibration is used then; without one the vote is calibrated on
    the library at its first use, which `on_progress` follows. `k` (1 to 200) neighbours come with each answer.
    `min_confidence` (0 to 1) replaces the calibration's threshold of “unknown”. Borders are left out as in a search,
    unless `keep_borders`. Photographs are taken from the iterable as they are needed.

    What is wrong with the request or the library is raised here, before the first answer: `UsageError`,
    `NotFoundError` for a head that is not there, `LibraryError` for a library without kinds. One bad photograph
    stops nothing.
    """
    if not 1 <= k <= MOST_K:
        raise UsageError(f"k is {k}; it must be from 1 to {MOST_K}.")
    if min_confidence is not None and not 0.0 <= min_confidence <= 1.0:
        raise UsageError(f"The least confidence is {min_confidence:g}; it must be from 0 to 1.")
    vote = library.vote(head, on_progress)
    asker = _Asker(library, vote, head, k, vote.min_confidence if min_confidence is None else min_confidence)
    return _answers(library, photographs, asker, keep_borders)


@dataclass(frozen=True, slots=True)
class _Opened:
    file: str
    content_hash: bytes
    image: Image.Image


def _answers(
    library: Library, photographs: Iterable[PhotographSource], asker: _Asker, keep_borders: bool
) -> Iterator[Classification]:
    """Decode in threads, two batches ahead at most, and answer a batch at a time."""
    batch_size = library.settings.batch_size or USUAL_BATCH
    threads = library.settings.decode_threads or usable_cores()
    upcoming = iter(photographs)
    waiting: deque[Future[_Opened | Unclassified]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            while True:
                while len(waiting) < 2 * batch_size and (photograph := next(upcoming, None)) is not None:
                    waiting.append(pool.submit(_open, photograph, keep_borders))
                if not waiting:
                    return
                batch = [waiting.popleft().result() for _ in range(min(batch_size, len(waiting)))]
                yield from asker.answers(batch)
        finally:
            for future in waiting:
                future.cancel()


def _open(photograph: PhotographSource, keep_borders: bool) -> _Opened | Unclassified:
    """In a thread: one photograph read once, for its content hash and its pixels."""
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
    return _Opened(file, xxhash.xxh3_128_digest(content), image)


def _reduced(image: Image.Image) -> Image.Image:
    """A smaller copy of an image with more pixels than a tower looks at: two batches of them wait in memory."""
    factor = min(image.size) // QUERY_SIDE
    return image.reduce(factor) if factor > 1 else image


class _Asker:
    """Finds the neighbours of photographs, and lets them vote."""

    def __init__(self, library: Library, vote: Vote, head: str | None, k: int, min_confidence: float) -> None:
        self._library = library
        self._vote = vote
        self._head = head
        self._k = k
        self._min_confidence = min_confidence
        self._wanted = max(k, vote.neighbours)

    def answers(self, batch: Sequence[_Opened | Unclassified]) -> Iterator[Classification]:
        """One answer for each of the batch, in its order."""
        opened = [each for each in batch if isinstance(each, _Opened)]
        copies = [{record.id for record in self._library.catalog.with_content(each.content_hash)} for each in opened]
        depth = max(_DEPTH, self._wanted) + max(map(len, copies), default=0)
        images = [each.image for each in opened]
        found = self._library.neighbours(images, depth, head=self._head) if opened else []
        answers = iter([self._answer(*each, depth=depth) for each in zip(opened, copies, found, strict=True)])
        for each in batch:
            yield each if isinstance(each, Unclassified) else next(answers)

    def _answer(self, opened: _Opened, copies: set[int], found: Neighbours, *, depth: int) -> Classification:
        voters = self._voters(found, copies)
        total = self._library.catalog.count()
        while len(voters) < self._wanted and len(found.ids) == depth and depth < total:
            depth *= _DEEPER
            (found,) = self._library.neighbours([opened.image], depth, head=self._head)
            voters = self._voters(found, copies)
        if not voters:
            return Unclassified(opened.file, "library", "no other photograph of the library that is found has a kind")
        electors = voters[: self._vote.neighbours]
        opinion = self._vote(
            np.array([each.similarity for each in electors], np.float32), [each.kind for each in electors]
        )
        known = opinion.confidence >= self._min_confidence
        nearest = voters[: self._k]
        recommended = sorted(voters, key=lambda each: each.kind != opinion.kind)[: self._k] if known else nearest
        records = self._library.catalog.records(sorted({each.id for each in (*nearest, *recommended)}))
        return Classified(
            file=opened.file,
            kind=opinion.kind,
            confidence=opinion.confidence,
            known=known,
            neighbours=_with_records(nearest, records),
            recommended=_with_records(recommended, records),
            in_library=bool(copies),
        )

    def _voters(self, found: Neighbours, copies: set[int]) -> list[_Voter]:
        """All that were found and have a kind, nearest first, without copies of the photograph itself."""
        ids = [int(identity) for identity in found.ids]
        kinds = self._library.kinds.of(ids)
        return [
            _Voter(identity, kinds[identity], float(similarity))
            for identity, similarity in zip(ids, found.similarities, strict=True)
            if identity in kinds and identity not in copies
        ]


@dataclass(frozen=True, slots=True)
class _Voter:
    id: int
    kind: str
    similarity: float


def _with_records(voters: Sequence[_Voter], records: Mapping[int, Record]) -> list[Neighbour]:
    return [Neighbour(records[each.id], each.kind, each.similarity) for each in voters if each.id in records]
