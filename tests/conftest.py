"""What tests share: a tiny random CLIP for the mechanics, `mini` and real photographs for the meaning."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

ROOT = Path(__file__).resolve().parents[1]
SMYSL = [sys.executable, "-c", "from service.cli.app import main; main()"]
"""The command `smysl` as a process of its own."""

# Otherwise an example that takes 200 milliseconds fails its test, which happens to any of them on a busy machine.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by what it needs; what needs nothing and is not marked by hand is a unit test."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if "tab" in fixtures:
            item.add_marker("browser")
        if folder == "e2e" or "service" in fixtures:
            item.add_marker("e2e")
        if "shared_data" in fixtures:
            item.add_marker("data")
        if not any(item.get_closest_marker(name) for name in ("e2e", "browser", "data")):
            item.add_marker("unit")


@pytest.fixture(scope="session")
def converted_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where models are kept that are converted while tests run, instead of the user's cache folder."""
    return tmp_path_factory.mktemp("converted")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, converted_models: Path) -> None:
    """No setting of the person who runs the tests reaches them, and no test reaches a hub."""
    for name in [name for name in os.environ if name.startswith("SMYSL_") and name != "SMYSL_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("SMYSL_CACHE", str(converted_models))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets that lies beside the project; tests that need it skip without it."""
    folder = Path(os.environ.get("SMYSL_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; name their folder in SMYSL_DATA")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random CLIP of a few hundred kilobytes."""
    from tests.e2e.tiny_model import tiny_model

    folder = tmp_path_factory.mktemp("tiny-model")
    for name, content in tiny_model().items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Encoder:
    """The random CLIP, loaded; its matches mean nothing, its mechanics are the real ones."""
    from service.encoder.encoder import Encoder

    return Encoder.load(f"local-dir:{tiny_folder}", device="cpu", precision="fp32", runtime="torch")


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample photographs of the demo."""
    from data.samples import copy_samples

    folder = tmp_path_factory.mktemp("samples")
    copy_samples(folder)
    return folder


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def smysl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Runs the command `smysl` with these arguments in this process, through its real entry point."""
    from service.cli.app import main

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["smysl", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return Finished(int(code) if isinstance(code, int | str) else 0, captured.out, captured.err)

    return run


@dataclass(frozen=True)
class RunningService:
    """A service in a process of its own."""

    url: str
    library: Path
    process: subprocess.Popen[str]


@pytest.fixture(scope="session")
def service(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The real service over the sample photographs with `mini`, on a port of its own choosing."""
    library = tmp_path_factory.mktemp("service") / "library"
    subprocess.run(
        [*SMYSL, "index", str(samples), "--library", str(library), "--model", "mini"], check=True, capture_output=True
    )
    process = subprocess.Popen(
        [*SMYSL, "serve", "--library", str(library), "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        yield RunningService(_address(process), library, process)
    finally:
        process.terminate()
        process.wait(30)
        if process.stderr:
            process.stderr.close()


def _address(process: subprocess.Popen[str]) -> str:
    """The address that a starting service announces."""
    assert process.stderr is not None
    for line in process.stderr:
        if "http://" in line:
            url = line.split("http://")[1].split()[0]
            break
    else:
        raise AssertionError("the service ended without announcing an address")
    url = f"http://{url}"
    for _ in range(100):
        try:
            with urlopen(f"{url}/health", timeout=30) as answer:  # noqa: S310 - an address of this test
                assert answer.status == 200
            return url
        except URLError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}")
