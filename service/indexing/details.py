"""Reads what a photograph's file, its sidecars and its film say about it, and looks up where it was taken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from service.store.records import Companion, Details, FileInfo


def read_details(folder: Path, file: FileInfo, companions: Sequence[Companion], content: bytes) -> Details:
    """Metadata of a photograph with the bytes `content`, in `folder`, and of the files that belong to it."""
    return Details(companions=tuple(companions))
