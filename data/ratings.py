"""All ratings of a folder of data as arrays: the photograph, the text, and how people rated the pair.

Experts and crowd answered different questions on different scales, so their rows are kept apart, and a pair that both
rated has two rows. `training.joint_logistic` fits both together.
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
    MAX_JUDGES,
    CrowdRating,
    ExpertRating,
)
from service.types import BoolArray, Float64Array, Int64Array

LOWEST_GRADE, HIGHEST_GRADE = 1, 4


@dataclass(frozen=True)
class RatedPairs:
    """All rated pairs of a folder of data as arrays over n rows: first every expert row, then every crowd row.

    A pair that both rated has two rows.

    - `photographs`: the rated photographs, sorted by name; one without a caption has an empty split.
    - `texts`: the rated texts, one for each rated caption_id, in the order of their caption_ids.
    - `text_owner` (t,): row in `photographs` of the photograph that a text was written for; −1 where it was written
      for none, or for one that was never rated.
    - `photograph` (n,), `text` (n,): rows in `photographs` and `texts`.
    - `own` (n,): the text was written for this very photograph.
    - `grades` (n, 3): the experts' scores, 1 to 4; NaN in crowd rows and for missing judges.
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
        present = np.isfinite(self.grades)
        count = present.sum(axis=1)
        mean = np.divide(
            np.where(present, self.grades, 0.0).sum(axis=1), count, out=np.full(len(self), np.nan), where=count > 0
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

    Photographs and captions of any split can be rated, as can photographs in `images/` without a caption and texts
    without a photograph.

    Raises:
        DataError: neither table has a row; or, with file, row and column: whatever the readers of `data.captions`
            refuse, a photograph that is missing, a caption_id that is not in `captions.tsv`, or a pair that is twice in
            one table.
    """
    experts = read_expert_ratings(folder) if (folder / EXPERT_RATINGS).is_file() else []
    crowd = read_crowd_ratings(folder) if (folder / CROWD_RATINGS).is_file() else []
    if not experts and not crowd:
        raise DataError(
            f"{folder} has no ratings: neither {EXPERT_RATINGS} nor {CROWD_RATINGS} has a row; at least one is needed."
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
    grades = np.full((len(rated), MAX_JUDGES), np.nan)
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
    """Raise DataError for a rating of an unknown photograph or text, and for a second rating of a pair."""
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
