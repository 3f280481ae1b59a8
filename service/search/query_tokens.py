"""Splits what a person typed into words, phrases in quotes and `key:value` pairs."""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“"}
_QUOTED = "|".join(
    rf"{re.escape(start)}(?:\\.|[^{re.escape(end)}\\])*{re.escape(end)}" for start, end in _QUOTES.items()
)
_TOKEN = re.compile(rf"(?:(?P<key>[^\W\d_][\w-]*):)?(?P<quoted>{_QUOTED})[,;]*(?=\s|$)|(?P<word>\S+)", re.DOTALL)
_PAIR = re.compile(r"([^\W\d_][\w-]*):(\S+)", re.DOTALL)
PUNCTUATION = ".,;:!?()[]"


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a phrase or a pair.

    Attributes:
        typed: as it was typed.
        start: where it begins in what was typed.
        key: what stands before the colon, in lower case, `-` as `_`; None without one.
        value: what stands after the colon, or between quotes; commas and semicolons after it are left out.
        quoted: whether there are quotes.
    """

    typed: str
    start: int
    key: str | None
    value: str
    quoted: bool

    @property
    def word(self) -> str:
        """Without punctuation around it."""
        return self.typed.strip(PUNCTUATION)

    @property
    def searched(self) -> str:
        """What of it is searched for where it is no filter: a phrase without its quotes, all else as it was typed."""
        return self.value if self.quoted and self.key is None else self.typed


def tokens_of(text: str) -> list[Token]:
    """The tokens of a text, in order. A quote without its other half is an ordinary character."""
    return [_token(found) for found in _TOKEN.finditer(text)]


def _token(found: re.Match[str]) -> Token:
    typed, start = found[0], found.start()
    if quoted := found["quoted"]:
        key = found["key"]
        return Token(
            typed, start, _normalised(key), re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL), quoted=True
        )
    pair = _PAIR.fullmatch(typed)
    if pair and not pair[2].startswith(tuple(_QUOTES)):
        return Token(typed, start, _normalised(pair[1]), pair[2].rstrip(",;"), quoted=False)
    return Token(typed, start, None, typed, quoted=False)


def _normalised(key: str | None) -> str | None:
    return None if key is None else key.casefold().replace("ё", "е").replace("-", "_")
