"""Every command, option, route and setting has help and is in docs/reference.md."""

from __future__ import annotations

import re

import pytest

from service.config import Settings
from tests.documented import REFERENCE, commands, filled, generated, routes

PAGE = REFERENCE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_and_option_has_help(name: str) -> None:
    command = commands()[name]
    assert command.help
    assert command.help.split("\n")[0].endswith(".")
    for option in command.params:
        assert option.help, f"{name} {option.name} has no help"
        assert option.help.endswith("."), f"the help of {name} {option.name} does not end with a period"


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_a_section_with_an_example(name: str) -> None:
    heading = f"### `{name}`\n"
    assert PAGE.count(heading) == 1
    section = PAGE.split(heading)[1].split("\n### ")[0].split("\n## ")[0]
    assert f"<!-- generated: {name} -->" in section
    assert f"$ {name}" in section


def test_every_route_has_a_section_with_an_example() -> None:
    for method, path, _ in routes():
        assert re.search(rf"^### `{method} {re.escape(path)}`$", PAGE, re.MULTILINE), f"{method} {path}"
    assert PAGE.count("$ curl") >= len(routes())


def test_every_setting_is_listed() -> None:
    for name in Settings.model_fields:
        assert f"`SMYSL_{name.upper()}`" in PAGE


def test_only_existing_commands_routes_and_settings_are_documented() -> None:
    assert set(re.findall(r"SMYSL_[A-Z_]+[A-Z]", PAGE)) == {f"SMYSL_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"^### `(smysl [^`]+)`$", PAGE, re.MULTILINE)) == commands().keys()
    assert set(re.findall(r"^### `((?:GET|POST) [^`]+)`$", PAGE, re.MULTILINE)) == {
        f"{method} {path}" for method, path, _ in routes()
    }


def test_the_generated_parts_are_up_to_date() -> None:
    for name in generated():
        assert f"<!-- generated: {name} -->\n" in PAGE, name
    assert filled(PAGE) == PAGE, "run python -m tests.documented"
