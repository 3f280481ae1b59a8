"""Turns one file into model inputs, thumbnail and metadata; recognises content that the catalog already has."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from service.compute.malloc import give_memory_back
from service.errors import LibraryError, PhotographError
from service.indexing.details import read_details
from service.indexing.recognise import Outcome, Recognised, Recogniser
from service.photos.decode import open_photograph, read_file
from service.photos.decoded import MAX_PIXELS
from service.photos.metadata.image_data import image_data_hash
from service.photos.thumbnails import PREVIEW_SIDE, thumbnails
from service.store.catalog import Catalog
from service.store.paths import is_folder
from service.store.records import Companion, Details, FileInfo, FileUpdate, KnownFile, PhotographFacts, Root
from service.types import AnyArray, Float32Array

if TYPE_CHECKING:
    from PIL import Image

_BYTES_READ = 128 << 20
"""Bytes of files in memory at once; a larger file is read alone."""

_BYTES_DECODED = 512 << 20
"""Bytes of pixels being decoded at once; a larger photograph is decoded alone."""

_LARGE = 64 << 20
"""From this many bytes of pixels on, memory goes back to the system after decoding; below, reusing it is faster."""


_DECODED_OVER_INPUT = 1.45
"""A photograph's shorter side, decoded, over the side of the model's input. The vectors of 38 photographs of twelve
megapixels then have a cosine of 0.998, and of 0.996 at least, with those at full scale (`mini`)."""

_MIN_DECODED_SIDE = 288
"""Pixels on a decoded photograph's shorter side that leave enough for a thumbnail."""


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
    """A file that is new or looks changed.

    Attributes:
        root, info: where it is, its size and times.
        known: the catalog's photograph at this path.
        companions: the files in the same folder that belong to it.
        renamed: `known` was indexed under another name in the same folder.
    """

    root: Root
    info: FileInfo
    known: KnownFile | None
    companions: tuple[Companion, ...] = ()
    renamed: bool = False

    @property
    def folder(self) -> Path:
        """Absolute path of its folder."""
        return self.root.path / self.info.folder

    @property
    def path(self) -> Path:
        """Absolute path."""
        return self.folder / self.info.name


