"""Filters in words."""

from __future__ import annotations

from datetime import date

import pytest

from service.search.filter_words import describe_filters
from service.store.filters import Filters, Near


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (Filters(), ""),
        (Filters(taken_from=date(2019, 1, 1), taken_to=date(2019, 12, 31)), "taken in 2019"),
        (Filters(taken_from=date(2019, 7, 14), taken_to=date(2019, 7, 14)), "taken on 14 July 2019"),
        (Filters(taken_from=date(2019, 7, 1)), "taken from July 2019 on"),
        (Filters(taken_to=date(2019, 12, 31)), "taken until the end of 2019"),
        (Filters(month=7), "taken in July of any year"),
        (Filters(month=7, day=4), "taken on 4 July of any year"),
        (Filters(day=4), "taken on day 4 of any month"),
        (Filters(place=("Paris", "Омск")), "taken in Paris or Омск"),
        (Filters(near=Near(55.75, 37.6, 5.0)), "taken within 5 km of 55.75,37.6"),
        (Filters(folder=("Trip to Baikal",), has_place=False), "in the folder Trip to Baikal without a place"),
        (Filters(camera=("canon", "nikon"), lens=("50mm",)), "with the camera canon or nikon with the lens 50mm"),
        (Filters(person=("Anna", "Пётр"), has_place=True), "with a place with Anna and Пётр"),
        (Filters(keyword=("dog",)), "with the keyword dog"),
        (Filters(keyword=("dog", "snow")), "with the keywords dog and snow"),
        (Filters(focal_length=(49.5, 50.5)), "with 50 mm"),
        (Filters(focal_length=(24.0, 70.0)), "with 24 to 70 mm"),
        (Filters(min_stars=1), "with 1 star or more"),
        (
            Filters(min_stars=4, label=("Red",), format=("raw",)),
            "with the label Red with the format raw with 4 stars or more",
        ),
        (Filters(is_raw=True, orientation="square"), "that are RAW that are square"),
        (Filters(is_raw=False, orientation="portrait"), "that are not RAW in portrait format"),
    ],
)
def test_filters_in_words(filters: Filters, words: str) -> None:
    assert describe_filters(filters) == words
