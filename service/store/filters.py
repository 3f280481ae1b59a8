"""Which photographs a search may find, by what their files say about them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Literal

Orientation = Literal["landscape", "portrait", "square"]


@dataclass(frozen=True, slots=True)
class Near:
    """A circle on the earth: latitude and longitude of its centre in degrees, radius in kilometres."""

    latitude: float
    longitude: float
    km: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Conditions that all must hold; None and () are no condition. Names are compared without regard to case.

    A photograph of which something is not known passes no condition on it.

    Attributes:
        taken_from, taken_to: first and last day on which it was taken, by the clock on the wall.
        month: of any year, 1 to 12.
        day: of any month, 1 to 31; together with `month` a day of every year.
        camera, lens: a part of the name, such as "canon"; of several one must occur.
        focal_length: least and greatest, in millimetres.
        place: name of a town, region or country, in English, Russian or as written in the file; of several one must
            fit.
        near: within so many kilometres of a point.
        folder: a folder's name, or several joined by "/", anywhere in the path; what is in subfolders counts.
        keyword: all must be there; one of a hierarchy covers those below it.
        person: all must be tagged.
        min_stars: least number of stars, 1 to 5.
        label: colour label; of several one must fit.
        format: file formats such as "jpeg" or "raw"; of several one must fit.
        is_raw: whether it has a RAW file.
        orientation: the shape of the upright photograph.
        has_place: whether it is known where it was taken.
    """

    taken_from: date | None = None
    taken_to: date | None = None
    month: int | None = None
    day: int | None = None
    camera: tuple[str, ...] = ()
    lens: tuple[str, ...] = ()
    focal_length: tuple[float, float] | None = None
    place: tuple[str, ...] = ()
    near: Near | None = None
    folder: tuple[str, ...] = ()
    keyword: tuple[str, ...] = ()
    person: tuple[str, ...] = ()
    min_stars: int | None = None
    label: tuple[str, ...] = ()
    format: tuple[str, ...] = ()
    is_raw: bool | None = None
    orientation: Orientation | None = None
    has_place: bool | None = None

    def __bool__(self) -> bool:
        """Whether there is any condition."""
        return any(getattr(self, field.name) not in (None, ()) for field in fields(self))


NO_FILTERS = Filters()
"""Let every photograph pass."""
