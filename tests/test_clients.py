"""docs/clients.md does what it says: every fenced block is run, and answers are compared with those that it shows."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import ROOT, RunningService

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
ADDRESS, FOLDER = "http://127.0.0.1:8000", "/home/me/photographs"
CLOSE = 0.02
"""Matches may differ by so much between processors with and without bf16."""


@dataclass(frozen=True)
class Block:
    """A fenced block that is run, where it stands in the page, and the answer shown below it, if there is one."""

    language: str
    code: str
    line: int
    answer: str | None


def blocks() -> list[Block]:
    """The blocks of the page in order; one of `json` or `text` is the answer to the block right before it."""
    found: list[Block] = []
    for fence in re.finditer(r"^```([^\n]*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        language, code = fence.groups()
        if language in ("json", "text"):
            asked = found.pop()
            assert asked.answer is None, "an answer without a question"
            found.append(Block(asked.language, asked.code, asked.line, code))
        else:
            found.append(Block(language, code, PAGE[: fence.start()].count("\n") + 1, None))
    return found


def of(language: str) -> list[Any]:
    return [pytest.param(block, id=f"line {block.line}") for block in blocks() if block.language == language]


@pytest.fixture(scope="module")
def place(service: RunningService, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder from which the page is read: `photographs` and `my-library` lie in it."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "photographs").symlink_to(samples)
    (folder / "my-library").symlink_to(service.library)
    return folder


@pytest.fixture(scope="module")
def names() -> Iterator[dict[str, Any]]:
    """The namespace that the blocks of Python share, as in a notebook."""
    shared: dict[str, Any] = {}
    yield shared
    if "library" in shared:
        shared["library"].close()


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {block.language for block in blocks()} == {"bash", "python", "python notebook"}
    assert ADDRESS in PAGE


@pytest.mark.parametrize("block", of("bash"))
def test_curl(block: Block, service: RunningService, samples: Path, place: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = block.code.replace(ADDRESS, service.url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if block.answer is None:
        assert "error" not in done.stdout
        return
    shown = block.answer.replace(FOLDER, str(samples.resolve()))
    if shown.startswith("{") and "curl ended" not in shown:
        assert_alike(json.loads(done.stdout), json.loads(shown))
    else:
        assert done.stdout.strip() == shown.strip()


def test_the_pictures_that_curl_brought_are_pictures(service: RunningService, samples: Path, place: Path) -> None:
    (block,) = [block for block in blocks() if "thumbnail" in block.code and block.language == "bash"]
    test_curl(block, service, samples, place)
    with Image.open(place / "coffee.jpg") as thumbnail:
        assert max(thumbnail.size) <= 384
    assert (place / "coffee.png").read_bytes() == (samples / "coffee.png").read_bytes()


@pytest.mark.parametrize("block", of("python"))
def test_python(block: Block, place: Path, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.code, f"clients.md line {block.line}", "exec"), names)  # noqa: S102 - our own page
    assert block.answer is not None, "a block of Python shows what it prints"
    got, shown = printed.getvalue().split(), block.answer.split()
    assert_alike([_number(word) for word in got], [_number(word) for word in shown])


def test_a_result_in_a_notebook_is_a_strip_of_pictures_and_a_table(
    place: Path, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    strip, table, several = [evaluate(block.values[0].code, names) for block in of("python notebook")]
    html = strip._repr_html_()
    assert html.count('<img src="data:image/jpeg;base64,') == len(strip.hits) > 0
    assert "coffee.png" in html
    assert "http" not in html
    assert list(table["name"]) == [hit.photograph.name for hit in strip.hits]
    assert "coffee.png" in table._repr_html_()
    listed = re.findall(r"`(\w+)`", PAGE.split("with the columns ")[1].split(", which")[0])
    assert listed == list(table.columns)
    assert set(several.index.get_level_values("query")) == {"a cup of coffee", "a motorcycle in a garage"}
    assert (place / "found.csv").read_text().startswith("query,place,match,")


def evaluate(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell of a notebook; the value of its last expression, which a notebook shows."""
    *before, last = ast.parse(cell).body
    assert isinstance(last, ast.Expr), "the cell shows nothing"
    exec(compile(ast.Module(before, []), "cell", "exec"), names)  # noqa: S102 - our own page
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307


def assert_alike(got: Any, shown: Any, where: str = "answer") -> None:
    """Same fields but for null, false, empty lists and cursors, same words and whole numbers; other numbers as far as
    processors agree.

    Dates may be those of the files, and addresses name the version of what read them.
    """
    if isinstance(shown, dict):
        assert shown.keys() <= got.keys(), where
        others = {name: got[name] for name in got.keys() - shown.keys() - {"next_cursor"}}
        assert not [name for name, value in others.items() if value not in (None, False, [])], where
        for name in shown:
            assert_alike(got[name], shown[name], f"{where}.{name}")
    elif isinstance(shown, list):
        assert len(got) == len(shown), (where, got)
        for place, (one, other) in enumerate(zip(got, shown, strict=True)):
            assert_alike(one, other, f"{where}[{place}]")
    elif isinstance(shown, float):
        assert isinstance(got, float), where
        assert where.endswith("took_ms") or got == pytest.approx(shown, abs=CLOSE), where
    elif isinstance(shown, str) and ".links." in where:
        assert _without_reader(got) == _without_reader(shown), where
    elif not where.endswith(".taken_at"):
        assert got == shown, where


def _without_reader(address: str) -> str:
    return re.sub(r"(v=[0-9a-f]{16})-\d+", r"\1", address)


def _number(word: str) -> float | str:
    return float(word) if re.fullmatch(r"\d+\.\d+", word) else word
