"""The commands under `smysl train`: fitting a match, a head or a model, and quantising one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from service.cli.evaluate import SCORING_FIGURES
from service.cli.terminal import (
    INTERRUPTED,
    DeviceOption,
    ModelOption,
    cache_folder,
    encoder_named,
    encoders_named,
    errors_console,
    print_line,
    print_rows,
    print_sentences,
    print_table,
    require_training_packages,
    say,
    settings_of,
)
from service.errors import UsageError

train_app = typer.Typer(help="Fit a match, a head or a model to your own data.", no_args_is_help=True)


@train_app.command()
def scorer(
    data: Annotated[Path | None, typer.Option(help="Folder with images/, captions.tsv and tables of ratings.")] = None,
    library: Annotated[Path | None, typer.Option(help="Library whose own ratings are used.")] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Use the library's ratings alone, without those behind the model's match.")
    ] = False,
    model: ModelOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the match. Default: that of --library.")] = None,
    device: DeviceOption = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps vectors for the next run.")] = None,
) -> None:
    """Fit a model's match to people's ratings, from a folder of data or from your own library.

    Writes match.json and match.safetensors. In a library's folder they serve that library, in a model's folder
    every library of that model.
    """
    from service.cli.progress import stages

    require_training_packages()
    from training.match_fit import train_on_library, train_scorer

    if (data is None) == (library is None):
        raise UsageError("Name the ratings to use: either --data DIR with tables of ratings, or --library DIR.")
    if data is not None and out is None:
        raise UsageError("Name the folder for the match with --out DIR: a library's or a model's.")
    if alone and library is None:
        raise UsageError("--alone goes with --library: the ratings of --data are always used alone.")
    vectors = cache_folder(cache) / "ratings"
    with stages(errors_console()) as on_stage:
        if data is not None and out is not None:
            artifact = train_scorer(encoder_named(model, device), data, out, vectors, on_stage)
        elif library is not None:
            out = out or library
            settings = settings_of(library=library, model=model, device=device)
            with tempfile.TemporaryDirectory(prefix="smysl-") as folder:
                artifact = train_on_library(settings, Path(folder), out, vectors, on_stage, alone=alone)
    print_sentences(f"Fitted on {artifact.trained_on}. Written to {out}.")
    if artifact.figures:
        print_rows({name: str(artifact.figures[name]) for name in SCORING_FIGURES if name in artifact.figures})
    else:
        say("It was not cross-validated: there are too few texts or photographs, or they were added to other ratings.")


@train_app.command()
def similar(
    data: Annotated[Path, typer.Option(help="Folder with train/KIND/*, or with KIND/*; test/ is never read.")],
    out: Annotated[Path, typer.Option(help="Folder for the head.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model, as for smysl index; repeat it to combine several. Default: mini."),
    ] = None,
    unfreeze: Annotated[
        int, typer.Option(min=0, help="Also train the last N stages of the first model's image encoder.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same head.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing head.")] = False,
    device: DeviceOption = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps features for the next run.")] = None,
) -> None:
    """Fit a head that brings photographs of the same kind together; they lie in one folder for each kind.

    Compares several candidates by cross-validation and writes the best one that does not harm kinds it was not fitted
    on. Takes minutes; with --unfreeze longer, since the encoder is trained for each fold and each kind. Stop it with
    Ctrl-C and run it again to continue.
    """
    from service.cli.progress import stages

    require_training_packages()
    from training.similar.train_head import check_out, train_similar

    check_out(out, force=force)
    encoders = encoders_named(list(dict.fromkeys(model or [])), device)
    try:
        with stages(errors_console()) as on_stage:
            trained = train_similar(
                data, encoders, out, cache_folder(cache), on_stage, unfreeze=unfreeze, seed=seed, force=force
            )
    except KeyboardInterrupt:
        say("Stopped. What was encoded and trained is kept; run the command again to continue.")
        raise typer.Exit(INTERRUPTED) from None
    for notice in trained.notices:
        say(notice)
    print_table(trained.rows())
    print_line("")
    print_rows(trained.summary())
    print_sentences(f"Written to {out}. Add it to a library with `smysl head add NAME {out}`.")


@train_app.command()
def encoder(
    pairs: Annotated[Path, typer.Option(help="Table (TSV) with the columns image, text and, optionally, split.")],
    images: Annotated[Path, typer.Option(help="Folder that the paths in the table are relative to.")],
    base: Annotated[str, typer.Option(help="Model to start from, as for smysl index --model.")],
    out: Annotated[Path, typer.Option(help="Folder for the model; an unfinished run in it is continued.")],
    lock: Annotated[
        str, typer.Option(help="What is not trained: none, or photographs for the image encoder (LiT, much faster).")
    ] = "none",
    epochs: Annotated[int, typer.Option(help="About how often each text is used.")] = 5,
    batch: Annotated[int, typer.Option(help="Pairs in a step; each is contrasted with all others.")] = 64,
    rate: Annotated[
        float, typer.Option(help="Peak learning rate; 0 means 1e-5, or 5e-5 with --lock photographs.")
    ] = 0.0,
    weight_decay: Annotated[
        float, typer.Option(help="Weight decay of AdamW; norms, biases and embeddings have none.")
    ] = 0.1,
    validation: Annotated[
        float, typer.Option(help="Share of photographs for validation where the table has no split.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    device: DeviceOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over instead of continuing a run or keeping a finished model.")
    ] = False,
) -> None:
    """Fine-tune a model on your own photographs and texts; the best epoch becomes a local-dir model.

    Prints the recalls on the validation photographs after every epoch; epoch 0 is the base model. If no epoch beats
    it, nothing is written and the exit code is 1. Stop it with Ctrl-C and run it again to continue after the last
    complete epoch.
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
        say("Stopped. Complete epochs are kept; run the command again to continue.", console)
        raise typer.Exit(INTERRUPTED) from None
    print_sentences(describe_outcome(outcome))
    if outcome.best == 0:
        raise typer.Exit(1)


@train_app.command()
def int8(
    data: Annotated[
        Path, typer.Option(help="Folder with images/ and captions.tsv; its split train is used for calibration.")
    ],
    model: ModelOption = None,
    split: Annotated[
        str, typer.Option(help="Split to check on; of train, only photographs not used for calibration.")
    ] = "train",
    seed: Annotated[int, typer.Option(help="Random seed for the choice of photographs.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Quantise again, replacing an earlier result.")] = False,
) -> None:
    """Quantise a model's image encoder to int8, and keep the result if it finds as much as before.

    Prints the recalls of the model as it runs on this machine and in int8, and milliseconds for a photograph. If R@5
    drops by more than half a point in either direction, nothing is kept and the exit code is 1. The result is used
    with --precision int8 and has a fingerprint of its own.
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
        say("Nothing was kept: in int8 this model finds too little.")
        raise typer.Exit(1)
