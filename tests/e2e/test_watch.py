"""`smysl watch` as a person runs it: a real process, a real folder, and what happens to it on the disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.config import Settings
from service.library import Library
from tests.conftest import SMYSL
from tests.service.pictures import save_picture

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")

PATIENCE_S = 120.0
"""Seconds after which something that does not happen fails the test."""


@dataclass
class Watching:
    """A running command, the folder that it watches and its library."""

    process: subprocess.Popen[str]
    root: Path
    library: Path
    log: Path

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def ids(self) -> dict[str, int]:
        """The id of each photograph by its path below the root, as another process sees it."""
        with Library.open(self.library, Settings(library=self.library)) as library:
            return {record.relative: record.id for record in library.catalog.records(range(1, 100)).values()}

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert self.process.poll() is None, self.printed()
            assert time.monotonic() < end, self.printed()
            time.sleep(0.1)

    def until_printed(self, text: str, times: int = 1) -> None:
        self.until(lambda: self.printed().count(text) >= times)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "photographs"
    (root / "2019").mkdir(parents=True)
    for seed, name in enumerate(("2019/a.jpg", "2019/b.jpg", "c.jpg")):
        save_picture(root / name, seed)
    return root


@contextmanager
def watching(root: Path, model: Path, *arguments: str) -> Iterator[Watching]:
    library, log = root.with_name("library"), root.with_name("log")
    command = [*SMYSL, "watch", str(root), "--library", str(library), "--model", f"local-dir:{model}", *arguments]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, text=True)
    watch = Watching(process, root, library, log)
    try:
        watch.until_printed("Watching 1 folder. Stop with Ctrl-C.")
        yield watch
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def test_a_library_keeps_in_step_with_the_disk(root: Path, tiny_folder: Path) -> None:
    with watching(root, tiny_folder) as watch:
        before = watch.ids()
        assert set(before) == {"2019/a.jpg", "2019/b.jpg", "c.jpg"}
        assert "3 added, 0 unchanged" in watch.printed()

        save_picture(root / "2019" / "new.jpg", 10)
        watch.until_printed("1 added")

        (root / "2020").mkdir()
        (root / "c.jpg").rename(root / "2020" / "renamed.jpg")
        watch.until_printed("1 moved")

        (root / "2019").rename(root / "2018")
        watch.until_printed("3 moved")

        save_picture(root / "2018" / "a.jpg", 11)
        watch.until_printed("1 changed")

        # Each of these folders is new, so what happens in it is seen only if it came to be watched.
        shutil.copytree(root / "2020", root / "2021" / "copies")
        watch.until(lambda: "2021/copies/renamed.jpg" in watch.ids())
        (root / "2021" / "copies" / "renamed.jpg").unlink()
        watch.until_printed("1 missing")

        ids = watch.ids()
        assert ids["2020/renamed.jpg"] == before["c.jpg"]
        assert {name: ids[f"2018/{name}"] for name in ("a.jpg", "b.jpg")} == {
            name: before[f"2019/{name}"] for name in ("a.jpg", "b.jpg")
        }

        away = root.rename(root.with_name("away"))
        watch.until_printed(f"{root} is not there. Its photographs stay in the library")
        save_picture(away / "2020" / "meanwhile.jpg", 12)
        away.rename(root)
        watch.until_printed(f"{root} is back.")
        watch.until(lambda: "2020/meanwhile.jpg" in watch.ids())
        save_picture(root / "2020" / "afterwards.jpg", 13)
        watch.until(lambda: "2020/afterwards.jpg" in watch.ids())

        watch.process.send_signal(signal.SIGINT)
        assert watch.process.wait(PATIENCE_S) == 0
        assert watch.printed().endswith("Stopped watching.\n")
        assert "Traceback" not in watch.printed()
        with Library.open(watch.library, Settings(library=watch.library)) as library:
            assert library.status().writer is None


def test_a_disk_that_reports_nothing_is_listed(root: Path, tiny_folder: Path) -> None:
    with watching(root, tiny_folder, "--poll", "0.5") as watch:
        before = watch.ids()
        (root / "2019").rename(root / "2018")
        save_picture(root / "2018" / "new.jpg", 10)
        watch.until_printed("1 added, 2 moved")
        ids = watch.ids()
        assert ids["2018/a.jpg"] == before["2019/a.jpg"]
        (root / "2018" / "b.jpg").unlink()
        watch.until_printed("1 missing")
        watch.process.send_signal(signal.SIGTERM)
        assert watch.process.wait(PATIENCE_S) == 0
        assert "Traceback" not in watch.printed()


def test_names_that_are_not_utf8_do_not_end_a_watch(root: Path, tiny_folder: Path) -> None:
    broken = Path(os.fsdecode(os.fsencode(root) + b"/2019/\xff\xfe.jpg"))
    try:
        broken.touch()
    except OSError:
        pytest.skip("this file system has no such names")
    broken.unlink()
    with watching(root, tiny_folder) as watch:
        broken.write_bytes((root / "c.jpg").read_bytes())
        watch.until_printed("its name is not valid UTF-8")
        save_picture(root / "2019" / "new.jpg", 10)
        watch.until(lambda: "2019/new.jpg" in watch.ids())
        broken.unlink()
        watch.until_printed("Looking for changes every 30 s instead.")
        assert "Traceback" not in watch.printed()
