"""Changes in a folder and below it, as the operating system reports them.

On Linux each folder is watched by itself (inotify), so that those that an index run passes over and those that cannot
be read stand in nobody's way; elsewhere the system watches a folder with all that is below it.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Generator, Iterable
from itertools import pairwise
from pathlib import Path

from service.errors import LibraryError
from service.indexing.changes import Changes
from service.indexing.grouping import kind_of
from service.indexing.names import suffix_of
from service.indexing.watched_names import RULES, folders_below, is_left_out, may_be_photograph

_EACH_FOLDER = sys.platform == "linux"
"""Whether each folder is watched by itself."""

_MOST_WATCHERS = 8
"""Watchers of one folder from which on a single one replaces them; each is a thread and an inotify instance."""

_TRIES = 10
"""How often folders are listed again because some of them went before they were watched."""

_INOTIFY = Path("/proc/sys/fs/inotify")
"""Where Linux keeps its limits."""

_ENOUGH = {"max_user_watches": 1 << 20, "max_user_instances": 1 << 10}
"""Limits that suit most people."""

_Watcher = Generator[set[tuple[int, str]], None, None]
"""Yields the changes since it was last asked: kinds (`watchfiles.Change`) and paths."""


class DiskEvents:
    """The changes of a folder and of what is below it, as the operating system reports them.

    Args:
        root: the folder, absolute and resolved.
        leave_out: a folder whose changes do not matter: the library's own.

    Raises:
        LibraryError: the system cannot watch that many folders. The message says what to do.
    """

    def __init__(self, root: Path, leave_out: Path) -> None:
        self._root = str(root)
        self._leave_out = str(leave_out)
        self._watchers: list[_Watcher] = []
        self._folders: set[str] = set()
        self._outdated = False
        self._reported: set[tuple[int, str]] = set()
        self.cover([root])
        if not self._watchers:
            raise LibraryError(f"{root} cannot be watched, since it cannot be listed.")

    def take(self) -> Changes:
        """The changes since the last call, without waiting; raises `LibraryError` when the system reports no more."""
        from watchfiles import Change

        for watcher in self._watchers:
            self._reported |= self._ask(watcher)
        changes = Changes()
        for kind, path in self._reported:
            changed = self._gone(path) if kind == Change.deleted else self._there(path, is_new=kind == Change.added)
            if changed is not None:
                changes.add(Path(changed[0]), below=changed[1])
        self._reported = set()
        return changes

    def cover(self, folders: Iterable[Path]) -> None:
        """Watch also these folders, which are below the root, and all below them; raises as the constructor."""
        starts = [str(folder) for folder in folders]
        for _ in range(_TRIES):
            renew = self._outdated or len(self._watchers) >= _MOST_WATCHERS
            found = self._to_watch([self._root] if renew else starts)
            new = found if renew else found - self._folders
            if not new:
                return
            watcher = self._watch(new)
            try:
                first = self._ask(watcher)
            except (FileNotFoundError, PermissionError):
                continue
            if renew:
                for outdated in self._watchers:
                    self._reported |= self._ask(outdated)
                self._close_all()
                self._outdated = False
                self._folders.clear()
            self._watchers.append(watcher)
            self._folders |= new
            self._reported |= first
        raise LibraryError(f"Folders in {self._root} come and go too fast to be watched.")

    def close(self) -> None:
        """Stop watching."""
        self._close_all()

    def _to_watch(self, starts: Iterable[str]) -> set[str]:
        if not _EACH_FOLDER:
            return {self._root}
        return {folder for start in starts for folder in folders_below(start, self._leave_out)}

    def _watch(self, folders: Iterable[str]) -> _Watcher:
        from watchfiles import watch

        # With `ignore_permission_denied` it would also pass over folders for which the system has no more watches.
        return watch(  # type: ignore[return-value]
            *folders,
            watch_filter=None,
            debounce=50,
            step=5,
            rust_timeout=5,
            yield_on_timeout=True,
            force_polling=False,
            recursive=not _EACH_FOLDER,
            ignore_permission_denied=False,
        )

    def _ask(self, watcher: _Watcher) -> set[tuple[int, str]]:
        from watchfiles._rust_notify import WatchfilesRustInternalError

        try:
            return next(watcher)
        except (FileNotFoundError, PermissionError):
            raise
        except (OSError, WatchfilesRustInternalError, StopIteration) as error:
            raise LibraryError(_reason(self._root, str(error))) from None

    def _close_all(self) -> None:
        for watcher in self._watchers:
            watcher.close()
        self._watchers.clear()

    def _gone(self, path: str) -> tuple[str, bool] | None:
        """The folder to be indexed because a file or folder is gone, and whether with what is below it."""
        if not self._matters(path):
            return None
        folder, name = os.path.split(path)
        if path in self._folders:
            # It may have been renamed, and would go on being watched under its old name.
            self._outdated = True
            return path, True
        if name in RULES:
            return folder, True
        if kind_of(name) is not None:
            return folder, False
        # Nothing tells whether it was a file or a folder.
        return (path, True) if not _EACH_FOLDER or not suffix_of(name) else None

    def _there(self, path: str, *, is_new: bool) -> tuple[str, bool] | None:
        """The same for a file or folder that is new or has changed."""
        if not self._matters(path):
            return None
        folder, name = os.path.split(path)
        if name in RULES:
            return folder, True
        try:
            is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
        except OSError:
            is_folder = False
        if not is_folder:
            return (folder, False) if may_be_photograph(name) else None
        self._outdated |= is_new and path in self._folders
        # Elsewhere than on Linux a folder changes with each file in it.
        return (path, True) if is_new or _EACH_FOLDER else None

    def _matters(self, path: str) -> bool:
        """Whether a path is inside the root and not inside what an index run passes over."""
        if path == self._root:
            return _EACH_FOLDER
        if not path.startswith(self._root.rstrip(os.sep) + os.sep):
            return False
        if path == self._leave_out or path.startswith(self._leave_out + os.sep):
            return False
        names = [os.path.basename(self._root), *Path(path[len(self._root) :].lstrip(os.sep)).parts]  # noqa: PTH119
        return not any(is_left_out(name, parent) for parent, name in pairwise(names))


def _reason(root: str, error: str) -> str:
    """Why a folder cannot be watched, and what to do."""
    if "watch limit" in error:
        name, too_much = "max_user_watches", "it and the folders below it are more than"
    elif "Too many open files" in error:
        name, too_much = "max_user_instances", "programs watch as much as"
    else:
        return f"The system no longer reports changes in {root} ({error})."
    try:
        limit = int((_INOTIFY / name).read_text())
        setting = f"fs.inotify.{name} is {limit:,}"
    except (OSError, ValueError):
        limit, setting = 0, f"fs.inotify.{name}"
    enough = max(_ENOUGH[name], 2 * limit)
    return (
        f"{root} cannot be watched: {too_much} the system allows one user ({setting}). Allow more with `sudo sysctl "
        f"fs.inotify.{name}={enough}`."
    )
