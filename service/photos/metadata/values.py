"""Sound values from metadata: texts without control characters, finite numbers, dates, time zones and locations."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_TEXT = 1_000
MAX_DESCRIPTION = 20_000
"""Characters of a name or title, and of a description; longer ones are cut."""

MAX_WORDS = 1_000
MAX_WORD = 500
"""Keywords or people of a photograph, and characters of one; what is beyond is left out."""

FIRST_YEAR = 1826
"""Year of the oldest photograph that is kept; earlier dates are not believed."""

_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")
_SPACES = re.compile(r"\s+")
_MOMENT = re.compile(
    r"\s*(\d{4})(?:[:/.-]?(\d{2})(?:[:/.-]?(\d{2})"
    r"(?:[T ]+(\d{2}):?(\d{2})(?::?(\d{2})(?:[.,]\d*)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?)?)?[\s\x00]*"
)
_OFFSET = re.compile(r"\s*([+-])(\d{2}):?(\d{2})[\s\x00]*")
_MAX_OFFSET = 14 * 60
_QUARTER = 15
"""Minutes: no time zone is further ahead of UTC, and each differs from it by a multiple of a quarter of an hour."""
_TOLERANCE = timedelta(minutes=3)
"""By how much a camera's clock and the satellites' may differ when the time zone is derived from them."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time on the clock on the wall, and by how many minutes that clock is ahead of UTC if it is known."""

    time: datetime
    offset: int | None = None
    has_clock: bool = True
    """False where only the day is known; the time is midnight then."""


def clean_text(text: str | None, limit: int = MAX_TEXT) -> str | None:
    """A text in NFC on one line, without control characters and halves of surrogate pairs; None if nothing is left."""
    lines = clean_lines(text, limit)
    return _SPACES.sub(" ", lines) if lines else None


def clean_lines(text: str | None, limit: int = MAX_DESCRIPTION) -> str | None:
    """As `clean_text`, but line ends stay."""
    if not text:
        return None
    # Cut first: four times as much, because control characters may fall out of it.
    text = text[: 4 * limit].replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _CONTROL.sub(" ", text)).strip()[:limit].rstrip() or None


def distinct_words(words: Iterable[str], problems: list[str], what: str) -> tuple[str, ...]:
    """Clean and distinct words in their order; adds a sentence to `problems` where some are left out."""
    found: dict[str, None] = {}
    for word in words:
        cleaned = clean_text(word, MAX_WORD + 1)
        if cleaned and len(cleaned) > MAX_WORD:
            problems.append(f"{what} of more than {MAX_WORD} characters were left out")
        elif cleaned and cleaned not in found:
            if len(found) == MAX_WORDS:
                problems.append(f"only the first {MAX_WORDS:,} {what} were read")
                break
            found[cleaned] = None
    return tuple(found)


def positive(value: float | None, greatest: float) -> float | None:
    """A finite number above 0 and up to `greatest`; None for any other."""
    return value if value is not None and math.isfinite(value) and 0 < value <= greatest else None


def sound_orientation(value: float | None) -> int | None:
    """EXIF's orientation, 1 to 8; None for any other number."""
    return int(value) if value is not None and value in range(1, 9) else None


def is_believable(time: datetime) -> bool:
    """Whether a photograph may have been taken then: since photography exists, and not over a day in the future."""
    return time.year >= FIRST_YEAR and time.replace(tzinfo=None) <= datetime.now() + timedelta(days=1)


def parse_moment(text: str | None) -> Moment | None:
    """A date as EXIF ("2019:07:14 12:34:56") or ISO 8601 writes it, also in part ("2019-07"); None for no date.

    The zone "Z" counts as unknown, because programs write it where they do not know the zone.
    """
    match = _MOMENT.fullmatch(text[:64]) if text else None
    if match is None:
        return None
    year, month, day, hour, minute, second, zone = match.groups()
    try:
        time = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), min(int(second or 0), 59)
        )
    except ValueError:
        return None
    return Moment(time, parse_offset(zone), hour is not None)


def parse_offset(text: str | None) -> int | None:
    """Minutes of a time zone such as "+03:00"; None for no zone."""
    match = _OFFSET.fullmatch(text[:16]) if text else None
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return (-minutes if match[1] == "-" else minutes) if minutes <= _MAX_OFFSET else None


def offset_between(local: datetime, utc: datetime) -> int | None:
    """Minutes by which a local clock is ahead of UTC, from both of its times; None if no time zone explains them."""
    difference = local - utc
    minutes = round(difference.total_seconds() / 60 / _QUARTER) * _QUARTER
    if abs(difference - timedelta(minutes=minutes)) > _TOLERANCE or abs(minutes) > _MAX_OFFSET:
        return None
    return minutes


def sound_location(
    latitude: float | None, longitude: float | None, altitude: float | None = None
) -> tuple[float, float, float | None] | None:
    """Latitude, longitude and altitude if they are a place on the earth; 0/0 is where receivers without a fix are."""
    if latitude is None or longitude is None:
        return None
    # NaN fails every comparison.
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or (abs(latitude) < 1e-6 and abs(longitude) < 1e-6):
        return None
    sound = altitude is not None and -11_000 <= altitude <= 50_000
    return round(latitude, 7), round(longitude, 7), round(altitude, 2) if sound and altitude is not None else None
