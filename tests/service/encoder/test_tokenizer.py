"""Texts read without torch give the numbers that open_clip's tokenizers give."""

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
def of_mini() -> Any:
    return load_tokenizer("mini")


@pytest.fixture(scope="module")
def from_file(of_mini: Any) -> FileTokenizer:
    return FileTokenizer(mini_folder() / TOKENIZER_FILE, TokenizerConfig(of_mini.context_length, 0), ALL)


@given(st.text(max_size=300))
@settings(deadline=None, max_examples=300)
def test_any_text_is_read_as_open_clip_reads_it(of_mini: Any, from_file: FileTokenizer, text: str) -> None:
    assert np.array_equal(from_file([text]), of_mini([text]).numpy())


@given(st.text(st.characters(max_codepoint=127), max_size=60))
@settings(deadline=None, max_examples=300)
def test_plain_letters_need_no_mending(text: str) -> None:
    mend_torchvision()
    from open_clip.tokenizer import basic_clean, whitespace_clean

    assert clean_text(text) == whitespace_clean(basic_clean(text))


def test_tokens_are_as_many_as_the_longest_text_needs(from_file: FileTokenizer) -> None:
    cut = FileTokenizer(mini_folder() / TOKENIZER_FILE, TokenizerConfig(64, 0), TokenTrimming("until padding", 0))
    assert from_file(["a cat", "cat " * 200]).shape == (2, 64)
    assert cut(["a cat", "two dogs play"]).shape == (2, 5)


def test_a_tokenizer_that_shortens_texts_in_its_own_way_is_left_to_open_clip(tmp_path: Path) -> None:
    mend_torchvision()
    import open_clip

    shortening = open_clip.SimpleTokenizer(context_length=8, reduction_mask="simple")
    assert save_tokenizer_file(shortening, tmp_path, ["a cat and a dog and a horse and a cow and a bird"]) is None
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def byte_pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, FileTokenizer]:
    """OpenAI's tokenizer as open_clip has it, and from a file."""
    mend_torchvision()
    import open_clip

    simple = open_clip.SimpleTokenizer()
    folder = tmp_path_factory.mktemp("byte-pairs")
    reading = save_tokenizer_file(simple, folder, ["Two dogs' tails, 1999!", "", "собака", "夜の街", "cat " * 100])
    assert reading == TokenizerConfig(77, 0, lower=True)
    return simple, FileTokenizer(folder / TOKENIZER_FILE, reading, ALL)


@given(st.text(st.characters(max_codepoint=0x4FFF, exclude_categories=["Cn", "Co", "Cs"]), max_size=200))
@settings(deadline=None, max_examples=400, derandomize=True)
def test_byte_pairs_are_those_of_open_clip(byte_pairs: tuple[Any, FileTokenizer], text: str) -> None:
    simple, from_file = byte_pairs
    assert np.array_equal(from_file([text]), simple([text]).numpy())


def test_a_tokenizer_that_reads_otherwise_than_its_file_is_left_to_open_clip(of_mini: Any, tmp_path: Path) -> None:
    assert save_tokenizer_file(of_mini, tmp_path, ["a cat", "собака", ""]) == TokenizerConfig(64, 0)

    class Lowering:
        tokenizer, context_length = of_mini.tokenizer, of_mini.context_length

        def __call__(self, texts: list[str]) -> Any:
            return of_mini([text[:2] for text in texts])

    assert save_tokenizer_file(Lowering(), tmp_path, ["a cat"]) is None
    assert not (tmp_path / TOKENIZER_FILE).exists()
