"""Turns one file into model inputs, thumbnail and metadata; recognises content that the catalog already has."""

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
from service.photos.decode import THUMBNAIL_SIDE, open_photograph, read_file, thumbnail
from service.store.catalog import Catalog
from service.store.records import FileInfo, KnownFile, PhotographFacts, Root
from service.types import AnyArray, Float32Array

if TYPE_CHECKING:
    from PIL import Image

_BYTES_READ = 128 << 20
"""Bytes of files in memory at once; a larger file is read alone."""

_BYTES_DECODED = 512 << 20
"""Bytes of pixels being decoded at once; a larger photograph is decoded alone."""

_LARGE = 64 << 20
"""From this many bytes of pixels on, memory goes back to the system after decoding; below, reusing it is faster."""


class PhotographEncoder(Protocol):
    """The parts of an encoder that indexing uses."""

    @property
    def fingerprint(self) -> str:
        """Identifies what makes the vectors."""

    @property
    def features_fingerprint(self) -> str:
        """Identifies what makes the features; equal to `fingerprint` if the model has none besides its vectors."""

    @property
    def photograph_side(self) -> int:
        """Pixels of the model's square input."""

    def prepare(self, image: Image.Image) -> AnyArray:
        """Preprocess one photograph to the model's input; called from several threads."""

    def encode_with_features(self, prepared: Sequence[AnyArray]) -> tuple[Float32Array, Float32Array]:
        """Unit vectors (n, dimension) and features (n, width) of a batch of at least one photograph."""


@dataclass(frozen=True, slots=True)
class EncodingTask:
    """An encoder and the fingerprints of those of its outputs that are stored.

    A photograph that lacks any of `required` is encoded even if its file has not changed.
    """

    encoder: PhotographEncoder
    stored: frozenset[str]
    required: frozenset[str]

    @classmethod
    def main(cls, encoder: PhotographEncoder, *, features_required: bool = False) -> EncodingTask:
        """Store vectors and features, as for a library's main model."""
        vectors = frozenset({encoder.fingerprint})
        stored = vectors | {encoder.features_fingerprint}
        return cls(encoder, stored, stored if features_required else vectors)

    @classmethod
    def additional(cls, encoder: PhotographEncoder) -> EncodingTask:
        """Store features only, which are all that heads need of an additional model."""
        features = frozenset({encoder.features_fingerprint})
        return cls(encoder, features, features)


@dataclass(frozen=True, slots=True)
class File:
    """A file that is new or looks changed; `known` is the catalog's photograph at this path."""

    root: Root
    folder: str
    name: str
    size: int
    modified_ns: int
    known: KnownFile | None

    @property
    def path(self) -> Path:
        """Absolute path."""
        return self.root.path / self.folder / self.name


@dataclass(frozen=True, slots=True)
class PreparedPhotograph:
    """A photograph to be encoded and stored; `id` is None for a new one.

    `inputs` are the preprocessed model inputs, by the index of the encoding task that needs them.
    """

    facts: PhotographFacts
    inputs: dict[int, AnyArray]
    thumbnail: bytes
    id: int | None


@dataclass(frozen=True, slots=True)
class AlreadyIndexed:
    """A file whose content the catalog has with all required vectors; it was moved or its modification time changed."""

    info: FileInfo
    id: int
    moved: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be indexed, and why."""

    path: str
    reason: str


class MemoryBudget:
    """A limit in bytes that threads share: a request waits until it fits; one over the limit is granted alone.

    Requests are granted in the order in which they come, so that small ones cannot starve a large one.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reserved = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, amount: int) -> Iterator[None]:
        """Reserve `amount` bytes inside the context; waits until they are free."""
        request = object()
        with self._changed:
            self._waiting.append(request)
            self._changed.wait_for(lambda: self._waiting[0] is request and self._fits(amount))
            self._waiting.popleft()
            self._reserved += amount
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._reserved -= amount
                self._changed.notify_all()

    def _fits(self, amount: int) -> bool:
        return not self._reserved or self._reserved + amount <= self._limit


class Decoder:
    """Prepares the files of one index run for its encoding tasks. Safe to use from several threads."""

    def __init__(self, catalog: Catalog, tasks: Sequence[EncodingTask]) -> None:
        self._catalog = catalog
        self._tasks = tasks
        self._required = required_by(tasks)
        self._side = max(2 * max(task.encoder.photograph_side for task in tasks), THUMBNAIL_SIDE)
        self._claimed: set[int] = set()
        self._claiming = threading.Lock()
        self._reading = MemoryBudget(_BYTES_READ)
        self._decoding = MemoryBudget(_BYTES_DECODED)

    def decode(self, file: File) -> PreparedPhotograph | AlreadyIndexed | Failure:
        """Read a file once, for its content hash and its pixels, and do everything before encoding."""
        # A thread takes from the decoding budget only while it holds some of the reading budget, never the other way
        # round, so threads cannot wait for each other in a circle.
        with ExitStack() as reserved:
            reserved.enter_context(self._reading.reserve(file.size))
            try:
                return self._prepare(file, reserved)
            except PhotographError as error:
                return Failure(str(file.path), error.message)

    def _prepare(self, file: File, reserved: ExitStack) -> PreparedPhotograph | AlreadyIndexed:
        import xxhash

        content = read_file(file.path)
        content_hash = xxhash.xxh3_128_digest(content)
        info = FileInfo(file.root.id, file.folder, file.name, file.size, file.modified_ns)
        identity, same_content = self._recognise(file, content_hash)
        stored = self._catalog.fingerprints_of(identity) if identity is not None and same_content else set()
        if identity is not None and self._required <= stored:
            return AlreadyIndexed(info, identity, moved=file.known is None)

        def reserve(amount: int) -> None:
            reserved.enter_context(self._decoding.reserve(amount))
            if amount >= _LARGE:
                reserved.callback(give_memory_back)

        photograph = open_photograph(content, shorter_side=self._side, before_decoding=reserve)
        facts = PhotographFacts(info, content_hash, photograph.width, photograph.height, photograph.format)
        inputs = {
            number: task.encoder.prepare(photograph.image)
            for number, task in enumerate(self._tasks)
            if not same_content or not task.required <= stored
        }
        return PreparedPhotograph(facts, inputs, thumbnail(photograph.image), identity)

    def _recognise(self, file: File, content_hash: bytes) -> tuple[int | None, bool]:
        """The id of the catalog's photograph for `file`, None for a new one, and whether its content is the same.

        The content is the same if the file was only touched, or moved here from a path where it no longer is.
        """
        for record in self._catalog.records_with_content(content_hash):
            if file.known is not None and record.id == file.known.id:
                return record.id, True
            if file.known is None and is_gone(record.path) and self._claim(record.id):
                return record.id, True
        return (file.known.id if file.known else None), False

    def _claim(self, identity: int) -> bool:
        """Whether this is the first file of the run to take over a photograph whose file is gone."""
        with self._claiming:
            if identity in self._claimed:
                return False
            self._claimed.add(identity)
        return True


def required_by(tasks: Sequence[EncodingTask]) -> frozenset[str]:
    """The fingerprints that a photograph needs to be complete."""
    return frozenset[str]().union(*(task.required for task in tasks))


def is_gone(path: Path) -> bool:
    """Whether a walk would no longer find a photograph at `path`; False if that cannot be determined."""
    try:
        return os.path.realpath(path) != str(path) or not stat.S_ISREG(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
