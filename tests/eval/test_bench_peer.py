"""The comparison with another program, without the other program."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from eval import bench_peer as bench
from eval.bench_peer import MINI, RCLIP, SAME, bench_peer
from eval.bench_report import BenchReport
from eval.peer_commands import FinishedCommand, Peer, find_peer, run_command
from service.errors import UsageError

pytestmark = pytest.mark.e2e

START = {RCLIP: 2.0, SAME: 3.0, MINI: 1.0}
EACH = {RCLIP: 0.1, SAME: 0.025, MINI: 0.01}
"""Seconds to start, and per photograph."""


class Machine:
    """Pretends to run commands, each in a known time, and records their order."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str]] = []

    def run_command(
        self, command: Sequence[str | Path], *, folder: Path, variables: Mapping[str, str]
    ) -> FinishedCommand:
        words = list(map(str, command))
        if "eval.peer_model" in words:
            (Path(words[-2]) / "rclip").mkdir(parents=True)
            return FinishedCommand(1, 1, "")
        name = RCLIP if words[0] == "rclip" else SAME if any(each.startswith("local-dir:") for each in words) else MINI
        if "search" in words:
            self.commands.append(("search", words[1]))
            return FinishedCommand(0.5, 100, "hit\n" * 10)
        photographs = folder if name == RCLIP else Path(words[words.index("index") + 1])
        count = len(list(photographs.glob("*.jpg")))
        self.commands.append((name, f"{count}"))
        assert "SMYSL_CACHE" in variables
        return FinishedCommand(START[name] + EACH[name] * count, 500.0 + count, "")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(bench, "run_command", machine.run_command)
    monkeypatch.setattr(bench, "LARGE", (64, 48))
    peer = Peer(Path("rclip"), Path("python"), Path("packages"), {"rclip": "3.3.0"})
    monkeypatch.setattr(bench, "find_peer", lambda path: peer)
    commands = [(name, (["smysl", name, "search"], Path())) for name in (RCLIP, SAME, MINI)]
    monkeypatch.setattr(bench._PeerBench, "_query_commands", lambda self, searched: iter(commands))
    return machine


@pytest.fixture
def report(machine: Machine) -> BenchReport:
    return bench_peer(Path("rclip"), small=11, large=6, searched=20, queries=3, repeats=2)


def test_the_start_of_the_process_is_not_counted(report: BenchReport) -> None:
    found = {figure.name: figure for figure in report.figures}
    for kind in ("small", "12 megapixels"):
        for name in (RCLIP, SAME, MINI):
            assert found[f"{kind}: {name}"].values == pytest.approx([1 / EACH[name]] * 2)
        assert found[f"{kind}: {SAME} against rclip"].values == pytest.approx([4, 4])
        assert found[f"{kind}: {MINI} against rclip"].values == pytest.approx([10, 10])
    assert found["a query in a new process: rclip"].values == (0.5, 0.5)
    assert found[f"a query in a new process: {MINI} against rclip"].values == (1, 1)
    assert found[f"peak memory of indexing 11 of small, {MINI}"].values == (511, 511)


def test_the_programs_take_turns(report: BenchReport, machine: Machine) -> None:
    turns = [name for name, count in machine.commands if count == "11"]
    assert turns == [RCLIP, SAME, MINI] * 2
    searched = [name for kind, name in machine.commands if kind == "search"]
    assert searched == [RCLIP, SAME, MINI] * (3 + 1) * 2


def test_sizes_of_zero_are_skipped(machine: Machine) -> None:
    report = bench_peer(Path("rclip"), small=0, large=0, searched=20, queries=1, repeats=1)
    assert not any("photographs/s" in figure.unit for figure in report.figures)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--repeats", "0"], "--repeats is 0; it must be 1 or more."),
        (["--small", "1"], "--small is 1; it must be 0 or at least 2"),
        (["--large", "-5"], "--large is -5; it must be 0 or at least 2"),
        (["--searched", "0"], "--searched is 0; it must be 1 or more."),
        (["--queries", "0"], "--queries is 0; it must be 1 or more."),
        ([], "There is no rclip at"),
    ],
)
def test_options_out_of_range_are_refused_with_a_sentence(
    options: list[str], says: str, tmp_path: Path, smysl: Callable[..., Any]
) -> None:
    done = smysl("bench", "peer", "--rclip", tmp_path, *options)
    assert done.code == UsageError.exit_code
    assert says in done.err


def environment(folder: Path, python: str) -> Path:
    """The folder of an environment whose Python is this shell script."""
    (folder / "bin").mkdir(parents=True)
    for name, script in (("rclip", "#!/bin/sh\n"), ("python", f"#!/bin/sh\n{python}\n")):
        (folder / "bin" / name).write_text(script)
        (folder / "bin" / name).chmod(0o755)
    return folder


def test_an_environment_is_found_by_its_folder_or_its_command(tmp_path: Path) -> None:
    facts = json.dumps(["/packages", list(sys.version_info[:2]), {"rclip": "3.3.0"}])
    folder = environment(tmp_path / "env", f"echo '{facts}'")
    assert find_peer(folder) == find_peer(folder / "bin" / "rclip")
    assert find_peer(folder).packages == Path("/packages")
    assert find_peer(folder).versions == {"rclip": "3.3.0"}


def test_a_missing_package_is_named_with_the_install_command(tmp_path: Path) -> None:
    folder = environment(tmp_path / "env", "echo 'No package metadata was found for onnx' >&2; exit 1")
    with pytest.raises(UsageError, match=r"incomplete .*onnx.*pip install rclip onnx"):
        find_peer(folder)


def test_an_environment_of_another_python_is_refused(tmp_path: Path) -> None:
    folder = environment(tmp_path / "env", """echo '["/packages", [3, 1], {}]'""")
    with pytest.raises(UsageError, match=r"has Python 3\.1 and smysl 3"):
        find_peer(folder)


def test_a_command_is_timed_and_its_memory_measured(tmp_path: Path) -> None:
    script = "import os; block = b'1' * 200_000_000; print(os.environ['GIVEN'], os.getcwd())"
    done = run_command([sys.executable, "-c", script], folder=tmp_path, variables={"GIVEN": "given"})
    assert done.out.split() == ["given", str(tmp_path)]
    assert done.peak_mb > 200
    small = run_command([sys.executable, "-c", "pass"], folder=tmp_path, variables={})
    assert small.peak_mb < 200
    assert small.seconds > 0


def test_the_memory_of_the_starting_process_is_not_counted(tmp_path: Path) -> None:
    block = bytearray(b"1") * 300_000_000
    assert run_command([sys.executable, "-c", "pass"], folder=tmp_path, variables={}).peak_mb < 100
    assert block


def test_a_failing_command_is_reported_with_its_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="failed with 3: out of luck"):
        run_command(
            [sys.executable, "-c", "import sys; sys.stderr.write('out of luck'); sys.exit(3)"],
            folder=tmp_path,
            variables={},
        )
