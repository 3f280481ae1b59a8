"""The commands of the workbench: what evaluates and trains models. `service/cli/app.py` hangs them under `smysl`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from service.cli import classify as classify_commands
from service.cli import evaluate as borders_commands
from service.cli import match_commands, similar_commands
from service.cli.terminal import (
    INTERRUPTED,
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    RuntimeOption,
    encoder_named,
    errors_console,
    print_line,
    print_rows,
    say,
    settings_of,
)

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
    precision: PrecisionOption = None,
    runtime: RuntimeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recall at 1, 5 and 10, text to photograph and photograph to text, in percent.

    Each caption searches all photographs of the split; each photograph searches all captions, and is
    counted if any caption of its own is found.
    """
    from eval.retrieval import evaluate
    from service.cli.progress import steps

    errors = errors_console()
    encoder = encoder_named(model, device, precision, runtime)
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
    from service.cli.progress import download, steps
    from training.fine_tuning import describe_epoch, describe_outcome, train_encoder
    from training.pairs import read_pair_table
    from training.trainer import TrainerSettings

    console = errors_console()
    machine = settings_of(device=device)
    settings = TrainerSettings(
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
                open_stage=lambda stage: steps(console, stage),
                say=say,
                on_epoch=lambda epoch: print_line(describe_epoch(epoch)),
            )
    except KeyboardInterrupt:
        console.print("Stopped. Whole epochs are kept; run the command again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    print_line(describe_outcome(outcome))
    if outcome.best == 0:
        raise typer.Exit(1)


@train_app.command()
def int8(
    data: Annotated[Path, typer.Option(help="Folder with images/ and captions.tsv; its split train calibrates.")],
    model: ModelOption = None,
    split: Annotated[
        str, typer.Option(help="What is checked on; of train, photographs that did not calibrate.")
    ] = "train",
    seed: Annotated[int, typer.Option(help="Seed of which photographs are drawn.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Quantise again what has been quantised.")] = False,
) -> None:
    """Quantise a model's photograph tower to int8, and keep it where a check shows that it finds as much.

    The recalls of the model as it runs on this machine and in int8 are printed, and milliseconds for a photograph.
    Where R@5 loses more than half a point in either direction, nothing is kept and the exit code is 1. What is kept
    is used with --precision int8 and has a fingerprint of its own.
    """
    from service.cli.progress import download, stages
    from service.config import MINI
    from training.int8 import describe_outcome, train_int8

    console = errors_console()
    settings = settings_of(model=model)
    with download(console) as on_download, stages(console) as on_stage:
        outcome = train_int8(
            data,
            settings.model or MINI,
            split=split,
            seed=seed,
            force=force,
            cache=settings.cache,
            timeout_s=settings.hub_timeout_s,
            on_download=on_download,
            on_stage=on_stage,
            say=say,
        )
    print_rows(describe_outcome(outcome))
    if outcome.fingerprint is None:
        say("Nothing was kept: in int8 this model finds less than it may.")
        raise typer.Exit(1)
