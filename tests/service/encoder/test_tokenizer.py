"""Tokenizing without torch gives the same tokens as open_clip's tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.encoder.models import mini_folder
from service.encoder.open_clip_model import load_tokenizer
from service.encoder.token_trimming import TokenTrimming
from service.encoder.tokenizer import TOKENIZER_FILE, FileTokenizer, TokenizerConfig, clean_text, save_tokenizer_file
from service.encoder.torchvision_compat import mend_torchvision

ALL = TokenTrimming("all")


@pytest.fixture(scope="module")
def mini_tokenizer() -> Any:
    return load_tokenizer("mini")


@pytest.fixture(scope="module")
def from_file(mini_tokenizer: Any) -> FileTokenizer:
    return FileTokenizer(mini_folder() / TOKENIZER_FILE, TokenizerConfig(mini_tokenizer.context_length, 0), ALL)


@given(st.text(max_size=300))
@settings(max_examples=300)
def test_any_text_gives_the_tokens_of_open_clip(mini_tokenizer: Any, from_file: FileTokenizer, text: str) -> None:
    assert np.array_equal(from_file([text]), mini_tokenizer([text]).numpy())


@given(st.text(st.characters(max_codepoint=127), max_size=60))
@settings(max_examples=300)
def test_plain_ascii_needs_no_repair(text: str) -> None:
    mend_torchvision()
    from open_clip.tokenizer import basic_clean, whitespace_clean

    assert clean_text(text) == whitespace_clean(basic_clean(text))


def test_tokens_are_trimmed_to_the_longest_text(from_file: FileTokenizer) -> None:
    trimming = FileTokenizer(mini_folder() / TOKENIZER_FILE, TokenizerConfig(64, 0), TokenTrimming("until padding", 0))
    assert from_file(["a cat", "cat " * 200]).shape == (2, 64)
    assert trimming(["a cat", "two dogs play"]).shape == (2, 5)


def test_tokenizer_with_its_own_way_of_shortening_is_not_saved(tmp_path: Path) -> None:
    mend_torchvision()
    import open_clip

    shortening = open_clip.SimpleTokenizer(context_length=8, reduction_mask="simple")
    assert save_tokenizer_file(shortening, tmp_path, ["a cat and a dog and a horse and a cow and a bird"]) is None
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def byte_pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, FileTokenizer]:
    """OpenAI's tokenizer from open_clip, and the same from a file."""
    mend_torchvision()
    import open_clip

    simple = open_clip.SimpleTokenizer()
    folder = tmp_path_factory.mktemp("byte-pairs")
    config = save_tokenizer_file(simple, folder, ["Two dogs' tails, 1999!", "", "собака", "夜の街", "cat " * 100])
    assert config == TokenizerConfig(77, 0, lower=True)
    return simple, FileTokenizer(folder / TOKENIZER_FILE, config, ALL)


@given(st.text(st.characters(max_codepoint=0x4FFF, exclude_categories=["Cn", "Co", "Cs"]), max_size=200))
@settings(max_examples=400, derandomize=True)
def test_byte_pairs_equal_open_clips(byte_pairs: tuple[Any, FileTokenizer], text: str) -> None:
    simple, from_file = byte_pairs
    assert np.array_equal(from_file([text]), simple([text]).numpy())


def test_tokenizer_that_differs_from_its_file_is_not_saved(mini_tokenizer: Any, tmp_path: Path) -> None:
    assert save_tokenizer_file(mini_tokenizer, tmp_path, ["a cat", "собака", ""]) == TokenizerConfig(64, 0)

    class Truncating:
        tokenizer, context_length = mini_tokenizer.tokenizer, mini_tokenizer.context_length

        def __call__(self, texts: list[str]) -> Any:
            return mini_tokenizer([text[:2] for text in texts])

    assert save_tokenizer_file(Truncating(), tmp_path, ["a cat"]) is None
    assert not (tmp_path / TOKENIZER_FILE).exists()
