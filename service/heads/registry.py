"""The heads of a library: added, listed, removed, and the index of each.

A head is a copy of what `smysl train similar` wrote, in the folder `heads/NAME` of the library, with an index beside
it that is derived from the features in the catalog as the library's own index is from its vectors: nothing is
encoded for it, and it can be rebuilt at any time.
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
from service.heads.projection import ARRAYS, FACTS, Head
from service.heads.target import HeadTarget
from service.index.latest import Latest
from service.store.catalog import Catalog
from service.store.paths import written_at

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


class Heads:
    """The heads in a library's folder. Safe to use from several threads; writing needs the writer's lock."""

    def __init__(self, library: Path, catalog: Catalog, encoders: LibraryEncoders) -> None:
        self._library = library
        self._folder = library / FOLDER
        self._catalog = catalog
        self._encoders = encoders
        self._guard = threading.Lock()
        self._latest: dict[str, Latest[HeadTarget]] = {}

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

    def open(self, name: str) -> HeadTarget:
        """A head that can be searched, with its index up to date, or as it was while another thread updates it.

        It is loaded again where its files have changed.

        Raises:
            UsageError: no head can have this name.
            NotFoundError: the library has no head of this name.
            ModelError: the head's files cannot be read.
            MismatchError: the library does not have its encoders.
        """
        self.folder_of(name)
        return self._latest_of(name).get()

    def _latest_of(self, name: str) -> Latest[HeadTarget]:
        with self._guard:
            if name not in self._latest:
                self._latest[name] = Latest(partial(self._refresh, name), self._is_far_behind)
            return self._latest[name]

    def _is_far_behind(self, target: HeadTarget) -> bool:
        return target.index.is_far_behind(self._catalog)

    def _refresh(self, name: str, last: HeadTarget | None) -> HeadTarget:
        folder = self._folder / name
        written = written_at(folder / FACTS)
        if last is None or last.written != written:
            head = Head.load(folder)
            self._check(head)
            return HeadTarget.open(name, head, folder, self._catalog, self._encoders, written)
        self._check(last.head)
        last.index.catch_up(self._catalog)
        return last

    def facts(self, name: str) -> HeadFacts:
        """What is known of a head; one that cannot be used says why."""
        try:
            head = Head.load(self.folder_of(name))
        except SmyslError as error:
            return HeadFacts(name, fault=error.message)
        fault, photographs = None, 0
        try:
            self._check(head)
            features = [self._encoders.features_fingerprint(fingerprint) for fingerprint in head.encoders]
            photographs = self._catalog.count_with_vectors(features)
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
            HeadTarget.open(name, head, part, self._catalog, self._encoders).index.save(part)
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
        with self._guard:
            self._latest.pop(name, None)

    def save(self, name: str) -> None:
        """Bring the index of a head up to date and write it; searches use the last one meanwhile."""
        self.folder_of(name)
        latest = self._latest_of(name)
        with latest.turn() as last:
            self._refresh(name, last).index.save(self._folder / name)

    def save_all(self) -> None:
        """Bring the indexes of all heads that can be used up to date and write them."""
        for name in self.names():
            if self.facts(name).fault is None:
                self.save(name)

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Wait until no head is brought up to date, and keep others from it meanwhile."""
        with self._guard, ExitStack() as stack:
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
    """A name that a head may have; raises `UsageError` for any other."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"“{name[:100]}” cannot be the name of a head: take letters, digits, “-”, “_” and “.”, at most 40, with a "
            "letter or a digit first."
        )
    return name
