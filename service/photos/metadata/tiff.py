"""Read directories (IFDs) of TIFF structures with Pillow: EXIF blocks, TIFF, DNG and most cameras' RAW formats."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

MAX_DIRECTORIES = 64
"""Directories that are read of one structure; a real file has fewer, and a cycle ends."""

MAX_DIRECTORY_BYTES = 16 << 20
"""Bytes of one directory of a file, with the values that it points at."""

_MAX_OVERLAP = 1 << 20
"""Bytes by which the directories of a file together may be larger than it, because they share values."""

_PADDING = bytes(1 << 16)
_SUB_DIRECTORIES = 0x014A
_NO_GROUP = -1
"""A group of tags that Pillow knows nothing of; of those that it knows it would drop values beyond the usual number."""


class Directory:
    """One directory: the values of its tags, each None where it is missing or broken."""

    def __init__(self, loaded: ImageFileDirectory_v2, *, is_whole: bool) -> None:
        self._loaded = loaded
        self.is_whole = is_whole
        """Whether the list of its tags lies within the structure."""
        self.next = loaded.next
        """Offset of the directory that follows, 0 for none."""

    def __contains__(self, tag: int) -> bool:
        return tag in self._loaded

    def value(self, tag: int) -> Any:
        """A value as Pillow gives it: a number, text or bytes, or a tuple of several numbers."""
        try:
            return self._loaded.get(tag)
        # Pillow raises all kinds of errors on values of another type or length than it knows.
        except Exception:  # noqa: BLE001
            return None

    def data(self, tag: int) -> bytes:
        """The bytes of a value that is text or bytes, b"" for any other."""
        value = self.value(tag)
        if isinstance(value, str):
            return value.encode("latin-1", "replace")
        if isinstance(value, tuple) and value and isinstance(value[0], bytes):
            return b"".join(value)
        return value if isinstance(value, bytes) else b""

    def text(self, tag: int) -> str | None:
        """A text in UTF-8, or else in Windows' Latin-1, up to its end mark."""
        return decode_text(self.data(tag).split(b"\0", 1)[0]) if tag in self._loaded else None

    def numbers(self, tag: int) -> list[float]:
        """The numbers of a value; those with denominator 0 are NaN."""
        value = self.value(tag)
        values = value if isinstance(value, tuple) else (value,)
        return [_number(each) for each in values if not isinstance(each, str | bytes | None)]

    def number(self, tag: int) -> float | None:
        """The first number of a value if it is finite."""
        numbers = self.numbers(tag)
        return numbers[0] if numbers and math.isfinite(numbers[0]) else None

    def integers(self, tag: int) -> list[int]:
        """The numbers of a value that are finite, as integers."""
        return [int(number) for number in self.numbers(tag) if math.isfinite(number)]


class _WholeFile(io.BytesIO):
    """A file of which each directory may be read up to a number of bytes; layers of Photoshop take hundreds of MB.

    All of them together may be about as large as the file: a small one could make hours of directories that overlap.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left_of_file = len(content) + _MAX_OVERLAP
        self._left = 0

    def begin_directory(self) -> None:
        self._left = min(MAX_DIRECTORY_BYTES, self._left_of_file)

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes; raises `OSError`, at which Pillow keeps what it has read of a directory."""
        self._left -= size or 0
        self._left_of_file -= size or 0
        if self._left < 0:
            raise OSError("the directory is too large")
        return super().read(size)


class TiffStructure:
    """A TIFF structure in memory, of which directories are read one at a time.

    Args:
        content: the structure from its byte order mark on, or a part of it from there.
        is_whole_file: False for a block of EXIF, which is copied and padded with zeros. Pillow gives up a directory at
            the first value that lies past the end, and a block that was cut short would lose all that follows it.
    """

    def __init__(self, content: bytes, *, is_whole_file: bool = False) -> None:
        self.size = len(content)
        # Pillow looks at the magic number, which RAW formats change; the bytes of a whole file are not copied.
        number = content[2:4]
        if number not in (b"*\0", b"\0*", b"+\0", b"\0+"):
            number = b"*\0" if content[:2] == b"II" else b"\0*"
        self._is_big = b"+" in number
        self._header = content[:2] + number + content[4 : 16 if self._is_big else 8]
        self._file = _WholeFile(content) if is_whole_file else io.BytesIO(content + _PADDING)

    def first(self) -> Directory | None:
        """The first directory."""
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        try:
            return self.directory(ImageFileDirectory_v2(self._header).next)
        except Exception:  # noqa: BLE001
            return None

    def directory(self, offset: int | None) -> Directory | None:
        """The directory at an offset; None if none can be read there."""
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        _silence_pillow()
        if offset is None or not 0 < offset < self.size:
            return None
        try:
            loaded = ImageFileDirectory_v2(self._header, group=_NO_GROUP)
            loaded.next = 0
            if isinstance(self._file, _WholeFile):
                self._file.begin_directory()
            self._file.seek(offset)
            number = int.from_bytes(self._file.read(2), "little" if self._header[:2] == b"II" else "big")
            self._file.seek(offset)
            loaded.load(self._file)
        # Pillow raises all kinds of errors on broken directories.
        except Exception:  # noqa: BLE001
            return None
        if not len(loaded):
            return None
        return Directory(loaded, is_whole=self._is_big or offset + 2 + 12 * number <= self.size)

    def directories(self) -> Iterator[Directory]:
        """All directories of images: those in the chain from the first, and below each its sub-directories."""
        first = self.first()
        waiting: list[Directory | int] = [first] if first else []
        known: set[int] = set()
        for _ in range(MAX_DIRECTORIES):
            if not waiting:
                return
            head = waiting.pop(0)
            current = self.directory(head) if isinstance(head, int) else head
            if current is None:
                continue
            yield current
            for offset in [*current.integers(_SUB_DIRECTORIES)[:MAX_DIRECTORIES], current.next]:
                if offset not in known:
                    known.add(offset)
                    waiting.append(offset)


def decode_text(data: bytes) -> str:
    """Text in UTF-8, or else in Windows' Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, ArithmeticError):
        return math.nan


@cache
def _silence_pillow() -> None:
    """Silence Pillow's warnings on broken directories, once a process: warning filters are global."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
