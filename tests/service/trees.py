"""Trees of empty files to be walked, and what a walk found in them as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from service.indexing.walk import Listing, Walk
from service.store.records import RootOptions


def write(folder: Path, *names: str, content: bytes = b"x") -> Path:
    """Create files, with the folders that they are in; a name that ends with a slash is a folder."""
    for name in names:
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content)
    return folder


def listings(root: Path, start: str = "", **options: object) -> list[Listing]:
    """All listings of one walk."""
    return list(Walk([root]).listings(root, start, RootOptions(**options)))  # type: ignore[arg-type]


def photographs(found: Iterable[Listing]) -> list[str]:
    """The paths of the photographs, relative to the root, in the order of the walk."""
    return [f"{listing.folder}/{group.primary.name}".removeprefix("/") for listing in found for group in listing.groups]


def skipped(found: Iterable[Listing]) -> dict[str, str]:
    """The code of the reason for each path that was skipped, relative to the root."""
    return {listing.path_of(each): each.reason.value for listing in found for each in listing.skipped}


def failures(found: Iterable[Listing]) -> dict[str, str]:
    """The sentence for each path that could not be read, relative to the root."""
    return {listing.path_of(each): each.sentence for listing in found for each in listing.failures}


def grouped(found: Sequence[Listing]) -> dict[str, list[str]]:
    """For each photograph its companions, as "role name", if it has any."""
    return {
        path: [f"{companion.role} {companion.entry.name}" for companion in group.companions]
        for path, group in zip(photographs(found), [each for listing in found for each in listing.groups], strict=True)
        if group.companions
    }
