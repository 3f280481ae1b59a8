"""Reads the table of photographs and texts that an encoder is fine-tuned on.

Rows with a fault are left out and reported; what puts the rest of the table in doubt (a missing column, an unclosed
quote, another encoding) is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.errors import DataError, NotFoundError, PhotographError
from service.photos.decode import open_photograph
from service.store.tsv import read_table
from service.types import OnProgress

if TYPE_CHECKING:
    from PIL import Image

TRAIN = "train"
VALIDATION = "validation"
FEWEST = 2
"""Photographs in each split at least; one alone has no wrong answers."""

_NO_SPLIT = "an empty cell"


@dataclass(frozen=True, slots=True)
class PairedPhotograph:
    """A photograph with its texts in the order of the table.

    `row` is its first row (the header is row 1). `split` is "train", "validation" or, in a table without that column,
    empty.
    """

    name: str
    path: Path
    row: int
    split: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairTable:
    """The usable photographs of a table, and a sentence about each row with a fault."""

    file: Path
    photographs: tuple[PairedPhotograph, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _PairRow:
    row: int
    image: str
    text: str
    split: str


def read_pair_table(file: Path, images: Path) -> PairTable:
    """Read a UTF-8 table with the columns `image`, `text` and perhaps `split`, separated by tabs, quoted as RFC 4180.

    `image` is a path relative to the folder `images`. Photographs must exist but are not opened.

    Raises:
        NotFoundError: the file or the folder is missing.
        DataError: the file is not such a table, or has no usable row.
    """
    for path, kind in ((file, "file"), (images, "folder")):
        if not (path.is_dir() if kind == "folder" else path.is_file()):
            raise NotFoundError(f"There is no {kind} {path}. Check the spelling.")
    faults: list[str] = []
    found: dict[str, PairedPhotograph] = {}
    for row in _rows(file, faults):
        name = os.path.normpath(row.image) if row.image.strip() else ""
        fault = _fault(row, name, images, found.get(name))
        if fault:
            faults.append(f"row {row.row}, column {fault}")
        elif name not in found:
            found[name] = PairedPhotograph(name, images / name, row.row, row.split, (row.text.strip(),))
        elif (text := row.text.strip()) not in found[name].texts:
            found[name] = replace(found[name], texts=(*found[name].texts, text))
    return _usable(PairTable(file, tuple(found.values()), tuple(faults)))


def without_unreadable(table: PairTable, side: int, threads: int, on_progress: OnProgress) -> PairTable:
    """Decode every photograph once and leave out those that cannot be read, rather than fail after an hour.

    `side` is as for `read_photographs`. Raises DataError where none is left.
    """
    readable, faults = [], list(table.faults)

    def reason(photograph: PairedPhotograph) -> str | None:
        try:
            open_photograph(photograph.path, shorter_side=side)
        except PhotographError as error:
            return error.message
        return None

    with ThreadPoolExecutor(threads) as pool:
        for done, (photograph, fault) in enumerate(
            zip(table.photographs, pool.map(reason, table.photographs), strict=True), start=1
        ):
            if fault is None:
                readable.append(photograph)
            else:
                faults.append(f"row {photograph.row}, column image: {photograph.name!r} cannot be used: {fault}.")
            on_progress(done, len(table.photographs))
    return _usable(replace(table, photographs=tuple(readable), faults=tuple(faults)))


def split_photographs(
    table: PairTable, share: float, seed: int
) -> tuple[list[PairedPhotograph], list[PairedPhotograph]]:
    """The photographs to train on and those to validate on, in the order of the table.

    The column `split` decides; without it, a `share` of the photographs (not of the rows) is drawn for validation.
    Raises DataError where either split has fewer than two photographs.
    """
    photographs = table.photographs
    if any(photograph.split for photograph in photographs):
        splits = {name: [each for each in photographs if each.split == name] for name in (TRAIN, VALIDATION)}
        for name, members in splits.items():
            if len(members) < FEWEST:
                has = f"only one photograph of split {name}" if members else f"no photograph of split {name}"
                raise DataError(f"{table.file}, column split: there is {has}; at least {FEWEST} are needed.")
        return splits[TRAIN], splits[VALIDATION]
    if len(photographs) < 2 * FEWEST:
        raise DataError(
            f"{table.file} has {len(photographs):,} usable photograph{'' if len(photographs) == 1 else 's'}; at least "
            f"{2 * FEWEST} are needed, {FEWEST} of them for validation."
        )
    taken = min(max(round(share * len(photographs)), FEWEST), len(photographs) - FEWEST)
    drawn = set(np.random.default_rng(seed).permutation(len(photographs))[:taken].tolist())
    return (
        [each for index, each in enumerate(photographs) if index not in drawn],
        [each for index, each in enumerate(photographs) if index in drawn],
    )


def describe_faults(faults: Sequence[str], most: int = 5) -> list[str]:
    """Lines that name the first rows left out and count the others."""
    lines = [f"Left out: {fault}" for fault in faults[:most]]
    if (more := len(faults) - most) > 0:
        lines.append(f"Left out: {more:,} more row{'s' if more > 1 else ''}.")
    return lines


def read_photographs(batches: Sequence[Sequence[Path]], side: int, threads: int) -> Iterator[list[Image.Image]]:
    """Decoded RGB photographs, batch by batch; the next batch is decoded while the caller works on one.

    `side` is the least length of the shorter side in pixels. Raises PhotographError that names the file.
    """

    def decode(path: Path) -> Image.Image:
        try:
            return open_photograph(path, shorter_side=side).image
        except PhotographError as error:
            raise PhotographError(f"{path} cannot be used as a photograph: {error.message}.") from None

    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(decode, path) for path in batches[0]] if batches else []
        for following in [*batches[1:], ()] if batches else []:
            current, waiting = waiting, [pool.submit(decode, path) for path in following]
            yield [each.result() for each in current]


def _rows(file: Path, faults: list[str]) -> Iterator[_PairRow]:
    """The rows of the table; those of another length than the header's go to the faults."""
    rows = read_table(file, ("image", "text"), optional=("split",), on_uneven=faults.append)
    next(rows)
    for row in rows:
        # A missing column is allowed, an empty cell is a fault.
        split = row.cells.get("split", "").strip() or (_NO_SPLIT if "split" in row.cells else "")
        yield _PairRow(row.number, row.cells["image"], row.cells["text"], split)


def _fault(row: _PairRow, name: str, images: Path, earlier: PairedPhotograph | None) -> str | None:
    """The column with a fault and what is wrong, or None."""
    outside = bool(name) and (Path(name).is_absolute() or Path(name).parts[0] == "..")
    checks = (
        (bool(name), "image: the cell is empty."),
        (not outside, f"image: {row.image!r} leaves the folder {images}."),
        (bool(row.text.strip()), "text: the cell is empty."),
        (
            row.split in ("", TRAIN, VALIDATION),
            f"split: {row.split if row.split == _NO_SPLIT else repr(row.split)} is neither {TRAIN} nor {VALIDATION}.",
        ),
        (earlier is None or earlier.split == row.split, f"split: {name!r} is already in the other split."),
        (outside or (images / name).is_file(), f"image: there is no photograph {row.image!r} in {images}."),
    )
    return next((sentence for right, sentence in checks if not right), None)


def _usable(table: PairTable) -> PairTable:
    if not table.photographs:
        first = f"; the first fault: {table.faults[0]}" if table.faults else ": there is nothing below its header."
        raise DataError(f"{table.file} has no usable row{first}")
    return table
