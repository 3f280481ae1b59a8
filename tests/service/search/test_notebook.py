"""How a result looks in a notebook: pictures, sentences, and a pandas table."""

from __future__ import annotations

import base64
import re
import sqlite3
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from service.errors import NotFoundError
from service.search.hits import Hit, SearchResult
from service.search.metadata_columns import METADATA_COLUMNS
from service.search.notebook import COLUMNS
from service.store.metadata import Metadata
from service.store.records import Companion, Details, Record
from tests.service.described import METADATA


class Elements(HTMLParser):
    """The elements and the text of a page, parsed as HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + " "

    def images(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == "img"]


def hit(identity: int, name: str = "cat.jpg", match: float = 0.5) -> Hit:
    record = Record(identity, Path("/photographs"), "2026", name, 1234, 0, 600, 400, "JPEG")
    return Hit(record, match, match / 2)


def result(*hits: Hit, best_match: float | None = 0.5, notice: str | None = None) -> SearchResult:
    return SearchResult(
        hits=list(hits),
        took_ms=1.0,
        model="tiny",
        calibration="ratings",
        min_match=0.21,
        answerable=bool(hits),
        best_match=best_match,
        notice=notice,
        photographs=7,
        thumbnail_of=lambda identity: b"jpeg %d" % identity,
    )


def test_hits_are_pictures_in_order_with_match_and_name() -> None:
    page = Elements(result(hit(4, "dog.jpg", 0.75), hit(2, "cat.jpg", 0.5))._repr_html_())
    sources = [str(image["src"]) for image in page.images()]
    assert [base64.b64decode(source.removeprefix("data:image/jpeg;base64,")) for source in sources] == [
        b"jpeg 4",
        b"jpeg 2",
    ]
    assert page.text.split() == ["0.750", "dog.jpg", "0.500", "cat.jpg"]
    assert [image["alt"] for image in page.images()] == ["dog.jpg", "cat.jpg"]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>.jpg", '" onerror="alert(1).jpg', "a&amp;b.jpg", "'x'.jpg"])
def test_file_names_are_escaped(name: str) -> None:
    page = Elements(result(hit(1, name), notice=f"see {name}")._repr_html_())
    assert {tag for tag, _ in page.elements} == {"div", "figure", "img", "figcaption", "b", "p"}
    (image,) = page.images()
    assert image["alt"] == name
    assert image.keys() == {"src", "alt", "title", "style"}
    assert page.text.count(name) == 2


def test_no_colours_are_set_so_that_dark_notebooks_stay_legible() -> None:
    gone = replace(result(hit(1)), thumbnail_of=None)
    for html in (result(hit(1))._repr_html_(), gone._repr_html_(), result()._repr_html_()):
        assert not re.search(r"(?<![\w-])(color|background(-color)?)\s*:", html)


def test_a_result_without_hits_says_so() -> None:
    page = Elements(result(best_match=0.082)._repr_html_())
    assert page.images() == []
    assert "No good match: the best is 0.082, and only 0.210 or more is shown. Use min_match=0" in page.text


def test_an_empty_library_shows_its_notice_and_a_bare_result_is_never_blank() -> None:
    notice = "The library holds no photographs yet."
    assert Elements(result(best_match=None, notice=notice)._repr_html_()).text.strip() == notice
    assert Elements(result(best_match=None)._repr_html_()).text.strip() == "No photographs found."


def test_hits_below_the_cut_are_called_the_nearest() -> None:
    page = Elements(replace(result(hit(1), best_match=0.1), answerable=False)._repr_html_())
    assert len(page.images()) == 1
    assert "These are the nearest." in page.text


@pytest.mark.parametrize("reason", [NotFoundError("gone"), sqlite3.OperationalError("unable to open database file")])
def test_a_photograph_that_was_removed_is_named_without_a_picture(reason: Exception) -> None:
    def thumbnail_of(identity: int) -> bytes:
        if identity == 2:
            raise reason
        return b"jpeg"

    page = Elements(replace(result(hit(1, "here.jpg"), hit(2, "gone.jpg")), thumbnail_of=thumbnail_of)._repr_html_())
    assert [image["alt"] for image in page.images()] == ["here.jpg"]
    assert "no thumbnail any more" in page.text
    assert "gone.jpg" in page.text


def test_the_dataframe_has_one_row_for_each_hit_in_order() -> None:
    table = result(hit(4, "dog.jpg", 0.75), hit(2, "cat.jpg", 0.5)).to_dataframe()
    assert table.drop(columns=list(METADATA_COLUMNS)).to_dict("records") == [
        {
            "match": match,
            "similarity": match / 2,
            "id": identity,
            "path": f"/photographs/2026/{name}",
            "name": name,
            "width": 600,
            "height": 400,
            "format": "JPEG",
            "bytes": 1234,
        }
        for identity, name, match in ((4, "dog.jpg", 0.75), (2, "cat.jpg", 0.5))
    ]


def test_the_dataframe_ends_with_the_metadata() -> None:
    described = replace(hit(1), details=Details(METADATA, (Companion("cat.CR3", "raw", 1, 1),)))
    table = result(described, hit(2)).to_dataframe()[list(METADATA_COLUMNS)]
    assert table.iloc[0].to_dict() == {
        "taken_at": pd.Timestamp("2023-07-14 18:30:05"),
        "camera": "Canon EOS 600D",
        "lens": "EF 50mm f/1.8 II",
        "focal_length": 50.0,
        "aperture": 2.8,
        "exposure": 0.004,
        "iso": 400,
        "latitude": 48.8584,
        "longitude": 2.2945,
        "altitude": 35.0,
        "town": "Paris",
        "region": "Île-de-France",
        "country": "France",
        "title": "Under the tower",
        "description": "A Sunday.",
        "keywords": "Animals/Dog; travel",
        "people": "Grace",
        "stars": 4,
        "label": "Red",
        "files": "cat.jpg; cat.CR3",
    }
    assert list(table.iloc[1].dropna().index) == ["files"]


def test_dates_of_any_year_fit_the_dataframe() -> None:
    years = (1, 1826, 9999)
    rows = [
        replace(hit(year), details=Details(Metadata(taken_at=datetime(year, 1, 2), taken_offset=99_999)))
        for year in years
    ]
    assert [moment.year for moment in result(*rows).to_dataframe()["taken_at"]] == list(years)


def test_the_dataframe_without_hits_has_the_same_columns_and_types() -> None:
    empty, full = result().to_dataframe(), result(hit(1)).to_dataframe()
    assert len(empty) == 0
    assert list(empty.columns) == list(COLUMNS)
    pd.testing.assert_series_equal(empty.dtypes, full.dtypes)


def test_results_are_compared_and_printed_without_their_thumbnail_reader() -> None:
    one, other = result(hit(1)), replace(result(hit(1)), thumbnail_of=None)
    assert one == other
    assert "thumbnail_of" not in repr(one)
