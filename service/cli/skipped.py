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
        rows = [(root / row.path, row) for root, row in opened.skipped() if reason in (None, row.reason)]
    if as_json:
        print_json(
            [
                {"path": f"{path}{'/' if row.path.endswith('/') else ''}", "reason": row.reason,
                 "sentence": row.detail or sentence_of(row.reason)}
                for path, row in rows
            ],
            ensure_ascii=False,
        )  # fmt: skip
        return
    for path, row in rows:
        print_line(f"{row.reason}\t{path}{'/' if row.path.endswith('/') else ''}\t{row.detail or ''}".rstrip("\t"))
    for code, count in Counter(row.reason for _, row in rows).most_common():
        say(f"{count:,} {code}: {sentence_of(code)}")
    if not rows:
        say("Nothing was left out." if reason is None or reason in list(Reason) else f"There is no reason {reason}.")
