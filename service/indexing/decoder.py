"""What an index run does with one file: read once, recognise, decode, prepare for the towers, make the thumbnail."""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from service.compute.malloc import give_memory_back
from service.errors import PhotographError
from service.photos.decode import THUMBNAIL_SIDE, open_photograph, read_file, thumbnail_of
from service.store.catalog import Catalog
from service.store.records import Facts, Known, Place, Root
from service.types import AnyArray, Float32Array

if TYPE_CHECKING:
    from PIL import Image

_BYTES_READ = 128 << 20
"""Bytes of files that are in memory at once; a file of more is alone."""

_BYTES_DECODED = 512 << 20
"""Bytes of pixels that are decoded at once; a photograph of more is alone."""

_LARGE = 64 << 20
"""Bytes of pixels that are given back to the operating system at once; fetching less anew would cost more."""


class PhotographEncoder(Protocol):
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

    def prepare(self, image: Image.Image) -> AnyArray:
        """One photograph as the tower's input; called from several threads."""

    def encode_with_features(self, prepared: Sequence[AnyArray]) -> tuple[Float32Array, Float32Array]:
        """Unit vectors (n, dimension) and features (n, width) of a batch, at least one photograph."""


@dataclass(frozen=True, slots=True)
class EncodingTask:
    """A tower and what of it is kept.

    Every photograph that is encoded gets the vectors of the fingerprints `kept`; one that lacks any of `required`
    is encoded though its file has not changed.
    """

    tower: PhotographEncoder
    kept: frozenset[str]
    required: frozenset[str]

    @classmethod
    def main(cls, tower: PhotographEncoder, *, features_required: bool = False) -> EncodingTask:
        """What a library keeps of its main model: vectors and features."""
        features = {tower.features_fingerprint}
        kept = frozenset({tower.fingerprint} | features)
        return cls(tower, kept, kept if features_required else frozenset({tower.fingerprint}))

    @classmethod
    def additional(cls, tower: PhotographEncoder) -> EncodingTask:
        """What a library keeps of an additional model: features, which are all that heads look at."""
        features = frozenset({tower.features_fingerprint})
        return cls(tower, features, features)


@dataclass(frozen=True, slots=True)
class File:
    """A file that is new or looks changed; `known` is what the catalog has in its place."""

    root: Root
    folder: str
    name: str
    size: int
    modified_ns: int
    known: Known | None

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.root.path / self.folder / self.name


@dataclass(frozen=True, slots=True)
class PreparedPhotograph:
    """A photograph that the towers have to see; `id` is None for a new one.

    `prepared` has what each tower that it has to go through takes, by the tower's place among those at work.
    """

    facts: Facts
    prepared: dict[int, AnyArray]
    thumbnail: bytes
    id: int | None


@dataclass(frozen=True, slots=True)
class AlreadyIndexed:
    """A file whose content the catalog has: only its place, size or time is new."""

    place: Place
    id: int
    moved: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be indexed, and why."""

    path: str
    reason: str


class MemoryBudget:
    """Memory that threads share: what does not fit beside the rest waits, and what never would is let in alone.

    First come, first served, so that something large is not kept waiting by what is small.
    """

    def __init__(self, most: int) -> None:
        """`most` bytes are given out at once."""
        self._most = most
        self._taken = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def of(self, amount: int) -> Iterator[None]:
        """Hold `amount` bytes; waits until there is room."""
        mine = object()
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: self._waiting[0] is mine and self._fits(amount))
            self._waiting.popleft()
            self._taken += amount
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._taken -= amount
                self._changed.notify_all()

    def _fits(self, amount: int) -> bool:
        return not self._taken or self._taken + amount <= self._most


class Decoder:
    """Makes of a file what is written of it, for the towers at work. Safe to use from several threads."""

    def __init__(self, catalog: Catalog, works: Sequence[EncodingTask]) -> None:
        self._catalog = catalog
        self._works = works
        self._required = frozenset[str]().union(*(work.required for work in works))
        self._side = max(2 * max(work.tower.photograph_side for work in works), THUMBNAIL_SIDE)
        self._claimed: set[int] = set()
        self._claiming = threading.Lock()
        self._reading = MemoryBudget(_BYTES_READ)
        self._decoding = MemoryBudget(_BYTES_DECODED)

    def decode(self, file: File) -> PreparedPhotograph | AlreadyIndexed | Failure:
        """Read one file once, for its content hash and its pixels, and make all that needs no tower."""
        # Whoever holds room to decode has been read, so those who wait for it cannot wait for each other.
        with ExitStack() as held:
            held.enter_context(self._reading.of(file.size))
            try:
                return self._open(file, held)
            except PhotographError as error:
                return Failure(str(file.path), error.message)

    def _open(self, file: File, held: ExitStack) -> PreparedPhotograph | AlreadyIndexed:
        import xxhash

        content = read_file(file.path)
        content_hash = xxhash.xxh3_128_digest(content)
        place = Place(file.root.id, file.folder, file.name, file.size, file.modified_ns)
        identity, same = self._recognise(file, content_hash)
        has = self._catalog.fingerprints_of(identity) if identity is not None and same else set()
        if identity is not None and self._required <= has:
            return AlreadyIndexed(place, identity, moved=file.known is None)

        def wait_for_room(amount: int) -> None:
            held.enter_context(self._decoding.of(amount))
            if amount >= _LARGE:
                held.callback(give_memory_back)

        photograph = open_photograph(content, shorter_side=self._side, before_decoding=wait_for_room)
        facts = Facts(place, content_hash, photograph.width, photograph.height, photograph.format)
        prepared = {
            number: work.tower.prepare(photograph.image)
            for number, work in enumerate(self._works)
            if not same or not work.required <= has
        }
        return PreparedPhotograph(facts, prepared, thumbnail_of(photograph, content), identity)

    def _recognise(self, file: File, content_hash: bytes) -> tuple[int | None, bool]:
        """The photograph that a file is, None for a new one, and whether it is known with this content.

        Known content is that of a file only touched, or moved here from a place where it no longer is.
        """
        for record in self._catalog.with_content(content_hash):
            if file.known is not None and record.id == file.known.id:
                return record.id, True
            if file.known is None and is_gone(record.path) and self._claim(record.id):
                return record.id, True
        return (file.known.id if file.known else None), False

    def _claim(self, identity: int) -> bool:
        """Whether this is the first file of the run to take over a vanished photograph."""
        with self._claiming:
            if identity in self._claimed:
                return False
            self._claimed.add(identity)
        return True


def is_gone(path: Path) -> bool:
    """Whether no walk can meet a photograph here any more; where nobody can say, it is not gone."""
    try:
        return os.path.realpath(path) != str(path) or not stat.S_ISREG(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
