"""Routes that return one photograph: its metadata, its file and its thumbnail."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from service.photos.decode import browser_jpeg
from service.web.dependencies import OpenLibrary
from service.web.error_responses import prefixed_photograph_errors
from service.web.schemas import PhotoOut

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


def _picture(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {}}, "description": "the picture"}}


@router.get("/photos/{photo_id}")
def photograph(photo_id: int, library: OpenLibrary) -> PhotoOut:
    """Metadata of one photograph."""
    return PhotoOut.of(library.photograph(photo_id))


@router.head("/photos/{photo_id}/image", include_in_schema=False)
@router.get("/photos/{photo_id}/image", response_class=Response, responses=_picture("image/*"))
def image(photo_id: int, library: OpenLibrary) -> Response:
    """The file of the photograph, converted to JPEG where browsers cannot display its format."""
    record, path = library.photograph(photo_id), library.file_of(photo_id)
    media_type = _MEDIA_TYPES.get(record.format)
    headers = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'"}
    if media_type is None:
        with prefixed_photograph_errors(f"The file of photograph {photo_id} cannot be shown"):
            return Response(browser_jpeg(path), media_type="image/jpeg", headers=headers)
    return FileResponse(
        path,
        media_type=media_type,
        filename=record.name,
        content_disposition_type="inline",
        headers=headers,
    )


@router.head("/photos/{photo_id}/thumbnail", include_in_schema=False)
@router.get("/photos/{photo_id}/thumbnail", response_class=Response, responses=_picture("image/jpeg"))
def thumbnail(photo_id: int, request: Request, library: OpenLibrary) -> Response:
    """A small JPEG of the photograph."""
    import xxhash

    jpeg = library.catalog.thumbnail(photo_id)
    headers = {"etag": f'"{xxhash.xxh3_64_hexdigest(jpeg)}"', "cache-control": "private, max-age=60"}
    if _is_cached(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(jpeg, media_type="image/jpeg", headers=headers)


def _is_cached(request: Request, etag: str) -> bool:
    """Whether the browser already has the content named by `etag`; a proxy may have made its tag weak (`W/`)."""
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in tags or "*" in tags
