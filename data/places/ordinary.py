"""Which names of places are ordinary words as well, so that in a query they may mean no place."""

from __future__ import annotations

import re

from data.places.russian import dictionary
from service.photos.places.ordinary_words import ORDINARY_WORDS


def is_ordinary(key: str) -> bool:
    """Whether a folded name is in the list, or a Russian word that the dictionary has, but not as a place name."""
    if key in ORDINARY_WORDS or not re.fullmatch("[а-яё]+", key):
        return key in ORDINARY_WORDS
    words = dictionary()
    return words.word_is_known(key) and not any("Geox" in form.tag for form in words.parse(key))
