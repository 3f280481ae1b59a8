"""Filters as query parameters, as form fields and as fields of a JSON body: the same names and values in all three."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import Depends, Form, Query
from pydantic import BaseModel, Field

from service.search.filter_values import filters_from_names
from service.store.filters import Filters

Texts = str | list[str] | None
Number = int | float | str | None
Flag = bool | str | None


class FiltersIn(BaseModel):
    """Which photographs can be found; conditions that are left out or null are none, and all others must hold."""

    taken_from: str | None = Field(None, description="taken on this day or later: a year, a month or a day")
    taken_to: str | None = Field(None, description="taken on this day or earlier", examples=["2019-07"])
    month: Number = Field(None, description="taken in this month of any year, 1 to 12")
    day: Number = Field(None, description="taken on this day of any month, or of `month` of any year")
    camera: Texts = Field(None, description="a part of the camera's name; of several one must occur")
    lens: Texts = Field(None, description="a part of the lens's name; of several one must occur")
    focal_length: Number = Field(None, description="in millimetres", examples=["24-70"])
    place: Texts = Field(None, description="a town, region or country, in English, Russian or as the file says")
    near: str | None = Field(
        None, description="LAT,LON,KM: within so many kilometres of a point", examples=["48.85,2.35,5"]
    )
    folder: Texts = Field(None, description="a folder's name, or several joined by /; what is in subfolders counts")
    keyword: Texts = Field(None, description="of several all must be there; one covers those below it")
    person: Texts = Field(None, description="of several all must be tagged")
    min_stars: Number = Field(None, description="least number of stars, 1 to 5")
    label: Texts = Field(None, description="colour label; of several one must fit")
    format: Texts = Field(None, description="file format, such as jpeg or raw; of several one must fit")
    is_raw: Flag = Field(None, description="whether it has a RAW file")
    orientation: str | None = Field(None, description="landscape, portrait or square")
    has_place: Flag = Field(None, description="whether it is known where it was taken")

    def filters(self) -> Filters:
        """The filters; raises `UsageError`, which names the one with a value that cannot be."""
        return filters_from_names({name: getattr(self, name) for name in FiltersIn.model_fields})


def _reader(parameter: Callable[..., Any]) -> Callable[..., Filters]:
    """A dependency that reads filters from parameters of a kind: `Query` or `Form`.

    FastAPI takes the parameters from its signature. All are text, since `filters_from_names` reads text.
    """

    def read(**values: Any) -> Filters:
        return filters_from_names(values)

    parameters = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                list[str] | None if field.annotation == Texts else str | None,
                parameter(description=field.description, examples=field.examples),
            ],
        )
        for name, field in FiltersIn.model_fields.items()
    ]
    read.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return read


QueryFilters = Annotated[Filters, Depends(_reader(Query))]
"""Filters in the query string."""

FormFilters = Annotated[Filters, Depends(_reader(Form))]
"""Filters in a form."""
