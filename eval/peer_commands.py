"""Runs commands in processes of their own and measures their time and memory; finds rclip in its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import UsageError

INSTALL = "python -m venv DIR && DIR/bin/pip install rclip onnx"
_VERSIONS_SCRIPT = (
    "import importlib.metadata, json, sys, sysconfig; "
    "print(json.dumps([sysconfig.get_path('platlib'), list(sys.version_info[:2]), "
    "{name: importlib.metadata.version(name) for name in ('rclip', 'onnx', 'onnxruntime', 'pillow')}]))"
)
_MEASURE_SCRIPT = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:])
_, status, used = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
measured = [process.returncode, time.perf_counter() - started, used.ru_maxrss]
print(file=sys.stderr)
print(json.dumps(measured), file=sys.stderr)
"""


@dataclass(frozen=True)
class Peer:
    """rclip in an environment of its own: its command, its Python, the folder of its packages, and their versions."""

    command: Path
    python: Path
    packages: Path
    versions: dict[str, str]


@dataclass(frozen=True)
class FinishedCommand:
    """Seconds that a command took, its peak resident memory in MB (1,000,000 bytes), and its standard output."""

    seconds: float
    peak_mb: float
    out: str


def find_peer(path: Path) -> Peer:
    """The rclip at `path`, which is its command or the folder of its environment.

    Raises `UsageError` where there is none, where a package is missing, and where its Python version differs from this
    program's, which imports `onnx` from its environment.
    """
    path = path.expanduser()
    command = path / "bin" / "rclip" if path.is_dir() else path
    python = command.parent / "python"
    if not (command.is_file() and python.exists()):
        raise UsageError(f"There is no rclip at {path}. Install it in an environment of its own: {INSTALL}")
    done = subprocess.run([python, "-c", _VERSIONS_SCRIPT], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        missing = (done.stderr.strip().splitlines() or ["it does not run"])[-1]
        raise UsageError(f"The environment of {command} is incomplete ({missing}). Install what is missing: {INSTALL}")
    packages, version, versions = json.loads(done.stdout)
    if tuple(version) != sys.version_info[:2]:
        ours = ".".join(map(str, sys.version_info[:2]))
        raise UsageError(
            f"The environment of {command} has Python {version[0]}.{version[1]} and smysl {ours}; recreate it with "
            f"Python {ours}."
        )
    return Peer(command.absolute(), python.absolute(), Path(packages), versions)


def run_command(command: Sequence[str | Path], *, folder: Path, variables: Mapping[str, str]) -> FinishedCommand:
    """Run a command in `folder` with further environment variables.

    Raises `UsageError` with the end of its error output where it fails.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        # Linux counts the memory of the starting process towards the new one, so a small process starts it.
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-I", "-S", "-c", _MEASURE_SCRIPT, *map(str, command)],
            stdout=out,
            stderr=errors,
            cwd=folder,
            env=os.environ | dict(variables),
            check=False,
        )
        out.seek(0)
        errors.seek(0)
        *lines, measured = errors.read().decode(errors="replace").strip().splitlines() or [""]
        code, seconds, peak = json.loads(measured) if done.returncode == 0 else (done.returncode, 0.0, 0)
        if code != 0:
            last = "\n".join(lines if done.returncode == 0 else [*lines, measured]).strip()[-400:]
            raise UsageError(f"{' '.join(map(str, command))} failed with {code}: {last}")
        unit = 1 if sys.platform == "darwin" else 1024
        return FinishedCommand(seconds, peak * unit / 1e6, out.read().decode(errors="replace"))
