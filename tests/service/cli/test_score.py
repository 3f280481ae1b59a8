"""`smysl score`: a pair and a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary


def test_score_is_one_number(shared_library: SampleLibrary, smysl: Run) -> None:
    done = smysl("score", shared_library.photographs / "wood.jpg", "a cat", "--library", shared_library.folder)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{float(done.out):.3f}\n"
    assert 0 <= float(done.out) <= 1
    unquoted = smysl("score", shared_library.photographs / "wood.jpg", "a", "cat", "--library", shared_library.folder)
    assert unquoted == done


def test_score_uses_the_given_model(shared_library: SampleLibrary, smysl: Run, tmp_path: Path) -> None:
    done = smysl(
        "score",
        shared_library.photographs / "wood.jpg",
        "a cat",
        "--model",
        shared_library.model,
        "--library",
        tmp_path / "none",
    )
    assert done.code == 0
    assert 0 <= float(done.out) <= 1


def test_score_prints_a_table_with_matches(sample_library: SampleLibrary, smysl: Run) -> None:
    table = sample_library.photographs / "pairs.tsv"
    table.write_text("image\ttext\nwood.jpg\ta cat\nsand.png\ta dog\n")
    done = smysl("score", "--pairs", table, "--library", sample_library.folder)
    assert (done.code, done.err) == (0, "")
    header, *rows = [line.split("\t") for line in done.out.splitlines()]
    assert header == ["image", "text", "match"]
    assert [row[:2] for row in rows] == [["wood.jpg", "a cat"], ["sand.png", "a dog"]]


def test_score_prints_nothing_of_a_table_with_an_error(sample_library: SampleLibrary, smysl: Run) -> None:
    (sample_library.photographs / "bad.jpg").write_bytes(b"no")
    table = sample_library.photographs / "pairs.tsv"
    table.write_text("image\ttext\n" + "wood.jpg\ta cat\n" * 70 + "bad.jpg\ta dog\n")
    assert "row 72, column image: 'bad.jpg'" in error_of(
        smysl("score", "--pairs", table, "--library", sample_library.folder), 1
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Name a photograph and a text"),
        (["wood.jpg"], 2, "Name a photograph and a text"),
        (["wood.jpg", ""], 2, "The text is empty"),
        (["none.jpg", "a cat"], 2, "There is no file none.jpg"),
        (["wood.jpg", "a cat", "--pairs", "x.tsv"], 2, "either a photograph and a text, or --pairs"),
        (["--pairs", "none.tsv"], 1, "There is no file none.tsv"),
        (["--pairs", "."], 1, "cannot be read (Is a directory)"),
    ],
)
def test_score_reports_wrong_arguments(
    shared_library: SampleLibrary,
    smysl: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(shared_library.photographs)
    assert message in error_of(smysl("score", *arguments, "--library", shared_library.folder), code)
