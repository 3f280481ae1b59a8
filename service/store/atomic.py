"""Atomic writes: a file is replaced as a whole or not at all, even when the power fails.

Content is written to a temporary file in the same folder and synced, the file is renamed over the old one, and the
folder is synced, so after a crash the file has either its old or its new content.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

_CANNOT_SYNC_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM})


@contextmanager
def replacing(file: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside `file`, with its suffix, which replaces `file` when the block ends.

    If the block raises, `file` stays as it was. Without `sync` readers still see the old file or the new one, but a
    power failure may leave neither. Raises `OSError` if the folder cannot be written to.
    """
    temporary = file.with_name(f".{file.stem}.{secrets.token_hex(4)}.part{file.suffix}")
    try:
        yield temporary
        if sync:
            put_in_place(temporary, file)
        else:
            temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_all(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Like `replacing`, for files that belong together: none is replaced before all are written."""
    with ExitStack() as stack:
        yield [stack.enter_context(replacing(file)) for file in files]


def put_in_place(temporary: Path, file: Path) -> None:
    """Syncs `temporary`, a closed file in the same folder, and replaces `file` with it; raises `OSError`."""
    sync_file(temporary)
    temporary.replace(file)
    sync_folder(file.parent)


def write_bytes(file: Path, content: bytes) -> None:
    """Replaces `file` with `content`; raises `OSError`."""
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def write_text(file: Path, text: str) -> None:
    """Replaces `file` with `text` in UTF-8 without translating line ends; raises `OSError`."""
    write_bytes(file, text.encode("utf-8"))


def sync_file(file: Path) -> None:
    """Writes the content of a closed file through to the disk (fsync); raises `OSError`."""
    _sync(file, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """Writes the names in a folder through to the disk, where the system can: Windows and some network drives cannot.

    Raises `OSError` if the disk fails.
    """
    if os.name == "nt":
        return
    try:
        _sync(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FOLDERS:
            raise


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
