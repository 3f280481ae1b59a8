"""What tests of commands share."""

from __future__ import annotations

from collections.abc import Callable

from tests.conftest import Finished
from tests.service.conftest import SampleLibrary

Run = Callable[..., Finished]
"""Runs the command `smysl` with these arguments; the fixture `smysl`."""


def error_of(finished: Finished, code: int) -> str:
    """The message of a command that failed as it should: one sentence and nothing on standard output."""
    assert finished.code == code, finished
    assert finished.out == ""
    line = finished.err.strip()
    assert "\n" not in line, line
    assert "Traceback" not in line
    assert line.startswith("smysl: ")
    assert line.endswith(".")
    return line.removeprefix("smysl: ")


def fingerprint_of(sample_library: SampleLibrary) -> str:
    """The fingerprint of the library's model."""
    with sample_library.open() as library:
        fingerprint = library.status().fingerprint
    assert fingerprint is not None
    return fingerprint
