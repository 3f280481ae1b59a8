"""Read the date that cameras, phones and messengers put into a file's name."""

from __future__ import annotations

import re
from datetime import datetime

from service.photos.metadata.values import Moment, is_believable

_CLOCK = r"(?P<hour>[01]?\d|2[0-3])(?P<colon>[.:_-]?)(?P<minute>[0-5]\d)(?P=colon)(?P<second>[0-5]\d)"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # IMG_20190714_123456, PXL_20190714_123456789, Screenshot_20190714-123456, 20190714123456
        r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)[ _T-]?"
        r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?:\d{3})?(?!\d)",
        # 2019-07-14 12.34.56, 2019-07-14 at 9.41.05 PM, signal-2019-07-14-123456, photo_2019-07-14_12-34-56
        r"(?<!\d)(?P<year>1[89]\d\d|20\d\d)(?P<dash>[-_.])(?P<month>\d\d)(?P=dash)(?P<day>\d\d)"
        rf"(?:[ _T-]|,? at )+{_CLOCK}(?:[ \u202f]?(?P<half>[AP])\.?M)?(?!\d)",
        # IMG-20190714-WA0001, IMG_20190714
        r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)(?!\d)",
        # 2019-07-14 Lake, 2019_07_14
        r"(?<!\d)(?P<year>1[89]\d\d|20\d\d)(?P<dash>[-_.])(?P<month>\d\d)(?P=dash)(?P<day>\d\d)(?!\d)",
    )
)
_FIRST_COMPACT_YEAR = 1990
"""Eight digits that name an earlier day are more often a number than a date."""

_MAX_NAME = 255


def date_in_name(name: str) -> Moment | None:
    """The date that a file's name holds, with the time where it has one; None for none that can be believed."""
    for pattern in _PATTERNS:
        for match in pattern.finditer(name[:_MAX_NAME]):
            moment = _moment(match)
            if moment is not None:
                return moment
    return None


def _moment(match: re.Match[str]) -> Moment | None:
    parts = match.groupdict()
    hour = int(parts.get("hour") or 0)
    if parts.get("half"):
        hour = hour % 12 + (12 if parts["half"] in "Pp" else 0)
    clock = (hour, int(parts.get("minute") or 0), int(parts.get("second") or 0))
    try:
        time = datetime(int(parts["year"]), int(parts["month"]), int(parts["day"]), *clock)
    except ValueError:
        return None
    if not is_believable(time) or ("dash" not in parts and time.year < _FIRST_COMPACT_YEAR):
        return None
    return Moment(time, has_clock=parts.get("hour") is not None)
