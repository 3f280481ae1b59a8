"""A table of photographs and texts to the same table with a match in every row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import DataError, PhotographError, UsageError
from service.photos import open_photograph
from service.search import check_text

if TYPE_CHECKING:
    import pandas as pd

    from service.encoder import Encoder
    from service.scorer import Scorer

_AT_ONCE = 64


def score_table(file: Path, encoder: Encoder, scorer: Scorer, on_progress: Callable[[int, int], None]) -> pd.DataFrame:
    """The rows of a TSV file with the columns `image` and `text`, and a column `match` in [0, 1].

    Paths are relative to the file. All rows are checked before the first is scored. Raises `DataError`
    that names row and column.
    """
    from service.library import score

    table = _read(file)
    matches: list[float] = []
    for start in range(0, len(table), _AT_ONCE):
        rows = table.iloc[start : start + _AT_ONCE]
        images = []
        for number, name in zip(range(start, start + len(rows)), rows["image"], strict=True):
            try:
                photograph = open_photograph(file.parent / name, max_side=2 * encoder.photograph_side)
            except PhotographError as error:
                raise DataError(f"{file}, row {number + 2}, column image: {name}: {error.message}.") from None
            images.append(photograph.image)
        matches.extend(one.match for one in score(encoder, scorer, images, list(rows["text"])))
        on_progress(start + len(rows), len(table))
    return table.assign(match=matches)


def _read(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise DataError(f"There is no file {file}.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as a table separated by tabs ({error}).") from None
    for column in ("image", "text"):
        if column not in table.columns:
            raise DataError(f"{file} has no column {column}; it needs the columns image and text.")
    for number, (name, text) in enumerate(zip(table["image"], table["text"], strict=True), start=2):
        if not (file.parent / name).is_file():
            raise DataError(f"{file}, row {number}, column image: there is no file {name!r} beside the table.")
        try:
            check_text(text)
        except UsageError as error:
            raise DataError(f"{file}, row {number}, column text: {error.message}") from None
    return table
