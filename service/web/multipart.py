"""A form of many files, taken one by one as they arrive: one file on the disk holds them all, memory holds none.

A form parser that opens a file for each photograph runs out of them, and one that keeps small files in memory runs out
of that; forms of folders have both.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from service.errors import TooLargeError, UsageError
from service.search.classify import Upload

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks
    from starlette.requests import Request

MOST_FILES = 10_000
MOST_FIELDS = 20
MOST_FIELD_BYTES = 10_000
_MOST_NAME = 1000


@dataclass
class Form:
    """What a form held: the texts of its fields by name, and its files in their order.

    The files can be read until the form is closed.
    """

    spool: IO[bytes]
    fields: dict[str, str] = field(default_factory=dict)
    files: list[Upload] = field(default_factory=list)

    def close(self) -> None:
        """Remove the files."""
        self.spool.close()


async def receive_form(request: Request, *, files_in: str, most_bytes: int) -> Form:
    """Take a multipart form whose files all stand in the field `files_in`.

    A file of more than `most_bytes` is not kept: reading it raises `TooLargeError`, and the others are as they are.
    Raises `UsageError` for what is no such form, that holds no file, or too many.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise UsageError(f"Photographs are sent as a form (multipart/form-data) with files in the field `{files_in}`.")
    form = Form(tempfile.TemporaryFile())  # noqa: SIM115 - whoever gets the form closes it
    taker = _Taker(form, files_in, most_bytes)
    try:
        parser = MultipartParser(boundary, taker.callbacks())
        async for chunk in request.stream():
            # What is taken is written to the disk, which may keep a thread waiting.
            await run_in_threadpool(parser.write, chunk)
        parser.finalize()
        taker.check_end()
    except FormParserError:
        form.close()
        raise UsageError("The form is broken: what was sent is no multipart/form-data, or not all of it.") from None
    except BaseException:
        form.close()
        raise
    return form


class _Taker:
    """Writes the files of a form one behind the other, and remembers its fields."""

    def __init__(self, form: Form, files_in: str, most_bytes: int) -> None:
        self._form = form
        self._files_in = files_in
        self._most_bytes = most_bytes
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._name = ""
        self._file: str | None = None
        self._text = bytearray()
        self._offset = self._length = 0
        self._ended = False

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._take_header,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def check_end(self) -> None:
        """Raise `UsageError` where the form broke off, or has no file."""
        if not self._ended:
            raise UsageError("The form is broken: its end is missing, so that files may be, too. Send it again.")
        if not self._form.files:
            raise UsageError(f"The form has no file; send photographs in the field `{self._files_in}`.")

    def _begin(self) -> None:
        self._disposition = b""

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header.extend(data[start:end])

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value.extend(data[start:end])

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        given = options.get(b"filename")
        self._file = None if given is None else given.decode("utf-8", "replace")[-_MOST_NAME:]
        if self._file is not None:
            if self._name != self._files_in:
                raise UsageError(f"Files are sent in the field `{self._files_in}`, not in `{self._name[:100]}`.")
            if len(self._form.files) >= MOST_FILES:
                raise UsageError(f"The form has more than {MOST_FILES:,} files; send them in several requests.")
        elif len(self._form.fields) >= MOST_FIELDS:
            raise UsageError(f"The form has more than {MOST_FIELDS} fields; /docs says which there are.")
        self._text.clear()
        self._length = 0
        self._offset = self._form.spool.tell()

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._file is None:
            self._text.extend(data[start:end])
            if len(self._text) > MOST_FIELD_BYTES:
                raise UsageError(f"The field `{self._name[:100]}` is longer than {MOST_FIELD_BYTES:,} bytes.")
            return
        before, self._length = self._length, self._length + end - start
        if before <= self._most_bytes < self._length:
            # What has come of it is written over by the next one.
            self._form.spool.seek(self._offset)
            self._form.spool.truncate()
        elif self._length <= self._most_bytes:
            self._form.spool.write(data[start:end])

    def _end(self) -> None:
        if self._file is None:
            self._form.fields[self._name] = self._text.decode("utf-8", "replace")
            return
        too_large = self._length > self._most_bytes
        read = partial(_refuse, self._most_bytes) if too_large else partial(self._read, self._offset, self._length)
        self._form.files.append(Upload(self._file, read))

    def _finish(self) -> None:
        self._form.spool.flush()
        self._ended = True

    def _read(self, offset: int, length: int) -> bytes:
        # Several threads read, and one place in the file would be everybody's.
        return os.pread(self._form.spool.fileno(), length, offset)


def _refuse(most_bytes: int) -> bytes:
    raise TooLargeError(
        f"the file is larger than {most_bytes / 1e6:g} MB; send a smaller one, or raise SMYSL_UPLOAD_LIMIT_MB"
    )
