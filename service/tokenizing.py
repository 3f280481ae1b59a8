"""Texts to the numbers that a text tower reads, without torch: from a tokenizer in one file.

open_clip's tokenizers need torch, and a search should not. Those of transformers are `tokenizers` inside, whose file
gives the same numbers; whoever keeps such a file compares them first (`file_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.tokens import UsedTokens

TOKENIZER = "tokenizer.json"

Tokenize = Callable[[Sequence[str]], NDArray[np.int64]]
"""Texts, at least one, to tokens (n, length), no more of them than the text tower looks at."""


@dataclass(frozen=True)
class Reading:
    """What of a tokenizer is not in its file.

    `context_length` is how many tokens a tower reads, `pad` what shorter texts are filled up with.
    """

    context_length: int
    pad: int


class FileTokenizer:
    """Reads texts by the file `tokenizer.json` of the library tokenizers. Safe to use from several threads."""

    def __init__(self, file: Path, reading: Reading, used: UsedTokens) -> None:
        from tokenizers import Tokenizer

        self.file = file
        self._reading = reading
        self._used = used
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.enable_truncation(reading.context_length)
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens (n, length) of `texts`; what exceeds the context length is cut."""
        read = [each.ids for each in self._tokenizer.encode_batch([cleaned(text) for text in texts])]
        tokens = np.full((len(read), self._reading.context_length), self._reading.pad, np.int64)
        for row, ids in zip(tokens, read, strict=True):
            row[: len(ids)] = ids
        return self._used.of(tokens)


def cleaned(text: str) -> str:
    """A text as open_clip reads it: broken letters mended (ftfy), HTML entities read, white space made one blank."""
    # Of plain letters ftfy gives back what it got, and importing it costs more than a search may.
    if not (text.isascii() and text.replace("\n", " ").replace("\t", " ").isprintable() and "&" not in text):
        import html

        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).strip()


def file_of(tokenizer: Any, folder: Path, texts: Sequence[str]) -> Reading | None:
    """Write the file of an open_clip tokenizer to `folder`; None where it has none that reads `texts` alike."""
    inner = getattr(getattr(tokenizer, "tokenizer", None), "backend_tokenizer", None)
    pad = getattr(getattr(tokenizer, "tokenizer", None), "pad_token_id", None)
    length = getattr(tokenizer, "context_length", None)
    if inner is None or pad is None or not length or getattr(tokenizer, "strip_sep_token", False):
        return None
    file = folder / TOKENIZER
    inner.save(str(file))
    reading = Reading(int(length), int(pad))
    if np.array_equal(
        FileTokenizer(file, reading, UsedTokens("all"))(texts), np.asarray(tokenizer(list(texts)), np.int64)
    ):
        return reading
    file.unlink()
    return None
