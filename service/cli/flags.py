"""What parameters of the library are called on the command line."""

from __future__ import annotations

from service.errors import SmyslError, UsageError

_FLAGS = {"k": "-k", "taken_from": "--from", "taken_to": "--to", "is_raw": "--raw"}
"""Flags that are not the parameter's name with dashes."""


def flag_of(parameter: str) -> str:
    """The flag of a parameter, such as `--min-match` for `min_match`."""
    return _FLAGS.get(parameter) or f"--{parameter.replace('_', '-')}"


def message_with_flags(error: SmyslError) -> str:
    """The message of an error, with flags in place of the parameters that it names."""
    message = error.message
    if isinstance(error, UsageError):
        for words, parameter in error.parameters.items():
            message = message.replace(words, flag_of(parameter), 1)
    return message
