"""Files that are replaced whole or not at all, also when the power fails.

What is written goes to a temporary file in the same folder; it is synced, takes the place of the old file in one
step, and the folder is synced, so that after a crash either the old content is there or the new.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `file`; what the block writes there takes the place of `file` when it ends.

    The path keeps the suffix of `file`. Where the block raises, `file` stays as it was. Without `sync` readers still
    see the old file or the new one, but a power failure may leave neither. Raises `OSError` where the folder cannot
    be written to.
    """
    temporary = temporary_beside(file)
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
    """As `replacing`, for files that belong together: none is replaced before all are written."""
    with ExitStack() as stack:
        yield [stack.enter_context(replacing(file)) for file in files]


def temporary_beside(file: Path) -> Path:
    """A hidden path in the folder of `file` that nobody else uses, with the same suffix."""
    return file.with_name(f".{file.stem}.{secrets.token_hex(4)}.part{file.suffix}")


def put_in_place(temporary: Path, file: Path) -> None:
    """Replace `file` with `temporary`, which is closed and in the same folder; raises `OSError`."""
    sync_file(temporary)
    temporary.replace(file)
    sync_folder(file.parent)


def write_bytes(file: Path, content: bytes) -> None:
    """Replace `file` with `content`; raises `OSError`."""
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def write_text(file: Path, text: str) -> None:
    """Replace `file` with `text` in UTF-8, line ends as they are; raises `OSError`."""
    write_bytes(file, text.encode("utf-8"))


def sync_file(file: Path) -> None:
    """Have the content of a closed file on the disk; raises `OSError`."""
    _sync(file, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk; on systems where a folder cannot be opened nothing happens."""
    if os.name == "nt":
        return
    _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
