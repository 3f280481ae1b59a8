"""The crop that a query searches with: a drawn box, or what is inside borders."""

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


def no_file(identity: int) -> Path:
    raise AssertionError(f"photograph {identity} was opened")


@pytest.mark.parametrize(
    "query", [Query(text="a cat"), Query(photo_id=3), Query(image=picture(1)), Query(image=FRAMED, keep_borders=True)]
)
def test_a_query_without_box_or_borders_is_not_changed(query: Query) -> None:
    cropped = crop_query(query, no_file)
    assert cropped.query is query
    assert (cropped.part, cropped.borders_left_out) == (None, False)


def test_borders_are_cropped_once() -> None:
    cropped = crop_query(Query(image=FRAMED, k=7, min_match=0.5), no_file)
    assert cropped.query.image is not None
    assert cropped.query.image.size == (200, 100)
    assert (cropped.part, cropped.borders_left_out) == (Box(0, 0.25, 1, 0.5), True)
    assert (cropped.query.k, cropped.query.min_match) == (7, 0.5)
    assert crop_query(cropped.query, no_file).query is cropped.query


def test_borders_inside_a_drawn_box_are_kept() -> None:
    cropped = crop_query(Query(image=FRAMED, box=Box(0, 0, 0.5, 1)), no_file)
    assert cropped.query.image is not None
    assert cropped.query.image.size == (100, 200)
    assert (cropped.part, cropped.borders_left_out) == (Box(0, 0, 0.5, 1), False)


def test_a_box_of_a_library_photograph_is_cropped_from_its_file_and_excludes_the_photograph(
    tmp_path: Path,
) -> None:
    file = save_picture(tmp_path / "a.png", 3, (400, 300))
    cropped = crop_query(Query(photo_id=12, box=Box(0.5, 0.5, 0.25, 0.5)), {12: file}.__getitem__)
    assert (cropped.query.photo_id, cropped.query.without) == (None, 12)
    assert cropped.query.image is not None
    assert cropped.query.image.tobytes() == Image.open(file).convert("RGB").crop((200, 150, 300, 300)).tobytes()


def test_a_small_box_of_a_large_jpeg_is_decoded_at_a_larger_scale(tmp_path: Path) -> None:
    file = save_picture(tmp_path / "large.jpg", 3, (4800, 4800))
    for box, pixels in ((Box(0, 0, 1, 1), 1200), (Box(0.1, 0.1, 0.25, 0.25), 1200), (Box(0, 0, 0.5, 0.5), 1200)):
        part = crop_query(Query(photo_id=1, box=box), lambda identity: file).query.image
        assert part is not None
        assert part.size == (pixels, pixels)


def test_a_text_with_a_box_is_refused() -> None:
    with pytest.raises(UsageError, match="a text has none"):
        Query(text="a cat", box=Box(0, 0, 0.5, 0.5))
