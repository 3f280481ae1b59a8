"""What `import smysl` gives to people who write Python, and what it costs."""

from __future__ import annotations

import logging
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import smysl
from service import errors
from tests.conftest import ROOT

EXPORTED = {
    "Box",
    "Filters",
    "Finished",
    "Hit",
    "Library",
    "Near",
    "Query",
    "Score",
    "SearchResult",
    "IndexOptions",
    "Settings",
    "WatchOptions",
    "__version__",
    "open_photograph",
}


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code as from a notebook in a folder: the folder comes before what is installed."""
    program = f"import sys; sys.path[:0] = ['', {str(ROOT)!r}]; {code}"
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)


def test_every_exported_name_is_there_and_no_other() -> None:
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert set(smysl.__all__) == EXPORTED | kinds, "every error can be caught by its name"
    for name in smysl.__all__:
        assert getattr(smysl, name) is not None
    assert sorted(smysl.__all__) == smysl.__all__ == dir(smysl)
    with pytest.raises(AttributeError, match="has no attribute 'Catalog'"):
        _ = smysl.Catalog  # type: ignore[attr-defined]


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert smysl.__version__ == project["project"]["version"]


def test_importing_it_loads_nothing_else(tmp_path: Path) -> None:
    done = python("import smysl; print([m for m in ('numpy', 'pydantic', 'service') if m in sys.modules])", tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_names_are_those_of_the_service(tmp_path: Path) -> None:
    done = python("from smysl import Library, Query; print(Library.__module__, Query.__module__)", tmp_path)
    assert done.stdout.split() == ["service.library", "service.search.query"], done.stderr


@pytest.mark.parametrize("hidden", ["service.py", "service/__init__.py"])
def test_a_file_that_hides_a_part_of_smysl_is_named(tmp_path: Path, hidden: str) -> None:
    (tmp_path / hidden).parent.mkdir(exist_ok=True)
    (tmp_path / hidden).write_text("")
    done = python("import smysl", tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path.resolve() / hidden} hides a part of smysl that has the same name. Rename it" in done.stderr


@pytest.mark.parametrize("name", ["data.py", "training.py", "eval.py"])
def test_other_files_of_the_person_hide_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("raise SystemExit('imported')")
    code = (
        "import smysl; library = smysl.Library.open('library', create=True); print(library.status().photographs); "
        "library.close()"
    )
    done = python(code, tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


def test_messages_go_to_one_logger_that_is_quiet_by_default() -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("smysl").handlers)


def test_installed_it_is_a_package_that_says_that_it_is_typed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"smysl.py": "smysl/__init__.py", "training/py.typed": "smysl/py.typed"}
    # What is put elsewhere is left out in its own place, and the types of smysl are those of service.
    assert all((ROOT / package / "py.typed").is_file() for package in ("service", "training"))
