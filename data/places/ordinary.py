"""Which names of places are ordinary words as well, so that in a query they may mean no place."""

from __future__ import annotations

import re

from data.places.russian import dictionary

_ENGLISH_WORDS = """
    acre alley anda bane bar basic bass bat bath bay bella ben best bid bone bride buffalo bush can capital car cat
    central centre chi chin clear cork cos delta der dining dis drug dual east eastern enterprise est even fair
    forest gan gold grad grade green hail hang hope hub hull independence island islands isle jersey jewish kin
    lake lakes lander like lion log luck male man mary metro mobile monster most mus name nan nice normal north
    northern of okay oral orange pal para paradise pet pets pool pre rain reading region rest reunion rivers sale
    salt sam san sol solo song soul south southern split spring springs star store sun surprise tan tape thai tor
    tour tours turkey turn unity van victor vine von wake wan west western white winter
"""
"""Chosen by hand from the 6,000 most frequent words of CLIP's vocabulary that are names of large towns or regions."""

_ENGLISH = frozenset(_ENGLISH_WORDS.split())


def is_ordinary(key: str) -> bool:
    """Whether a folded name is an English word, or a Russian word that the dictionary has, but not as a place name."""
    if not re.fullmatch("[а-яё]+", key):
        return key in _ENGLISH
    words = dictionary()
    return words.word_is_known(key) and not any("Geox" in form.tag for form in words.parse(key))
