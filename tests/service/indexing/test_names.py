"""Extensions and stems of names."""

from __future__ import annotations

import pytest

from service.indexing.names import stem_of, suffix_of


@pytest.mark.parametrize(
    ("name", "stem", "suffix"),
    [
        ("A.JPG", "A", ".jpg"),
        ("a.b.jpg", "a.b", ".jpg"),
        ("dot.", "dot.", ""),
        (".jpg", ".jpg", ""),
        ("none", "none", ""),
        ("AB.\u0130", "AB", ".i\u0307"),
    ],
)
def test_a_name_is_its_stem_and_its_extension(name: str, stem: str, suffix: str) -> None:
    assert (stem_of(name), suffix_of(name)) == (stem, suffix)
