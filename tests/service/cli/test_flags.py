"""Parameters of the library are called by their flags on the command line."""

from __future__ import annotations

from service.cli.flags import flag_of, message_with_flags
from service.errors import NotFoundError, UsageError
from tests.documented import commands


def test_every_parameter_of_an_error_is_a_flag() -> None:
    flags = {flag for command in commands().values() for option in command.params for flag in option.opts}
    assert {flag_of(name) for name in ("k", "min_match", "min_confidence", "box", "head", "grade")} <= flags


def test_words_of_a_message_that_stand_for_a_parameter_become_its_flag() -> None:
    error = UsageError("k is 0; a k must be from 1 to 200.", {"k": "k"})
    assert message_with_flags(error) == "-k is 0; a k must be from 1 to 200."
    error = UsageError("The least confidence is 2; leave out the box.", {"The least confidence": "min_confidence"})
    assert message_with_flags(error) == "--min-confidence is 2; leave out the box."


def test_other_messages_stay() -> None:
    assert message_with_flags(UsageError("The text is empty.")) == "The text is empty."
    assert message_with_flags(NotFoundError("There is no head k.")) == "There is no head k."
