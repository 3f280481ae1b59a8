"""What a service says of its index runs."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from service.indexing.indexer import Summary


class IndexingOut(BaseModel):
    """Progress of the index run of this service."""

    done: int
    total: int
    failed: int
    error: str | None = Field(description="why the run failed, or null")


class LastRunOut(BaseModel):
    """What the last index run of this service did, in the folders that it covered."""

    at: datetime = Field(description="when it ended, in UTC")
    added: int
    changed: int
    moved: int
    revived: int = Field(description="photographs that had been removed and are back")
    removed: int
    missing: int = Field(description="photographs whose files are gone")
    failed: int

    @classmethod
    def of(cls, summary: Summary, at: datetime) -> LastRunOut:
        """From the summary of a run that ended at a time."""
        return cls(
            at=at.replace(microsecond=0),
            added=summary.added,
            changed=summary.changed,
            moved=summary.moved,
            revived=summary.revived,
            removed=summary.removed,
            missing=summary.missing,
            failed=len(summary.failed),
        )


class BackgroundOut(BaseModel):
    """The index runs of this service."""

    indexing: IndexingOut | None = None
    watching: list[str] = []
    away: list[str] = []
    last_run: LastRunOut | None = None
