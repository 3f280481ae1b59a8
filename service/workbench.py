"""The commands of the workbench: what measures and trains models. `service/cli.py` hangs them under `smysl`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import borders_commands, classify_commands, match_commands, similar_commands
from service.terminal import (
    INTERRUPTED,
    DeviceOption,
    JsonOption,
    ModelOption,
    encoder_named,
    errors_console,
    print_line,
    print_rows,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from eval.nearest import Trial

bench_app = typer.Typer(help="Measure how fast a model is on this machine.", no_args_is_help=True)
eval_app = typer.Typer(help="Measure the quality of a model or of the match.", no_args_is_help=True)
train_app = typer.Typer(help="Fit a model to your own photographs.", no_args_is_help=True)

eval_app.command()(match_commands.scoring)
eval_app.command()(borders_commands.borders)
eval_app.command("similar")(similar_commands.eval_similar)
eval_app.command("classify")(classify_commands.eval_classify)
train_app.command()(match_commands.scorer)
train_app.command("similar")(similar_commands.train_similar)


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
    from service.progress import steps

    errors = errors_console()
    encoder = encoder_named(model, device)
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
    print_rows(rows)


@bench_app.command()
def encode(model: ModelOption = None, device: DeviceOption = None, as_json: JsonOption = False) -> None:
    """Milliseconds for a query and for a photograph, and seconds to load the model.

    Queries are encoded one by one, photographs in batches of 16 that are decoded and resized already. Let
    nothing else compute meanwhile.
    """
    from eval.bench import CANDIDATES, bench_encoding
    from service.config import MINI
    from service.encoder import load_encoder
    from service.models import bytes_on_disk, ensure_downloaded
    from service.progress import download, steps
    from service.scorer import load_scorer

    errors = errors_console()
    settings = settings_of(model=model, device=device)
    name = settings.model or MINI
    with download(errors) as on_progress:
        ensure_downloaded(name, timeout_s=settings.hub_timeout_s, on_progress=on_progress)
    with steps(errors, "Measuring") as shown:
        report = bench_encoding(
            lambda: load_encoder(name, settings), bytes_on_disk(name), scorer_of=load_scorer, on_progress=shown
        )
    if as_json:
        print_line(json.dumps(report.as_json(), indent=2))
        return
    print_rows(
        {
            "query": f"{report.text_ms_median:.1f} ms   (95 % of {report.queries} within {report.text_ms_p95:.1f} ms)",
            "photograph": f"{report.photograph_ms:.1f} ms   (batches of {report.batch}, without decoding and resizing)",
            "match": f"{report.match_ms:.1f} ms for {CANDIDATES} photographs of a query",
            "resizing": f"{report.preparation_ms:.1f} ms a photograph",
            "loading": f"{report.loading_s:.1f} s",
            "size": f"{report.disk_mb:,.1f} MB",
            "model": f"{report.model}, fingerprint {report.fingerprint}",
            "machine": f"{report.device}, {report.threads} threads; photographs in {report.precision}, "
            f"texts in {report.text_precision}",
        }
    )


@bench_app.command()
def nearest(
    photos: Annotated[
        list[int] | None,
        typer.Option(help="How many photographs; once more for each further size. Without it 10,000."),
    ] = None,
    library: Annotated[
        Path | None, typer.Option(help="Measure on the vectors of this library, not on drawn ones.")
    ] = None,
    queries: Annotated[int, typer.Option(help="How many vectors are asked, 1 to 10,000.")] = 200,
    repeats: Annotated[int, typer.Option(help="How often all are asked with each setting.")] = 5,
    threads: Annotated[
        int | None, typer.Option(help="Threads that build an index; else one for each core. One asks.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare indexes on the same vectors: FAISS flat (fp32, fp16), FAISS HNSW, and Annoy where it is installed.

    Recall of the ten nearest, milliseconds for a query on one thread, seconds to build, bytes. Let nothing else
    compute meanwhile.
    """
    from eval.draws import draw_or_read
    from eval.nearest import bench_nearest
    from service.progress import stages

    errors = errors_console()
    sizes, draw = draw_or_read(photos or [], library, queries, seed)
    with stages(errors) as tell:
        report = bench_nearest(draw, sizes, repeats=repeats, threads=threads, tell=tell)
    if report.left_out:
        say(report.left_out)
    if as_json:
        print_line(json.dumps(report.as_json(), indent=2))
        return
    _print_trials(report.trials)
    print_rows(
        {
            "vectors": "\n".join(report.sources) + f"\nof {report.dimension} dimensions",
            "asked": f"{report.queries:,} queries one by one on one thread, {report.repeats} times; medians",
            "machine": f"{report.machine}; threads to build with: {report.build_threads}",
            "versions": ", ".join(f"{name} {number}" for name, number in report.versions.items()),
        }
    )


