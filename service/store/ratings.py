"""Ratings: people's judgements of how well a text describes a photograph; their validation and their table.

A rating does not change search results, so it creates no generation and may be written while another process indexes.
It belongs to a photograph's id: it stays when the file is moved or edited, and waits where the photograph is taken out
of the library until it comes back. Only forgetting a photograph deletes it.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from service.errors import UsageError
from service.store.catalog import Catalog
from service.store.records import Rating, Scale
from service.texts import check_text

DEFAULT_RATER = "me"
"""The rater if no name is given: the one person who uses the library."""

MAX_NAME_CHARACTERS = 100
MAX_AT_ONCE = 1000
_MOST_OFFSET = 1 << 62
_OF_PHOTOGRAPHS = "EXISTS (SELECT 1 FROM photograph WHERE photograph.id = rating.photograph_id)"
"""Ratings of photographs that are in the library, not those of removed ones."""


class Ratings:
    """The ratings in a catalog; each rater has at most one for a photograph, a text and a scale."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def add(self, rating: Rating) -> None:
        """Writes a rating, replacing the rater's previous one for the same photograph, text and scale.

        Raises `NotFoundError` if there is no such photograph.
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
        """Ratings in the order in which they were first given, of a photograph, a text, both, or all.

        At most `limit` (1 to 1,000; None is all) after the first `offset`. Raises `NotFoundError` for an unknown
        photograph, `UsageError` for an invalid limit or offset.
        """
        if limit is not None and not 1 <= limit <= MAX_AT_ONCE:
            raise UsageError(f"The limit is {limit}; it must be from 1 to {MAX_AT_ONCE:,}.")
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
        """The number of ratings that `select` would return without a limit; raises as `select` does."""
        condition, values = self._condition(photograph_id, text)
        query = f"SELECT COUNT(*) FROM rating WHERE {condition}"  # noqa: S608
        (count,) = self._catalog.connection.execute(query, values).fetchone()
        return int(count)

    def _condition(self, photograph_id: int | None, text: str | None) -> tuple[str, tuple[object, ...]]:
        values: dict[str, object] = {}
        if photograph_id is not None:
            values["photograph_id"] = self._catalog.record(photograph_id).id
        if text is not None:
            values["text"] = _rated_text(text)
        conditions = [_OF_PHOTOGRAPHS, *(f"{column} = ?" for column in values)]
        return " AND ".join(conditions), tuple(values.values())


def make_rating(
    photograph_id: int, text: str, *, grade: int | None = None, fits: bool | None = None, rater: str = DEFAULT_RATER
) -> Rating:
    """A rating given now by `rater`: either a `grade` from 1 to 4, or whether the text `fits`.

    White space in text and name is normalised, so that the same words are the same text. Raises `UsageError` unless
    exactly one of grade and fits is given, and for a grade outside the scale, an invalid text or an invalid name.
    """
    if (grade is None) == (fits is None):
        raise UsageError("A rating needs one of the two: a grade from 1 to 4, or whether the text fits (yes or no).")
    scale: Scale = "crowd" if grade is None else "expert"
    if grade is not None and not 1 <= grade <= 4:
        raise UsageError(
            f"The grade is {grade}; it must be from 1 (the text does not describe the photograph) to 4 (it does).",
            {"The grade": "grade"},
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
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        raise UsageError(
            f"The rater's name has {len(name):,} characters; it must have from 1 to {MAX_NAME_CHARACTERS}."
        )
    _check_line(name, "rater's name")
    return name


def _check_line(line: str, what: str) -> None:
    """Refuses control characters, which would break a table or control a terminal."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in line):
        raise UsageError(f"The {what} holds characters that are no text (control characters); type it again.")
