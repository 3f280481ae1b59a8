"""`smysl index`: what it prints, and which errors it reports."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.library import Library
from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary


def test_index_prints_counts_and_lists_failures(unindexed_library: SampleLibrary, smysl: Run) -> None:
    (unindexed_library.photographs / "broken photo ё.jpg").write_bytes(b"this is no photograph")
    (unindexed_library.photographs / "empty.png").touch()
    (unindexed_library.photographs / "notes.txt").write_text("not a photograph")
    command = (
        "index",
        unindexed_library.photographs,
        "--library",
        unindexed_library.folder,
        "--model",
        unindexed_library.model,
    )
    first = smysl(*command)
    assert first.code == 0
    assert "5 added, 0 unchanged, 0 removed, 2 failed" in first.out
    assert f"The library {unindexed_library.folder} holds 5 photographs" in first.out
    failures = [line for line in first.err.splitlines() if "cannot index" in line]
    assert len(failures) == 2
    assert any("broken photo ё.jpg: it is not a photograph" in line for line in failures)
    assert any("empty.png: the file is empty" in line for line in failures)
    again = smysl(*command)
    assert "0 added, 5 unchanged, 0 removed, 2 failed" in again.out


def test_index_removes_missing_photographs_only_with_prune(sample_library: SampleLibrary, smysl: Run) -> None:
    (sample_library.photographs / "wood.jpg").unlink()
    kept = smysl("index", "--library", sample_library.folder)
    assert kept.code == 0
    assert "4 unchanged, 0 removed" in kept.out
    assert "1 photograph is missing; --prune" in kept.out
    held_back = smysl("index", "--prune", "--library", sample_library.folder)
    assert held_back.code == 1
    assert "4 unchanged, 0 removed" in held_back.out
    assert "1 photograph is missing\n" in held_back.out
    assert f"1 of 5 photographs of {sample_library.photographs} is gone" in held_back.err
    assert "smysl index --prune --confirm 1" in held_back.err
    pruned = smysl("index", "--prune", "--confirm", "1", "--library", sample_library.folder)
    assert pruned.code == 0
    assert "4 unchanged, 1 removed" in pruned.out
    assert "holds 4 photographs" in pruned.out


def test_index_fails_if_every_file_is_bad(unindexed_library: SampleLibrary, smysl: Run) -> None:
    for file in unindexed_library.photographs.iterdir():
        file.write_bytes(b"no")
    done = smysl(
        "index",
        unindexed_library.photographs,
        "--library",
        unindexed_library.folder,
        "--model",
        unindexed_library.model,
    )
    assert done.code == 1
    assert "5 failed" in done.out


@pytest.mark.parametrize("name", ["nothing here", "wood.jpg"])
def test_index_reports_a_missing_folder_before_it_loads_a_model(
    unindexed_library: SampleLibrary, smysl: Run, name: str
) -> None:
    done = smysl(
        "index", unindexed_library.photographs / name, "--library", unindexed_library.folder, "--model", "no such/model"
    )
    sentence = error_of(done, 2)
    assert name in sentence
    assert "model" not in sentence
    assert not unindexed_library.folder.exists()


def test_index_without_folders_needs_a_library(unindexed_library: SampleLibrary, smysl: Run) -> None:
    sentence = error_of(smysl("index", "--library", unindexed_library.folder), 1)
    assert "smysl index DIR" in sentence
    assert not unindexed_library.folder.exists()


def test_index_asks_for_a_folder_if_the_library_has_none(unindexed_library: SampleLibrary, smysl: Run) -> None:
    unindexed_library.open().close()
    assert "Name at least one folder" in error_of(smysl("index", "--library", unindexed_library.folder), 2)


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("nonsense", 2, "is not a model name"),
        ("local-dir:", 2, "names no folder"),
        ("hf-hub:nobody", 2, "hf-hub:ORG/NAME"),
        ("ViT-B-32/no-such-weights", 2, "has no weights"),
        ("local-dir:/no/such/folder", 2, "/no/such/folder"),
    ],
)
def test_index_with_a_wrong_model(
    unindexed_library: SampleLibrary, smysl: Run, model: str, code: int, message: str
) -> None:
    done = smysl("index", unindexed_library.photographs, "--library", unindexed_library.folder, "--model", model)
    assert message in error_of(done, code)
    assert not unindexed_library.folder.exists()


def test_index_stopped_before_anything_is_stored_leaves_no_library(
    unindexed_library: SampleLibrary, smysl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Library, "encoder_to_index", interrupt)
    done = smysl("index", unindexed_library.photographs, "--library", unindexed_library.folder)
    assert (done.code, done.out, done.err) == (130, "", "Stopped before anything was indexed.\n")
    assert not unindexed_library.folder.exists()


def test_index_names_the_process_that_is_already_writing(sample_library: SampleLibrary, smysl: Run) -> None:
    script = (
        "import sys, pathlib; from service.store.lock import write_lock\n"
        "with write_lock(pathlib.Path(sys.argv[1]), 'smysl index'): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(sample_library.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        sentence = error_of(smysl("index", sample_library.photographs, "--library", sample_library.folder), 1)
        assert f"process {holder.pid}" in sentence
        assert smysl("search", "a cat", "--library", sample_library.folder).code == 0
        assert f"process {holder.pid} (smysl index)" in smysl("status", "--library", sample_library.folder).out
    finally:
        holder.communicate()
    assert "writer       none" in smysl("status", "--library", sample_library.folder).out


def test_changing_the_model_waits_for_a_missing_folder(
    unindexed_library: SampleLibrary, smysl: Run, tmp_path: Path, tiny_folder: Path
) -> None:
    other = tmp_path / "other-model"
    shutil.copytree(tiny_folder, other)
    config = other / "open_clip_config.json"
    config.write_text(config.read_text(encoding="utf-8").replace("squash", "shortest"), encoding="utf-8")
    drive = tmp_path / "drive"
    shutil.copytree(unindexed_library.photographs, drive)
    library = ("--library", unindexed_library.folder)
    smysl("index", unindexed_library.photographs, drive, *library, "--model", f"local-dir:{tiny_folder}")
    drive.rename(tmp_path / "unplugged")

    done = smysl("index", *library, "--model", f"local-dir:{other}")

    assert done.code == 1
    assert f"still uses the model local-dir:{tiny_folder}: one of its folders is missing" in done.err
    assert smysl("search", "a cat", *library).code == 0
