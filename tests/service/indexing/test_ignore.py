"""Patterns of `.smyslignore` files and of `--exclude`: what they leave out, and what happens to broken ones."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from service.errors import UsageError
from service.indexing.ignore import IGNORE_FILE
from tests.service.trees import failures, listings, photographs, skipped, write


def ignore(folder: Path, *patterns: str) -> None:
    write(folder, IGNORE_FILE, content="".join(f"{pattern}\n" for pattern in patterns).encode())


# -- which files ------------------------------------------------------------------------------------------


def test_patterns_apply_in_their_folder_and_below(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "a/2.png", "a/b/3.png", "c/4.png", "a/5.jpg")
    ignore(tmp_path / "a", "*.png")
    found = listings(tmp_path)
    assert photographs(found) == ["1.png", "a/5.jpg", "c/4.png"]
    assert skipped(found) == {"a/2.png": "ignored", "a/b/3.png": "ignored"}


def test_a_pattern_with_a_slash_is_relative_to_its_file(tmp_path: Path) -> None:
    write(tmp_path, "a/x/1.jpg", "a/b/x/2.jpg", "x/3.jpg", "a/top.jpg", "a/b/top.jpg")
    ignore(tmp_path / "a", "/x", "/top.jpg")
    found = listings(tmp_path)
    assert photographs(found) == ["a/b/top.jpg", "a/b/x/2.jpg", "x/3.jpg"]
    assert skipped(found) == {"a/x/": "ignored", "a/top.jpg": "ignored"}


def test_a_pattern_that_ends_with_a_slash_is_for_folders(tmp_path: Path) -> None:
    write(tmp_path, "raw/1.jpg", "a/raw/2.jpg", "b/raw.jpg")
    write(tmp_path, "c/raw", content=b"")
    ignore(tmp_path, "raw/")
    found = listings(tmp_path)
    assert photographs(found) == ["b/raw.jpg"]
    assert skipped(found) == {"raw/": "ignored", "a/raw/": "ignored", "c/raw": "not-photograph"}


def test_later_and_deeper_patterns_take_back(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "best.png", "a/2.png", "a/best.png", "b/3.png")
    ignore(tmp_path, "*.png", "!best.png")
    ignore(tmp_path / "a", "best.png", "!2.png")
    assert photographs(listings(tmp_path)) == ["best.png", "a/2.png"]


def test_nothing_inside_a_folder_that_is_left_out_can_be_taken_back(tmp_path: Path) -> None:
    write(tmp_path, "private/keep.jpg")
    ignore(tmp_path, "private/", "!keep.jpg")
    ignore(tmp_path / "private", "!*")
    assert skipped(listings(tmp_path)) == {"private/": "ignored"}


def test_all_but_some_can_be_left_out(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.jpg", "a/3.png", "a/4.jpg")
    ignore(tmp_path, "*", "!*/", "!*.jpg")
    assert photographs(listings(tmp_path)) == ["2.jpg", "a/4.jpg"]


def test_rubbish_cannot_be_taken_back(tmp_path: Path) -> None:
    write(tmp_path, "@eaDir/1.jpg", "._2.jpg")
    ignore(tmp_path, "!*")
    assert skipped(listings(tmp_path)) == {"@eaDir/": "rubbish", "._2.jpg": "rubbish"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comments_blank_lines_and_line_ends_do_not_matter(tmp_path: Path, end: str) -> None:
    write(tmp_path, "1.png", "2.jpg", "#3.jpg")
    text = f"\ufeff*.png{end}# *.jpg{end}{end}   {end}\\#3.jpg  {end}/{end}!{end}"
    write(tmp_path, IGNORE_FILE, content=text.encode())
    found = listings(tmp_path)
    assert photographs(found) == ["2.jpg"]
    assert failures(found) == {}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_the_unicode_normalization_of_names_does_not_matter(tmp_path: Path, form: str, typed: str) -> None:
    write(tmp_path, unicodedata.normalize(form, "Müller й/1.jpg"), unicodedata.normalize(form, "a/ё.jpg"))
    ignore(tmp_path, unicodedata.normalize(typed, "Müller й/"), unicodedata.normalize(typed, "ё.*"))
    assert photographs(listings(tmp_path)) == []


@pytest.mark.parametrize("folder", ["[2019] *best*?", "back\\slash", "#1", "!", " space ", "новый\nгод"])
def test_characters_of_patterns_in_the_name_of_a_folder_are_literal(tmp_path: Path, folder: str) -> None:
    write(tmp_path, f"{folder}/1.png", f"{folder}/2.jpg", "2/1.png")
    ignore(tmp_path / folder, "*.png")
    found = listings(tmp_path)
    assert sorted(photographs(found)) == sorted([f"{folder}/2.jpg", "2/1.png"])


def test_exclude_is_relative_to_the_root_and_cannot_be_taken_back_by_a_file(tmp_path: Path) -> None:
    write(tmp_path, "drafts/1.jpg", "a/drafts/2.jpg", "3.png", "4.png")
    ignore(tmp_path, "!*")
    found = listings(tmp_path, exclude=("/drafts", "*.png", "!4.png"))
    assert photographs(found) == ["4.png", "a/drafts/2.jpg"]
    assert skipped(found) == {"drafts/": "excluded", "3.png": "excluded"}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("seed", range(40))
def test_random_patterns_leave_out_what_git_leaves_out(tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311
    folders = [""]
    for _ in range(6):
        folders.append(f"{generator.choice(folders)}/{generator.choice(['a', 'b', 'foo', 'b c', '[x]'])}".lstrip("/"))
    names = ["a.jpg", "b.jpg", "c.png", "foo.jpg", "é.jpg", "[x].jpg", "a*b.jpg", "x#.jpg"]
    write(tmp_path, *(f"{folder}/{name}".lstrip("/") for folder in folders for name in generator.sample(names, 4)))
    for folder in generator.sample(folders, 3):
        lines = [random_pattern(generator) for _ in range(4)]
        ignore(tmp_path / folder, *lines)
        shutil.copy(tmp_path / folder / IGNORE_FILE, tmp_path / folder / ".gitignore")
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    listed = subprocess.run([*git, "ls-files", "-z", "-o", "--exclude-standard"], check=True, capture_output=True)
    expected = {path for path in listed.stdout.decode().split("\0") if path.endswith((".jpg", ".png"))}
    assert set(photographs(listings(tmp_path))) == expected


def random_pattern(generator: random.Random) -> str:
    parts = ["a", "b", "*", "*.jpg", "a*", "**", "?", "[ab]", "[!a]*", "foo", "*o", "b c", "é*", "\\[x\\].jpg", "x#*"]
    pattern = "/".join(generator.choices(parts, k=generator.choice([1, 1, 1, 2, 2, 3])))
    negation, start, end = (generator.random() < chance for chance in (0.3, 0.25, 0.3))
    return f"{'!' * negation}{'/' * start}{pattern}{'/' * end}"


# -- broken and hostile files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"*.png\n\xff\xfe\n", "its patterns are not used (it is not text in UTF-8)"),
        (b"*.png\n" * 100_000, "its patterns are not used (it is larger than 64 KB)"),
        (b"*.png\n" * 2_000, "its patterns are not used (with those of the folders above there are more than 1,000)"),
        (b"*.gif\n[z-a]\n", "not a pattern, and not used: line 2"),
        (b"[z-a]\n" * 5, "not a pattern, and not used: line 1, 2, 3 and 2 more"),
    ],
)
def test_a_broken_file_is_named_and_its_folder_is_walked(tmp_path: Path, content: bytes, problem: str) -> None:
    write(tmp_path, "a/1.png", "a/b/2.png")
    write(tmp_path, f"a/{IGNORE_FILE}", content=content)
    found = listings(tmp_path)
    assert photographs(found) == ["a/1.png", "a/b/2.png"]
    assert failures(found) == {f"a/{IGNORE_FILE}": problem}


def test_what_is_not_a_file_is_named_and_its_folder_is_walked(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", f"a/{IGNORE_FILE}/", "b/2.png", "c/3.png")
    (tmp_path / "b" / IGNORE_FILE).symlink_to(write(tmp_path / "outside", "passwords", content=b"*\n") / "passwords")
    kinds = {"a": "a folder", "b": "a link"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "c" / IGNORE_FILE)
        kinds["c"] = "not a file"
    found = listings(tmp_path)
    assert photographs(found) == ["a/1.png", "b/2.png", "c/3.png"]
    assert failures(found) == {
        f"{name}/{IGNORE_FILE}": f"its patterns are not used (it is {kind})" for name, kind in kinds.items()
    }


def test_the_patterns_above_a_broken_file_still_apply(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "a/2.jpg")
    ignore(tmp_path, "*.png")
    write(tmp_path, f"a/{IGNORE_FILE}", content=b"\xff")
    assert photographs(listings(tmp_path)) == ["a/2.jpg"]


def test_the_file_itself_is_not_counted(tmp_path: Path) -> None:
    ignore(tmp_path, "*.png")
    assert skipped(listings(tmp_path)) == {}


def test_patterns_that_would_backtrack_for_ever_are_matched(tmp_path: Path) -> None:
    pytest.importorskip("re2", reason="without RE2 such patterns are slow")
    write(tmp_path, *("a" * 200 + f"{number}.jpg" for number in range(100)))
    ignore(tmp_path, "*a" * 25 + "b", "**/a*/" * 20)
    assert len(photographs(listings(tmp_path))) == 100


def test_patterns_that_are_too_long_together_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("re2", reason="only RE2 has a limit")
    write(tmp_path, "1.jpg")
    ignore(tmp_path, *(f"{number}{'?' * 50}" for number in range(999)))
    found = listings(tmp_path)
    assert photographs(found) == ["1.jpg"]
    assert failures(found) == {IGNORE_FILE: "its patterns are not used (there are too many, or too long ones)"}
    with pytest.raises(UsageError, match="--exclude cannot be used"):
        listings(tmp_path, exclude=tuple(f"{number}{'?' * 50}" for number in range(999)))
