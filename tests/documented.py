"""The generated parts of docs/reference.md: tables of options, routes, settings and errors, taken from the code.

    python -m tests.documented

rewrites them between the comments that name them; everything else in the file is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parents[1] / "docs" / "reference.md"


def commands() -> dict[str, Any]:
    """All commands by their full names, such as `smysl eval retrieval`."""
    import typer

    from service.cli.app import app

    def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if not inner:
            yield name, command
            return
        for word, child in inner.items():
            yield from walk(child, f"{name} {word}")

    return dict(walk(typer.main.get_command(app), "smysl"))


def routes() -> list[tuple[str, str, str]]:
    """Method, path and first line of the description of every HTTP route."""
    from service.web.app import create_app

    description = create_app(_NoLibrary()).openapi()  # type: ignore[arg-type]
    return [
        (method.upper(), path, route["description"].split("\n")[0])
        for path, methods in description["paths"].items()
        for method, route in methods.items()
    ]


class _NoLibrary:
    """The parts of a library that the description of the service needs."""

    def __init__(self) -> None:
        from service.config import Settings

        self.settings = Settings()


def generated() -> dict[str, str]:
    """The generated parts by the names in their comments."""
    parts = {name: _options(command) for name, command in commands().items()}
    parts["routes"] = _table(
        ["route", "what it does"], [[f"`{method} {path}`", summary] for method, path, summary in routes()]
    )
    parts["settings"] = _settings()
    parts["errors"] = _errors()
    return parts


def filled(page: str) -> str:
    """The page with its generated parts up to date."""
    for name, part in generated().items():
        marked = re.compile(rf"(<!-- generated: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = marked.sub(lambda found, part=part: f"{found[1]}{part}\n{found[2]}", page)  # type: ignore[misc]
    return page


def _options(command: Any) -> str:
    rows = []
    for option in command.params:
        name = ", ".join(option.opts) if option.param_type_name == "option" else option.metavar or option.name.upper()
        default = "" if option.default is None or option.default is False else str(option.default)
        rows.append([f"`{name}`", option.help or "", default])
    return _table(["", "what it is", "default"], rows)


def _settings() -> str:
    from service.config import Settings

    # The option --cache of `smysl train` and `smysl eval` is another folder than SMYSL_CACHE.
    flags = {option.name for command in commands().values() for option in command.params} - {"cache"}
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory or field.default is None else str(field.default)
        flag = f"`--{name.replace('_', '-')}`" if name in flags else ""
        rows.append([f"`SMYSL_{name.upper()}`", flag, field.description or "", default])
    return _table(["variable", "flag", "what it is", "default"], rows)


def _errors() -> str:
    from service.errors import SmyslError

    def walk(kind: type[SmyslError]) -> Iterator[type[SmyslError]]:
        for child in kind.__subclasses__():
            if child.__module__ == SmyslError.__module__:
                yield child
                yield from walk(child)

    rows = [
        [f"`{kind.kind}`", str(kind.http_status), str(kind.exit_code), (kind.__doc__ or "").split("\n")[0]]
        for kind in walk(SmyslError)
    ]
    return _table(["kind", "HTTP", "exit code", "when"], rows)


def _table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    REFERENCE.write_text(filled(REFERENCE.read_text(encoding="utf-8")), encoding="utf-8")
