"""Reads what a photograph's file, its sidecars and its film say about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from service.photos.metadata.motion import read_film
from service.photos.metadata.reader import Sidecar, read_metadata
from service.photos.places import place_of
from service.store.records import Companion, Details, FileInfo

_MAX_SIDECAR_BYTES = 16 << 20
"""Bytes that are read of a photograph's sidecars and JSON together."""


def read_details(
    folder: Path, file: FileInfo, companions: Sequence[Companion], content: bytes
) -> tuple[Details, list[str]]:
    """Metadata of a photograph in `folder` with the bytes `content`, and of the files that belong to it.

    Also returns clauses on what is broken in it. A companion that cannot be read counts as empty.
    """
    metadata, problems = read_metadata(
        content, file.name, sidecars=list(_sidecars(folder, companions)), modified=_local_time(file.modified_ns)
    )
    if metadata.motion is None:
        films = (read_film(folder / each.name).seconds for each in companions if each.role == "motion")
        metadata = replace(metadata, motion=next((seconds for seconds in films if seconds is not None), None))
    town = None
    if metadata.latitude is not None and metadata.longitude is not None:
        town = place_of(metadata.latitude, metadata.longitude)
    return Details(metadata, tuple(companions), None if town is None else town.id), problems


def _sidecars(folder: Path, companions: Sequence[Companion]) -> Iterator[Sidecar]:
    left = _MAX_SIDECAR_BYTES
    for companion in companions:
        if companion.role in ("sidecar", "takeout") and companion.size <= left:
            left -= companion.size
            try:
                yield Sidecar(companion.name, (folder / companion.name).read_bytes())
            except OSError:
                continue


def _local_time(modified_ns: int) -> datetime | None:
    """A file's time on this machine's clock; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(modified_ns / 1e9, UTC).astimezone()
    except (OSError, OverflowError, ValueError):
        return None
