"""What all commands share: wrong use, missing and broken libraries, pipes and encodings."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conftest import SMYSL, Finished
from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary


@pytest.mark.parametrize("command", [("search", "a cat"), ("status",), ("serve",)])
def test_commands_without_a_library_say_how_to_make_one(smysl: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    sentence = error_of(smysl(*command, "--library", tmp_path / "none"), 1)
    assert str(tmp_path / "none") in sentence
    assert "smysl index DIR" in sentence
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", [("search", "a cat"), ("score", "{photo}", "a cat"), ("status",), ("serve",)])
def test_a_broken_library_is_reported(sample_library: SampleLibrary, smysl: Run, command: tuple[str, ...]) -> None:
    (sample_library.folder / "catalog.sqlite").write_bytes(
        b"this is no database, and it is long enough to be one" * 100
    )
    arguments = [part.format(photo=sample_library.photographs / "wood.jpg") for part in command]
    assert "catalog.sqlite" in error_of(smysl(*arguments, "--library", sample_library.folder), 1)


@pytest.mark.parametrize("command", [("search", "a cat"), ("serve",), ("score", "{photo}", "a cat")])
def test_a_missing_model_of_a_library_is_named(
    unindexed_library: SampleLibrary, smysl: Run, tmp_path: Path, tiny_folder: Path, command: tuple[str, ...]
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in tiny_folder.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    smysl(
        "index", unindexed_library.photographs, "--library", unindexed_library.folder, "--model", f"local-dir:{model}"
    )
    (model / "open_clip_config.json").unlink()
    arguments = [part.format(photo=unindexed_library.photographs / "wood.jpg") for part in command]
    assert str(model) in error_of(smysl(*arguments, "--library", unindexed_library.folder), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["search", "a cat", "--nonsense"], "No such option: --nonsense"),
        (["status", "a"], "unexpected extra argument"),
        (["search", "a cat", "-k", "five"], "'-k'"),
        (["eval", "retrieval"], "Missing option '--data'"),
    ],
)
def test_wrong_use_exits_with_2_and_points_to_help(smysl: Run, arguments: list[str], message: str) -> None:
    done = smysl(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Usage: smysl" in done.err
    assert "-h' for help" in done.err


def test_the_version_is_that_of_the_package(smysl: Run) -> None:
    assert smysl("--version") == Finished(0, f"smysl {version('smysl')}\n", "")


def test_serve_leaves_no_new_library_behind_if_it_cannot_start(smysl: Run, tmp_path: Path) -> None:
    done = smysl("serve", tmp_path / "no photographs", "--library", tmp_path / "library")
    assert "There is no folder" in error_of(done, 2)
    assert list(tmp_path.iterdir()) == []


def _process(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    command = [*SMYSL, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


def test_a_closed_pipe_ends_the_command_quietly() -> None:
    process = _process("models", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


def test_a_terminal_of_another_encoding_gets_question_marks(
    unindexed_library: SampleLibrary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "мох").symlink_to(tmp_path)
    unindexed_library.open().close()
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    out, err = _process("status", "--library", tmp_path / "мох" / "library").communicate()
    assert err == b""
    assert b"/???/library" in out
