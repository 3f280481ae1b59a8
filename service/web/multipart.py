"""A multipart form of thousands of files, received into one temporary file with bounded memory.

Starlette's own parser keeps each file up to 1 MB in memory and opens a file for each larger one: 5,000 files of 200 kB
took 1 GB of memory, 5,000 of 1.1 MB took 5,000 open files.
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

MAX_FILES = 10_000
MAX_FIELDS = 20
MAX_FIELD_BYTES = 10_000
_MAX_NAME = 1000


@dataclass
class UploadForm:
    """A received form: its text fields by name and its files in their order, readable until `close`."""

    spool: IO[bytes]
    fields: dict[str, str] = field(default_factory=dict)
    files: list[Upload] = field(default_factory=list)

    def close(self) -> None:
        """Delete the files."""
        self.spool.close()


async def receive_form(request: Request, *, files_in: str, max_file_bytes: int) -> UploadForm:
    """Receive a multipart form whose files are all in the field `files_in`.

    The content of a file larger than `max_file_bytes` is dropped and reading it raises `TooLargeError`; the other
    files are not affected. Raises `UsageError` for a request that is not such a form, or has no file or too many.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if content_type != b"multipart/form-data" or not boundary:
        raise UsageError(f"Photographs are sent as a form (multipart/form-data) with files in the field `{files_in}`.")
    form = UploadForm(tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes the form
    writer = _FormWriter(form, files_in, max_file_bytes)
    try:
        parser = MultipartParser(boundary, writer.callbacks())
        async for chunk in request.stream():
            # In a thread, because it writes to the disk.
            await run_in_threadpool(parser.write, chunk)
        parser.finalize()
        writer.check_complete()
    except FormParserError:
        form.close()
        raise UsageError("The form is broken: it is not multipart/form-data, or a part of it is missing.") from None
    except BaseException:
        form.close()
        raise
    return form


class _FormWriter:
    """Appends the files of a form to its temporary file and collects its fields; the parser calls the methods."""

    def __init__(self, form: UploadForm, files_in: str, max_file_bytes: int) -> None:
        self._form = form
        self._files_in = files_in
        self._max_file_bytes = max_file_bytes
        self._header_name, self._header_value = bytearray(), bytearray()
        self._disposition = b""
        self._name = ""
        self._filename: str | None = None
        self._text = bytearray()
        self._offset = self._length = 0
        self._ended = False

    def callbacks(self) -> MultipartCallbacks:
        """The methods by the names under which the parser calls them."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end_form,
        }

    def check_complete(self) -> None:
        """Raise `UsageError` where the end of the form is missing or it has no file."""
        if not self._ended:
            raise UsageError("The form is broken: its end is missing, and perhaps some files are. Send it again.")
        if not self._form.files:
            raise UsageError(f"The form has no file; send photographs in the field `{self._files_in}`.")

    def _begin_part(self) -> None:
        self._disposition = b""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name.extend(data[start:end])

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value.extend(data[start:end])

    def _end_header(self) -> None:
        if bytes(self._header_name).lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        filename = options.get(b"filename")
        self._filename = None if filename is None else filename.decode("utf-8", "replace")[-_MAX_NAME:]
        if self._filename is not None:
            if self._name != self._files_in:
                raise UsageError(f"Files are sent in the field `{self._files_in}`, not in `{self._name[:100]}`.")
            if len(self._form.files) >= MAX_FILES:
                raise UsageError(f"The form has more than {MAX_FILES:,} files; send them in several requests.")
        elif len(self._form.fields) >= MAX_FIELDS:
            raise UsageError(f"The form has more than {MAX_FIELDS} fields; /docs lists those that exist.")
        self._text.clear()
        self._length = 0
        self._offset = self._form.spool.tell()

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._filename is None:
            self._text.extend(data[start:end])
            if len(self._text) > MAX_FIELD_BYTES:
                raise UsageError(f"The field `{self._name[:100]}` is longer than {MAX_FIELD_BYTES:,} bytes.")
            return
        before, self._length = self._length, self._length + end - start
        if before <= self._max_file_bytes < self._length:
            # Drop what has come of this file.
            self._form.spool.seek(self._offset)
            self._form.spool.truncate()
        elif self._length <= self._max_file_bytes:
            self._form.spool.write(data[start:end])

    def _end_part(self) -> None:
        if self._filename is None:
            self._form.fields[self._name] = self._text.decode("utf-8", "replace")
        elif self._length > self._max_file_bytes:
            self._form.files.append(Upload(self._filename, partial(_raise_too_large, self._max_file_bytes)))
        else:
            self._form.files.append(Upload(self._filename, partial(self._read, self._offset, self._length)))

    def _end_form(self) -> None:
        self._form.spool.flush()
        self._ended = True

    def _read(self, offset: int, length: int) -> bytes:
        # `pread`, because several threads read and would share the position of the file.
        return os.pread(self._form.spool.fileno(), length, offset)


def _raise_too_large(max_file_bytes: int) -> bytes:
    raise TooLargeError(
        f"the file is larger than {max_file_bytes / 1e6:g} MB; send a smaller one, or raise SMYSL_UPLOAD_LIMIT_MB"
    )
