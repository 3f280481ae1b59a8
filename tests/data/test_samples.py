"""The sample photographs: real, readable, and not touched once they are there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from data import samples
from data.samples import copy_samples, main, sample_photographs
from service.errors import NotFoundError, UsageError


def test_the_photographs_of_the_demo_are_included() -> None:
    names = {sample.name for sample in sample_photographs()}
    assert {"coffee.png", "cat.png", "motorcycle.png", "chinese-temple.jpg", "flower.jpg"} <= names
    assert {"brick-wall.png", "astronaut.png", "rocket.jpg"} <= names


def test_drawings_and_charts_are_left_out() -> None:
    sources = {sample.source.stem for sample in sample_photographs()}
    assert not sources & {"chessboard_GRAY", "chessboard_RGB", "color", "horse", "logo", "phantom", "cell"}


def test_every_photograph_decodes_and_has_the_suffix_of_its_format(tmp_path: Path) -> None:
    copied = copy_samples(tmp_path / "new" / "folder")
    assert len(copied) == len(sample_photographs())
    for path in copied:
        with Image.open(path) as image:
            image.load()
            assert image.format == {".png": "PNG", ".jpg": "JPEG"}[path.suffix]
            assert min(image.size) >= 150


def test_the_table_of_licences_names_every_photograph() -> None:
    table = re.findall(r"^\| (\S+\.(?:png|jpg)) \|", str(samples.__doc__), flags=re.MULTILINE)
    assert table == [sample.name for sample in sample_photographs()]


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    first = copy_samples(tmp_path)
    for path in first:
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert copy_samples(tmp_path) == first
    assert {path.stat().st_mtime for path in first} == {1_000_000_000}


def test_a_removed_photograph_is_copied_again(tmp_path: Path) -> None:
    copy_samples(tmp_path)
    (tmp_path / "cat.png").unlink()
    copy_samples(tmp_path)
    assert (tmp_path / "cat.png").is_file()
    assert not list(tmp_path.glob(".*"))


def test_another_file_with_a_samples_name_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"my own cat")
    with pytest.raises(UsageError, match="is not the sample photograph"):
        copy_samples(tmp_path)
    assert (tmp_path / "cat.png").read_bytes() == b"my own cat"


def test_a_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(samples, "find_spec", lambda module: None)
    with pytest.raises(NotFoundError, match=r"run pip install 'smysl\[demo\]'"):
        sample_photographs()
    assert main(["somewhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not Path("somewhere").exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="name another folder"):
        copy_samples(tmp_path / "file")


def test_the_command_prints_how_many_there_are(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "data.samples", str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == f"{len(sample_photographs())} sample photographs are in {tmp_path}\n"
