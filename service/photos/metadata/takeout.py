"""Read the JSON that Google Takeout puts beside each photograph."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from service.photos.metadata.values import Moment, clean_lines, distinct_words, sound_location
from service.store.metadata import Metadata

MAX_BYTES = 1 << 20
"""Bytes of a sidecar; real ones have about a thousand, and Python's objects take many times the text."""


def parse_takeout(content: bytes, problems: list[str]) -> dict[str, Any] | None:
    """The fields of a sidecar; None, with a sentence in `problems`, if it is not one of Takeout's for a photograph."""
    if len(content) > MAX_BYTES:
        problems.append("its Takeout JSON is larger than a megabyte")
        return None
    try:
        fields = json.loads(content.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        problems.append("its Takeout JSON is damaged")
        return None
    known = ("photoTakenTime", "geoData", "description", "people", "title")
    return fields if isinstance(fields, dict) and any(name in fields for name in known) else None


def read_takeout(fields: dict[str, Any], problems: list[str]) -> Metadata:
    """What Takeout says, without the date: description, people and place."""
    people = fields.get("people")
    names = [each.get("name") for each in people if isinstance(each, dict)] if isinstance(people, list) else []
    description = fields.get("description")
    location = _location(fields.get("geoData")) or _location(fields.get("geoDataExif")) or (None, None, None)
    return Metadata(
        description=clean_lines(description) if isinstance(description, str) else None,
        people=distinct_words((name for name in names if isinstance(name, str)), problems, "people"),
        latitude=location[0],
        longitude=location[1],
        altitude=location[2],
    )


def takeout_moment(fields: dict[str, Any]) -> Moment | None:
    """When the photograph was taken; Takeout knows it in UTC only."""
    taken = fields.get("photoTakenTime")
    timestamp = taken.get("timestamp") if isinstance(taken, dict) else None
    try:
        seconds = int(str(timestamp)[:20])
        return Moment(datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None), 0) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None


def _location(geo: object) -> tuple[float, float, float | None] | None:
    if not isinstance(geo, dict):
        return None
    latitude, longitude, altitude = (
        float(value) if isinstance(value := geo.get(name), int | float) and abs(value) < 1e9 else None
        for name in ("latitude", "longitude", "altitude")
    )
    # Takeout writes 0 for an altitude that it does not know.
    return sound_location(latitude, longitude, altitude or None)
