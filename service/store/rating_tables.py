"""The tables of a folder of captions and ratings: their names, columns and rows, and how they are written.

All are tab-separated, in UTF-8, with a header. `data.captions` reads them and describes each column.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import DataError
from service.store.atomic import replacing_all

IMAGES = "images"
"""The folder of photographs beside the tables."""

CAPTIONS = "captions.tsv"
CROWD_RATINGS = "crowd_ratings.tsv"
EXPERT_RATINGS = "expert_ratings.tsv"
TABLES = (CAPTIONS, EXPERT_RATINGS, CROWD_RATINGS)

MAX_JUDGES = 3
"""How many judgements a row of expert ratings has columns for."""

JUDGE_COLUMNS = tuple(f"expert{number}" for number in range(1, MAX_JUDGES + 1))
COLUMNS: Mapping[str, tuple[str, ...]] = {
    CAPTIONS: ("image", "caption_id", "split", "caption"),
    EXPERT_RATINGS: ("image", "caption_id", *JUDGE_COLUMNS),
    CROWD_RATINGS: ("image", "caption_id", "yes", "no"),
}
"""The header of each table."""


@dataclass(frozen=True)
class CrowdRating:
    """How many people said that the caption describes the photograph, and how many that it does not."""

    image: str
    caption_id: str
    yes: int
    no: int

    @property
    def share(self) -> float:
        """Share of yes, 0 to 1."""
        return self.yes / (self.yes + self.no)


@dataclass(frozen=True)
class ExpertRating:
    """One to three judgements, each from 1 (does not describe the photograph) to 4 (describes it)."""

    image: str
    caption_id: str
    scores: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Mean of the judgements, 1 to 4."""
        return sum(self.scores) / len(self.scores)


def tables_in(folder: Path) -> list[str]:
    """Names of the tables that already exist in a folder."""
    return [name for name in TABLES if (folder / name).exists()]


def write_tables(
    folder: Path,
    texts: Mapping[str, str],
    experts: Sequence[ExpertRating],
    crowd: Sequence[CrowdRating],
    *,
    split: str,
) -> None:
    """Write the three tables into an existing folder: all of them, or none.

    Args:
        folder: where the tables are written; existing ones are replaced.
        texts: texts by caption_id that were written for no particular photograph.
        experts: rows of expert ratings.
        crowd: rows of crowd ratings.
        split: the split of every text.

    Raises:
        DataError: the folder cannot be written to.
    """
    rows: dict[str, list[tuple[object, ...]]] = {
        CAPTIONS: [("", name, split, text) for name, text in texts.items()],
        EXPERT_RATINGS: [_expert_row(rating) for rating in experts],
        CROWD_RATINGS: [(each.image, each.caption_id, each.yes, each.no) for each in crowd],
    }
    try:
        with replacing_all([folder / name for name in TABLES]) as files:
            for name, file in zip(TABLES, files, strict=True):
                write_table(file, COLUMNS[name], rows[name])
    except OSError as error:
        raise DataError(f"The tables cannot be written to {folder} ({error.strerror or error}).") from None


def write_table(file: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table to `file` in place; raises `OSError`."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter="\t", lineterminator="\n").writerows([header, *rows])


def _expert_row(rating: ExpertRating) -> tuple[object, ...]:
    """The cells of one row; the cells of missing judges are empty."""
    if not 1 <= len(rating.scores) <= MAX_JUDGES:
        raise ValueError(f"a row has 1 to {MAX_JUDGES} judgements, not {len(rating.scores)}")
    return rating.image, rating.caption_id, *rating.scores, *[""] * (MAX_JUDGES - len(rating.scores))
