"""All ratings of a folder of data as arrays: which photograph, which text, and what people said of the two.

Experts and crowd were asked different things in different units, so their rows stay apart and a pair that
both rated has two rows. What is here only reads and checks; how the two are joined is the business of what
is fitted on them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.captions import (
    CaptionedPhotograph,
    check_photograph,
    read_captions,
    read_crowd_ratings,
    read_expert_ratings,
    read_texts,
)
from service.errors import DataError
from service.store.rating_tables import (
    CAPTIONS,
    CROWD_RATINGS,
    EXPERT_RATINGS,
    IMAGES,
    MOST_JUDGES,
    CrowdRating,
    ExpertRating,
)
from service.types import BoolArray, Float64Array, Int64Array

LOWEST_GRADE, HIGHEST_GRADE = 1, 4


@dataclass(frozen=True)
class RatedPairs:
    """All rated pairs of a folder of data as arrays over n rows: first every expert row, then every crowd row.

    A pair that both rated has two rows.

    - `photographs`: the rated photographs, sorted by name; one that no caption was written for has none, and
      an empty split.
    - `texts`: the rated texts, one for each rated caption_id, in the order of their caption_ids.
    - `text_owner` (t,): row in `photographs` of the photograph that a text was written for; −1 where that
      photograph was never rated, and for a text that was written for none.
    - `photograph` (n,), `text` (n,): rows in `photographs` and `texts`.
    - `own` (n,): the text was written for this very photograph.
    - `grades` (n, 3): the experts' scores, 1 to 4; NaN in crowd rows and where a judge is missing.
    - `yes`, `no` (n,): the crowd's votes; 0 in expert rows.
    """

    photographs: list[CaptionedPhotograph]
    texts: list[str]
    text_owner: Int64Array
    photograph: Int64Array
    text: Int64Array
    own: BoolArray
    grades: Float64Array
    yes: Float64Array
    no: Float64Array

    def __len__(self) -> int:
        return len(self.photograph)

    @property
    def expert(self) -> BoolArray:
        """Rows that experts graded, (n,)."""
        return ~self.crowd

    @property
    def crowd(self) -> BoolArray:
        """Rows that the crowd voted on, (n,)."""
        voted: BoolArray = (self.yes + self.no) > 0
        return voted

    @property
    def grade(self) -> Float64Array:
        """Mean expert grade mapped to [0, 1] as (mean − 1) / 3, (n,); NaN in crowd rows."""
        given = np.isfinite(self.grades)
        count = given.sum(axis=1)
        mean = np.divide(
            np.where(given, self.grades, 0.0).sum(axis=1), count, out=np.full(len(self), np.nan), where=count > 0
        )
        mapped: Float64Array = (mean - LOWEST_GRADE) / (HIGHEST_GRADE - LOWEST_GRADE)
        return mapped

    @property
    def share(self) -> Float64Array:
        """Share of yes, 0 to 1, (n,); NaN in expert rows."""
        votes = self.yes + self.no
        share: Float64Array = np.divide(self.yes, votes, out=np.full(len(self), np.nan), where=votes > 0)
        return share


def read_rated_pairs(folder: Path) -> RatedPairs:
    """Read `captions.tsv` with `expert_ratings.tsv`, `crowd_ratings.tsv`, or both.

    Ratings may be of photographs and captions of any split, of photographs in `images/` without a caption, and
    of texts that were written for no photograph. Raises DataError where both tables of ratings are missing or
    neither has a row, and, with file, row and column, for what the readers of `data.captions` refuse, a
    photograph that is not there, a caption_id that `captions.tsv` does not have, and a pair that stands twice
    in one table.
    """
    experts = read_expert_ratings(folder) if (folder / EXPERT_RATINGS).is_file() else []
    crowd = read_crowd_ratings(folder) if (folder / CROWD_RATINGS).is_file() else []
    if not experts and not crowd:
        raise DataError(
            f"{folder} has no ratings: neither {EXPERT_RATINGS} nor {CROWD_RATINGS} is there with a row; "
            "at least one is needed."
        )
    texts = read_texts(folder)
    _check(folder, folder / EXPERT_RATINGS, experts, texts)
    _check(folder, folder / CROWD_RATINGS, crowd, texts)
    return _pairs(folder, texts, experts, crowd)


def _pairs(folder: Path, texts: dict[str, str], experts: list[ExpertRating], crowd: list[CrowdRating]) -> RatedPairs:
    ratings: list[ExpertRating | CrowdRating] = [*experts, *crowd]
    rated = [(each.image, each.caption_id) for each in ratings]
    rated_names, rated_captions = {name for name, _ in rated}, sorted({caption_id for _, caption_id in rated})
    captioned = {each.name: each for each in read_captions(folder)}
    photographs = [
        captioned.get(name) or CaptionedPhotograph(name, folder / IMAGES / name, "", ()) for name in sorted(rated_names)
    ]
    row_of = {each.name: row for row, each in enumerate(photographs)}
    text_row = {caption_id: row for row, caption_id in enumerate(rated_captions)}
    owner_of = {caption.caption_id: row_of[each.name] for each in photographs for caption in each.captions}
    owner = np.array([owner_of.get(caption_id, -1) for caption_id in rated_captions], dtype=np.int64)
    photograph = np.array([row_of[name] for name, _ in rated], dtype=np.int64)
    text = np.array([text_row[caption_id] for _, caption_id in rated], dtype=np.int64)
    grades = np.full((len(rated), MOST_JUDGES), np.nan)
    for row, rating in enumerate(experts):
        grades[row, : len(rating.scores)] = rating.scores
    votes = np.zeros((len(rated), 2))
    votes[len(experts) :] = np.array([(each.yes, each.no) for each in crowd], dtype=np.float64).reshape(-1, 2)
    return RatedPairs(
        photographs=photographs,
        texts=[texts[caption_id] for caption_id in rated_captions],
        text_owner=owner,
        photograph=photograph,
        text=text,
        own=owner[text] == photograph,
        grades=grades,
        yes=votes[:, 0],
        no=votes[:, 1],
    )


def _check(folder: Path, file: Path, ratings: Iterable[ExpertRating | CrowdRating], texts: Collection[str]) -> None:
    """Refuse a rating of something unknown and a second rating of the same pair."""
    first_row: dict[tuple[str, str], int] = {}
    for row, rating in enumerate(ratings, start=2):
        check_photograph(folder, file, row, rating.image)
        if rating.caption_id not in texts:
            raise DataError(f"{file}, row {row}, column caption_id: {CAPTIONS} has no caption {rating.caption_id!r}.")
        before = first_row.setdefault((rating.image, rating.caption_id), row)
        if before != row:
            raise DataError(
                f"{file}, row {row}, column caption_id: {rating.image!r} with {rating.caption_id!r} was already "
                f"rated in row {before}; keep one of the two rows."
            )
