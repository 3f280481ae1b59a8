"""Which way the arrows point: a room imports only rooms below it, and no files import each other in a circle.

Imports inside functions and those for type checkers count too: what a file needs to be understood is an arrow.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("service", "training", "eval", "data")
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"compute", "errors", "types"}),
    frozenset({"config", "texts"}),
    frozenset({"store"}),
    frozenset({"encoder", "photos"}),
    frozenset({"kinds", "match", "index"}),
    frozenset({"search", "indexing", "heads"}),
    frozenset({"library"}),
    frozenset({"web"}),
    frozenset({"cli"}),
)
"""The rooms of service from the ground up; those on one floor do not import each other."""


@dataclass(frozen=True)
class Arrow:
    """One import: from a module, to a module, in which line; `lazy` inside a function or for type checkers only."""

    source: str
    target: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def modules() -> dict[str, Path]:
    files = [ROOT / "smysl.py", *(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))]
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in files
        if file.is_file()
    }


def arrows(name: str, source: str, known: dict[str, Path]) -> Iterator[Arrow]:
    """The imports of a module; of `from package import module` the module, not the package beside it."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Arrow]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{name}:{child.lineno} imports relatively"
                inner = [f"{child.module}.{alias.name}" for alias in child.names]
                names = [each if each in known else str(child.module) for each in inner]
            else:
                for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                inside = lazy or for_types or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from visit(child, inside)
                continue
            yield from (Arrow(name, each, child.lineno, lazy) for each in dict.fromkeys(names) if each in known)

    yield from visit(ast.parse(source), lazy=False)


def all_arrows() -> list[Arrow]:
    known = modules()
    return [
        arrow
        for name, file in known.items()
        for arrow in arrows(name, file.read_text(encoding="utf-8"), known)
        if arrow.target != name
    ]


def floor_of(module: str) -> tuple[int, str]:
    room = module.split(".")[1]
    for floor, rooms in enumerate(FLOORS):
        if room in rooms:
            return floor, room
    raise AssertionError(f"{module} is in no room of the house; name its floor in FLOORS and docs/design.md")


def points_up(arrow: Arrow) -> bool:
    """Whether an arrow breaks the rules of the house."""
    source, target = arrow.source.split(".")[0], arrow.target.split(".")[0]
    if source == "service" and target == "service" and "service" not in (arrow.source, arrow.target):
        (floor, room), (below, other) = floor_of(arrow.source), floor_of(arrow.target)
        return room != other and below >= floor
    in_a_command = arrow.source.startswith("service.cli.") and arrow.lazy
    allowed = {
        "smysl": {"service"},
        "service": {"service", *(PACKAGES if in_a_command else ())},
        "data": {"data", "service"},
        "eval": {"eval", "data", "service"},
        "training": {"training", "eval", "data", "service"},
    }
    talks = arrow.target.startswith(("service.cli", "service.web"))
    return target not in allowed[source] or (talks and source != "service")


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of files that can reach each other (Tarjan 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(edges):
        if node not in number:
            visit(node)
    return found


def test_arrows_point_down() -> None:
    assert [str(arrow) for arrow in all_arrows() if points_up(arrow)] == []


def test_no_files_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = {}
    for arrow in all_arrows():
        edges.setdefault(arrow.source, set()).add(arrow.target)
    assert circles(edges) == []


@pytest.mark.parametrize("room", sorted(path.name for path in (ROOT / "service").iterdir() if path.is_dir()))
def test_each_room_says_what_it_is_for(room: str) -> None:
    if room == "__pycache__":
        pytest.skip("no room")
    text = ast.get_docstring(ast.parse((ROOT / "service" / room / "__init__.py").read_text(encoding="utf-8")))
    assert text is not None
    assert "mport" in text, "and what it may import"


@pytest.mark.parametrize(
    ("source", "target", "lazy", "up"),
    [
        ("service.store.catalog", "service.errors", False, False),
        ("service.store.catalog", "service.search.search", False, True),
        ("service.store.catalog", "service.search.search", True, True),
        ("service.encoder.encoder", "service.photos.decode", False, True),
        ("service.cli.train", "training.match_fit", True, False),
        ("service.cli.train", "training.match_fit", False, True),
        ("service.library", "data.captions", True, True),
        ("eval.similar", "training.match_fit", True, True),
        ("training.match_fit", "eval.scoring", False, False),
        ("training.match_fit", "service.cli.progress", False, True),
        ("data.captions", "eval.scoring", False, True),
        ("smysl", "service.library", True, False),
    ],
)
def test_the_rules(source: str, target: str, lazy: bool, up: bool) -> None:
    assert points_up(Arrow(source, target, 1, lazy)) is up


def test_imports_of_every_form_are_seen() -> None:
    known = {name: ROOT for name in ("one", "package", "package.inner", "two")}
    lines = ["import one", "from package import inner", "if TYPE_CHECKING:", "    from package import word"]
    source = "\n".join([*lines, "def f():", "    import two"])
    assert [(arrow.target, arrow.lazy) for arrow in arrows("x", source, known)] == [
        ("one", False),
        ("package.inner", False),
        ("package", True),
        ("two", True),
    ]


def test_a_circle_is_found_and_a_chain_is_none() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}}) == []
