"""The prepositional case of Russian place names: "Москва" is what "в Москве" speaks of.

The forms are keys of a search, so that where gender or stress decide and are unknown, all possible forms are given: a
form that nobody writes does no harm.
"""

from __future__ import annotations

import re

_ADJECTIVES = (
    ("ая", ("ой",)),
    ("яя", ("ей",)),
    ("ое", ("ом",)),
    ("ее", ("ем",)),
    ("ые", ("ых",)),
    ("ие", ("их",)),
    ("ый", ("ом",)),
    ("ий", ("ом", "ем")),
)
_NOUNS = (
    ("ия", ("ии",)),
    ("ец", ("це", "ьце")),
    ("ёл", ("ле",)),
    ("а", ("е",)),
    ("я", ("е",)),
    ("ь", ("и", "е")),
    ("й", ("е",)),
    ("о", ("е",)),
    ("ье", ("ье",)),
    ("ы", ("ах",)),
    ("и", ("ах", "ях")),
)
_CONSONANTS = tuple("бвгджзклмнпрстфхцчшщ")
_RUSSIAN = re.compile(r"\s*[А-ЯЁ][А-ЯЁа-яё’'.\s—-]*")
_IRREGULAR = {"крым": ("крыму",), "край": ("крае",)}


def prepositional(name: str) -> set[str]:
    """The forms of a name after "в" or "на", in small letters; empty where it has none, or is not Russian.

    Of words with spaces between them all change, or the first alone ("Республика Татарстан"); of words with hyphens
    the last ("Нью-Йорк"), or the first where a preposition follows ("Ростов-на-Дону").
    """
    words = name.casefold().split()
    if not _RUSSIAN.fullmatch(name):
        return set()
    changed = [_compound(word) for word in words]
    phrases = {""}
    for word, forms in zip(words, changed, strict=True):
        phrases = {f"{phrase} {form}".strip() for phrase in phrases for form in (forms or {word})}
    first = {" ".join([form, *words[1:]]) for form in changed[0]}
    return (phrases | first) - {name.casefold()}


def _compound(word: str) -> set[str]:
    start, hyphen, end = word.rpartition("-")
    named = re.fullmatch(r"([а-яё]+)(-(?:на|под|над|по|в)-.+)", word)
    if named:
        return {form + named[2] for form in _word(named[1])}
    return {start + hyphen + form for form in _word(end)}


def _word(word: str) -> set[str]:
    if word in _IRREGULAR:
        return set(_IRREGULAR[word])
    forms: set[str] = set()
    for ending, replacements in _ADJECTIVES:
        if word.endswith(ending) and len(word) > len(ending) + 1:
            forms.update(word[: -len(ending)] + replacement for replacement in replacements)
    for ending, replacements in _NOUNS:
        if word.endswith(ending) and len(word) > len(ending) + 1:
            forms.update(word[: -len(ending)] + replacement for replacement in replacements)
            break
    if word.endswith(_CONSONANTS):
        forms.add(word + "е")
    return forms
