"""Metadata in the catalog: how it is written to and read from the tables `metadata`, `keyword` and `term`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from service.store.metadata import Metadata
from service.store.sql import placeholders

_EPOCH = datetime(1970, 1, 1)
_TERMS = ("camera", "lens", "country", "region", "written_town", "creator", "copyright", "label")
"""What many photographs have in common: columns that hold the id of a row in the table `term`."""
_VALUES = (
    *("taken_offset", "taken_source", "focal_length", "focal_length_35", "aperture", "exposure", "iso", "flash"),
    *("latitude", "longitude", "altitude", "title", "description", "stars", "orientation", "motion"),
)


def seconds_of(taken_at: datetime) -> int:
    """A date without a zone as the catalog keeps it: seconds since 1970 on the same clock."""
    return (taken_at - _EPOCH) // timedelta(seconds=1)


def datetime_of(seconds: int) -> datetime:
    """The date, without a zone, of which `seconds_of` made a number."""
    return _EPOCH + timedelta(seconds=seconds)


def write_metadata(connection: sqlite3.Connection, identity: int, metadata: Metadata, town_id: int | None) -> None:
    """Replaces the metadata of a photograph inside the caller's transaction."""
    terms = [_term_id(connection, _term(metadata, name)) for name in _TERMS]
    values = [getattr(metadata, name) for name in _VALUES]
    taken_at = None if metadata.taken_at is None else seconds_of(metadata.taken_at)
    columns = ("photograph_id", "taken_at", "town_id", *(f"{name}_id" for name in _TERMS), *_VALUES)
    connection.execute(
        f"INSERT OR REPLACE INTO metadata ({', '.join(columns)}) VALUES ({placeholders(columns)})",  # noqa: S608
        (identity, taken_at, town_id, *terms, *values),
    )
    connection.execute("DELETE FROM keyword WHERE photograph_id = ?", (identity,))
    connection.executemany(
        "INSERT INTO keyword VALUES (?, ?, ?, ?)",
        [
            (identity, is_person, position, _term_id(connection, word))
            for is_person, words in enumerate((metadata.keywords, metadata.people))
            for position, word in enumerate(words)
        ],
    )


def select_metadata(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, tuple[Metadata, int | None]]:
    """Metadata and the id of the nearest town of photographs, by id; those without metadata are left out."""
    terms = ", ".join(f"(SELECT name FROM term WHERE id = {name}_id)" for name in _TERMS)  # noqa: S608
    rows = connection.execute(
        f"SELECT photograph_id, taken_at, town_id, {terms}, {', '.join(_VALUES)} FROM metadata "  # noqa: S608
        f"WHERE photograph_id IN ({placeholders(ids)})",
        tuple(ids),
    ).fetchall()
    words = _keywords(connection, [row[0] for row in rows])
    return {row[0]: (_metadata_of(row, *words.get(row[0], ((), ()))), row[2]) for row in rows}


def _term(metadata: Metadata, name: str) -> str | None:
    value: str | None = getattr(metadata, "town" if name == "written_town" else name)
    return value


def _term_id(connection: sqlite3.Connection, name: str | None) -> int | None:
    if name is None:
        return None
    row = connection.execute("SELECT id FROM term WHERE name = ?", (name,)).fetchone()
    if row is None:
        row = connection.execute("INSERT INTO term (name) VALUES (?) RETURNING id", (name,)).fetchone()
    return int(row[0])


def _keywords(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Keywords and people of photographs, by id."""
    rows: Iterable[tuple[int, int, str]] = connection.execute(
        "SELECT k.photograph_id, k.is_person, t.name FROM keyword k JOIN term t ON t.id = k.term_id "  # noqa: S608
        f"WHERE k.photograph_id IN ({placeholders(ids)}) ORDER BY k.photograph_id, k.is_person, k.position",
        tuple(ids),
    )
    found: dict[int, tuple[list[str], list[str]]] = {}
    for identity, is_person, name in rows:
        found.setdefault(identity, ([], []))[is_person].append(name)
    return {identity: (tuple(keywords), tuple(people)) for identity, (keywords, people) in found.items()}


def _metadata_of(row: Sequence[object], keywords: tuple[str, ...], people: tuple[str, ...]) -> Metadata:
    terms = dict(zip(_TERMS, row[3:], strict=False))
    values = dict(zip(_VALUES, row[3 + len(_TERMS) :], strict=True))
    terms["town"] = terms.pop("written_town")
    if values["flash"] is not None:
        values["flash"] = bool(values["flash"])
    taken_at = None if row[1] is None else datetime_of(int(str(row[1])))
    return Metadata(taken_at=taken_at, keywords=keywords, people=people, **terms, **values)  # type: ignore[arg-type]
