"""Tables of pairs and photographs for them."""

from __future__ import annotations

from pathlib import Path

from tests.service.colours import paint


def painted_images(folder: Path) -> Path:
    """Four photographs of one colour each, one of them in a subfolder."""
    for number, name in enumerate(["a.png", "b.png", "день 1.png", "sub/c.png"]):
        paint(folder / name, (60 * number, 100, 200))
    return folder


def table_of(folder: Path, content: str | bytes) -> Path:
    """The file `pairs.tsv` with some content."""
    file = folder / "pairs.tsv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file
