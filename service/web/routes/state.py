"""Routes that report on the service: health, heads and status."""

from __future__ import annotations

from fastapi import APIRouter

from service.web.dependencies import Background, Health, OpenLibrary
from service.web.schemas import HeadOut, HeadsOut, HealthOut, StatusOut

router = APIRouter(tags=["state"])


@router.get("/health")
async def health(checker: Health) -> HealthOut:
    """Check that the model encodes a text and the index finds a neighbour; 200 when both work."""
    return await checker.check()


@router.get("/heads")
def heads(library: OpenLibrary) -> HeadsOut:
    """The heads that photographs can be compared with."""
    return HeadsOut(heads=[HeadOut.of(head) for head in library.heads()])


@router.get("/status")
def status(library: OpenLibrary, background: Background) -> StatusOut:
    """Status of the library, its model and its index."""
    return StatusOut.of(library, background())
