"""Writes the tables of a folder of data as `data.captions` reads them: all of them, or none."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.captions import CAPTIONS, CROWD_RATINGS, EXPERT_RATINGS, CrowdRating, ExpertRating
from service.errors import DataError

TABLES = (CAPTIONS, EXPERT_RATINGS, CROWD_RATINGS)
MOST_JUDGES = 3
"""Judgements that a row of expert ratings has columns for."""


def tables_in(folder: Path) -> list[str]:
    """Names of the tables that a folder holds already."""
    return [name for name in TABLES if (folder / name).exists()]


def write_tables(
    folder: Path,
    texts: Mapping[str, str],
    experts: Sequence[ExpertRating],
    crowd: Sequence[CrowdRating],
    *,
    split: str,
) -> None:
    """Write `captions.tsv`, `expert_ratings.tsv` and `crowd_ratings.tsv` into an existing folder.

    `texts` maps caption_ids to texts that were written for no photograph; they stand in split `split`. Each
    table is written beside its place, and none takes its place before all are whole. Raises DataError where
    the folder cannot be written to.
    """
    judges = [f"expert{judge + 1}" for judge in range(MOST_JUDGES)]
    tables: dict[str, list[tuple[object, ...]]] = {
        CAPTIONS: [
            ("image", "caption_id", "split", "caption"),
            *(("", name, split, text) for name, text in texts.items()),
        ],
        EXPERT_RATINGS: [("image", "caption_id", *judges), *map(_expert_row, experts)],
        CROWD_RATINGS: [
            ("image", "caption_id", "yes", "no"),
            *((each.image, each.caption_id, each.yes, each.no) for each in crowd),
        ],
    }
    try:
        for name, rows in tables.items():
            with _beside(folder / name).open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream, delimiter="\t", lineterminator="\n").writerows(rows)
        for name in tables:
            _beside(folder / name).replace(folder / name)
    except OSError as error:
        raise DataError(f"The tables cannot be written to {folder} ({error.strerror or error}).") from None
    finally:
        for name in tables:
            _beside(folder / name).unlink(missing_ok=True)


def _expert_row(rating: ExpertRating) -> tuple[object, ...]:
    """The cells of one row; those of judges that there were not are empty."""
    if not 1 <= len(rating.scores) <= MOST_JUDGES:
        raise ValueError(f"a row has 1 to {MOST_JUDGES} judgements, not {len(rating.scores)}")
    return rating.image, rating.caption_id, *rating.scores, *[""] * (MOST_JUDGES - len(rating.scores))


def _beside(file: Path) -> Path:
    return file.with_name(f".{file.name}.part")
