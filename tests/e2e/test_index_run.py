"""Index runs as people meet them: real processes that are killed, interrupted, held and read beside.

A random model of a few hundred kilobytes makes the vectors, so that only the mechanics take their time.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from service.config import Settings
from service.encoder.models import mini_folder
from service.library import Library
from service.search.query import Query
from tests.conftest import SMYSL

if TYPE_CHECKING:
    from tests.conftest import Finished

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")

COUNT = 40
"""Photographs: enough that a run takes some seconds with one thread and batches of one."""

PATIENCE_S = 120.0
"""Seconds after which a process that shows no sign of life fails the test."""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large PNG files of equal pixels and different content."""
    folder = tmp_path_factory.mktemp("many").resolve() / "photographs"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    Image.fromarray(noise).save(folder / "first.png", compress_level=1)
    content = (folder / "first.png").read_bytes()
    (folder / "first.png").unlink()
    for number in range(COUNT):
        # What follows the end of a PNG is not looked at, but is part of the content's hash.
        (folder / f"{number:03}.png").write_bytes(content + str(number).encode())
    return folder


@dataclass
class IndexCommand:
    """A library and the command that fills it."""

    library: Path
    model: str
    photographs: Path

    @property
    def arguments(self) -> list[str]:
        return ["index", str(self.photographs), "--library", str(self.library), "--model", self.model]

    @contextmanager
    def running(self, photographs: int) -> Iterator[subprocess.Popen[str]]:
        """An index run that has committed this many photographs and has more before it."""
        slow = os.environ | {"SMYSL_BATCH_SIZE": "1", "SMYSL_DECODE_THREADS": "1"}
        process = subprocess.Popen(
            [*SMYSL, *self.arguments], env=slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            end = time.monotonic() + PATIENCE_S
            while self.count() < photographs:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < end, "the run does not get on"
                time.sleep(0.01)
            yield process
        finally:
            process.kill()
            process.communicate()

    def count(self) -> int:
        """Committed photographs, read past the program."""
        return self.ask("SELECT COUNT(*) FROM photograph")

    def check(self) -> None:
        """No photograph without a vector and a thumbnail, neither of these without a photograph."""
        for table in ("vector", "thumbnail"):
            assert not self.ask(
                f"SELECT COUNT(*) FROM photograph WHERE id NOT IN (SELECT photograph_id FROM {table})"  # noqa: S608
            )
            assert not self.ask(
                f"SELECT COUNT(*) FROM {table} WHERE photograph_id NOT IN (SELECT id FROM photograph)"  # noqa: S608
            )

    def ask(self, question: str) -> int:
        file = self.library / "catalog.sqlite"
        if not file.is_file():
            return 0
        connection = sqlite3.connect(file, timeout=30)
        try:
            return int(connection.execute(question).fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # the first migration has not been committed yet
        finally:
            connection.close()


@pytest.fixture
def command(tmp_path: Path, tiny_folder: Path, photographs: Path) -> IndexCommand:
    return IndexCommand(tmp_path / "library", f"local-dir:{tiny_folder.resolve()}", photographs)


def test_a_run_that_is_killed_loses_nothing_and_the_next_goes_on(
    command: IndexCommand, smysl: Callable[..., Finished]
) -> None:
    with command.running(photographs=5) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    kept = command.count()
    assert 5 <= kept < COUNT, "killed in the middle"
    command.check()
    found = smysl("search", "a cat", "-k", "200", "--library", command.library)
    assert (found.code, len(found.out.splitlines())) == (0, kept)
    done = smysl(*command.arguments)
    assert done.code == 0, done.err
    assert f"{COUNT - kept} added, {kept} unchanged, 0 removed, 0 failed" in done.out
    command.check()
    assert command.count() == COUNT
    assert len(smysl("search", "a cat", "-k", "200", "--library", command.library).out.splitlines()) == COUNT


def test_ctrl_c_leaves_a_library_that_answers_and_says_so(
    command: IndexCommand, smysl: Callable[..., Finished]
) -> None:
    with command.running(photographs=3) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "What was indexed is kept; run the command again to continue." in err
    assert "Traceback" not in out + err
    kept = command.count()
    assert 3 <= kept < COUNT, "interrupted in the middle"
    command.check()
    found = smysl("search", "a cat", "-k", "200", "--library", command.library)
    assert (found.code, len(found.out.splitlines())) == (0, kept)


def test_a_second_writer_is_told_who_writes_while_readers_go_on(
    command: IndexCommand, smysl: Callable[..., Finished]
) -> None:
    with command.running(photographs=3) as process:
        process.send_signal(signal.SIGSTOP)
        refused = smysl(*command.arguments)
        assert refused.code == 1
        assert f"is being written to by process {process.pid} on " in refused.err
        assert "(smysl index, since " in refused.err
        status = smysl("status", "--library", command.library)
        assert f"process {process.pid} (smysl index)" in status.out
        with Library.open(command.library, Settings(library=command.library)) as reader:
            before = len(reader.search(Query(text="a cat", k=200)).hits)
            assert 3 <= before < COUNT
            process.send_signal(signal.SIGCONT)
            _, err = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, err
            assert len(reader.search(Query(text="a cat", k=200)).hits) == COUNT
            assert reader.status().writer is None
    command.check()


def test_a_model_that_has_changed_is_refused_and_an_index_run_mends_it(
    tmp_path: Path, tiny_folder: Path, samples: Path, smysl: Callable[..., Finished]
) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_folder, tmp_path.resolve() / "model")
    library = tmp_path / "library"
    assert smysl("index", samples, "--library", library, "--model", f"local-dir:{folder}").code == 0
    weights = load_file(folder / "open_clip_model.safetensors")
    weights["visual.proj"] = weights["visual.proj"].flip(0).contiguous()
    save_file(weights, folder / "open_clip_model.safetensors")
    refused = smysl("search", "a cat", "--library", library)
    assert (refused.code, refused.out) == (1, "")
    assert "another version of the model" in refused.err
    assert f"smysl index --library {library}" in refused.err
    mended = smysl("index", "--library", library)
    assert mended.code == 0, mended.err
    found = smysl("search", "a cat", "--library", library)
    assert (found.code, len(found.out.splitlines())) == (0, 5)


def test_a_library_of_an_older_mini_is_refused_and_mended(
    tmp_path: Path, samples: Path, smysl: Callable[..., Finished]
) -> None:
    if not list(mini_folder().glob("*.safetensors")):
        pytest.skip("the built-in model has not been trained here; `make mini` does that")
    library = tmp_path / "library"
    assert smysl("index", samples, "--library", library, "--model", "mini").code == 0
    connection = sqlite3.connect(library / "catalog.sqlite")
    with connection:
        older = "0" * 32
        (newer,) = connection.execute("SELECT value FROM setting WHERE key = 'fingerprint'").fetchone()
        connection.execute("UPDATE vector SET fingerprint = replace(fingerprint, ?, ?)", (newer, older))
        connection.execute(
            "UPDATE setting SET value = replace(value, ?, ?) WHERE key IN ('fingerprint', 'features')", (newer, older)
        )
    connection.close()
    refused = smysl("search", "a cat", "--library", library)
    assert refused.code == 1
    assert "another version of the model mini than the one installed now" in refused.err
    assert smysl("index", "--library", library).code == 0
    found = smysl("search", "a cat", "-k", "1", "--library", library)
    assert "cat" in found.out
