"""The hierarchy of errors is the one drawn in the module's docstring."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from service import errors
from service.errors import SmyslError


def tree(kind: type[SmyslError], depth: int = 0) -> Iterator[tuple[int, type[SmyslError]]]:
    """The classes of the module with their depth; other modules may add subclasses for internal use."""
    yield depth, kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child, depth + 1)


CLASSES = [kind for _, kind in tree(SmyslError)]


def test_the_docstring_draws_the_real_hierarchy() -> None:
    assert errors.__doc__ is not None
    drawn = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ([│ ├└─]*)(\w+Error)\b.*?(?:exit (\d), HTTP (\d+))?$", line)
        if found:
            drawn.append((len(found[1]) // 4, found[2], found[3], found[4]))
    real = [
        (depth, kind.__name__, str(kind.exit_code) if depth else None, str(kind.http_status) if depth else None)
        for depth, kind in tree(SmyslError)
    ]
    assert drawn == real


@pytest.mark.parametrize("kind", CLASSES)
def test_each_error_has_a_kind_a_status_and_an_exit_code(kind: type[SmyslError]) -> None:
    assert kind.__module__ == "service.errors"
    assert re.fullmatch("[a-z_]+", kind.kind)
    assert kind.exit_code in (1, 2)
    if kind is not SmyslError:
        assert 400 <= kind.http_status < 500 or kind.http_status == 503
    assert kind.__doc__
    error = kind("One sentence.")
    assert error.message == str(error) == "One sentence."


def test_the_kinds_of_errors_are_distinct() -> None:
    kinds = [kind.kind for kind in CLASSES]
    assert len(set(kinds)) == len(kinds)


def test_subclasses_in_other_modules_do_not_change_kind_status_or_exit_code() -> None:
    import service.encoder.models
    import service.library
    import service.web.server  # noqa: F401

    subclasses = [child for kind in CLASSES for child in kind.__subclasses__() if child not in CLASSES]
    assert all(child.__module__.startswith("service.") for child in subclasses)
    assert not [child for child in subclasses if {"kind", "http_status", "exit_code"} & vars(child).keys()]


def test_all_errors_of_the_module_are_in_the_hierarchy() -> None:
    defined = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert defined == set(CLASSES)
