"""The command `smysl`: parses, calls one method, prints. The only file that knows every other."""

from __future__ import annotations

import io
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from service.cli import classify as classify_commands
from service.cli.bench import bench_app
from service.cli.datasets import data_app
from service.cli.heads import head_app
from service.cli.ratings import rate, ratings_app
from service.cli.search_command import search
from service.cli.terminal import (
    INTERRUPTED,
    DeviceOption,
    JsonOption,
    LibraryOption,
    ModelOption,
    PrecisionOption,
    check_there,
    errors_console,
    open_library,
    open_named,
    print_line,
    print_rows,
    say,
    settings_of,
)
from service.cli.train import eval_app, train_app
from service.errors import LibraryError, SmyslError, UsageError

if TYPE_CHECKING:
    from service.config import Settings
    from service.encoder.encoder import Encoder
    from service.match.scorer import Scorer
    from service.web.schemas import ModelOut

app = typer.Typer(
    help="Search photographs by meaning: type a scene, get the photographs that show it.\n\n"
    'Start with `smysl index DIR`, then `smysl search "two dogs play in the snow"` or `smysl serve`.',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench_app, name="bench")
app.add_typer(eval_app, name="eval")
app.add_typer(train_app, name="train")
app.add_typer(ratings_app, name="ratings")
app.add_typer(head_app, name="head")
app.add_typer(data_app, name="data")


@app.command()
def index(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Folders of photographs; none: all that the library has."),
    ] = None,
    library: LibraryOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="mini, ARCH/PRETRAINED of open_clip, hf-hub:ORG/NAME or local-dir:PATH. Given again, it names an "
            "additional model, whose features heads may look at."
        ),
    ] = None,
    forget: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="MODEL", help="Take an additional model and its features out of the library first."),
    ] = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    prune: Annotated[bool, typer.Option(help="Take photographs whose files are gone out of the library.")] = False,
) -> None:
    """Add what is new, skip what is unchanged, follow what has moved.

    No file is ever changed or deleted. Stopped with Ctrl-C, the next run goes on where this one was.
    Another --model than the library's own encodes all its photographs again. Additional models stay
    until they are forgotten.
    """
    from service.cli.progress import count, describe, download, follow_index
    from service.store.paths import resolve_folder

    errors = errors_console()
    named_models = model or []
    main_model = named_models[0] if named_models else None
    settings = settings_of(library=library, model=main_model, device=device, precision=precision)
    # Before a model is loaded, perhaps downloaded: a folder that is not there is known at once.
    named = [resolve_folder(folder) for folder in folders or ()]
    try:
        with open_library(settings, create=bool(named)) as opened:
            if not named and not opened.status().roots:
                raise UsageError("Name at least one folder of photographs: smysl index DIR.")
            if forget is not None:
                opened.forget_model(forget)
            with download(errors) as on_progress:
                encoder = opened.encoder_to_index(say=say, on_progress=on_progress)
                others = opened.additional_to_index(encoder, named_models[1:], on_progress)
            # Interrupted, the run ends here, while the library is open: what the tower has made is written.
            with closing(opened.index(named, prune=prune, encoder=encoder, additional=others)) as run:
                summary = follow_index(errors, run)
            print_line(describe(summary))
            kept = opened.status()
            models = " and ".join(["model " + str(kept.model), *kept.additional_models])
            print_line(f"The library {kept.library} holds {count(kept.photographs)} ({models}).")
            for head in opened.heads():
                if head.fault is not None:
                    say(f"The head {head.name} cannot be used: {head.fault}")
            if kept.fingerprint != encoder.fingerprint:
                raise LibraryError(
                    f"The library still answers with the model {kept.model}: one of its folders is not there or cannot "
                    f"be read, so its photographs could not be encoded with {encoder.name}. Run the command again when "
                    "it is back."
                )
    except KeyboardInterrupt:
        errors.print("Stopped. What was indexed stays; run the command again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    if summary.failed and not (summary.added or summary.changed or summary.moved or summary.unchanged):
        raise typer.Exit(1)


app.command()(search)


@app.command()
def score(
    image: Annotated[Optional[Path], typer.Argument(metavar="FILE", help="A photograph.")] = None,  # noqa: UP045
    text: Annotated[Optional[str], typer.Argument(help="What it may show.")] = None,  # noqa: UP045
    pairs: Annotated[
        Path | None,
        typer.Option(help="Table (TSV) with the columns image and text; paths relative to it."),
    ] = None,
    library: LibraryOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """How well a text fits a photograph, from 0 to 1; one pair, or a whole table.

    Uses the model of the library if there is one, else the built-in one.
    """
    from service.search.score_table import read_pairs, score_lines
    from service.search.search import score as score_pairs

    settings = settings_of(library=library, model=model, device=device)
    if pairs is not None:
        if image is not None or text is not None:
            raise UsageError("Give either a photograph and a text, or --pairs FILE.tsv.")
        from service.cli.progress import steps

        table = read_pairs(pairs)
        encoder, scorer = _scorer(settings)
        with steps(errors_console(), "Scoring") as shown:
            # A bar on the terminal takes over standard output while it is there.
            lines = list(score_lines(table, encoder, scorer, shown))
        print_line("\n".join(lines))
        return
    if image is None or text is None:
        raise UsageError('Name a photograph and a text: smysl score FILE "a red flower".')
    from service.texts import check_text

    check_text(text)
    check_there(image)
    encoder, scorer = _scorer(settings)
    photograph = open_named(image, shorter_side=2 * encoder.photograph_side)
    print_line(f"{score_pairs(encoder, scorer, [photograph.image], [text])[0].match:.3f}")


app.command()(rate)
app.command()(classify_commands.classify)
app.command()(classify_commands.kinds)


@app.command()
def serve(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Folders to index in the background first."),
    ] = None,
    host: Annotated[Optional[str], typer.Option(help="Address to listen on; else SMYSL_HOST, else 127.0.0.1.")] = None,  # noqa: UP045
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on, 0 for any free one; else SMYSL_PORT, else 8000."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that answer and share one index; else SMYSL_WORKERS, else 1.")
    ] = None,
    library: LibraryOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
) -> None:
    """Answer searches over HTTP, with a page at / and the API's description at /docs."""
    from service.web.server import run

    settings = settings_of(
        library=library, model=model, device=device, precision=precision, host=host, port=port, workers=workers
    )
    with open_library(settings, create=bool(folders)) as opened:
        run(opened, folders or (), say=say)


