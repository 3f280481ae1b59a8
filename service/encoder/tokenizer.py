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

from service.encoder.token_trimming import UsedTokens
from service.types import Int64Array

TOKENIZER = "tokenizer.json"

_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What open_clip's tokenizer takes for a word."""

Tokenize = Callable[[Sequence[str]], Int64Array]
"""Texts, at least one, to tokens (n, length), no more of them than the text tower looks at."""


@dataclass(frozen=True)
class Reading:
    """What of a tokenizer is not in its file.

    `context_length` is how many tokens a tower reads, `pad` what shorter texts are filled up with; `lower` says whether
    capitals are read as small letters before anything else.
    """

    context_length: int
    pad: int
    lower: bool = False


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

    def __call__(self, texts: Sequence[str]) -> Int64Array:
        """Tokens (n, length) of `texts`; what exceeds the context length is cut."""
        # One by one: a batch wakes threads, which cost a query more than they give.
        read = [self._tokenizer.encode(self._cleaned(text)).ids for text in texts]
        tokens = np.full((len(read), self._reading.context_length), self._reading.pad, np.int64)
        for row, ids in zip(tokens, read, strict=True):
            row[: len(ids)] = ids
        return self._used.of(tokens)

    def _cleaned(self, text: str) -> str:
        return cleaned(text).lower() if self._reading.lower else cleaned(text)


def cleaned(text: str) -> str:
    """A text as open_clip reads it: broken letters mended (ftfy), HTML entities read, white space made one blank."""
    # Of plain letters ftfy gives back what it got, and importing it costs more than a search may.
    if not (text.isascii() and text.replace("\n", " ").replace("\t", " ").isprintable() and "&" not in text):
        import html

        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).strip()


def file_of(tokenizer: Any, folder: Path, texts: Sequence[str]) -> Reading | None:
    """Write the file of an open_clip tokenizer to `folder`; None where there is none that reads `texts` alike."""
    inner: Any
    pad: Any
    lower = type(tokenizer).__name__ == "SimpleTokenizer"
    if lower:
        inner, pad = _byte_pairs(tokenizer), 0
    else:
        wrapped = getattr(tokenizer, "tokenizer", None)
        inner, pad = getattr(wrapped, "backend_tokenizer", None), getattr(wrapped, "pad_token_id", None)
    length = getattr(tokenizer, "context_length", None)
    # One that shortens texts in its own way is no file.
    if inner is None or pad is None or not length or getattr(tokenizer, "reduction_fn", None) is not None:
        return None
    file = folder / TOKENIZER
    inner.save(str(file))
    reading = Reading(int(length), int(pad), lower)
    wanted = np.asarray(tokenizer(list(texts)), np.int64)
    if np.array_equal(FileTokenizer(file, reading, UsedTokens("all"))(texts), wanted):
        return reading
    file.unlink()
    return None


def _byte_pairs(simple: Any) -> Any:
    """open_clip's `SimpleTokenizer`, byte pairs as OpenAI's CLIP has them, as a tokenizer of the library tokenizers."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    first, last = simple.decoder[simple.sot_token_id], simple.decoder[simple.eot_token_id]
    merges = sorted(simple.bpe_ranks, key=simple.bpe_ranks.__getitem__)
    made = Tokenizer(models.BPE(vocab=simple.encoder, merges=merges, end_of_word_suffix="</w>"))
    made.add_special_tokens([first, last])
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    made.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    made.post_processor = processors.BertProcessing((last, simple.eot_token_id), (first, simple.sot_token_id))
    return made
