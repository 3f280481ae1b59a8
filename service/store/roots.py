"""The roots of a library in its catalog: folders of photographs that it was pointed at, and how each is walked."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import asdict
from pathlib import Path

from service.errors import NotFoundError, UsageError
from service.store.records import Root, RootOptions
from service.store.sql import bury


def read_roots(connection: sqlite3.Connection) -> list[Root]:
    """The roots in the order in which they were added."""
    rows = connection.execute("SELECT id, path, options FROM root ORDER BY id")
    return [Root(identity, Path(path), _options(options)) for identity, path, options in rows]


def find_root(connection: sqlite3.Connection, folder: Path) -> Root:
    """The root whose path is `folder` (absolute); raises `NotFoundError`, which names the roots there are."""
    roots = read_roots(connection)
    for root in roots:
        if root.path == folder:
            return root
    known = ", ".join(str(root.path) for root in roots) or "none yet"
    raise NotFoundError(f"{folder} is no folder of this library. Its folders are: {known}.")


def insert_root(connection: sqlite3.Connection, folder: Path, generation: int = 0) -> Root:
    """Adds a root (absolute, resolved, inside no other), which takes over the photographs of roots inside it.

    These are changed in `generation`.
    """
    inner = [root for root in read_roots(connection) if root.path.is_relative_to(folder)]
    (identity,) = connection.execute("INSERT INTO root (path) VALUES (?) RETURNING id", (str(folder),)).fetchone()
    for root in inner:
        connection.execute(
            "UPDATE photograph SET root_id = ?1, generation = ?4, "
            "folder = CASE folder WHEN '' THEN ?2 ELSE ?2 || '/' || folder END WHERE root_id = ?3",
            (identity, relative_folder(root.path, folder), root.id, generation),
        )
        connection.execute("DELETE FROM root WHERE id = ?", (root.id,))
    options = RootOptions(
        tuple(pattern for root in inner for pattern in _patterns_below(root, folder)),
        any(root.options.follow_links for root in inner),
    )
    if options != RootOptions():
        set_root_options(connection, identity, options)
    return Root(identity, folder, options)


def set_root_options(connection: sqlite3.Connection, root_id: int, options: RootOptions) -> None:
    """Remembers how a root is walked."""
    connection.execute("UPDATE root SET options = ? WHERE id = ?", (json.dumps(asdict(options)), root_id))


def move_root(connection: sqlite3.Connection, root: Root, folder: Path, generation: int) -> None:
    """Records that all files of a root are now in `folder` (absolute, resolved).

    Raises `UsageError` if that folder is inside another root or around one, so that no file is in the library twice.
    """
    for other in read_roots(connection):
        if other.id != root.id and (folder.is_relative_to(other.path) or other.path.is_relative_to(folder)):
            raise UsageError(
                f"{folder} overlaps with the folder {other.path} of the library, so its photographs would be there "
                "twice. Remove one of the two first with `smysl roots remove`."
            )
    connection.execute("UPDATE root SET path = ? WHERE id = ?", (str(folder), root.id))
    connection.execute("UPDATE photograph SET generation = ? WHERE root_id = ?", (generation, root.id))


def remove_root(connection: sqlite3.Connection, root: Root, generation: int) -> int:
    """Takes a root and its photographs out of the library, with a tombstone for each; returns how many there were."""
    ids = [row[0] for row in connection.execute("SELECT id FROM photograph WHERE root_id = ?", (root.id,))]
    for identity in ids:
        bury(connection, identity)
    connection.execute(
        "INSERT OR REPLACE INTO removal SELECT id, ? FROM photograph WHERE root_id = ?", (generation, root.id)
    )
    connection.execute("DELETE FROM photograph WHERE root_id = ?", (root.id,))
    connection.execute("DELETE FROM root WHERE id = ?", (root.id,))
    return len(ids)


def _patterns_below(root: Root, outer: Path) -> list[str]:
    """What is excluded of a root, as patterns in gitignore's syntax relative to a folder around it."""
    special = re.compile(r"([][*?!#\\ ])")
    below = "".join("/" + special.sub(r"\\\1", part) for part in root.path.relative_to(outer).parts)
    patterns = []
    for pattern in root.options.exclude:
        sign, plain = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
        # A slash before the end ties a pattern to its folder; others hold at any depth.
        depth = "/" if "/" in plain.rstrip("/") else "/**/"
        patterns.append(f"{sign}{below}{depth}{plain.lstrip('/')}")
    return patterns


def relative_folder(inner: Path, outer: Path) -> str:
    """The path of `inner` below `outer` with forward slashes; "" if they are the same."""
    relative = inner.relative_to(outer).as_posix()
    return "" if relative == "." else relative


def _options(stored: str) -> RootOptions:
    """Options as stored; a newer version may have stored more of them."""
    values = json.loads(stored)
    known = RootOptions()
    return RootOptions(
        tuple(values.get("exclude", known.exclude)),
        bool(values.get("follow_links", known.follow_links)),
        int(values.get("min_bytes", known.min_bytes)),
    )
