"""The heads of a library: added, listed, removed, and the index of each.

A head is a copy of what `smysl train similar` wrote, in the folder `heads/NAME` of the library, with an index beside
it that is derived from the features in the catalog as the library's own index is from its vectors: nothing is
encoded for it, and it can be rebuilt at any time.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.encoder.library_encoders import Encoders
from service.errors import LibraryError, ModelError, NotFoundError, SmyslError, UsageError
from service.heads.projection import ARRAYS, FACTS, Head
from service.match.artifact import QueryKind
from service.match.scorer import CalibrationSource
from service.store.catalog import Catalog
from service.store.paths import written_at
from service.types import Float16Array, Float32Array, Int64Array

if TYPE_CHECKING:
    from PIL import Image

    from service.index import VectorIndex

FOLDER = "heads"
_NAME = re.compile(r"[^\W_][\w.-]{0,39}")


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """What is known of one of a library's heads.

    `models` are the names of its encoders, `kinds` how many kinds it was fitted on, `map10` its mean average precision
    among ten, in per cent and out of fold, where it was measured. `photographs` are those that can be found with it.
    `fault` is the sentence that says why it cannot be used, None for a head that can.
    """

    name: str
    candidate: str = ""
    trained_on: str = ""
    kinds: int = 0
    models: tuple[str, ...] = ()
    map10: float | None = None
    photographs: int = 0
    fault: str | None = None


class OpenHead:
    """A head of a library, ready for queries, with its index; made by `Heads.open`.

    Does for a search what `Scorer` does: the match of two photographs is the probability that they are of one kind.
    """

    min_match = 0.0

    def __init__(self, name: str, head: Head, folder: Path, catalog: Catalog, encoders: Encoders) -> None:
        self.name = name
        self.head = head
        self._folder = folder
        self._catalog = catalog
        self._encoders = encoders
        self.features = {fingerprint: encoders.features_of(fingerprint) for fingerprint in head.encoders}
        """Under which fingerprint the catalog keeps the features of each encoder, by the encoder's own."""

    @cached_property
    def index(self) -> VectorIndex:
        """The vectors that the head makes of the library's photographs, as they were when it was last brought up."""
        from service.index import VectorIndex

        return VectorIndex.open(
            self._folder, self._catalog, self.head.fingerprint, self.head.dimension, self._read_vectors
        )

    @property
    def models(self) -> str:
        """The names of its encoders in one line."""
        return " + ".join(self.head.encoders.values())

    def vectors_of(self, images: Sequence[Image.Image]) -> Float32Array:
        """Unit vectors (n, dimension) of upright RGB photographs, at least one, as one batch."""
        features = {}
        for fingerprint in self.head.encoders:
            encoder = self._encoders.of(fingerprint)
            _, features[fingerprint] = encoder.encode_with_features([encoder.prepare(image) for image in images])
        return self._project(features)

    def vector(self, identity: int) -> Float32Array:
        """The unit vector (dimension,) of a photograph of the library.

        Raises `NotFoundError` for one that is not there, `LibraryError` for one without the features that it takes.
        """
        missing = set(self.features.values()) - self._catalog.fingerprints_of(identity)
        if missing:
            self._catalog.record(identity)
            raise LibraryError(
                f"Photograph {identity} has no features of {self.models} yet, at which the head {self.name} looks; "
                "`smysl index` makes them once."
            )
        features = {own: self._catalog.vector(identity, kept)[None] for own, kept in self.features.items()}
        vector: Float32Array = self._project(features)[0]
        return vector

    def notice(self, photographs: int) -> str | None:
        """A sentence on those of so many photographs that the head cannot find yet, None where there are none."""
        lacking = photographs - len(self.index)
        if lacking <= 0:
            return None
        return (
            f"{lacking:,} of {photographs:,} photographs have no features of {self.models} yet and cannot be found "
            f"with the head {self.name}; `smysl index` makes them once."
        )

    def calibration(self, kind: QueryKind) -> CalibrationSource:
        """Where the match comes from."""
        return "head"

    def reorders(self, kind: QueryKind) -> bool:
        """Whether matches may order photographs in another way than similarities do."""
        return False

    def match(self, query: Float32Array, photographs: Float32Array, kind: QueryKind) -> Float32Array:
        """Matches (n,), float32 in [0, 1], of photographs (n, dimension) with `query` (dimension,)."""
        return self.head.same_kind(photographs @ query)

    def _read_vectors(
        self, catalog: Catalog, since: int
    ) -> tuple[int, list[int], Iterator[tuple[Int64Array, Float32Array]]]:
        generation, removed, chunks = catalog.changes(list(self.features.values()), since)
        return (
            generation,
            removed,
            ((ids, self._project(dict(zip(self.features, columns, strict=True)))) for ids, columns in chunks),
        )

    def _project(self, features: Mapping[str, Float16Array | Float32Array]) -> Float32Array:
        for part in self.head.parts:
            width = features[part.fingerprint].shape[1]
            if len(part.center) != width:
                raise ModelError(
                    f"The head {self.name} is for {len(part.center):,} features of {part.model}, which has {width:,}. "
                    "Fit it again with `smysl train similar`."
                )
        return self.head.project({name: values.astype(np.float32) for name, values in features.items()})


