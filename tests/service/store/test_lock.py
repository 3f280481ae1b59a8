"""One writer, many readers; the file of a killed writer does not block the library."""

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


def test_there_is_no_writer_at_first(tmp_path: Path) -> None:
    assert current_writer(tmp_path) is None


def test_the_writer_is_known_only_while_it_writes(tmp_path: Path) -> None:
    with write_lock(tmp_path, "smysl index"):
        writer = current_writer(tmp_path)
        assert writer is not None
        assert (writer.pid, writer.host, writer.doing) == (os.getpid(), socket.gethostname(), "smysl index")
        assert "T" in writer.since
    assert current_writer(tmp_path) is None
    assert not (tmp_path / "writer.json").exists()


def test_the_error_of_a_second_writer_names_the_first(tmp_path: Path) -> None:
    with write_lock(tmp_path, "smysl index"), pytest.raises(BusyError) as refusal, write_lock(tmp_path, "another"):
        pytest.fail("two writers at once")
    assert f"process {os.getpid()} on {socket.gethostname()} (smysl index, since " in refusal.value.message
    assert str(tmp_path) in refusal.value.message
    assert current_writer(tmp_path) is None


def test_a_refused_writer_leaves_the_lock_of_the_first(tmp_path: Path) -> None:
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


def test_a_killed_writer_does_not_keep_the_lock(tmp_path: Path) -> None:
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
def test_an_invalid_writer_file_does_not_release_the_lock(tmp_path: Path, note: str) -> None:
    with write_lock(tmp_path, "first"):
        (tmp_path / "writer.json").write_text(note, encoding="utf-8")
        assert current_writer(tmp_path) is None
        with pytest.raises(BusyError, match="another process"), write_lock(tmp_path, "second"):
            pass


def test_a_library_that_cannot_be_locked_is_reported(tmp_path: Path) -> None:
    (tmp_path / "writer.lock").mkdir()
    with pytest.raises(LibraryError, match="cannot be written to"), write_lock(tmp_path, "smysl index"):
        pass


def test_a_writer_as_text_fits_into_a_sentence() -> None:
    writer = Writer(7, "tower", "smysl index", "2026-01-02T03:04:05+01:00")
    assert str(writer) == "process 7 on tower (smysl index, since 2026-01-02T03:04:05+01:00)"
