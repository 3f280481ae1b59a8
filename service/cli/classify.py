"""The commands `smysl classify` and `smysl kinds`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import (
    INTERRUPTED,
    DeviceOption,
    JsonOption,
    LibraryOption,
    errors_console,
    open_library,
    print_json,
    print_line,
    print_sentences,
    say,
    settings_of,
)
from service.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from service.library import Library
    from service.search.classify import Classification


def classify(
    photographs: Annotated[
        list[Path], typer.Argument(metavar="FILE|DIR...", help="Photographs, and folders to search for photographs.")
    ],
    head: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare photographs with this head of the library.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table to this file, one row for each photograph.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing table.")] = False,
    min_confidence: Annotated[
        float | None,
        typer.Option(help="Confidence from 0 to 1 below which a kind is unknown. Default: set by calibration."),
    ] = None,
    k: Annotated[
        int, typer.Option("-k", "-n", "--limit", help="How many similar photographs --json prints with each answer.")
    ] = 10,
    keep_borders: Annotated[
        bool, typer.Option("--keep-borders", help="Do not crop letterboxes, frames and screens around photographs.")
    ] = False,
    library: LibraryOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Classify photographs by a vote of the most similar ones in the library.

    Prints kind, confidence and file, separated by tabs in a pipe. A kind that is too uncertain is printed as unknown.
    """
    from service.cli.csv_output import check_table, table_at
    from service.search.classify import Unclassified, check_request

    if force and csv is None:
        raise UsageError("--force goes with --csv FILE: there is nothing else to replace.")
    check_request(k, min_confidence)
    if csv is not None:
        check_table(csv, force=force)
    console = errors_console()
    files = _find_photographs(photographs, console)
    counts = Counter[str]()
    try:
        with open_library(settings_of(library=library, device=device)) as opened, ExitStack() as stack:
            answers = _classify(opened, files, console, head, k, min_confidence, keep_borders)
            add_row = None if csv is None else stack.enter_context(table_at(csv, force=force))
            if csv is not None and not as_json:
                answers = _with_progress(answers, len(files), console)
            for answer in answers:
                if isinstance(answer, Unclassified):
                    counts["failed"] += 1
                    say(f"cannot classify {answer.file}: {answer.reason}", console)
                else:
                    counts["known" if answer.known else "unknown"] += 1
                    if add_row is not None:
                        add_row(answer)
                _print(answer, as_json=as_json, quiet=csv is not None)
    except KeyboardInterrupt:
        say("Stopped." if csv is None else "Stopped. No table was written; run the command again.", console)
        raise typer.Exit(INTERRUPTED) from None
    done = counts["known"] + counts["unknown"]
    if csv is not None and done:
        rows = "1 row" if done == 1 else f"{done:,} rows"
        summary = f"{csv} has {rows}; unknown: {counts['unknown']:,}, failed: {counts['failed']:,}."
        (say if as_json else print_sentences)(summary)
    if not done:
        raise typer.Exit(1)


def kinds(
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="folders|keywords|FILE.tsv",
            help="Take kinds from names of folders, from keywords such as kind:daisy, or from a table.",
        ),
    ] = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the kinds of the library's photographs, or choose where kinds come from.

    A table (TSV) has the columns image and kind, with paths relative to the table. Keywords and tables are read once,
    by this command: run it again when they have changed. Folders are always up to date.
    """
    with open_library(settings_of(library=library)) as opened:
        if source is not None:
            from service.cli.progress import stages

            with stages(errors_console()) as on_stage:
                notices = opened.read_kinds(source, lambda done, total: on_stage("reading keywords", done, total))
            for sentence in notices:
                say(sentence)
        counts = opened.kinds.counts()
        total, source_now = opened.status().photographs, opened.kinds.source
    without = total - sum(counts.values())
    if as_json:
        facts = {"source": source_now, "kinds": counts, "without_kind": without, "photographs": total}
        print_json(facts, ensure_ascii=False)
        return
    separator = "  " if sys.stdout.isatty() else "\t"
    for kind, count in counts.items():
        print_line(f"{count}{separator}{kind}")
    single = [kind for kind, count in counts.items() if count == 1]
    if single:
        names = ", ".join(single[:5]) + (f" and {len(single) - 5:,} more" if len(single) > 5 else "")
        say(f"Kinds with only one photograph, for which accuracy cannot be measured: {names}.")
    number = "1 kind" if len(counts) == 1 else f"{len(counts):,} kinds"
    say(f"{number} (from {source_now}); photographs without one: {without:,} of {total:,}.")


def _find_photographs(paths: Iterable[Path], console: Console) -> list[Path]:
    """The files among `paths` and the photographs in their folders, each once; says what could not be read."""
    from service.indexing.walk import walk

    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            walked = walk(path)
            files.extend(walked.files)
            for unreadable, reason in walked.failed:
                say(f"cannot classify {unreadable}: {reason}", console)
            for skipped, count in walked.skipped.items():
                say(f"skipped {skipped.sentence}: {count:,}", console)
        elif path.exists():
            files.append(path)
        else:
            raise NotFoundError(f"There is no file or folder {path}. Check the spelling.")
    # A file may be named twice: by itself and by its folder.
    files = list(dict.fromkeys(files))
    if not files:
        raise NotFoundError("There are no photographs there. Name photographs, or folders that hold some.")
    return files


def _classify(
    library: Library,
    files: list[Path],
    console: Console,
    head: str | None,
    k: int,
    min_confidence: float | None,
    keep_borders: bool,
) -> Iterable[Classification]:
    """`Library.classify`, with the progress of calibrating the vote, which comes before the first answer."""
    from service.cli.progress import stages

    with stages(console) as on_stage:
        return library.classify(
            files,
            head=head,
            k=k,
            min_confidence=min_confidence,
            keep_borders=keep_borders,
            on_progress=lambda done, total: on_stage("calibrating on the library's photographs", done, total),
        )


def _with_progress(answers: Iterable[Classification], total: int, console: Console) -> Iterable[Classification]:
    """The same answers, with a progress bar. Not for answers printed to standard output: a bar takes that over."""
    from service.cli.progress import steps

    with steps(console, "Classifying") as on_progress:
        for done, answer in enumerate(answers, start=1):
            yield answer
            on_progress(done, total)


def _print(answer: Classification, *, as_json: bool, quiet: bool) -> None:
    from service.kinds.labels import UNKNOWN
    from service.search.classify import Unclassified

    if as_json:
        from service.web.classify_schemas import line_of

        print_line(line_of(answer))
    elif not quiet and not isinstance(answer, Unclassified):
        kind = answer.kind if answer.known else UNKNOWN
        terminal = sys.stdout.isatty()
        remark = " (already in the library; its own vote does not count)" if answer.in_library and terminal else ""
        print_line(("  " if terminal else "\t").join((kind, f"{answer.confidence:.3f}", answer.file + remark)))