@app.command()
def status(
    library: LibraryOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """What the library holds, which model it uses, and who is writing to it."""
    from service.web.schemas import StatusOut

    with open_library(settings_of(library=library, device=device, precision=precision)) as opened:
        facts = StatusOut.of(opened)
    if as_json:
        print_line(facts.model_dump_json(indent=2))
        return
    rows = {
        "library": f"{facts.library} ({facts.bytes / 1e6:,.1f} MB)",
        "photographs": f"{facts.photographs:,}",
        "folders": "\n".join(facts.roots) or "none yet",
        "model": described(facts.model) if facts.model else "none yet",
        "also": ", ".join(facts.additional_models),
        "reads": (facts.model.languages if facts.model else None) or "",
        "match": {"ratings": "fitted on people's ratings" + (f" ({facts.trained_on})" if facts.trained_on else ""),
                  "sigmoid": "the model's own probability",
                  "background": "against the library's own photographs", None: ""}[facts.calibration],
        "shows": f"matches of {facts.min_match:.2f} and more" if facts.min_match else "",
        "index": f"{facts.index.kind}, {facts.index.photographs:,} photographs ({facts.index.bytes / 1e6:,.1f} MB)"
        if facts.index else "none yet",
        "writing": f"process {facts.writer.pid} ({facts.writer.doing})" if facts.writer else "nobody",
    }  # fmt: skip
    print_rows({name: value for name, value in rows.items() if value})
    if facts.model is not None and facts.model.notice is not None:
        say(facts.model.notice)


@app.command()
def models(as_json: JsonOption = False) -> None:
    """Which models can be chosen, how large they are, what they read, and which are on this machine."""
    from dataclasses import asdict

    from service.encoder.models import is_on_this_machine, offered_models

    known = offered_models()
    here = {model.name: is_on_this_machine(model.name) for model in known}
    if as_json:
        print_line(json.dumps([{**asdict(model), "here": here[model.name]} for model in known], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "download", "reads", "licence", "on this machine"):
        # A name that is broken over two lines cannot be copied.
        table.add_column(heading, overflow="fold", no_wrap=heading == "model")
    for model in known:
        size = f"{model.download_mb:,} MB" if model.download_mb else "none"
        table.add_row(model.name, size, model.languages, model.licence, "yes" if here[model.name] else "no")
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    say(
        "\nAny other CLIP of open_clip can be named too: ARCH/PRETRAINED, hf-hub:ORG/NAME, local-dir:PATH.\n"
        "Choose with: smysl index --model NAME"
    )


def described(model: ModelOut) -> str:
    """A model with its device, runtime and precision; that of texts is named where it is another."""
    texts = f", texts in {model.text_precision}" if model.text_precision != model.precision else ""
    return f"{model.name} ({model.device}, {model.runtime}, {model.precision}{texts})"


def _scorer(settings: Settings) -> tuple[Encoder, Scorer]:
    """Encoder and scorer of the library, or of the model asked for where there is no library."""
    from service.config import MINI
    from service.encoder.encoder import load_encoder
    from service.library import Library
    from service.match.scorer import load_scorer

    if settings.model is None and Library.is_in(settings.library.expanduser()):
        with open_library(settings) as opened:
            if opened.status().model is not None:
                target = opened.check()
                return target.encoder, target.scorer
    encoder = load_encoder(settings.model or MINI, settings)
    return encoder, load_scorer(encoder)


def main() -> None:
    """Run the command; the one place where errors become text and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal of another encoding shows a question mark instead of ending the command.
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="smysl")
    except SmyslError as error:
        say(f"smysl: {error.message}")
        sys.exit(error.exit_code)
