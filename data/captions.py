"""Photographs with captions and with people's ratings, as typed and checked rows.

A folder of data holds `images/` and tab-separated tables with a header, UTF-8, quoted as in RFC 4180:

- `captions.tsv`: `image`, `caption_id`, `split`, `caption`; `image` is empty where the text was written for no
  particular photograph, as are the texts that people rate in their own libraries;
- `crowd_ratings.tsv`: `image`, `caption_id`, `yes`, `no` (how many people said that the caption fits);
- `expert_ratings.tsv`: `image`, `caption_id`, `expert1`, `expert2`, `expert3` (each 1 to 4; cells of missing judges
  are empty, and each row has at least one judge).

Every fault is a DataError that names the file, the row (the header is row 1) and the column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import DataError
from service.store.rating_tables import (
    CAPTIONS,
    COLUMNS,
    CROWD_RATINGS,
    EXPERT_RATINGS,
    IMAGES,
    JUDGE_COLUMNS,
    CrowdRating,
    ExpertRating,
)
from service.store.tsv import read_table


@dataclass(frozen=True)
class Caption:
    """One sentence about one photograph."""

    caption_id: str
    text: str


@dataclass(frozen=True)
class CaptionedPhotograph:
    """A photograph of the data with its captions, in the order of the file."""

    name: str
    path: Path
    split: str
    captions: tuple[Caption, ...]


def read_captions(folder: Path, split: str | None = None) -> list[CaptionedPhotograph]:
    """Read the captioned photographs of `captions.tsv`, in the order of the file; all splits, or one.

    Texts without a photograph are left out; `read_texts` returns them too.

    Raises:
        DataError: a file, column or photograph is missing, a cell other than `image` is empty, a caption_id is used
            twice, a photograph is in two splits, or no photograph is in the split.
    """
    file = folder / CAPTIONS
    captions: dict[str, list[Caption]] = {}
    splits: dict[str, str] = {}
    for row, cells in _captions(file):
        name = cells["image"]
        if not name:
            continue
        if name not in captions:
            check_photograph(folder, file, row, name)
        if splits.setdefault(name, cells["split"]) != cells["split"]:
            raise _fault(file, row, "split", f"{name!r} is already in split {splits[name]!r}")
        captions.setdefault(name, []).append(Caption(cells["caption_id"], cells["caption"]))
    if split is not None and split not in splits.values():
        known = ", ".join(sorted(set(splits.values()))) or "none"
        raise DataError(f"{file}, column split: no row is of split {split!r}; the file has: {known}.")
    return [
        CaptionedPhotograph(name, folder / IMAGES / name, splits[name], tuple(group))
        for name, group in captions.items()
        if split is None or splits[name] == split
    ]


def read_texts(folder: Path) -> dict[str, str]:
    """Every text of `captions.tsv` by its caption_id, including texts without a photograph.

    Raises DataError for a missing file or column, an empty cell other than `image`, and a duplicate caption_id.
    """
    return {cells["caption_id"]: cells["caption"] for _, cells in _captions(folder / CAPTIONS)}


def read_crowd_ratings(folder: Path) -> list[CrowdRating]:
    """Read `crowd_ratings.tsv`; DataError for a missing file or column, a count below 0, a row without votes."""
    file = folder / CROWD_RATINGS
    ratings = []
    for row, cells in _rows(file, COLUMNS[CROWD_RATINGS]):
        yes, no = (_whole(file, row, column, cells[column], 0, 1_000_000) for column in ("yes", "no"))
        if yes + no == 0:
            raise _fault(file, row, "yes", "nobody voted, so there is no share of yes")
        ratings.append(CrowdRating(cells["image"], cells["caption_id"], yes, no))
    return ratings


def read_expert_ratings(folder: Path) -> list[ExpertRating]:
    """Read `expert_ratings.tsv`; empty cells of missing judges are skipped.

    Raises DataError for a missing file or column, a judgement outside 1 to 4, and a row without a judgement.
    """
    file = folder / EXPERT_RATINGS
    ratings = []
    for row, cells in _rows(file, COLUMNS[EXPERT_RATINGS]):
        filled = [column for column in JUDGE_COLUMNS if cells[column].strip()]
        if not filled:
            raise _fault(file, row, "expert1", "nobody judged, and at least one judgement is needed")
        scores = tuple(_whole(file, row, column, cells[column], 1, 4) for column in filled)
        ratings.append(ExpertRating(cells["image"], cells["caption_id"], scores))
    return ratings


def check_photograph(folder: Path, file: Path, row: int, name: str) -> None:
    """Raise DataError, with file and row, where `images/` has no photograph `name`, or the name points outside it."""
    images = folder / IMAGES
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise _fault(file, row, "image", f"{name!r} leaves the folder {IMAGES}/")
    if not (images / name).is_file():
        raise _fault(file, row, "image", f"there is no photograph {name!r} in {images}")


def _captions(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of `captions.tsv`, checked for empty cells (only `image` may be empty) and duplicate caption_ids."""
    seen: set[str] = set()
    for row, cells in _rows(file, COLUMNS[CAPTIONS]):
        for column, cell in cells.items():
            if not cell.strip() and (cell or column != "image"):
                raise _fault(file, row, column, "the cell is empty")
        if cells["caption_id"] in seen:
            raise _fault(file, row, "caption_id", f"{cells['caption_id']!r} was already used")
        seen.add(cells["caption_id"])
        yield row, cells


def _rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a table as (row number, cells of `columns`)."""
    rows = read_table(file, columns, hint=f"A folder of data holds {IMAGES}/ and {CAPTIONS}.")
    next(rows)
    for row in rows:
        yield row.number, {column: row.cells[column] for column in columns}


def _whole(file: Path, row: int, column: str, cell: str, low: int, high: int) -> int:
    if not cell.strip().isdecimal() or not low <= int(cell) <= high:
        raise _fault(file, row, column, f"{cell!r} is not a whole number from {low} to {high}")
    return int(cell)


def _fault(file: Path, row: int, column: str, what: str) -> DataError:
    return DataError(f"{file}, row {row}, column {column}: {what}.")
