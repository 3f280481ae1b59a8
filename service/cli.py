"""The command `smysl`: parses, calls one method, prints. The only file that knows every other."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import Console

from service.errors import LibraryError, NotFoundError, SmyslError, UsageError

if TYPE_CHECKING:
    from service.config import Settings
    from service.encoder import Encoder
    from service.library import Library
    from service.photos import Photograph
    from service.scorer import Scorer

app = typer.Typer(
    help="Search photographs by meaning: type a scene, get the photographs that show it.\n\n"
    'Start with `smysl index DIR`, then `smysl search "two dogs play in the snow"` or `smysl serve`.',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
eval_app = typer.Typer(help="Measure the quality of a model or of the match.", no_args_is_help=True)
app.add_typer(eval_app, name="eval")

_INTERRUPTED = 130

LibraryOption = Annotated[
    Optional[Path],  # noqa: UP045 - Typer reads the annotation at run time
    typer.Option("--library", "-l", help="Folder of the library; else SMYSL_LIBRARY, else your data folder."),
]
ModelOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="mini, ARCH/PRETRAINED of open_clip, hf-hub:ORG/NAME or local-dir:PATH."),
]
DeviceOption = Annotated[Optional[str], typer.Option(help="cuda, mps or cpu; else the first there is.")]  # noqa: UP045
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def index(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Folders of photographs; none: all that the library has."),
    ] = None,
    library: LibraryOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    prune: Annotated[bool, typer.Option(help="Take photographs whose files are gone out of the library.")] = False,
) -> None:
    """Add what is new, skip what is unchanged, follow what has moved.

    No file is ever changed or deleted. Stopped with Ctrl-C, the next run goes on where this one was.
    Another --model than the library's own encodes all its photographs again.
    """
    from service.library import resolve_folder
    from service.progress import count, describe, download, follow_index

    errors = _errors()
    settings = _settings(library=library, model=model, device=device)
    # Before a model is loaded, perhaps downloaded: a folder that is not there is known at once.
    named = [resolve_folder(folder) for folder in folders or ()]
    try:
        with _open(settings, create=bool(named)) as opened:
            if not named and not opened.status().roots:
                raise UsageError("Name at least one folder of photographs: smysl index DIR.")
            with download(errors) as on_progress:
                encoder = opened.encoder_to_index(say=_say, on_progress=on_progress)
            summary = follow_index(errors, opened.index(named, prune=prune, encoder=encoder))
            print_line(describe(summary))
            kept = opened.status()
            print_line(f"The library {kept.library} holds {count(kept.photographs)} (model {kept.model}).")
            if kept.fingerprint != encoder.fingerprint:
                raise LibraryError(
                    f"The library still answers with the model {kept.model}: one of its folders is not there or cannot "
                    f"be read, so its photographs could not be encoded with {encoder.name}. Run the command again when "
                    "it is back."
                )
    except KeyboardInterrupt:
        errors.print("Stopped. What was indexed stays; run the command again to go on.")
        raise typer.Exit(_INTERRUPTED) from None
    if summary.failed and not (summary.added or summary.changed or summary.moved or summary.unchanged):
        raise typer.Exit(1)


@app.command()
def search(
    text: Annotated[Optional[str], typer.Argument(help="The scene, in words.")] = None,  # noqa: UP045
    image: Annotated[Optional[Path], typer.Option(help="Find photographs like this one.")] = None,  # noqa: UP045
    k: Annotated[int, typer.Option("-k", help="How many photographs, 1 to 200.")] = 5,
    min_match: Annotated[float, typer.Option(help="None with a lower match, 0 to 1.")] = 0.0,
    library: LibraryOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the photographs that show a scene, or that are like another photograph.

    Prints match and file, best first; in a pipe separated by a tab.
    """
    from service.search import Query

    pixels = None
    if image is not None:
        pixels = open_named(image).image
    elif text is None:
        raise UsageError('Say what to look for: smysl search "a red flower", or smysl search --image FILE.')
    query = Query(text=text, image=pixels, k=k, min_match=min_match)
    with _open(_settings(library=library, device=device)) as opened:
        result = opened.search(query)
    if as_json:
        from service.schemas import SearchOut

        print_line(SearchOut.of(result).model_dump_json(indent=2))
        return
    if result.notice:
        _say(result.notice)
    for hit in result.hits:
        separator = "  " if sys.stdout.isatty() else "\t"
        print_line(f"{hit.match:.3f}{separator}{hit.photograph.path}")
    if not result.hits and result.photographs:
        best = f" The nearest has a match of {result.best_match:.3f}." if result.best_match is not None else ""
        _say(f"Nothing here shows that.{best}")


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
    from service.pairs import read_pairs, score_lines
    from service.search import score as score_pairs

    settings = _settings(library=library, model=model, device=device)
    if pairs is not None:
        if image is not None or text is not None:
            raise UsageError("Give either a photograph and a text, or --pairs FILE.tsv.")
        from service.progress import steps

        table = read_pairs(pairs)
        encoder, scorer = _scorer(settings)
        with steps(_errors(), "Scoring") as shown:
            # A bar on the terminal takes over standard output while it is there.
            lines = list(score_lines(table, encoder, scorer, shown))
        print_line("\n".join(lines))
        return
    if image is None or text is None:
        raise UsageError('Name a photograph and a text: smysl score FILE "a red flower".')
    from service.search import check_text

    check_text(text)
    _check_there(image)
    encoder, scorer = _scorer(settings)
    photograph = open_named(image, max_side=2 * encoder.photograph_side)
    print_line(f"{score_pairs(encoder, scorer, [photograph.image], [text])[0].match:.3f}")


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
    library: LibraryOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Answer searches over HTTP, with a page at / and the API's description at /docs."""
    from service.server import run

    settings = _settings(library=library, model=model, device=device, host=host, port=port)
    with _open(settings, create=bool(folders)) as opened:
        run(opened, folders or (), say=_say)


