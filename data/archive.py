"""Reads an untrusted zip: no path leaves its folder, and no file unpacks to more than its limit."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from service.errors import DataError


class Archive:
    """The files of a zip by their bare names, whatever folder they are in.

    What macOS adds (`__MACOSX`, names that begin with a dot) is skipped. Nothing is ever written to a path from the
    zip: the caller decides where the bytes go.
    """

    def __init__(self, opened: zipfile.ZipFile, most_bytes: int) -> None:
        self.path = opened.filename
        self._opened = opened
        self._most_bytes = most_bytes
        self._members = self._plain_members()

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> bytes:
        """The bytes of a file, checked by its CRC.

        Raises:
            DataError: the file is missing, larger than allowed, or damaged.
        """
        info = self._info(name)
        # zipfile never unpacks more than this size.
        if info.file_size > self._most_bytes:
            raise DataError(
                f"{name} in {self.path} would have {info.file_size:,} bytes, more than the {self._most_bytes:,} it can "
                "have; it is not the published file."
            )
        try:
            return self._opened.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            # zipfile raises RuntimeError for members that are encrypted or use an unknown compression.
            raise _damaged(self.path, error) from error

    def is_unpacked(self, name: str, to: Path) -> bool:
        """Whether the file is already at `to`, by size and CRC."""
        info = self._info(name)
        if not to.is_file() or to.stat().st_size != info.file_size:
            return False
        return zlib.crc32(to.read_bytes()) == info.CRC

    def _info(self, name: str) -> zipfile.ZipInfo:
        if name not in self._members:
            raise DataError(f"{self.path} does not contain {name}; it is not the published file.")
        return self._members[name]

    def _plain_members(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        for info in self._opened.infolist():
            path = PurePosixPath(info.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in info.filename:
                raise DataError(f"{self.path} has {info.filename!r}, which leaves its folder; nothing is unpacked.")
            if info.is_dir() or "__MACOSX" in path.parts or path.name.startswith("."):
                continue
            if path.name in members:
                raise DataError(f"{self.path} contains {path.name} twice; it is not the published file.")
            members[path.name] = info
        return members


@contextmanager
def open_archive(path: Path, most_bytes: int) -> Iterator[Archive]:
    """Open a zip whose files may have `most_bytes` each; DataError if it is not a zip or a path leaves its folder."""
    try:
        opened = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError) as error:
        raise _damaged(path, error) from error
    with opened:
        yield Archive(opened, most_bytes)


def _damaged(path: Path | str | None, error: Exception) -> DataError:
    return DataError(f"{path} is damaged ({str(error).rstrip('.')}); run the command again to download it again.")
