"""Tokenizer: texts to the token ids of a text tower, from one file and without torch.

open_clip's tokenizers need torch, and a search should not. Those of transformers wrap the library `tokenizers`, whose
file gives the same ids; `save_tokenizer_file` checks that before it keeps the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.encoder.token_trimming import TokenTrimming
from service.types import Int64Array

TOKENIZER_FILE = "tokenizer.json"

_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What open_clip's tokenizer splits a text into."""

Tokenizer = Callable[[Sequence[str]], Int64Array]
"""At least one text to tokens (n, length), trimmed to those that the text tower needs."""


@dataclass(frozen=True)
class TokenizerConfig:
    """What a tokenizer's file does not say.

    Attributes:
        context_length: tokens that the text tower takes.
        pad: id of the padding token.
        lower: whether texts are lowercased first.
    """

    context_length: int
    pad: int
    lower: bool = False


class FileTokenizer:
    """Tokenizes by a `tokenizer.json` of the library tokenizers. Safe to use from several threads."""

    def __init__(self, file: Path, config: TokenizerConfig, trimming: TokenTrimming) -> None:
        from tokenizers import Tokenizer

        self.file = file
        self._config = config
        self._trimming = trimming
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.enable_truncation(config.context_length)
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> Int64Array:
        """Tokens (n, length) of `texts`, truncated to the context length."""
        # One by one: a batch wakes threads, which costs a query more than it saves.
        encoded = [self._tokenizer.encode(self._clean(text)).ids for text in texts]
        tokens = np.full((len(encoded), self._config.context_length), self._config.pad, np.int64)
        for row, ids in zip(tokens, encoded, strict=True):
            row[: len(ids)] = ids
        return self._trimming.trim(tokens)

    def _clean(self, text: str) -> str:
        return clean_text(text).lower() if self._config.lower else clean_text(text)


def trimming_tokenizer(tokenizer: Any, trimming: TokenTrimming) -> Tokenizer:
    """An open_clip tokenizer that returns only the tokens that the text tower needs."""

    def tokenize(texts: Sequence[str]) -> Int64Array:
        return trimming.trim(np.asarray(tokenizer(list(texts)), np.int64))

    return tokenize


def clean_text(text: str) -> str:
    """Clean a text as open_clip does: repair mojibake (ftfy), decode HTML entities, collapse white space."""
    # ftfy does not change plain ASCII, and importing it takes longer than a search may.
    if not (text.isascii() and text.replace("\n", " ").replace("\t", " ").isprintable() and "&" not in text):
        import html

        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).strip()


def save_tokenizer_file(tokenizer: Any, folder: Path, texts: Sequence[str]) -> TokenizerConfig | None:
    """Save an open_clip tokenizer as a file in `folder`; None where no such file tokenizes `texts` as it does."""
    inner: Any
    pad: Any
    lower = type(tokenizer).__name__ == "SimpleTokenizer"
    if lower:
        inner, pad = _byte_pairs(tokenizer), 0
    else:
        wrapped = getattr(tokenizer, "tokenizer", None)
        inner, pad = getattr(wrapped, "backend_tokenizer", None), getattr(wrapped, "pad_token_id", None)
    length = getattr(tokenizer, "context_length", None)
    # A file cannot express a tokenizer's own way of shortening texts.
    if inner is None or pad is None or not length or getattr(tokenizer, "reduction_fn", None) is not None:
        return None
    file = folder / TOKENIZER_FILE
    inner.save(str(file))
    config = TokenizerConfig(int(length), int(pad), lower)
    expected = np.asarray(tokenizer(list(texts)), np.int64)
    if np.array_equal(FileTokenizer(file, config, TokenTrimming("all"))(texts), expected):
        return config
    file.unlink()
    return None


def _byte_pairs(simple: Any) -> Any:
    """open_clip's `SimpleTokenizer` (OpenAI's byte-pair encoding) as a tokenizer of the library tokenizers."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    first, last = simple.decoder[simple.sot_token_id], simple.decoder[simple.eot_token_id]
    merges = sorted(simple.bpe_ranks, key=simple.bpe_ranks.__getitem__)
    converted = Tokenizer(models.BPE(vocab=simple.encoder, merges=merges, end_of_word_suffix="</w>"))
    converted.add_special_tokens([first, last])
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    converted.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    converted.post_processor = processors.BertProcessing((last, simple.eot_token_id), (first, simple.sot_token_id))
    return converted
