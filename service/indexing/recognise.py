"""Which photograph of the catalog a file is, whatever it is called now and wherever it is: by its hashes."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.store.catalog import Catalog
from service.store.records import KnownFile, Record
from service.store.tombstones import Tombstones
from service.texts import fold

Outcome = Literal["added", "changed", "moved", "revived", "unchanged"]
"""What a run did with a file; revived are photographs that had been taken out of the library."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What the catalog knows of a file.

    Attributes:
        id: of the photograph; None for a new one.
        same_content: the file is byte for byte the one that was indexed.
        same_image: its image data is the same, so that vectors made from it hold as long as it is turned the same way.
        moved: it was indexed at another path, where it no longer is.
        revived: it had been taken out of the library.
    """

    id: int | None
    same_content: bool = False
    same_image: bool = False
    moved: bool = False
    revived: bool = False

    @property
    def outcome(self) -> Outcome:
        """What a run does with the file."""
        if self.moved or self.revived:
            return "moved" if self.moved else "revived"
        if self.id is None:
            return "added"
        return "unchanged" if self.same_content else "changed"


class Recogniser:
    """Recognises the files of one index run. Safe to use from several threads."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._tombstones = Tombstones(catalog)
        self._claimed: set[int] = set()
        self._claiming = threading.Lock()

    def recognise(
        self,
        path: Path,
        known: KnownFile | None,
        content_hash: bytes,
        image_hash: bytes | None,
        *,
        renamed: bool = False,
    ) -> Recognised:
        """The photograph of the file at `path` with these hashes; `known` is the catalog's photograph at this path.

        One that was indexed under another name is `renamed`, and another file of the run may have taken it over. A
        photograph that was removed comes back under its id with its file, or with its image data.
        """
        if known is not None and renamed and not self._claim(known.id):
            known = None
        same_content = self._catalog.records_with_content(content_hash)
        same_image = [] if image_hash is None else self._catalog.records_with_image(image_hash)
        same_image = [record for record in same_image if not _has(same_content, record.id)]
        if known is not None:
            return Recognised(known.id, _has(same_content, known.id), _has((*same_content, *same_image), known.id))
        for records, is_same in ((same_content, True), (same_image, False)):
            for record in records:
                if is_gone(record.path, path) and self._claim(record.id):
                    return Recognised(record.id, is_same, same_image=True, moved=True)
        for identity in self._tombstones.find(content_hash, image_hash):
            if self._claim(identity):
                return Recognised(identity, revived=True)
        return Recognised(None)

    def _claim(self, identity: int) -> bool:
        """Whether this is the first file of the run to take over a photograph whose file is gone."""
        with self._claiming:
            if identity in self._claimed:
                return False
            self._claimed.add(identity)
        return True


def is_gone(path: Path, found: Path | None = None) -> bool:
    """Whether a walk would no longer find a photograph at `path`; False if that cannot be determined.

    On a disk that knows no difference between capitals and small letters, or between the two ways to compose a letter,
    a renamed file still answers to its old name; `found` is where the walk found a file with the same content.
    """
    try:
        status = os.lstat(path)
        if os.path.realpath(path) != str(path) or not stat.S_ISREG(status.st_mode):
            return True
        return found is not None and _is_old_spelling(path, found, status)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _is_old_spelling(path: Path, found: Path, status: os.stat_result) -> bool:
    """Whether `path` is another spelling of `found` under which no folder lists the file."""
    if path == found or fold(str(path)) != fold(str(found)):
        return False
    if not os.path.samestat(status, os.lstat(found)):
        return False
    # Two names of one file (hard links) are both listed, one name in two spellings is not.
    return any(
        mine.name != other.name and mine.name not in os.listdir(mine.parent)  # noqa: PTH208
        for mine, other in zip((path, *path.parents), (found, *found.parents), strict=True)
    )


def _has(records: Iterable[Record], identity: int) -> bool:
    return any(record.id == identity for record in records)
