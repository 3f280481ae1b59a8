"""Patterns in gitignore's syntax that leave files and folders out: `.smyslignore` files and `--exclude`.

As in git, a file's patterns apply in its folder and below, later patterns win over earlier ones and deeper files over
those above, `!` takes back, and nothing inside a folder that is left out can be taken back. Case matters; the
Unicode normalization of names does not.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from service.errors import UsageError
from service.indexing.skipped import Reason

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

IGNORE_FILE = ".smyslignore"
"""Name of the files with patterns."""

_MAX_BYTES = 64 << 10
"""Bytes of a file with patterns; a larger one is no such file."""

_MAX_PATTERNS = 1_000
"""Patterns that apply in one folder; many more are too many for RE2, which matches them all at once."""


class _Pattern(NamedTuple):
    """A compiled pattern, relative to the root: for files, and without the slash at its end for folders."""

    for_files: GitIgnoreSpecPattern
    for_folders: GitIgnoreSpecPattern


class Patterns:
    """Patterns relative to a root, in order."""

    def __init__(self, patterns: Sequence[_Pattern] = ()) -> None:
        self._patterns = patterns

    def __len__(self) -> int:
        return len(self._patterns)

    def __add__(self, patterns: Sequence[_Pattern]) -> Patterns:
        return Patterns([*self._patterns, *patterns])

    def compile(self) -> None:
        """Compile the patterns together; raises `ValueError` if they are more than the matcher can take."""
        try:
            _ = self._for_files, self._for_folders
        # RE2 has its own error class, and is not on every machine.
        except Exception:  # noqa: BLE001
            raise ValueError("there are too many, or too long ones") from None

    def leave_out(self, path: str, *, is_folder: bool) -> bool:
        """Whether the patterns leave out `path`, relative to the root, of which no folder above is left out."""
        spec = self._for_folders if is_folder else self._for_files
        return spec.match_file(_normalized(path))

    # pathspec knows files only. A folder is matched as if it were a file, by patterns that have lost their last slash.
    @cached_property
    def _for_folders(self) -> GitIgnoreSpec:
        return _spec([pattern.for_folders for pattern in self._patterns])

    @cached_property
    def _for_files(self) -> GitIgnoreSpec:
        return _spec([pattern.for_files for pattern in self._patterns])


class IgnoreRules:
    """What is left out in one folder: `exclude` from `--exclude`, `ignored` from the files from the root down."""

    def __init__(self, exclude: Patterns | None = None, ignored: Patterns | None = None) -> None:
        self._exclude = exclude or Patterns()
        self._ignored = ignored or Patterns()

    @classmethod
    def excluding(cls, patterns: Iterable[str]) -> IgnoreRules:
        """The rules of a root with these `--exclude` patterns; raises `UsageError` if one cannot be understood."""
        parsed: list[_Pattern] = []
        for pattern in patterns:
            try:
                parsed += _parsed(pattern, "")
            except (re.error, ValueError):
                raise UsageError(
                    f"--exclude {pattern} is not a pattern. Patterns are written as in a .gitignore file, such as "
                    "'*.png' or 'private/'."
                ) from None
        rules = Patterns(parsed)
        try:
            if parsed:
                rules.compile()
        except ValueError as error:
            raise UsageError(f"The patterns of --exclude cannot be used: {error}.") from None
        return cls(rules)

    def reason(self, path: str, *, is_folder: bool) -> Reason | None:
        """Why a file or folder is left out, None if it is not; `path` is relative to the root."""
        if self._exclude and self._exclude.leave_out(path, is_folder=is_folder):
            return Reason.EXCLUDED
        if self._ignored and self._ignored.leave_out(path, is_folder=is_folder):
            return Reason.IGNORED
        return None

    def with_file(self, root: Path, folder: str) -> tuple[IgnoreRules, str]:
        """The rules in a folder that has a `.smyslignore` file, and a sentence about what is wrong with it, or "".

        Args:
            root: absolute path.
            folder: relative to the root; these are the rules of the folder above it.
        """
        patterns: list[_Pattern] = []
        wrong = []
        try:
            for number, line in enumerate(_lines_of(root / folder / IGNORE_FILE), start=1):
                try:
                    patterns += _parsed(line, folder)
                except (re.error, ValueError):
                    wrong.append(number)
                if len(self._ignored) + len(patterns) + len(wrong) > _MAX_PATTERNS:
                    raise ValueError(f"with those of the folders above there are more than {_MAX_PATTERNS:,}")
            ignored = self._ignored + patterns
            ignored.compile()
        except OSError as error:
            return self, f"its patterns are not used ({error.strerror})"
        except ValueError as error:
            return self, f"its patterns are not used ({error})"
        more = f" and {len(wrong) - 3:,} more" if len(wrong) > 3 else ""
        problem = f"not a pattern, and not used: line {', '.join(map(str, wrong[:3]))}{more}" if wrong else ""
        return (IgnoreRules(self._exclude, ignored) if patterns else self), problem


def _lines_of(file: Path) -> list[str]:
    """The lines of a file with patterns; raises `ValueError` with the reason, or `OSError`."""
    status = os.lstat(file)
    # Nothing but a file of its own, as in git: a pipe blocks, and a link may lead to what nobody meant to be read.
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link"}
        raise ValueError(f"it is {kinds.get(stat.S_IFMT(status.st_mode), 'not a file')}")
    with file.open("rb") as stream:
        content = stream.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 10} KB")
    try:
        return content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None


def _parsed(line: str, folder: str) -> list[_Pattern]:
    """The pattern of a line in a folder, relative to the root; none for a blank line or a comment.

    Raises `ValueError` or `re.error` for what is no pattern.
    """
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    text = line if line.endswith("\\ ") else line.rstrip()
    if text.startswith("#"):
        return []
    negation, text = ("!", text[1:]) if text.startswith("!") else ("", text)
    slash = "/" if text.endswith("/") else ""
    text = text.removesuffix("/")
    if not text.strip("/"):
        return []
    if slash and (text == "**" or text.endswith("/**")):
        # All folders inside; pathspec would take the files there, too.
        text += "/*"
    if folder:
        # Glob characters of the folder's own name are literal.
        above = re.sub(r"([\\*?\[])", r"\\\1", folder)
        text = f"/{above}/{text.removeprefix('/')}" if "/" in text else f"/{above}/**/{text}"
    for_files, for_folders = (GitIgnoreSpecPattern(_normalized(f"{negation}{text}{end}")) for end in (slash, ""))
    return [] if for_files.include is None else [_Pattern(for_files, for_folders)]


def _spec(patterns: Sequence[GitIgnoreSpecPattern]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec(patterns)


def _normalized(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)
