"""Ratings: what people say of how well a text fits a photograph; the rules for one, and its rows in the catalog.

A rating changes nothing that can be found, so it makes no new generation, and it may be given while another
process indexes. It belongs to the photograph under its id: it stays when the file is moved or edited, and goes
where the photograph leaves the library.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from service.errors import UsageError
from service.store.catalog import Catalog
from service.store.records import Rating, Scale
from service.texts import check_text

SOMEBODY = "me"
"""Who rates where no name is given: the one person whose library it is."""

MOST_NAME_CHARACTERS = 100
MOST_AT_ONCE = 1000
_MOST_OFFSET = 1 << 62


class Ratings:
    """The ratings of a catalog. One rater has one rating for a photograph, a text and a scale."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def add(self, rating: Rating) -> None:
        """Write a rating; what its rater said before of this photograph and text on this scale is replaced.

        Raises `NotFoundError` where there is no such photograph.
        """
        with self._catalog.transaction() as connection:
            self._catalog.record(rating.photograph_id)
            connection.execute(
                "INSERT INTO rating (photograph_id, text, scale, value, rater, time) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (photograph_id, text, scale, rater) DO UPDATE SET value = excluded.value, "
                "time = excluded.time",
                (rating.photograph_id, rating.text, rating.scale, rating.value, rating.rater,
                 int(rating.time.timestamp())),
            )  # fmt: skip

    def select(
        self, photograph_id: int | None = None, text: str | None = None, *, limit: int | None = None, offset: int = 0
    ) -> list[Rating]:
        """Ratings in the order in which they were first given: all, or those of a photograph, a text, or both.

        At most `limit` (1 to 1,000; None is all) after the first `offset`. Raises `NotFoundError` for a
        photograph that is not there, `UsageError` for a limit or an offset that cannot be.
        """
        if limit is not None and not 1 <= limit <= MOST_AT_ONCE:
            raise UsageError(f"The limit is {limit}; it must be from 1 to {MOST_AT_ONCE:,}.")
        if not 0 <= offset <= _MOST_OFFSET:
            raise UsageError(f"The offset is {offset}; it must be 0 or more, and not beyond all ratings.")
        condition, values = self._condition(photograph_id, text)
        rows = self._catalog.connection.execute(
            f"SELECT photograph_id, text, scale, value, rater, time FROM rating WHERE {condition} "  # noqa: S608
            "ORDER BY id LIMIT ? OFFSET ?",
            (*values, -1 if limit is None else limit, offset),
        )
        return [
            Rating(identity, words, scale, value, rater, datetime.fromtimestamp(time, UTC))
            for identity, words, scale, value, rater, time in rows
        ]

    def count(self, photograph_id: int | None = None, text: str | None = None) -> int:
        """How many ratings there are, in all or of a photograph and a text; raises as `select` does."""
        condition, values = self._condition(photograph_id, text)
        query = f"SELECT COUNT(*) FROM rating WHERE {condition}"  # noqa: S608
        (count,) = self._catalog.connection.execute(query, values).fetchone()
        return int(count)

    def _condition(self, photograph_id: int | None, text: str | None) -> tuple[str, tuple[object, ...]]:
        asked: dict[str, object] = {}
        if photograph_id is not None:
            asked["photograph_id"] = self._catalog.record(photograph_id).id
        if text is not None:
            asked["text"] = _rated_text(text)
        return " AND ".join(f"{column} = ?" for column in asked) or "TRUE", tuple(asked.values())


def make_rating(
    photograph_id: int, text: str, *, grade: int | None = None, fits: bool | None = None, rater: str = SOMEBODY
) -> Rating:
    """A rating given now: a `grade` from 1 to 4, or whether the text `fits`, by `rater`.

    White space in text and name is made single spaces, so that the same words are the same text. Raises
    `UsageError` where there is not exactly one of grade and fits, for a grade outside the scale, an empty or
    overlong text, and a name that is no name.
    """
    if (grade is None) == (fits is None):
        raise UsageError("A rating needs one of the two: a grade from 1 to 4, or whether the text fits (yes or no).")
    scale: Scale = "crowd" if grade is None else "expert"
    if grade is not None and not 1 <= grade <= 4:
        raise UsageError(
            f"The grade is {grade}; it must be from 1 (the text does not describe the photograph) to 4 (it does)."
        )
    value = int(fits) if fits is not None else grade
    assert value is not None  # noqa: S101 - one of the two is given
    now = datetime.now(UTC).replace(microsecond=0)
    return Rating(photograph_id, _rated_text(text), scale, value, _name(rater), now)


def _rated_text(text: str) -> str:
    check_text(text)
    words = " ".join(text.split())
    _check_line(words, "text")
    return words


def _name(rater: str) -> str:
    name = " ".join(rater.split())
    if not 1 <= len(name) <= MOST_NAME_CHARACTERS:
        raise UsageError(
            f"The rater's name has {len(name):,} characters; it must have from 1 to {MOST_NAME_CHARACTERS}."
        )
    _check_line(name, "rater's name")
    return name


def _check_line(line: str, what: str) -> None:
    """Refuse what cannot be written into a table or would command a terminal."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in line):
        raise UsageError(f"The {what} holds characters that are no text (control characters); type it again.")
