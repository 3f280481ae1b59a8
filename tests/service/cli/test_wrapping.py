"""Text that a person reads fits the terminal, and stays in one line in a pipe."""

from __future__ import annotations

import io
import os
import sys

import pytest
from rich.console import Console
from rich.table import Column

from service.cli import wrapping
from service.cli.terminal import print_columns, print_rows, print_sentences, say
from service.cli.wrapping import wrapped

SENTENCE = "No good match: the best is 0.083, and only 0.210 or more is shown."


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is a terminal of 40 columns."""
    monkeypatch.setattr("service.cli.terminal.terminal_width", lambda: 40)


def test_lines_are_broken_between_words() -> None:
    assert wrapped(SENTENCE, 40) == ["No good match: the best is 0.083, and", "only 0.210 or more is shown."]
    assert wrapped("one\ntwo", 40) == ["one", "two"]
    assert wrapped(SENTENCE, None) == [SENTENCE]


def test_a_path_is_not_broken() -> None:
    path = "/photographs/" + "a-long-name/" * 5
    assert wrapped(f"There is no library in {path} yet.", 40) == ["There is no library in", path, "yet."]


@pytest.mark.parametrize("width", [-5, 0, 1])
def test_the_narrowest_terminal_shows_every_word(width: int) -> None:
    assert " ".join(wrapped(SENTENCE, width)) == SENTENCE


def test_a_sentence_for_a_terminal_is_wrapped_and_one_for_a_pipe_is_not() -> None:
    terminal, pipe = io.StringIO(), io.StringIO()
    say(SENTENCE, Console(file=terminal, force_terminal=True, width=40))
    say(SENTENCE, Console(file=pipe, width=40))
    assert terminal.getvalue().splitlines() == wrapped(SENTENCE, 40)
    assert pipe.getvalue() == f"{SENTENCE}\n"


@pytest.mark.usefixtures("narrow")
def test_rows_are_wrapped_beside_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows({"match": SENTENCE, "photographs": "19"})
    print_sentences(SENTENCE)
    assert capsys.readouterr().out.splitlines() == [
        "match        No good match: the best is",
        "             0.083, and only 0.210 or",
        "             more is shown.",
        "photographs  19",
        *wrapped(SENTENCE, 40),
    ]


@pytest.mark.usefixtures("narrow")
def test_a_table_becomes_a_list_where_it_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns(
        [Column("model"), Column("download"), Column("languages")],
        [("ViT-SO400M-16-SigLIP2-256/webli", "4,577 MB", "109 languages, Russian among them")],
    )
    assert capsys.readouterr().out.splitlines() == [
        "ViT-SO400M-16-SigLIP2-256/webli",
        "  download: 4,577 MB",
        "  languages: 109 languages, Russian",
        "    among them",
    ]


def test_the_width_of_a_terminal_is_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wrapping.terminal_width() is None
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(os.environ, "COLUMNS", "60")
    assert wrapping.terminal_width() == 60