@dataclass(frozen=True, slots=True)
class PreparedPhotograph:
    """A photograph to be stored, and to be encoded by the tasks that `inputs` names.

    Attributes:
        facts: about its file.
        inputs: the preprocessed model inputs, by the index of the encoding task that needs them.
        thumbnail, preview: as in `Entry`.
        id: None for a new one.
        details: its metadata and companions.
        same_image: its pixels are those of the vectors that the catalog has.
        outcome: what the run did with the file.
        flaws: what is wrong with it.
    """

    facts: PhotographFacts
    inputs: dict[int, AnyArray]
    thumbnail: bytes
    preview: bytes | None
    id: int | None
    details: Details
    same_image: bool
    outcome: Outcome
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, slots=True)
class AlreadyIndexed:
    """A file whose pixels the catalog has with all required vectors: moved, touched, or with other metadata."""

    update: FileUpdate
    outcome: Outcome
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be indexed, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that is wrong with a file that was indexed; `is_minor` where only metadata are concerned."""

    path: str
    sentence: str
    is_minor: bool


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
    """Prepares the files of one index run for its encoding tasks. Safe to use from several threads.

    `max_megapixels` are the pixels that may be decoded of one photograph, in millions.
    """

    def __init__(self, catalog: Catalog, tasks: Sequence[EncodingTask], *, max_megapixels: int | None = None) -> None:
        self._catalog = catalog
        self._tasks = tasks
        self._max_pixels = MAX_PIXELS if max_megapixels is None else max_megapixels * 1_000_000
        self._required = required_by(tasks)
        self._side = side_to_decode(max(task.encoder.photograph_side for task in tasks))
        self._recogniser = Recogniser(catalog)
        self._reading = MemoryBudget(_BYTES_READ)
        self._decoding = MemoryBudget(_BYTES_DECODED)

    def decode(self, file: File) -> PreparedPhotograph | AlreadyIndexed | Failure:
        """Read a file once, for its hashes, its metadata and its pixels, and do everything before encoding.

        Raises `LibraryError` where the whole folder that is indexed has vanished.
        """
        # A thread takes from the decoding budget only while it holds some of the reading budget, never the other way
        # round, so threads cannot wait for each other in a circle.
        with ExitStack() as reserved:
            reserved.enter_context(self._reading.reserve(file.info.size))
            try:
                return self._prepare(file, reserved)
            except PhotographError as error:
                _check_root(file.root)
                return Failure(str(file.path), error.message)

    def _prepare(self, file: File, reserved: ExitStack) -> PreparedPhotograph | AlreadyIndexed:
        import xxhash

        content = read_file(file.path)
        content_hash = xxhash.xxh3_128_digest(content)
        image_hash = image_data_hash(content)
        known = self._recogniser.recognise(file.path, file.known, content_hash, image_hash, renamed=file.renamed)
        details, problems = read_details(file.folder, file.info, file.companions, content)
        minor = flaws_of(file, problems)
        same_image = known.id is not None and self._is_same_image(known.id, known, details)
        stored = self._catalog.fingerprints_of(known.id) if known.id is not None and same_image else set()
        if known.id is not None and self._required <= stored and self._is_up_to_date(known.id, minor):
            update = FileUpdate(known.id, file.info, content_hash, image_hash, details)
            return AlreadyIndexed(update, known.outcome, minor)

        def reserve(amount: int) -> None:
            reserved.enter_context(self._decoding.reserve(amount))
            if amount >= _LARGE:
                reserved.callback(give_memory_back)

        photograph = open_photograph(
            content,
            name=file.info.name,
            shorter_side=self._side,
            longer_side=PREVIEW_SIDE,
            max_pixels=self._max_pixels,
            before_decoding=reserve,
        )
        flaws = flaws_of(file, problems, photograph.warning)
        facts = PhotographFacts(
            file.info,
            content_hash,
            photograph.width,
            photograph.height,
            photograph.format,
            image_hash,
            _warning(flaws),
        )
        inputs = {
            number: task.encoder.prepare(photograph.image)
            for number, task in enumerate(self._tasks)
            if not same_image or not task.required <= stored
        }
        outcome: Outcome = "changed" if inputs and known.outcome == "unchanged" else known.outcome
        return PreparedPhotograph(
            facts, inputs, *thumbnails(photograph.image), known.id, details, same_image, outcome, flaws
        )

    def _is_up_to_date(self, identity: int, flaws: Sequence[Flaw]) -> bool:
        """Whether neither pixels need to be read again nor what is wrong with the file, which is partly in them."""
        return self._catalog.is_up_to_date(identity) and self._catalog.record(identity).warning == _warning(flaws)

    def _is_same_image(self, identity: int, known: Recognised, details: Details) -> bool:
        """Whether the photograph looks as it did when it was encoded: the same image data, turned the same way."""
        if known.same_content or not known.same_image:
            return known.same_content
        before = self._catalog.details([identity]).get(identity)
        return before is not None and (before.metadata.orientation or 1) == (details.metadata.orientation or 1)


def side_to_decode(side: int) -> int:
    """Pixels that a photograph is decoded to on its shorter side, at least, for a model's input of `side` pixels."""
    return max(math.ceil(_DECODED_OVER_INPUT * side), _MIN_DECODED_SIDE)


def flaws_of(file: File, problems: Sequence[str], damage: str | None = None) -> tuple[Flaw, ...]:
    """What is wrong with a file: `damage` to its pixels, and `problems` of its metadata."""
    major = [Flaw(str(file.path), damage, is_minor=False)] if damage else []
    return (*major, *(Flaw(str(file.path), problem, is_minor=True) for problem in problems))


def _warning(flaws: Sequence[Flaw]) -> str | None:
    return "; ".join(flaw.sentence for flaw in flaws) or None


def required_by(tasks: Sequence[EncodingTask]) -> frozenset[str]:
    """The fingerprints that a photograph needs to be complete."""
    return frozenset[str]().union(*(task.required for task in tasks))


def _check_root(root: Root) -> None:
    if not is_folder(root.path):
        raise LibraryError(
            f"The folder {root.path} vanished while it was being indexed. What was indexed is kept; run the command "
            "again when the drive is back."
        )
