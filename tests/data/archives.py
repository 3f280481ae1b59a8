"""Small archives structured like Flickr8k's, and a server on localhost that serves them, or misbehaves."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from data.flickr8k import Edition, Zip

LISTED = {"train": ["1_a.jpg", "2_b.jpg", "3_c.jpg"], "validation": ["4_d.jpg"], "test": ["5_e.jpg", "6_f.jpg"]}
LISTED_NAMES = [name for names in LISTED.values() for name in names]
UNLISTED = "7_0.jpg"
WITHOUT_PHOTOGRAPH = "2258277193_586949ec62.jpg.1"
LIST_FILES = {"train": "trainImages", "validation": "devImages", "test": "testImages"}


def photograph(name: str) -> bytes:
    """Bytes in place of a photograph: 128 kB that do not compress."""
    return b"\xff\xd8" + b"".join(hashlib.sha256(f"{name}{number}".encode()).digest() for number in range(4_000))


def texts() -> dict[str, bytes]:
    """The files of Flickr8k_text.zip."""
    names = [*LISTED_NAMES, UNLISTED, WITHOUT_PHOTOGRAPH]
    captions = [f'{name}#{number}\tThe sign of {name} says " {number} " .' for name in names for number in range(5)]
    files = {f"Flickr_8k.{LIST_FILES[split]}.txt": "\n".join(listed) for split, listed in LISTED.items()}
    files["Flickr8k.token.txt"] = "\n".join(captions) + "\n"
    files["ExpertAnnotations.txt"] = "5_e.jpg\t6_f.jpg#2\t1\t1\t2\n6_f.jpg\t6_f.jpg#2\t4\t4\t3\n"
    files["CrowdFlowerAnnotations.txt"] = "5_e.jpg\t5_e.jpg#2\t1\t3\t0\n5_e.jpg\t6_f.jpg#2\t0.25\t1\t3\n"
    files["readme.txt"] = "Please cite the paper."
    return {name: content.encode() for name, content in files.items()}


def photographs() -> dict[str, bytes]:
    """The files of Flickr8k_Dataset.zip, including what macOS adds."""
    names = [*LISTED_NAMES, UNLISTED]
    files = {f"Flicker8k_Dataset/{name}": photograph(name) for name in names}
    return {**files, "__MACOSX/Flicker8k_Dataset/._1_a.jpg": b"shadow"}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def md5(content: bytes) -> str:
    """The checksum that an edition names."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass
class Mirror:
    """A server with some files, and how it misbehaves.

    Attributes:
        files: what is served, by name.
        ranges: whether it supports range requests.
        honours_if_range: whether it sends the whole file where If-Range names another ETag.
        etags: whether it sends ETags.
        cuts: how many responses end after half of their bytes.
        requests: file and range of each request, in order.
    """

    files: dict[str, bytes]
    ranges: bool = True
    honours_if_range: bool = True
    etags: bool = True
    cuts: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Mirror:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """The value for --from."""
        return f"http://127.0.0.1:{self._server.server_port}/Flickr8k"

    def edition(self, **changes: Any) -> Edition:
        """The edition that this server has."""
        small, large = self.files["Flickr8k_text.zip"], self.files["Flickr8k_Dataset.zip"]
        expected: dict[str, Any] = {
            "texts": Zip("Flickr8k_text.zip", md5(small), 1_000_000, 1_000_000),
            "photographs": Zip("Flickr8k_Dataset.zip", md5(large), 10_000_000, 1_000_000),
            "splits": {split: len(names) for split, names in LISTED.items()},
            "experts": 2,
            "crowd": 2,
        }
        return Edition(**{**expected, **changes})

    def ranges_of(self, name: str) -> list[str]:
        """The ranges in which a file was requested; "" for the whole file."""
        return [requested for file, requested in self.requests if file == name]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, mirror: Mirror, *arguments: Any) -> None:
        self.mirror = mirror
        super().__init__(*arguments)

    def log_message(self, format: str, *arguments: Any) -> None: ...

    def handle(self) -> None:
        # A client that does not want the rest of a response closes the connection.
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        requested = self.headers.get("Range", "")
        self.mirror.requests.append((name, requested))
        content = self.mirror.files.get(name)
        if content is None:
            self._send(404, b"", {})
            return
        tag = f'"{md5(content)}"'
        headers = {"ETag": tag} if self.mirror.etags else {}
        found = re.fullmatch(r"bytes=(\d+)-", requested)
        changed = self.mirror.honours_if_range and self.headers.get("If-Range", tag) != tag
        if found is None or not self.mirror.ranges or changed:
            self._send(200, content, headers)
            return
        start = int(found[1])
        if start >= len(content):
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(206, content[start:], headers)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.mirror.cuts and len(content) > 10_000:
            self.mirror.cuts -= 1
            content = content[: len(content) // 2]
            self.close_connection = True
        self.wfile.write(content)
