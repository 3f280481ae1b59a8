"""Warns about a query in a language that the model does not read.

A model that reads English only gives a vector for any text, and hits that look like an answer. Two checks need only
the text and take well under a millisecond: letters that are not Latin, for every such model; and, for the built-in
model, whose tokenizer is at hand, words that are not English: the tokenizer splits them into several tokens, and
function words of other languages stand beside them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from service.config import MINI, PREFERRED_MODEL
from service.encoder.models.names import mini_folder
from service.encoder.models.offered import ENGLISH, languages_of, offered_model

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_CHARACTERS = 500
"""Characters of a query that are checked; the models themselves read no more."""

LANGUAGE_OF_SCRIPT = {
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "CJK": "Chinese",
    "CYRILLIC": "Russian",
    "GREEK": "Greek",
    "ARABIC": "Arabic",
    "HEBREW": "Hebrew",
    "DEVANAGARI": "Hindi",
    "THAI": "Thai",
    "ARMENIAN": "Armenian",
    "GEORGIAN": "Georgian",
}
"""Script (first word of a letter's Unicode name) -> language to name; Japanese first, as it uses Chinese signs too."""

# Without words that English has too ("die", "chat", "in", "no").
_OTHER_FUNCTION_WORDS = """
ein eine einem einen einer der das dem den des und im am auf mit zwei drei ist nicht aus bei vom zum zur über
el los las una unos unas por con en del y al que muy
le la les un une du dans sur avec et au aux qui deux est sous pour
il lo gli di nel nella sul sulla che della dei due
um uma na em com os da
een het op met van de
po nad pod v w z dva dve
bir ve
"""
OTHER_FUNCTION_WORDS = frozenset(_OTHER_FUNCTION_WORDS.split())
"""Articles and prepositions of German, Spanish, French, Italian, Portuguese, Dutch, Slavic and Turkish."""

_ENGLISH_FUNCTION_WORDS = """
a an the of with and is are at by to from his her their its for while who that this as into through near over
under on up down two
"""
ENGLISH_FUNCTION_WORDS = frozenset(_ENGLISH_FUNCTION_WORDS.split())

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def language_notice(name: str, query: str) -> str | None:
    """A sentence for the person whose query a model may not read; None where it can, or where nobody knows.

    With the built-in model, none of Flickr8k's 35,000 English captions gets one.
    """
    if languages_of(name) != ENGLISH:
        return None
    text = unicodedata.normalize("NFKC", query[:MAX_CHARACTERS])
    words = _WORD.findall(text)
    foreign = [word for word in words if _scripts(word)]
    if any(_is_foreign_word(word) for word in foreign):
        mostly_foreign = sum(map(len, foreign)) * 2 > sum(map(len, words))
        quoted = text if mostly_foreign else " ".join(foreign)
        return _sentence(name, "cannot read", quoted, _language("".join(foreign)))
    if name == MINI and (_is_unknown_to_mini(text) or _is_probably_not_english(words)):
        return _sentence(name, "may not understand", text, None)
    return None


def _sentence(name: str, cannot: str, text: str, language: str | None) -> str:
    quoted = " ".join(text.split())
    quoted = quoted if len(quoted) <= 60 else quoted[:59].rstrip() + "…"
    preferred = offered_model(PREFERRED_MODEL)
    reads = f"{language} too" if language else f"{preferred.languages if preferred else 'many languages'}"
    return (
        f"{name} reads English only and {cannot} “{quoted}”; {PREFERRED_MODEL} reads {reads}: "
        f"smysl index --model {PREFERRED_MODEL}."
    )


def _scripts(word: str) -> list[str]:
    """The script of each letter that is not Latin, by the first word of its Unicode name."""
    if word.isascii():
        return []
    letters = (letter for letter in word if unicodedata.category(letter) in {"Lu", "Ll", "Lo"})
    scripts = [unicodedata.name(letter, "UNKNOWN").split()[0] for letter in letters]
    return [script for script in scripts if script != "LATIN"]


def _is_foreign_word(word: str) -> bool:
    """Whether the letters that are not Latin make a word, and not a symbol as in "50 µm" or "α helix"."""
    scripts = _scripts(word)
    return len(scripts) > 1 or bool({"CJK", "HANGUL", "HIRAGANA", "KATAKANA"} & set(scripts))


def _language(letters: str) -> str | None:
    if set(letters.lower()) & set("іїєґ"):
        return "Ukrainian"
    scripts = _scripts(letters)
    return next((language for script, language in LANGUAGE_OF_SCRIPT.items() if script in scripts), None)


@cache
def _mini_tokenizer() -> Tokenizer | None:
    from tokenizers import Tokenizer

    path = mini_folder() / "tokenizer.json"
    if not path.is_file():
        return None
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _is_unknown_to_mini(text: str) -> bool:
    """Whether the tokenizer knows no part of a text, such as one of emoji only."""
    tokenizer = _mini_tokenizer()
    if tokenizer is None:
        return False
    tokens = tokenizer.encode(text, add_special_tokens=False).tokens
    return bool(tokens) and all(token == "[UNK]" for token in tokens)  # noqa: S105 (a token, no password)


def _is_probably_not_english(words: list[str]) -> bool:
    """Whether words in Latin letters are probably not English.

    Two kinds of evidence count: function words of other languages, and words that the tokenizer splits. Either alone
    occurs in English queries too ("Los Angeles", "a wakeboarder"). English function words count against both. Without
    function words, as in "snezhnye gory", every word must be split, into three tokens on average.
    """
    tokenizer = _mini_tokenizer()
    if tokenizer is None or len(words) < 2:
        return False
    lower = [word.lower() for word in words]
    # One by one: a batch wakes threads, which takes milliseconds beside a busy tower and saves microseconds.
    pieces = [len(tokenizer.encode(word, add_special_tokens=False)) for word in lower]
    other = sum(word in OTHER_FUNCTION_WORDS for word in lower)
    english = sum(word in ENGLISH_FUNCTION_WORDS for word in lower)
    split = sum(count > 1 and word not in OTHER_FUNCTION_WORDS for word, count in zip(lower, pieces, strict=True))
    if other:
        evidence = other + split - 2 * english
        return evidence >= 2 and evidence * 2 >= len(words)
    return not english and split == len(words) and sum(pieces) >= 3 * len(words)