class Heads:
    """The heads in a library's folder. Safe to use from several threads; whoever writes holds the writer's lock."""

    def __init__(self, library: Path, catalog: Catalog, encoders: Encoders) -> None:
        self._library = library
        self._folder = library / FOLDER
        self._catalog = catalog
        self._encoders = encoders
        self._opening = threading.RLock()
        self._open: dict[str, tuple[object, OpenHead]] = {}

    def names(self) -> list[str]:
        """The names of the heads, in the order of the alphabet."""
        if not self._folder.is_dir():
            return []
        return sorted(folder.name for folder in self._folder.iterdir() if _NAME.fullmatch(folder.name))

    def folder_of(self, name: str) -> Path:
        """The folder of a head; `UsageError` for a name that none can have, `NotFoundError` where there is none."""
        folder = self._folder / checked_name(name)
        if not folder.is_dir():
            there = ", ".join(self.names())
            known = f"it has {there}" if there else "add one with `smysl head add NAME DIR`"
            raise NotFoundError(f"The library {self._library} has no head {name}; {known}.")
        return folder

    def open(self, name: str) -> OpenHead:
        """A head, with its index brought up to the catalog's generation.

        It is loaded again where its files have changed. Raises what `folder_of` and `Head.load` do, and
        `MismatchError` where the library does not have its encoders.
        """
        folder = self.folder_of(name)
        with self._opening:
            written = written_at(folder / FACTS)
            known = self._open.get(name)
            if known is None or known[0] != written:
                known = written, OpenHead(name, Head.load(folder), folder, self._catalog, self._encoders)
                self._open[name] = known
            opened = known[1]
            self._check(opened.head)
            opened.index.catch_up(self._catalog)
            return opened

    def facts(self, name: str) -> HeadFacts:
        """What is known of a head; one that cannot be used says why."""
        try:
            head = Head.load(self.folder_of(name))
        except SmyslError as error:
            return HeadFacts(name, fault=error.message)
        fault, photographs = None, 0
        try:
            self._check(head)
            features = [self._encoders.features_of(fingerprint) for fingerprint in head.encoders]
            photographs = self._catalog.count_with(features)
        except SmyslError as error:
            fault = error.message
        map10 = head.figures.get("folds_map10")
        return HeadFacts(
            name=name,
            candidate=head.candidate,
            trained_on=head.trained_on,
            kinds=len(head.kinds),
            models=tuple(head.encoders.values()),
            map10=float(map10) if isinstance(map10, int | float) else None,
            photographs=photographs,
            fault=fault,
        )

    def looking_at(self, fingerprint: str) -> list[str]:
        """The names of the heads that look at the features of an encoder; one that cannot be read looks at nothing."""
        found = []
        for name in self.names():
            with suppress(ModelError):
                if fingerprint in Head.load(self._folder / name).encoders:
                    found.append(name)
        return found

    def add(self, name: str, source: Path, *, force: bool) -> None:
        """Copy the head in `source` into the library under a name and make its index; whole or not at all.

        Raises `ModelError` and `MismatchError` as `open` does, `UsageError` for a name that is taken without `force`.
        """
        target = self._folder / checked_name(name)
        self._check(Head.load(source))
        if target.exists() and not force:
            raise UsageError(
                f"The library {self._library} has a head {name} already. Choose another name, or put the new one in "
                "its place with --force."
            )
        part, old = self._folder / f".{name}.part", self._folder / f".{name}.old"
        try:
            for left in (part, old):
                shutil.rmtree(left, ignore_errors=True)
            part.mkdir(parents=True)
            for file in (ARRAYS, FACTS):
                shutil.copyfile(source / file, part / file)
            # What is kept is what is checked, though the source may have been changed meanwhile.
            head = Head.load(part)
            self._check(head)
            OpenHead(name, head, part, self._catalog, self._encoders).index.save(part)
            if target.exists():
                target.rename(old)
            part.rename(target)
        except OSError as error:
            if old.exists() and not target.exists():
                old.rename(target)
            raise LibraryError(f"The head {name} cannot be written to {self._folder} ({error.strerror}).") from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Remove the library's copy of a head and its index."""
        folder = self.folder_of(name)
        gone = self._folder / f".{name}.old"
        try:
            shutil.rmtree(gone, ignore_errors=True)
            # In one step, so that nobody finds half a head.
            folder.rename(gone)
        except OSError as error:
            raise LibraryError(f"The head {folder} cannot be removed ({error.strerror}).") from None
        shutil.rmtree(gone, ignore_errors=True)
        with self._opening:
            self._open.pop(name, None)

    def save(self, name: str) -> None:
        """Bring the index of a head up to date and write it."""
        self.open(name).index.save(self._folder / name)

    def save_all(self) -> None:
        """Bring the indexes of all heads that can be used up to date and write them."""
        for name in self.names():
            if self.facts(name).fault is None:
                self.save(name)

    def folders(self) -> list[Path]:
        """The folders of all heads."""
        return [self._folder / name for name in self.names()]

    def _check(self, head: Head) -> None:
        known = self._encoders.fingerprints()
        if not known:
            raise LibraryError(f"The library {self._library} is empty. Fill it with `smysl index DIR`.")
        head.check_encoders(known, f"the library {self._library}")


def checked_name(name: str) -> str:
    """A name that a head may have; raises `UsageError` for any other."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"“{name[:100]}” cannot be the name of a head: take letters, digits, “-”, “_” and “.”, at most 40, with a "
            "letter or a digit first."
        )
    return name
