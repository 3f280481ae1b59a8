"""A fake model hub on localhost, with the few routes that a download uses.

It serves repositories from memory: their list of files, with sizes and hashes, and the files, whole or in ranges. It
can also fail: never answer, answer with an error, truncate a file, send other bytes than announced, or send slowly.
Point huggingface_hub at it with `HF_ENDPOINT`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"

LARGE = (".safetensors", ".bin")
"""Files that the real hub keeps in large file storage, with a SHA-256 hash."""


@dataclass
class FakeHub:
    """A server of repositories, and how it fails.

    Attributes:
        repositories: name -> file -> bytes.
        silent: accept connections and never answer.
        failing: answer everything with this HTTP status.
        truncated: names of files of which only the first half is sent.
        corrupted: names of files whose first byte is changed.
        slow: names of files that are sent in two halves, the second after `release` is set.
        requests: method and path of each request, in order.
    """

    repositories: dict[str, dict[str, bytes]]
    silent: bool = False
    failing: int | None = None
    truncated: set[str] = field(default_factory=set)
    corrupted: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    release: threading.Event = field(default_factory=threading.Event)
    requests: list[str] = field(default_factory=list)

    def __enter__(self) -> FakeHub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def downloads(self) -> list[str]:
        """The files that were requested with GET, in order."""
        return [line.rsplit("/", 1)[1] for line in self.requests if line.startswith("GET") and "/resolve/" in line]


def sha256(content: bytes) -> str:
    """The hash that the hub announces for a large file."""
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    """The hash that the hub announces for any other file: that of a git blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: FakeHub, *arguments: Any) -> None:
        self.hub = hub
        super().__init__(*arguments)

    def log_message(self, format: str, *arguments: Any) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        if self.hub.silent:
            self.hub.release.wait()
            self.close_connection = True
        elif self.hub.failing:
            self._send(self.hub.failing, b"", {})
        elif path.startswith("api/models/"):
            self._describe(path.removeprefix("api/models/"))
        elif "/resolve/" in path:
            repository, rest = path.split("/resolve/", 1)
            self._file(repository, rest.partition("/")[2])
        else:
            self._send(404, b"", {})

    def _describe(self, repository: str) -> None:
        files = self.hub.repositories.get(repository)
        if files is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        siblings = []
        for name, content in files.items():
            entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_hash(content)}
            if name.endswith(LARGE):
                entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        answer = {"id": repository, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _file(self, repository: str, name: str) -> None:
        content = self.hub.repositories.get(repository, {}).get(name)
        if content is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        tag = sha256(content) if name.endswith(LARGE) else git_hash(content)
        headers = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            self._send(200, content, headers)
            return
        if name in self.hub.corrupted:
            content = bytes([content[0] ^ 1]) + content[1:]
        if name in self.hub.truncated:
            content = content[: len(content) // 2]
        status = 200
        requested = self.headers.get("Range", "")
        if requested.startswith("bytes="):
            start = int(requested.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        self._send(status, content, headers, slowly=name in self.hub.slow)

    def _send(self, status: int, content: bytes, headers: dict[str, str], *, slowly: bool = False) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(content) // 2 if slowly else len(content)
        self.wfile.write(content[:half])
        self.wfile.flush()
        if slowly:
            self.hub.release.wait()
            self.wfile.write(content[half:])