def _print_trials(trials: Sequence[Trial]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("photographs", "index", "setting", "recall@10", "ms a query", "repeats", "build s", "MB"):
        table.add_column(heading, justify="left" if heading in ("index", "setting") else "right", no_wrap=True)
    for trial in trials:
        table.add_row(
            f"{trial.photographs:,}",
            trial.index,
            trial.setting,
            f"{trial.recall:.1f} %",
            f"{trial.ms:.3f}",
            f"{trial.ms_least:.3f}–{trial.ms_most:.3f}",
            f"{trial.build_s:,.1f}",
            f"{trial.bytes / 1e6:,.1f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print()


@train_app.command()
def encoder(
    pairs: Annotated[Path, typer.Option(help="Table (TSV) with the columns image, text and perhaps split.")],
    images: Annotated[Path, typer.Option(help="Folder that the table's paths are relative to.")],
    base: Annotated[str, typer.Option(help="Model to start from; named as for smysl index --model.")],
    out: Annotated[Path, typer.Option(help="Folder for the model; an unfinished run in it goes on.")],
    lock: Annotated[str, typer.Option(help="What stays as it is: none or photographs (LiT, much faster).")] = "none",
    epochs: Annotated[int, typer.Option(help="How often every text is seen, about.")] = 5,
    batch: Annotated[int, typer.Option(help="Pairs in a step; each is told from all others.")] = 64,
    rate: Annotated[float, typer.Option(help="Peak learning rate; 0: 1e-5, with locked photographs 5e-5.")] = 0.0,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW; norms, biases and embeddings have none.")] = 0.1,
    validation: Annotated[float, typer.Option(help="Share of the photographs, where there is no split.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    device: DeviceOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over instead of going on or keeping a finished model.")
    ] = False,
) -> None:
    """Fine-tune a model on photographs and texts of your own; the best epoch becomes a local-dir model.

    Prints the recalls of the validation photographs after every epoch; epoch 0 is the base model. Where no
    epoch is better, nothing is written and the exit code is 1. Stopped with Ctrl-C, the same command goes on
    after the last whole epoch.
    """
    from service.progress import download, steps
    from training.encoder import describe_epoch, describe_outcome, train_encoder
    from training.pairs import read_pair_table
    from training.trainer import Settings

    console = errors_console()
    machine = settings_of(device=device)
    settings = Settings(
        lock=lock, epochs=epochs, batch=batch, rate=rate, weight_decay=weight_decay, validation=validation, seed=seed
    )
    table = read_pair_table(pairs, images)
    try:
        with download(console) as on_download:
            outcome = train_encoder(
                table,
                base,
                out,
                settings,
                device=machine.device,
                fresh=fresh,
                threads=machine.decode_threads,
                timeout_s=machine.hub_timeout_s,
                on_download=on_download,
                stage=lambda what: steps(console, what),
                say=say,
                on_epoch=lambda epoch: print_line(describe_epoch(epoch)),
            )
    except KeyboardInterrupt:
        console.print("Stopped. Whole epochs are kept; run the command again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    print_line(describe_outcome(outcome))
    if outcome.best == 0:
        raise typer.Exit(1)
