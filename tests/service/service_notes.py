"""Notes of services that do not run, for tests."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from service.store.service_registry import own_version

TOKEN = "0123456789abcdef"  # noqa: S105 - it only names a note


def a_note(folder: Path, token: str, **facts: Any) -> None:
    note = {"pid": 1, "machine": socket.gethostname(), "address": "127.0.0.1", "port": 9, "version": own_version()}
    note |= {"since": "2026-01-01T00:00:00+00:00", "model": None, "device": None, "precision": None, "runtime": None}
    (folder / f"serving-{token}.json").write_text(json.dumps(note | facts))