@app.command()
def status(library: LibraryOption = None, device: DeviceOption = None, as_json: JsonOption = False) -> None:
    """What the library holds, which model it uses, and who is writing to it."""
    from service.schemas import StatusOut

    with _open(_settings(library=library, device=device)) as opened:
        facts = StatusOut.of(opened)
    if as_json:
        print_line(facts.model_dump_json(indent=2))
        return
    rows = {
        "library": f"{facts.library} ({facts.bytes / 1e6:,.1f} MB)",
        "photographs": f"{facts.photographs:,}",
        "folders": "\n".join(facts.roots) or "none yet",
        "model": f"{facts.model.name} ({facts.model.device}, {facts.model.precision})" if facts.model else "none yet",
        "reads": (facts.model.languages if facts.model else None) or "",
        "match": {"ratings": "fitted on people's ratings", "sigmoid": "the model's own probability",
                  "background": "against the library's own photographs", None: ""}[facts.calibration],
        "index": f"{facts.index.kind}, {facts.index.photographs:,} photographs" if facts.index else "none yet",
        "writing": f"process {facts.writer.pid} ({facts.writer.doing})" if facts.writer else "nobody",
    }  # fmt: skip
    _print_rows({name: value for name, value in rows.items() if value})


@app.command()
def models(as_json: JsonOption = False) -> None:
    """Which models can be chosen, how large they are, what they read, and which are on this machine."""
    from dataclasses import asdict

    from service.models import is_on_this_machine, known_models

    known = known_models()
    here = {model.name: is_on_this_machine(model.name) for model in known}
    if as_json:
        print_line(json.dumps([{**asdict(model), "here": here[model.name]} for model in known], indent=2))
        return
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
    _say(
        "\nAny other CLIP of open_clip can be named too: ARCH/PRETRAINED, hf-hub:ORG/NAME, local-dir:PATH.\n"
        "Choose with: smysl index --model NAME"
    )


