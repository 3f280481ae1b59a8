"""One writer, many readers; and a note of a writer that was killed fools nobody."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import BusyError, LibraryError
from service.store.lock import Writer, current_writer, write_lock


def test_nobody_writes_to_begin_with(tmp_path: Path) -> None:
    assert current_writer(tmp_path) is None


def test_the_writer_is_known_while_it_writes_and_not_after(tmp_path: Path) -> None:
    with write_lock(tmp_path, "smysl index"):
        writer = current_writer(tmp_path)
        assert writer is not None
        assert (writer.pid, writer.host, writer.doing) == (os.getpid(), socket.gethostname(), "smysl index")
        assert "T" in writer.since
    assert current_writer(tmp_path) is None
    assert not (tmp_path / "writer.json").exists()


def test_a_second_writer_is_told_who_holds_the_library(tmp_path: Path) -> None:
    with write_lock(tmp_path, "smysl index"), pytest.raises(BusyError) as refusal, write_lock(tmp_path, "another"):
        pytest.fail("two writers at once")
    assert f"process {os.getpid()} on {socket.gethostname()} (smysl index, since " in refusal.value.message
    assert str(tmp_path) in refusal.value.message
    assert current_writer(tmp_path) is None


def test_a_refused_writer_leaves_the_lock_and_the_note_of_the_first(tmp_path: Path) -> None:
    with write_lock(tmp_path, "first"):
        with pytest.raises(BusyError), write_lock(tmp_path, "second"):
            pass
        writer = current_writer(tmp_path)
        assert writer is not None
        assert writer.doing == "first"
        with pytest.raises(BusyError), write_lock(tmp_path, "third"):
            pass


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="fails"), write_lock(tmp_path, "one that fails"):
        raise RuntimeError("fails")
    with write_lock(tmp_path, "the next"):
        pass


def test_a_writer_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    """The process ends without a chance to clean up, as by SIGKILL or a power cut."""
    code = (
        "import os, sys; from pathlib import Path; from service.store.lock import write_lock\n"
        "with write_lock(Path(sys.argv[1]), 'killed'): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    assert json.loads((tmp_path / "writer.json").read_text(encoding="utf-8"))["doing"] == "killed"
    assert current_writer(tmp_path) is None
    with write_lock(tmp_path, "the next"):
        writer = current_writer(tmp_path)
        assert writer is not None
        assert writer.doing == "the next"


@pytest.mark.parametrize("note", ["", "[]", "{", '{"pid": 1}', '{"pid": 1, "odd": 2}'])
def test_a_broken_note_does_not_hide_that_somebody_writes(tmp_path: Path, note: str) -> None:
    with write_lock(tmp_path, "first"):
        (tmp_path / "writer.json").write_text(note, encoding="utf-8")
        assert current_writer(tmp_path) is None
        with pytest.raises(BusyError, match="another process"), write_lock(tmp_path, "second"):
            pass


def test_a_library_that_cannot_be_locked_says_so(tmp_path: Path) -> None:
    (tmp_path / "writer.lock").mkdir()
    with pytest.raises(LibraryError, match="cannot be written to"), write_lock(tmp_path, "smysl index"):
        pass


def test_a_writer_reads_as_a_part_of_a_sentence() -> None:
    writer = Writer(7, "tower", "smysl index", "2026-01-02T03:04:05+01:00")
    assert str(writer) == "process 7 on tower (smysl index, since 2026-01-02T03:04:05+01:00)"
