"""The commands of kinds: `smysl classify`, `smysl kinds`, and `smysl eval classify`, which measures the vote.

`service/cli/app.py` hangs the first two under `smysl`, `service/cli/train.py` the last under `smysl eval`.
"""

from __future__ import annotations

import json
import sys
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
    ModelOption,
    encoder_named,
    errors_console,
    print_line,
    print_rows,
    say,
    settings_of,
)
from service.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from service.encoder.encoder import Encoder
    from service.heads.projection import Head
    from service.library import Library
    from service.search.classify import Classification, Classified


def classify(
    photographs: Annotated[
        list[Path], typer.Argument(metavar="FILE|DIR...", help="Photographs, and folders to look for them in.")
    ],
    head: Annotated[str | None, typer.Option(help="Head of the library by which photographs are compared.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table to this file, one row a photograph.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the table that is there.")] = False,
    min_confidence: Annotated[
        float | None, typer.Option(help="Below it a photograph is unknown, 0 to 1; else the vote's own threshold.")
    ] = None,
    keep_borders: Annotated[
        bool, typer.Option("--keep-borders", help="Look at letterboxes and frames, too, instead of leaving them out.")
    ] = False,
    library: LibraryOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell the kinds of photographs by the vote of their nearest in the library.

    Prints kind, confidence and file; in a pipe separated by tabs. A kind that is not certain enough is unknown.
    """
    from service.cli.csv_output import check_table, table_at
    from service.search.classify import Unclassified

    if force and csv is None:
        raise UsageError("--force is for the table of --csv OUT.")
    if csv is not None:
        check_table(csv, force=force)
    console = errors_console()
    files = _photographs(photographs, console)
    counted = {"known": 0, "unknown": 0, "failed": 0}
    try:
        with _open(library, device) as opened, ExitStack() as stack:
            answers = _answers(opened, files, console, head, min_confidence, keep_borders)
            add = None if csv is None else stack.enter_context(table_at(csv, force=force))
            for answer in _followed(answers, len(files), console, shown=csv is not None and not as_json):
                if isinstance(answer, Unclassified):
                    counted["failed"] += 1
                    _tell(console, f"cannot classify {answer.file}: {answer.reason}")
                else:
                    counted["known" if answer.known else "unknown"] += 1
                    if add is not None:
                        add(answer)
                _print(answer, as_json=as_json, quiet=csv is not None)
    except KeyboardInterrupt:
        console.print("Stopped." if csv is None else "Stopped. No table was written; run the command again.")
        raise typer.Exit(INTERRUPTED) from None
    done = counted["known"] + counted["unknown"]
    if csv is not None and done:
        summary = f"{csv} has {done:,} {'row' if done == 1 else 'rows'}; unknown: {counted['unknown']:,}"
        (say if as_json else print_line)(f"{summary}, failed: {counted['failed']:,}.")
    if not done:
        raise typer.Exit(1)


def kinds(
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="folders|keywords|FILE.tsv",
            help="Where kinds come from: names of folders, keywords such as kind:daisy, or a table.",
        ),
    ] = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the kinds of the library's photographs, or say where they come from.

    A table (TSV) has the columns image and kind, with paths relative to it. Keywords and tables are read when they
    are named; name them again when they have changed. Folders are always current.
    """
    from service.cli.progress import stages

    with _open(library) as opened:
        if source is not None:
            with stages(errors_console()) as tell:
                notices = opened.read_kinds(source, lambda done, total: tell("reading keywords", done, total))
            for sentence in notices:
                say(sentence)
        counts = opened.kinds.counts()
        total, comes_from = opened.status().photographs, opened.kinds.source
    without = total - sum(counts.values())
    if as_json:
        facts = {"source": comes_from, "kinds": counts, "without_kind": without, "photographs": total}
        print_line(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    separator = "  " if sys.stdout.isatty() else "\t"
    for kind, count in counts.items():
        print_line(f"{count}{separator}{kind}")
    alone = [kind for kind, count in counts.items() if count == 1]
    if alone:
        named = ", ".join(alone[:5]) + (f" and {len(alone) - 5:,} more" if len(alone) > 5 else "")
        say(f"With one photograph only, so that nothing can be checked on the kind: {named}.")
    say(f"{len(counts):,} kinds (from {comes_from}); photographs without one: {without:,} of {total:,}.")


def eval_classify(
    data: Annotated[Path, typer.Option(help="Folder with train/KIND/* and test/KIND/*, or with KIND/* alone.")],
    model: ModelOption = None,
    head: Annotated[Path | None, typer.Option(help="Folder of a head of smysl train similar.")] = None,
    device: DeviceOption = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps the features that a head looks at.")] = None,
    as_json: JsonOption = False,
) -> None:
    """How far the kind by vote can be trusted: accuracy, calibration, and whether unknown kinds are told.

    Photographs of test/ are asked about and those of train/ vote; without these, each fifth is asked about. Each kind
    in turn is left out for what an unknown kind looks like.
    """
    from platformdirs import user_cache_path

    from eval.vote_accuracy import eval_classify as measure
    from service.cli.progress import stages
    from training.similar.train_head import refit

    fitted, encoder = _head_and_encoder(head, model, device)

    with stages(errors_console()) as tell:
        threads = settings_of(device=device).decode_threads
        kept = cache or user_cache_path("smysl")
        anew = None if fitted is None else refit(fitted, data, encoder, kept, tell)
        report = measure(data, encoder, fitted, refit=anew, cache=kept, threads=threads, on_progress=tell)
    if as_json:
        print_line(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
        return
    rows = {name: _figure(name, value, report.intervals[name]) for name, value in report.figures.items()}
    if report.by_kind:
        hardest = sorted(report.by_kind.items(), key=lambda each: each[1])[:10]
        rows["lowest auroc"] = "\n".join(f"{value:6.3f}   {kind}" for kind, value in hardest)
    how = "of test/" if report.split else "in five parts"
    rows["photos"] = f"{report.photos:,} {how}; {report.voting:,} of {report.kinds:,} kinds vote"
    if report.left_out:
        more = len(report.left_out) - 10
        rows["left out"] = "\n".join([*report.left_out[:10], *([f"and {more:,} more"] if more > 0 else [])])
    if report.head is not None:
        rows["head"] = report.head
    rows["model"] = f"{report.model}, fingerprint {report.fingerprint}"
    rows["seconds"] = f"{report.seconds:.0f}"
    print_rows(rows)
    if not report.refitted:
        say("The head was fitted with the kinds that were left out, so the figures of unknown kinds flatter it.")


def _figure(name: str, value: float, interval: tuple[float, float]) -> str:
    share = name not in ("ece", "ece_mixed", "unknown_auroc")
    digits, unit = (1, " %") if share else (3, "  ")
    return f"{value:6.{digits}f}{unit}   (95 % interval {interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def _head_and_encoder(head: Path | None, model: str | None, device: str | None) -> tuple[Head | None, Encoder]:
    """The head, where one is named, and the encoder that it looks at, or else the one that is asked for."""
    from service.heads.projection import Head

    fitted = None if head is None else Head.load(head)
    names = [] if fitted is None else list(fitted.encoders.values())
    if len(names) > 1:
        raise UsageError(f"The head {head} looks at {len(names)} models; one that looks at one can be measured here.")
    encoder = encoder_named(model or (names[0] if names else None), device)
    if fitted is not None:
        fitted.check_encoders([encoder.fingerprint], f"what --model names, {encoder.name}")
    return fitted, encoder


def _photographs(named: Iterable[Path], console: Console) -> list[Path]:
    """The photographs that files and folders name; what a walk cannot read is told."""
    from service.indexing.walk import walk

    files: list[Path] = []
    for path in named:
        if path.is_dir():
            walked = walk(path)
            files.extend(walked.files)
            for place, reason in walked.failed:
                _tell(console, f"cannot classify {place}: {reason}")
            for what, count in walked.skipped.items():
                _tell(console, f"skipped {what}: {count:,}")
        elif path.exists():
            files.append(path)
        else:
            raise NotFoundError(f"There is no file or folder {path}. Check the spelling.")
    # What is named twice, once by its folder, is one photograph.
    files = list(dict.fromkeys(files))
    if not files:
        raise NotFoundError("There are no photographs in what was named; name photographs, or folders that hold some.")
    return files


def _answers(
    library: Library,
    files: list[Path],
    console: Console,
    head: str | None,
    min_confidence: float | None,
    keep_borders: bool,
) -> Iterable[Classification]:
    from service.cli.progress import stages

    with stages(console) as tell:
        return library.classify(
            files,
            head=head,
            min_confidence=min_confidence,
            keep_borders=keep_borders,
            on_progress=lambda done, total: tell("calibrating the vote on the library's photographs", done, total),
        )


def _followed(
    answers: Iterable[Classification], total: int, console: Console, *, shown: bool
) -> Iterable[Classification]:
    """The answers, with a bar where nothing else shows how far they are: it would take over standard output."""
    from service.cli.progress import steps

    if not shown:
        yield from answers
        return
    with steps(console, "Classifying") as bar:
        for done, answer in enumerate(answers, start=1):
            yield answer
            bar(done, total)


def _print(answer: Classification, *, as_json: bool, quiet: bool) -> None:
    from service.kinds.labels import UNKNOWN
    from service.search.classify import Unclassified

    if as_json:
        from service.web.classify_schemas import line_of

        print_line(line_of(answer))
    elif not quiet and not isinstance(answer, Unclassified):
        kind = answer.kind if answer.known else UNKNOWN
        cells = (kind, f"{answer.confidence:.3f}", answer.file + _remark(answer))
        print_line(("  " if sys.stdout.isatty() else "\t").join(cells))


def _remark(answer: Classified) -> str:
    return " (in the library, left out itself)" if answer.in_library and sys.stdout.isatty() else ""


def _tell(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _open(library: Path | None, device: str | None = None) -> Library:
    from service.library import Library

    settings = settings_of(library=library, device=device)
    return Library.open(settings.library.expanduser(), settings)