@eval_app.command()
def retrieval(
    data: Annotated[Path, typer.Option(help="Folder with images/ and captions.tsv.")],
    split: Annotated[str, typer.Option(help="Which rows of captions.tsv.")] = "test",
    model: ModelOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recall at 1, 5 and 10, text to photograph and photograph to text, in percent.

    Each caption searches all photographs of the split; each photograph searches all captions, and is
    counted if any caption of its own is found.
    """
    from eval.retrieval import evaluate
    from service.config import MINI
    from service.encoder import load_encoder
    from service.progress import download, steps

    errors = _errors()
    settings = _settings(model=model, device=device)
    with download(errors) as on_progress:
        encoder = load_encoder(settings.model or MINI, settings, on_progress)
    with steps(errors, "Encoding") as shown:
        report = evaluate(encoder, data, split, shown)
    if as_json:
        print_line(json.dumps(report.as_json(), indent=2))
        return
    rows = {
        name: f"{value:5.1f} %   (95 % interval {report.intervals[name][0]:.1f} to {report.intervals[name][1]:.1f})"
        for name, value in report.figures.items()
    }
    rows["photographs"] = f"{report.photos:,} with {report.captions:,} captions, split {report.split}"
    rows["model"] = f"{report.model}, fingerprint {report.fingerprint}"
    rows["seconds"] = f"{report.seconds:.0f}"
    _print_rows(rows)


def open_named(file: Path, *, max_side: int | None = None) -> Photograph:
    """Decode a photograph that a person named; the error names it too. `max_side` as for `open_photograph`."""
    from service.errors import PhotographError
    from service.photos import open_photograph

    _check_there(file)
    try:
        return open_photograph(file, max_side=max_side)
    except PhotographError as error:
        raise PhotographError(f"{file} cannot be used as a photograph: {error.message}.") from None


def _check_there(file: Path) -> None:
    if not file.exists():
        raise NotFoundError(f"There is no file {file}. Check the spelling.")


def print_line(text: str) -> None:
    """Print to standard output, whatever characters a file name has."""
    sys.stdout.write(text + "\n")


def _settings(**flags: Any) -> Settings:
    from pydantic import ValidationError

    from service.config import Settings

    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0])
        variable = f"SMYSL_{name.upper()}"
        asked = f"--{name} (or {variable})" if name in flags else variable
        raise UsageError(f"{asked} is {str(fault['input'])!r}: {fault['msg']}.") from None


def _open(settings: Settings, *, create: bool = False) -> Library:
    from service.library import Library

    return Library.open(settings.library.expanduser(), settings, create=create)


def _scorer(settings: Settings) -> tuple[Encoder, Scorer]:
    """Encoder and scorer of the library, or of the model asked for where there is no library."""
    from service.config import MINI
    from service.encoder import load_encoder
    from service.library import Library
    from service.scorer import load_scorer

    if settings.model is None and Library.is_in(settings.library.expanduser()):
        with _open(settings) as opened:
            if opened.status().model is not None:
                encoder, _, scorer = opened.check()
                return encoder, scorer
    encoder = load_encoder(settings.model or MINI, settings)
    return encoder, load_scorer(encoder)


def _errors() -> Console:
    return Console(stderr=True)


def _say(sentence: str) -> None:
    _errors().print(sentence, highlight=False, markup=False, soft_wrap=True)


def _print_rows(rows: dict[str, str]) -> None:
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        first, *more = value.split("\n")
        print_line(f"{name:<{width}}  {first}")
        for line in more:
            print_line(f"{'':<{width}}  {line}")


def main() -> None:
    """Run the command; the one place where errors become text and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal of another encoding shows a question mark instead of ending the command.
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="smysl")
    except SmyslError as error:
        _say(f"smysl: {error.message}")
        sys.exit(error.exit_code)
