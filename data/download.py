"""Downloads one large file over HTTP, resuming where it was cut off; its checksum is verified before it gets its name.

Received bytes are kept in `NAME.part`; `NAME.part.json` beside it holds the ETag and size of the response that they
are the beginning of. A later request asks for the rest (`Range`, with `If-Range` so that a changed file is sent
whole). Where the server does not support ranges, or the file has changed, the download starts over.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import DataError
from service.types import OnProgress

if TYPE_CHECKING:
    import httpx2


TRIES = 5
"""Connections in one run. Each resumes where the last was cut; one that receives nothing is the last."""

PAUSE_S = 1.0
"""Seconds before reconnecting."""

TIMEOUT_S = 30.0
"""Seconds without a byte after which a connection counts as cut off."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Attributes:
        url: its address, http or https.
        md5: its published checksum, 32 hexadecimal digits. MD5 detects a damaged or replaced file, but not one forged
            to have the same checksum.
        most_bytes: its size at most; a longer response is refused.
    """

    url: str
    md5: str
    most_bytes: int


def download(file: RemoteFile, to: Path, on_progress: OnProgress, *, pause_s: float = PAUSE_S) -> None:
    """Download a file to `to`, whose folder exists; makes no request where the right file is already there.

    `on_progress` is called with the bytes received and the size.

    Raises:
        DataError: the server cannot be reached, does not have the file, keeps cutting it off or sends another one, or
            it cannot be stored. Bytes that may be right are kept for the next run.
    """
    import httpx2

    if to.is_file() and md5_of(to) == file.md5:
        return
    part = _PartialFile(to.with_name(f"{to.name}.part"))
    with httpx2.Client(follow_redirects=True, timeout=TIMEOUT_S, headers={"Accept-Encoding": "identity"}) as client:
        for _ in range(TRIES):
            before = part.received
            try:
                if part.is_whole() or _receive(client, file, part, on_progress):
                    break
            except httpx2.TransportError as error:
                if part.received == before:
                    raise _unreachable(file, part, error) from error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise _unreachable(file, part, error) from error
            except OSError as error:
                raise _unwritable(part, error) from error
            time.sleep(pause_s)
        else:
            raise DataError(
                f"{file.url} was cut off {TRIES} times, the last time after {part.size:,} bytes; run the command again "
                "to resume from there."
            )
    part.finish(file, to)


def md5_of(path: Path) -> str:
    """The MD5 of a file, 32 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


class _PartialFile:
    """The received beginning of a file, and the note beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note = path.with_name(f"{path.name}.json")
        self.received = 0
        """Bytes received in this run, over all connections."""
        self.etag, self.total = self._read_note()

    def _read_note(self) -> tuple[str, int]:
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            return str(note["etag"]), int(note["total"])
        except (OSError, ValueError, KeyError, TypeError):
            return "", 0

    @property
    def size(self) -> int:
        """Bytes that can be resumed from; none without a note of the response they belong to."""
        if not self.etag and not self.total:
            return 0
        return self.path.stat().st_size if self.path.is_file() else 0

    def is_whole(self) -> bool:
        """Whether all bytes have been received."""
        return 0 < self.total == self.size

    def begin(self, etag: str, total: int) -> None:
        """Start over, with the file that the server has now."""
        self.path.write_bytes(b"")
        self.etag, self.total = etag, total
        self.note.write_text(json.dumps({"etag": etag, "total": total}), encoding="utf-8")

    def forget(self) -> None:
        """Remove what was received."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.etag, self.total = "", 0

    def finish(self, file: RemoteFile, to: Path) -> None:
        """Verify the checksum and give the file its name; with a wrong checksum it is removed."""
        found = md5_of(self.path)
        if found != file.md5:
            self.forget()
            raise DataError(
                f"{file.url} is not the published file (its MD5 is {found}, not {file.md5}) and was removed; try "
                "again, and if this repeats, name another address with --from."
            )
        self.path.replace(to)
        self.note.unlink(missing_ok=True)


def _receive(client: httpx2.Client, file: RemoteFile, part: _PartialFile, on_progress: OnProgress) -> bool:
    """Request and write what is missing; False where it does not continue the part, which then starts over."""
    with client.stream("GET", file.url, headers=_range_headers(part)) as answer:
        if answer.status_code == 416 or (answer.status_code == 206 and not _continues(answer, part)):
            part.forget()
            return False
        if answer.status_code not in {200, 206}:
            raise DataError(
                f"{file.url} cannot be downloaded (the server answered {answer.status_code} {answer.reason_phrase}); "
                "try again later, or name another address with --from."
            )
        if answer.status_code == 200:
            part.begin(answer.headers.get("ETag", ""), int(answer.headers.get("Content-Length", "0")))
        _check_size(file, part)
        _write(answer, file, part, on_progress)
    return True


def _range_headers(part: _PartialFile) -> dict[str, str]:
    """The headers that request the missing bytes."""
    if not part.size:
        return {}
    # A weak ETag identifies equivalent files, not equal ones, and may not be used for ranges (RFC 9110, 13.1.5).
    unchanged = {"If-Range": part.etag} if part.etag and not part.etag.startswith("W/") else {}
    return {"Range": f"bytes={part.size}-", **unchanged}


def _continues(answer: httpx2.Response, part: _PartialFile) -> bool:
    """Whether a partial response continues the part; not every server honours If-Range."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    same = answer.headers.get("ETag", part.etag) == part.etag
    if found is None or not same or not part.size:
        return False
    start, total = int(found[1]), int(found[2])
    return start == part.size and total == (part.total or total)


def _check_size(file: RemoteFile, part: _PartialFile) -> None:
    if part.total > file.most_bytes:
        total = part.total
        part.forget()
        raise _too_long(file, total)
    free = shutil.disk_usage(part.path.parent).free
    if part.total - part.size > free:
        raise DataError(
            f"{file.url} needs {part.total - part.size:,} more bytes and {part.path.parent} has {free:,} left; make "
            "room, or name a folder on a larger disk."
        )


def _write(answer: httpx2.Response, file: RemoteFile, part: _PartialFile, on_progress: OnProgress) -> None:
    done = part.path.stat().st_size
    on_progress(done, part.total)
    with part.path.open("ab") as stream:
        for piece in answer.iter_raw():
            done += len(piece)
            if done > file.most_bytes:
                part.forget()
                raise _too_long(file, done)
            stream.write(piece)
            part.received += len(piece)
            on_progress(done, part.total)


def _too_long(file: RemoteFile, found: int) -> DataError:
    return DataError(
        f"{file.url} has {found:,} bytes or more and should have {file.most_bytes:,} at most, so it is another file; "
        "check the address given with --from."
    )


def _unreachable(file: RemoteFile, part: _PartialFile, error: Exception) -> DataError:
    reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error).strip()).splitlines()
    kept = f" The received bytes are kept in {part.path}." if part.size else ""
    return DataError(
        f"{file.url} cannot be reached ({reason[0].rstrip('.') if reason else type(error).__name__}); check the "
        f"network and run the command again.{kept}"
    )


def _unwritable(part: _PartialFile, error: OSError) -> DataError:
    return DataError(
        f"{part.path} cannot be written ({error.strerror}); make room or name another folder, and run the command "
        "again: it resumes."
    )
