"""Folders of kinds: what is read, in which order, and the error for each unusable folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from data.kinds import KindFolder, copies, read_kinds
from service.errors import DataError
from service.photos.formats import is_photograph_name


def write(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())


def read(folder: Path) -> KindFolder:
    return read_kinds(folder, is_photograph_name)


def test_train_and_test_are_separated_and_kinds_sorted(tmp_path: Path) -> None:
    write(tmp_path, "train/tulip/2.jpg", "train/tulip/10.JPG", "train/rose/1.png", "test/tulip/3.jpg")
    kinds = read(tmp_path)
    assert kinds.names == ("rose", "tulip")
    assert [str(file.relative_to(tmp_path)) for file in kinds.files] == [
        "train/rose/1.png",
        "train/tulip/10.JPG",
        "train/tulip/2.jpg",
        "test/tulip/3.jpg",
    ]
    assert kinds.kind.tolist() == [0, 1, 1, 1]
    assert kinds.test.tolist() == [False, False, False, True]
    assert kinds.split
    assert kinds.skipped == 0


def test_kinds_without_train_and_test_have_no_test_set(tmp_path: Path) -> None:
    write(tmp_path, "b/1.jpg", "a/1.jpg", "a/2.jpg")
    kinds = read(tmp_path)
    assert kinds.names == ("a", "b")
    assert kinds.kind.tolist() == [0, 0, 1]
    assert not kinds.split
    assert kinds.lone.tolist() == [2]


def test_train_alone_has_no_test_set(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.jpg", "train/b/1.jpg")
    kinds = read(tmp_path)
    assert kinds.names == ("a", "b")
    assert not kinds.split


def test_kinds_may_be_called_train_and_test(tmp_path: Path) -> None:
    write(tmp_path, "train/locomotive.jpg", "bus/1.jpg", "test/tube.jpg")
    assert read(tmp_path).names == ("bus", "test", "train")


def test_hidden_files_and_links_are_skipped_and_other_files_counted(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg", "a/.2.jpg", ".git/3.jpg", "a/notes.txt", "README.md", "a/more/4.jpg", "far/5.jpg")
    (tmp_path / "a/6.jpg").symlink_to(tmp_path / "a/1.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    kinds = read(tmp_path)
    assert [file.name for file in kinds.files] == ["1.jpg", "5.jpg"]
    assert kinds.names == ("a", "far")
    assert kinds.skipped == 3


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["1.jpg"], "holds no kinds"),
        (["a/1.jpg", "b/notes.txt"], "The kind b in .* has no photograph"),
        (["train/a/1.jpg", "test/a/.hidden.jpg"], "The kind a in .*test has no photograph"),
        (["train/a/1.jpg", "test/1.jpg"], "test holds no kinds"),
        (["test/a/1.jpg"], "has test/ but no train/"),
        (["train/a/1.jpg", "test/a/1.jpg", "test/b/1.jpg"], "The kind b in .*test is not in .*train"),
    ],
)
def test_an_unusable_folder_is_refused(tmp_path: Path, files: list[str], message: str) -> None:
    write(tmp_path, *files)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder"):
        read(tmp_path / "nowhere")


def test_names_that_are_not_utf8_are_counted_or_refused(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/\xff.jpg")).touch()
    except OSError:
        pytest.skip("this file system keeps UTF-8 names only")
    assert read(tmp_path).skipped == 1
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).mkdir()
    with pytest.raises(DataError, match="not valid UTF-8"):
        read(tmp_path)


def test_a_message_names_five_kinds_at_most(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"kind{number}").mkdir()
    with pytest.raises(DataError, match="The kinds kind0, kind1, kind2, kind3, kind4 and 3 more in"):
        read(tmp_path)


def test_ten_thousand_kinds_are_read(tmp_path: Path) -> None:
    for number in range(10_000):
        kind = tmp_path / f"{number:05}"
        kind.mkdir()
        (kind / "1.jpg").touch()
    kinds = read(tmp_path)
    assert len(kinds.names) == len(kinds.files) == 10_000
    assert np.array_equal(kinds.kind, np.arange(10_000))


def test_copies_are_found_by_content(tmp_path: Path) -> None:
    contents = {"a": b"one", "b": b"two", "c": b"one", "d": b"three", "e": b"one"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    files = [tmp_path / name for name in [*contents, "gone"]]
    assert copies(files) == {2: 0, 4: 0}
