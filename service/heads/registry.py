"""The heads of a library: add, list, remove, open.

A library has a copy of each head in its folder `heads/NAME`, with an index beside it that is derived from the image
features in the catalog. Nothing is encoded for that, and it can be rebuilt at any time.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from service.encoder.library_encoders import LibraryEncoders
from service.errors import LibraryError, ModelError, NotFoundError, SmyslError, UsageError
from service.heads.projection import HEAD_ARRAYS, HEAD_JSON, Head
from service.heads.target import HeadTarget
from service.index.latest import Latest
from service.store.catalog import Catalog
from service.store.paths import written_at

FOLDER = "heads"
_NAME = re.compile(r"[^\W_][\w.-]{0,39}")


@dataclass(frozen=True, slots=True)
class HeadSummary:
    """One of a library's heads, for listing.

    Attributes:
        name: its name in the library.
        candidate: name of the method that was chosen when it was fitted.
        trained_on: what it was fitted on, in words.
        kinds: how many kinds it was fitted on.
        models: names of its encoders.
        map10: cross-validated mean average precision at 10 (MAP@10) in per cent; None where it was not measured.
        photographs: how many photographs have the features that it needs.
        fault: a sentence that says why it cannot be used; None for a head that can.
    """

    name: str
    candidate: str = ""
    trained_on: str = ""
    kinds: int = 0
    models: tuple[str, ...] = ()
    map10: float | None = None
    photographs: int = 0
    fault: str | None = None


class HeadRegistry:
    """The heads in a library's folder. Safe to use from several threads; hold the write lock to change them."""

    def __init__(self, library: Path, catalog: Catalog, encoders: LibraryEncoders) -> None:
        self._library = library
        self._folder = library / FOLDER
        self._catalog = catalog
        self._encoders = encoders
        self._lock = threading.Lock()
        self._latest: dict[str, Latest[HeadTarget]] = {}

    def names(self) -> list[str]:
        """The names of the heads in alphabetical order."""
        if not self._folder.is_dir():
            return []
        return sorted(folder.name for folder in self._folder.iterdir() if _NAME.fullmatch(folder.name))

    def folder_of(self, name: str) -> Path:
        """The folder of a head; raises `UsageError` for an invalid name, `NotFoundError` for an unknown one."""
        folder = self._folder / checked_name(name)
        if not folder.is_dir():
            names = ", ".join(self.names())
            hint = f"it has {names}" if names else "add one with `smysl head add NAME DIR`"
            raise NotFoundError(f"The library {self._library} has no head {name}; {hint}.")
        return folder

    def open(self, name: str) -> HeadTarget:
        """A head with its index, to search with.

        The index is up to date, or the last one while another thread updates it. A head whose files have changed is
        loaded again.

        Raises:
            UsageError: the name is invalid.
            NotFoundError: the library has no such head.
            ModelError: the head's files cannot be read, or its encoders have features of another width.
            MismatchError: the library does not have all of its encoders.
        """
        self.folder_of(name)
        return self._latest_of(name).get()

    def _latest_of(self, name: str) -> Latest[HeadTarget]:
        with self._lock:
            if name not in self._latest:
                self._latest[name] = Latest(partial(self._refresh, name), self._is_far_behind)
            return self._latest[name]

    def _is_far_behind(self, target: HeadTarget) -> bool:
        return target.index.is_far_behind(self._catalog)

    def _refresh(self, name: str, last: HeadTarget | None) -> HeadTarget:
        folder = self._folder / name
        written = written_at(folder / HEAD_JSON)
        if last is None or last.written != written:
            head = Head.load(folder)
            self._check(head)
            return HeadTarget.open(name, head, folder, self._catalog, self._encoders, written)
        self._check(last.head)
        last.index.catch_up(self._catalog)
        return last

    def summary(self, name: str) -> HeadSummary:
        """A head for listing; where it cannot be used, with the reason."""
        try:
            head = Head.load(self.folder_of(name))
        except SmyslError as error:
            return HeadSummary(name, fault=error.message)
        fault, photographs = None, 0
        try:
            self._check(head)
            features = [self._encoders.features_fingerprint(fingerprint) for fingerprint in head.encoders]
            photographs = self._catalog.count_with_vectors(features)
        except SmyslError as error:
            fault = error.message
        map10 = head.figures.get("folds_map10")
        return HeadSummary(
            name=name,
            candidate=head.candidate,
            trained_on=head.trained_on,
            kinds=len(head.kinds),
            models=tuple(head.encoders.values()),
            map10=float(map10) if isinstance(map10, int | float) else None,
            photographs=photographs,
            fault=fault,
        )

    def using_encoder(self, fingerprint: str) -> list[str]:
        """The names of the heads that need the features of an encoder; heads that cannot be read are left out."""
        found = []
        for name in self.names():
            with suppress(ModelError):
                if fingerprint in Head.load(self._folder / name).encoders:
                    found.append(name)
        return found

    def add(self, name: str, source: Path, *, force: bool) -> None:
        """Copy a head into the library and build its index; where that fails, nothing changes.

        Args:
            name: for the head in the library.
            source: folder of the head.
            force: replace a head of the same name.

        Raises:
            UsageError: the name is invalid, or taken and not to be replaced.
            ModelError: the head's files cannot be read, or its encoders have features of another width.
            MismatchError: the library does not have all of its encoders.
            LibraryError: the library is empty, or its folder cannot be written to.
        """
        target = self._folder / checked_name(name)
        self._check(Head.load(source))
        if target.exists() and not force:
            raise UsageError(
                f"The library {self._library} has a head {name} already. Choose another name, or replace it with "
                "--force."
            )
        new, old = self._folder / f".{name}.part", self._folder / f".{name}.old"
        try:
            for leftover in (new, old):
                shutil.rmtree(leftover, ignore_errors=True)
            new.mkdir(parents=True)
            for file in (HEAD_ARRAYS, HEAD_JSON):
                shutil.copyfile(source / file, new / file)
            # The copy is checked again, since the source may have changed in the meantime.
            head = Head.load(new)
            self._check(head)
            HeadTarget.open(name, head, new, self._catalog, self._encoders).index.save(new)
            if target.exists():
                target.rename(old)
            new.rename(target)
        except OSError as error:
            if old.exists() and not target.exists():
                old.rename(target)
            raise LibraryError(f"The head {name} cannot be written to {self._folder} ({error.strerror}).") from None
        finally:
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Remove the library's copy of a head and its index."""
        folder = self.folder_of(name)
        old = self._folder / f".{name}.old"
        try:
            shutil.rmtree(old, ignore_errors=True)
            # Renamed first, so that no reader finds a head with only some of its files.
            folder.rename(old)
        except OSError as error:
            raise LibraryError(f"The head {folder} cannot be removed ({error.strerror}).") from None
        shutil.rmtree(old, ignore_errors=True)
        with self._lock:
            self._latest.pop(name, None)

    def save(self, name: str) -> None:
        """Update the index of a head and write it; searches use the last one in the meantime."""
        self.folder_of(name)
        latest = self._latest_of(name)
        with latest.turn() as last:
            self._refresh(name, last).index.save(self._folder / name)

    def save_all(self) -> None:
        """Update and write the indexes of all heads that can be used."""
        for name in self.names():
            if self.summary(name).fault is None:
                self.save(name)

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Wait until no index of a head is being updated, and let none be updated while the block runs."""
        with self._lock, ExitStack() as stack:
            for latest in self._latest.values():
                stack.enter_context(latest.turn())
            yield

    def folders(self) -> list[Path]:
        """The folders of all heads."""
        return [self._folder / name for name in self.names()]

    def _check(self, head: Head) -> None:
        known = self._encoders.fingerprints()
        if not known:
            raise LibraryError(f"The library {self._library} is empty. Fill it with `smysl index DIR`.")
        head.check_encoders(known, f"the library {self._library}")


def checked_name(name: str) -> str:
    """The name, where a head may have it; raises `UsageError` otherwise."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"“{name[:100]}” cannot be the name of a head: use letters, digits, “-”, “_” and “.”, at most 40, and "
            "begin with a letter or a digit."
        )
    return name
