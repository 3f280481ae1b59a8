"""Routes that list photographs, and that return one: its metadata, its file and its thumbnail."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from service.errors import PhotographError
from service.index.attributes.timeline import DateOrder
from service.library import BROWSED
from service.photos.decode import browser_jpeg
from service.photos.thumbnails import THUMBNAIL_SIDE
from service.search.query import MAX_K
from service.store.records import Details
from service.web.caching import cache_control, file_headers, is_as_indexed, is_not_modified
from service.web.dependencies import OpenLibrary
from service.web.error_responses import prefixed_photograph_errors
from service.web.filter_parameters import QueryFilters
from service.web.photo_schemas import DetailedPhotoOut
from service.web.schemas import PhotosOut

router = APIRouter(tags=["photographs"])

_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
}
"""Formats that browsers display and that are sent unchanged; the others are sent as JPEG."""
_SAFE = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'"}


class _File(FileResponse):
    """A file whose `ETag` and `Last-Modified` are given, so that they are not made from its time alone."""

    def set_stat_headers(self, stat_result: os.stat_result) -> None:
        """Announce the size."""
        self.headers.setdefault("content-length", str(stat_result.st_size))


Version = Annotated[
    str | None, Query(alias="v", description="from `links`; an answer to the current one may be kept for good")
]


def _picture(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"content": {media_type: {}}, "description": "the picture"},
        304: {"description": "the client has it already"},
    }


@router.get("/photos")
def photographs(
    library: OpenLibrary,
    filters: QueryFilters,
    order: Annotated[DateOrder, Query(description="newest or oldest first; without a date last")] = "-taken_at",
    limit: Annotated[
        int, Query(description="number of photographs", json_schema_extra={"minimum": 1, "maximum": MAX_K})
    ] = BROWSED,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the photographs before")] = None,
) -> PhotosOut:
    """List all photographs, or those that filters leave, by date."""
    return PhotosOut.of(library.photographs(filters, order=order, limit=limit, cursor=cursor))


@router.get("/photos/{photo_id}")
def photograph(photo_id: int, library: OpenLibrary) -> DetailedPhotoOut:
    """Facts, metadata and files of one photograph."""
    record = library.photograph(photo_id)
    details = library.catalog.details([record.id]).get(record.id, Details())
    return DetailedPhotoOut.of_detailed(record, details)


@router.head("/photos/{photo_id}/image", include_in_schema=False)
@router.get("/photos/{photo_id}/image", response_class=Response, responses=_picture("image/*"))
def image(photo_id: int, request: Request, library: OpenLibrary, version: Version = None) -> Response:
    """The file of the photograph, converted to JPEG where browsers cannot display its format."""
    record, path = library.photograph(photo_id), library.file_of(photo_id)
    media_type = _MEDIA_TYPES.get(record.format)
    with prefixed_photograph_errors(f"The file of photograph {photo_id} cannot be shown"):
        status = _status_of(path)
        headers = _SAFE | file_headers(record, status, "" if media_type else "-jpeg")
        headers["cache-control"] = cache_control(record, version, final=is_as_indexed(record, status))
        if is_not_modified(request, headers):
            return Response(status_code=304, headers=headers)
        if media_type is None:
            headers["content-disposition"] = f"inline; filename*=utf-8''{quote(PurePath(record.name).stem)}.jpg"
            return Response(browser_jpeg(path), media_type="image/jpeg", headers=headers)
    return _File(path, media_type=media_type, filename=record.name, content_disposition_type="inline", headers=headers)


@router.head("/photos/{photo_id}/thumbnail", include_in_schema=False)
@router.get("/photos/{photo_id}/thumbnail", response_class=Response, responses=_picture("image/jpeg"))
def thumbnail(
    photo_id: int,
    request: Request,
    library: OpenLibrary,
    version: Version = None,
    size: Annotated[Literal["small", "large"], Query(description="at most 384 or 1,000 pixels")] = "small",
) -> Response:
    """A small JPEG of the photograph, or a larger one."""
    import xxhash

    record = library.photograph(photo_id)
    jpeg = small = library.catalog.thumbnail(photo_id)
    if size == "large":
        jpeg = library.catalog.preview(photo_id)
    # A photograph indexed before there were previews has its thumbnail in place of one until it is read again.
    is_final = size == "small" or jpeg != small or max(record.width, record.height) <= THUMBNAIL_SIDE
    headers = {
        "etag": f'"{xxhash.xxh3_64_hexdigest(jpeg)}"',
        "cache-control": cache_control(record, version, final=is_final),
    }
    if is_not_modified(request, headers):
        return Response(status_code=304, headers=headers)
    return Response(jpeg, media_type="image/jpeg", headers=headers)


def _status_of(path: Path) -> os.stat_result:
    """What the system says about a file; raises `PhotographError` if it cannot be read as one."""
    try:
        status = path.stat()
    except OSError as error:
        raise PhotographError(f"the file cannot be read ({error.strerror})") from None
    # Reading a pipe may block, and a device may never end.
    if not stat.S_ISREG(status.st_mode):
        raise PhotographError("it is not a file")
    if not os.access(path, os.R_OK):
        raise PhotographError("permission to read the file was denied")
    return status
