"""HTTP caching of pictures: addresses that change with the content, validators, and conditional requests (RFC 9110)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime

from starlette.requests import Request

from service.store.records import Record

FOR_GOOD = "private, max-age=31536000, immutable"
"""For a picture at the address that names its content: another content has another address."""
BRIEFLY = "private, max-age=60"
"""For a picture at an address that stays when the content changes; afterwards the browser asks again."""

_DIGITS = 16


def version_of(record: Record) -> str:
    """What `?v=` of a photograph's addresses holds: the start of its file's hash, and what read the file.

    A later version of the reader may make another thumbnail from the same file.
    """
    return f"{record.content_hash.hex()[:_DIGITS]}-{record.read_with}"


def cache_control(record: Record, requested: str | None, *, final: bool = True) -> str:
    """How long a picture may be kept that was requested with `?v=`; one that is not `final` may still change."""
    return FOR_GOOD if final and requested == version_of(record) else BRIEFLY


def is_as_indexed(record: Record, status: os.stat_result) -> bool:
    """Whether a file still has the size and time that the catalog knows, and so the content of its hash."""
    return (status.st_size, status.st_mtime_ns) == (record.size, record.modified_ns)


def file_headers(record: Record, status: os.stat_result, variant: str = "") -> dict[str, str]:
    """`ETag` and `Last-Modified` of a photograph's file; `variant` names what is made from it, such as a JPEG."""
    content = record.content_hash.hex() if is_as_indexed(record, status) else f"{status.st_mtime_ns}-{status.st_size}"
    return {"etag": f'"{content}{variant}"', "last-modified": _http_date(status.st_mtime)}


def is_not_modified(request: Request, headers: Mapping[str, str]) -> bool:
    """Whether the client already has what `headers` describe by `etag`, and perhaps by `last-modified`.

    The date counts only in a request without tags. A header that cannot be read counts as none.
    """
    tags = ",".join(request.headers.getlist("if-none-match"))
    if tags:
        # A proxy may have made the tag weak.
        return not {"*", headers["etag"]}.isdisjoint(tag.strip().removeprefix("W/") for tag in tags.split(","))
    modified, since = (
        _parsed_date(text) for text in (headers.get("last-modified"), request.headers.get("if-modified-since"))
    )
    return modified is not None and since is not None and modified <= since


def _http_date(seconds: float) -> str:
    """A time as HTTP writes it; one that no calendar has becomes 1970 or, as HTTP asks, now."""
    return formatdate(min(max(seconds, 0.0), time.time()), usegmt=True)


def _parsed_date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
