"""The commands of likeness by kind: `smysl train similar` fits a head, `smysl eval similar` measures it.

`service/cli/train.py` hangs them under `smysl eval` and `smysl train`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import (
    INTERRUPTED,
    DeviceOption,
    JsonOption,
    check_report,
    encoder_named,
    errors_console,
    print_line,
    print_rows,
    print_table,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from eval.similar import SimilarReport
    from service.encoder.encoder import Encoder

CacheOption = Annotated[Path | None, typer.Option(help="Folder that keeps photographs' features for the next time.")]
KindsOption = Annotated[
    Path, typer.Option(help="Folder with train/KIND/* and test/KIND/*, or with KIND/* (leave-one-out).")
]

_NAMED = 10
"""Photographs and kinds that are named on a terminal; the report and --json have more."""


def eval_similar(
    data: KindsOption,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model, named as for smysl index; once for each model of a head. Default: the head's, or mini."
        ),
    ] = None,
    head: Annotated[Path | None, typer.Option(help="Folder of a head of smysl train similar.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report with pictures to this file.")] = None,
    device: DeviceOption = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """How well a photograph finds photographs of its kind, on photographs sorted into folders by kind.

    MAP@10, the share whose first is right, and the share whose kind wins the vote of the nearest, in percent.
    Without a head the similarity is the cosine of the photograph tower's pooled features.
    """
    from eval.similar import eval_similar as measure
    from eval.similar_page import similar_page
    from service.cli.progress import stages
    from service.errors import UsageError
    from service.heads.projection import Head

    check_report(report)
    fitted = None if head is None else Head.load(head)
    if fitted is None and len(model or []) > 1:
        raise UsageError("Without --head there is nothing that joins several models; name one --model.")
    names = model or (list(fitted.encoders.values()) if fitted else [])
    encoders = _encoders(names, device)
    with stages(errors_console()) as shown:
        threads = settings_of(device=device).decode_threads
        measured = measure(data, encoders, fitted, cache=cache_of(cache), on_progress=shown, threads=threads)
    if report is not None:
        report.write_text(similar_page(measured), encoding="utf-8")
        say(f"The report is in {report}.")
    if as_json:
        print_line(json.dumps(measured.as_json(), indent=2))
        return
    _print(measured)


def train_similar(
    data: Annotated[Path, typer.Option(help="Folder with train/KIND/*, or with KIND/*; test/ is never read.")],
    out: Annotated[Path, typer.Option(help="Folder for the head.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model, named as for smysl index; once for each that is to be joined. Default: mini."),
    ] = None,
    unfreeze: Annotated[
        int, typer.Option(min=0, help="Train the last N stages of the first model's photograph tower too.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Same seed, same head.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a head that is there.")] = False,
    device: DeviceOption = None,
    cache: CacheOption = None,
) -> None:
    """Fit a head in which photographs of the same kind are near, on photographs sorted into folders by kind.

    Compares candidates out of fold and writes the best one that does not harm kinds that it never saw. Takes minutes
    on frozen features; --unfreeze trains the tower once for each fold and each kind, and takes longer. Stopped with
    Ctrl-C, the next run goes on where this one was.
    """
    from service.cli.progress import stages
    from service.cli.terminal import need_training_packages

    need_training_packages()
    from training.similar.train_head import check_out
    from training.similar.train_head import train_similar as train

    check_out(out, force=force)
    names = list(dict.fromkeys(model or []))
    encoders = _encoders(names, device)
    try:
        with stages(errors_console()) as shown:
            trained = train(data, encoders, out, cache_of(cache), shown, unfreeze=unfreeze, seed=seed, force=force)
    except KeyboardInterrupt:
        say("Stopped. What was encoded and trained is kept; run the command again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    for notice in trained.notices:
        say(notice)
    print_table(trained.rows())
    print_line("")
    print_rows(trained.summary())
    print_line(f"Written to {out}. Add it to a library with `smysl head add NAME {out}`.")


def cache_of(folder: Path | None) -> Path:
    """The folder that keeps features: the one named, else the user's cache."""
    from platformdirs import user_cache_path

    return folder or user_cache_path("smysl")


def _encoders(names: list[str], device: str | None) -> list[Encoder]:
    return [encoder_named(name, device) for name in names] or [encoder_named(None, device)]


def _print(measured: SimilarReport) -> None:
    rows = {
        name: f"{value:5.1f} %   (95 % interval {measured.intervals[name][0]:.1f} to {measured.intervals[name][1]:.1f})"
        for name, value in measured.figures.items()
    }
    how = "each searched all others" if measured.leave_one_out else f"searched {measured.searched:,} of train/"
    rows["photos"] = f"{measured.photos:,}, {how}"
    rows["kinds"] = f"{len(measured.by_kind):,}"
    weakest = sorted(measured.by_kind, key=lambda each: each.map10)[:_NAMED]
    rows["lowest map10"] = "\n".join(f"{each.map10:5.1f} %   {each.kind}" for each in weakest)
    if measured.confused:
        rows["confused"] = "\n".join(
            f"{kind} taken for {voted}: {count:,}" for kind, voted, count in measured.confused[:_NAMED]
        )
    if measured.left_out:
        named = [f"{measured.name_of(each.file)}: {each.reason}" for each in measured.left_out[:_NAMED]]
        rest = len(measured.left_out) - len(named)
        rows["left out"] = "\n".join([*named, *([f"and {rest:,} more"] if rest else [])])
    if measured.skipped:
        one = measured.skipped == 1
        rows["skipped"] = (
            "1 file that is no photograph" if one else f"{measured.skipped:,} files that are no photographs"
        )
    if measured.head is not None:
        rows["head"] = measured.head
    rows["model"] = "\n".join(f"{name}, fingerprint {fingerprint}" for name, fingerprint in measured.models.items())
    rows["seconds"] = f"{measured.seconds:.0f}"
    print_rows(rows)
