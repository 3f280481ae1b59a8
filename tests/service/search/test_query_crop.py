"""What of a photograph a query searches with, before it is searched."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from service.errors import UsageError
from service.photos.crop import Box
from service.search.query import Query
from service.search.query_crop import crop_query
from tests.service.pictures import picture, save_picture

FRAMED = ImageOps.expand(picture(1, (200, 100)), (0, 50, 0, 50), "white")


def nowhere(identity: int) -> Path:
    raise AssertionError(f"photograph {identity} was opened")


@pytest.mark.parametrize(
    "query", [Query(text="a cat"), Query(photo_id=3), Query(image=picture(1)), Query(image=FRAMED, keep_borders=True)]
)
def test_a_query_without_a_part_stays_as_it_is(query: Query) -> None:
    cropped = crop_query(query, nowhere)
    assert cropped.query is query
    assert (cropped.part, cropped.borders_left_out) == (None, False)


def test_borders_are_cut_off_once() -> None:
    cropped = crop_query(Query(image=FRAMED, k=7, min_match=0.5), nowhere)
    assert cropped.query.image is not None
    assert cropped.query.image.size == (200, 100)
    assert (cropped.part, cropped.borders_left_out) == (Box(0, 0.25, 1, 0.5), True)
    assert (cropped.query.k, cropped.query.min_match) == (7, 0.5)
    assert crop_query(cropped.query, nowhere).query is cropped.query


def test_inside_a_box_that_was_drawn_nothing_is_cut_off() -> None:
    cropped = crop_query(Query(image=FRAMED, box=Box(0, 0, 0.5, 1)), nowhere)
    assert cropped.query.image is not None
    assert cropped.query.image.size == (100, 200)
    assert (cropped.part, cropped.borders_left_out) == (Box(0, 0, 0.5, 1), False)


def test_a_part_of_a_photograph_of_the_library_is_cut_out_of_its_file_and_leaves_it_out(tmp_path: Path) -> None:
    file = save_picture(tmp_path / "a.png", 3, (400, 300))
    cropped = crop_query(Query(photo_id=12, box=Box(0.5, 0.5, 0.25, 0.5)), {12: file}.__getitem__)
    assert (cropped.query.photo_id, cropped.query.without) == (None, 12)
    assert cropped.query.image is not None
    assert cropped.query.image.tobytes() == Image.open(file).convert("RGB").crop((200, 150, 300, 300)).tobytes()


def test_a_small_part_of_a_large_jpeg_is_decoded_larger_than_the_whole_would_be(tmp_path: Path) -> None:
    file = save_picture(tmp_path / "large.jpg", 3, (4800, 4800))
    for box, pixels in ((Box(0, 0, 1, 1), 1200), (Box(0.1, 0.1, 0.25, 0.25), 1200), (Box(0, 0, 0.5, 0.5), 1200)):
        part = crop_query(Query(photo_id=1, box=box), lambda identity: file).query.image
        assert part is not None
        assert part.size == (pixels, pixels)


def test_a_text_has_no_box() -> None:
    with pytest.raises(UsageError, match="a text has none"):
        Query(text="a cat", box=Box(0, 0, 0.5, 0.5))
