"""What a new process of the command imports: every needless import makes a person wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from eval.synthetic_library import make_synthetic_library
from tests.conftest import ROOT
from tests.service.conftest import SampleLibrary

pytestmark = pytest.mark.e2e

_NAMING = """
import json, sys
sys.argv = ["smysl", *sys.argv[1:]]
from service.cli.app import main
try:
    main()
finally:
    packages = {name.partition(".")[0] for name in sys.modules}
    own = {name for name in sys.modules if name.startswith("service.")}
    print(json.dumps(sorted(packages | own)), file=sys.stderr)
"""
"""Runs the command; the last line of standard error lists what it imported."""


def imported(*arguments: object) -> set[str]:
    """The packages, and the modules of `service`, that a process of `smysl` has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", _NAMING, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


_HEAVY = {"numpy", "pandas", "pydantic_settings", "faiss", "torch", "openvino", "open_clip", "transformers", "PIL"}
_HEAVY |= {"fastapi", "starlette", "sqlite3"}


def test_the_first_help_imports_nothing_that_computes_or_serves() -> None:
    assert imported("--help") & (_HEAVY | {"pydantic"}) == set()


@pytest.mark.parametrize("arguments", [["index", "--help"], ["bench", "--help"], ["train", "--help"]])
def test_the_help_of_a_command_imports_nothing_that_computes_or_serves(arguments: list[str]) -> None:
    # Typer reads the arguments of a command with pydantic.
    assert imported(*arguments) & _HEAVY == set()


def test_importing_the_commands_does_not_import_the_console() -> None:
    assert "rich.console" not in modules_after("import service.cli.app")


def test_a_search_imports_neither_the_http_service_nor_indexing(shared_library: SampleLibrary) -> None:
    found = imported("search", "a cat", "--library", shared_library.folder)
    assert "service.search.search" in found
    assert found & {"fastapi", "starlette", "uvicorn", "pandas", "sklearn"} == set()
    assert (
        found & {"service.web.app", "service.indexing.run", "service.indexing.indexer", "service.search.classify"}
        == set()
    )


def test_a_search_with_the_built_in_model_imports_neither_torch_nor_pillow(tmp_path: Path) -> None:
    if find_spec("openvino") is None:
        pytest.skip("without OpenVINO torch computes")
    make_synthetic_library(tmp_path / "library", 50, thumbnails=False)
    found = imported("search", "a cat", "--library", tmp_path / "library")
    assert "service.search.search" in found
    assert found & {"torch", "torchvision", "open_clip", "transformers", "timm", "PIL", "scipy", "pandas"} == set()


def modules_after(statement: str) -> set[str]:
    """All modules in a new process after `statement`."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())
