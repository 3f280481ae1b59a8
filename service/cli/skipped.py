"""The command `smysl skipped`."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from service.cli.terminal import (
    JsonOption,
    LibraryOption,
    open_library,
    print_json,
    print_line,
    say,
    settings_of,
)
from service.errors import UsageError


def skipped(
    reason: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only what was left out for this reason, such as rubbish.")
    ] = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the files in the library's folders that are not indexed, each with the reason.

    Prints reason, path and an explanation, separated by tabs. A folder that is left out is one line, and ends with a
    slash. What is listed is what the last smysl index found.
    """
    from service.indexing.skipped import Reason, sentence_of

    with open_library(settings_of(library=library)) as opened:
        rows = [
            (f"{root / row.path}{'/' if row.path.endswith('/') else ''}", row)
            for root, row in opened.skipped()
            if reason in (None, row.reason)
        ]
    # A newer version of smysl may have written further reasons.
    if not rows and reason is not None and reason not in list(Reason):
        raise UsageError(f"--reason is {reason}; it must be one of {', '.join(Reason)}.")
    if as_json:
        facts = [
            {"path": path, "reason": row.reason, "sentence": row.detail or sentence_of(row.reason)}
            for path, row in rows
        ]
        print_json(facts, ensure_ascii=False)
        return
    for path, row in rows:
        print_line(f"{row.reason}\t{path}\t{row.detail or ''}".rstrip("\t"))
    for code, count in Counter(row.reason for _, row in rows).most_common():
        say(f"{count:,} {code}: {sentence_of(code)}")
    if not rows:
        say("Nothing was left out.")
