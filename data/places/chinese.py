"""Transcribes Chinese names from pinyin into Russian, by the system of Palladius, which Russian maps use."""

from __future__ import annotations

import re
import unicodedata

_INITIALS = {
    "zh": "чж", "ch": "ч", "sh": "ш", "b": "б", "p": "п", "m": "м", "f": "ф", "d": "д", "t": "т", "n": "н", "l": "л",
    "g": "г", "k": "к", "h": "х", "j": "цз", "q": "ц", "x": "с", "r": "ж", "z": "цз", "c": "ц", "s": "с",
}  # fmt: skip
_FINALS = {
    "iang": "ян", "iong": "юн", "uang": "уан", "ang": "ан", "eng": "эн", "ong": "ун", "ing": "ин", "iao": "яо",
    "ian": "янь", "uai": "уай", "uan": "уань", "ai": "ай", "ei": "эй", "ao": "ао", "ou": "оу", "an": "ань", "en": "энь",
    "ia": "я", "ie": "е", "iu": "ю", "in": "инь", "ua": "уа", "uo": "о", "ui": "уй", "un": "унь", "ve": "юэ", "a": "а",
    "o": "о", "e": "э", "i": "и", "u": "у", "v": "юй",
}  # fmt: skip
_AFTER_PALATALS = {"u": "юй", "ue": "юэ", "uan": "юань", "un": "юнь"}
_ALONE = {
    "a": "а", "o": "о", "e": "э", "ai": "ай", "ei": "эй", "ao": "ао", "ou": "оу", "an": "ань", "en": "энь", "ang": "ан",
    "er": "эр", "yi": "и", "ya": "я", "ye": "е", "yao": "яо", "you": "ю", "yan": "янь", "yin": "инь", "yang": "ян",
    "ying": "ин", "yong": "юн", "yu": "юй", "yue": "юэ", "yuan": "юань", "yun": "юнь", "wu": "у", "wa": "ва",
    "wo": "во", "wai": "вай", "wei": "вэй", "wan": "вань", "wen": "вэнь", "wang": "ван", "weng": "вэн",
    "hui": "хуэй", "zi": "цзы", "ci": "цы", "si": "сы",
}  # fmt: skip
_VOWELS = tuple("aoe")


def _syllables() -> dict[str, str]:
    known = {first + last: _INITIALS[first] + _FINALS[last] for first in _INITIALS for last in _FINALS}
    for first in "jqx":
        known |= {first + last: _INITIALS[first] + russian for last, russian in _AFTER_PALATALS.items()}
    return known | _ALONE


_SYLLABLES = _syllables()
_LONGEST = max(map(len, _SYLLABLES))


def palladius(name: str) -> str | None:
    """The Russian name of a place in China; None where the name is not pinyin ("Ürümqi", "Harbin")."""
    words = [_word(word) for word in name.split()]
    return " ".join(word.capitalize() for word in words if word) if words and all(words) else None


def _word(word: str) -> str | None:
    letters = unicodedata.normalize("NFD", word.lower().replace("ü", "v"))
    parts = ["".join(re.findall("[a-z]", part)) for part in re.split("['’]", letters)]
    if not re.fullmatch("[a-z'’\u0300-\u036f]+", letters):
        return None
    syllables: list[str] = []
    for part in parts:
        some = _split(part)
        if not some:
            return None
        syllables += some
    russian = _SYLLABLES[syllables[0]]
    for syllable in syllables[1:]:
        hard = russian.endswith("н") and _SYLLABLES[syllable][0] in "аоуэиюяе"
        russian += ("ъ" if hard else "") + _SYLLABLES[syllable]
    return russian


def _split(word: str) -> list[str] | None:
    """Syllables; none but the first begins with a vowel, which pinyin would mark with an apostrophe."""
    if not word:
        return []
    for length in range(min(_LONGEST, len(word)), 0, -1):
        if word[:length] in _SYLLABLES and not word[length:].startswith(_VOWELS):
            rest = _split(word[length:])
            if rest is not None:
                return [word[:length], *rest]
    return None
