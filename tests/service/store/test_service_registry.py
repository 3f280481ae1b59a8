"""The note of a service: who finds it, and when it is valid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from service.config import Settings
from service.store.loopback import local_address
from service.store.service_registry import announced, running_services
from tests.conftest import ROOT
from tests.service.service_notes import TOKEN, a_note


def test_a_note_exists_while_the_service_runs(tmp_path: Path) -> None:
    settings = Settings(library=tmp_path, host="0.0.0.0", device="cpu")  # noqa: S104 - never bound to
    with announced(tmp_path, settings) as note:
        assert running_services(tmp_path) == []
        note.write(8123)
        ((token, found),) = running_services(tmp_path)
        assert (token, found.pid, found.url) == (note.token, os.getpid(), "http://127.0.0.1:8123")
        assert (found.model, found.device, found.precision) == (None, "cpu", "fp32")
        with announced(tmp_path, settings) as second:
            second.write(8124)
            assert {each.port for _, each in running_services(tmp_path)} == {8123, 8124}
        assert [each.port for _, each in running_services(tmp_path)] == [8123]
    assert list(tmp_path.iterdir()) == []


def test_the_note_of_a_killed_service_is_ignored_and_deleted_by_the_next(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom service.config import Settings\n"
        "from service.store.service_registry import announced\nfolder = Path(sys.argv[1])\n"
        "with announced(folder, Settings(library=folder)) as note:\n"
        "    note.write(8123)\n    print('there', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "there\n"
        assert len(running_services(tmp_path)) == 1
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert len(list(tmp_path.glob("serving-*.json"))) == 1
    assert running_services(tmp_path) == []
    with announced(tmp_path, Settings(library=tmp_path)):
        assert list(tmp_path.glob("serving-*.json")) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"address": "192.0.2.1"},
        {"address": "example.org"},
        {"machine": "another machine"},
        {"port": 0},
        {"port": "80"},
        {"port": True},
        {"address": None},
        {"model": 5},
        {"more": 1},
    ],
)
def test_a_note_of_another_machine_or_with_invalid_content_is_ignored(tmp_path: Path, facts: dict[str, Any]) -> None:
    token = TOKEN
    a_note(tmp_path, token)
    with FileLock(tmp_path / f"serving-{token}.lock"):
        assert len(running_services(tmp_path)) == 1
        a_note(tmp_path, token, **facts)
        assert running_services(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_notes_that_are_not_files_or_not_json_are_ignored(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "serving-0123456789abcdef.json")
    (tmp_path / "serving-0123456789abcdee.json").write_text("[" * 4000)
    (tmp_path / "serving-0123456789abcded.json").write_bytes(b"\xff")
    assert running_services(tmp_path) == []
    assert running_services(tmp_path / "not there") == []


def test_addresses_of_this_machine() -> None:
    assert [local_address(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost", "0.0.0.0", "::")] == [  # noqa: S104
        *("127.0.0.1", "127.1.2.3", "::1", "localhost", "127.0.0.1", "::1")
    ]
    assert [local_address(host) for host in ("192.168.0.1", "localhost.example.org", "", "127.0.0.1@example.org")] == [
        None
    ] * 4
