"""The commands of the match: `smysl train scorer` fits it, `smysl eval scoring` measures it.

`service/cli/train.py` hangs them under `smysl train` and `smysl eval`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import (
    DeviceOption,
    JsonOption,
    ModelOption,
    check_report,
    encoder_named,
    errors_console,
    need_training_packages,
    print_line,
    print_rows,
    print_table,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from training.match_evaluation import MatchReport

CacheOption = Annotated[Path | None, typer.Option(help="Folder for vectors of rated photographs and texts.")]


def scorer(
    data: Annotated[Path | None, typer.Option(help="Folder with images/, captions.tsv and tables of ratings.")] = None,
    library: Annotated[Path | None, typer.Option(help="Library whose own ratings are fitted on.")] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Fit on the library's ratings alone; else they are added to the model's.")
    ] = False,
    model: ModelOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the match; default: the library.")] = None,
    device: DeviceOption = None,
    cache: CacheOption = None,
) -> None:
    """Fit the match of a model on people's ratings, of a folder of data or of your own library.

    Writes match.json and match.safetensors, which belong into the library's folder, where they serve that
    library, or into the model's.
    """
    from service.cli.progress import stages
    from service.errors import UsageError

    need_training_packages()
    from training.match_fit import train_on_library, train_scorer

    if (data is None) == (library is None):
        raise UsageError("Say what to fit on: --data DIR with tables of ratings, or --library DIR with your own.")
    if data is not None and out is None:
        raise UsageError("Say where the match is to be written: --out DIR, a library's folder or a model's.")
    if alone and library is None:
        raise UsageError("--alone is for --library: the ratings of --data are always fitted on alone.")
    console = errors_console()
    with stages(console) as report:
        if data is not None and out is not None:
            artifact = train_scorer(encoder_named(model, device), data, out, _cache(cache), report)
            place = out
        elif library is not None:
            place = out or library
            with tempfile.TemporaryDirectory(prefix="smysl-") as folder:
                artifact = train_on_library(
                    settings_of(library=library, model=model, device=device),
                    Path(folder),
                    place,
                    _cache(cache),
                    report,
                    alone=alone,
                )
    print_line(f"Fitted on {artifact.trained_on}. Written to {place}.")
    if artifact.figures:
        print_rows({name: str(artifact.figures[name]) for name in _SHOWN if name in artifact.figures})
    else:
        say("There are too few texts or photographs, or they were added to others, so it was not measured out of fold.")


def scoring(
    data: Annotated[Path, typer.Option(help="Folder with images/, captions.tsv and tables of ratings.")],
    model: ModelOption = None,
    device: DeviceOption = None,
    cache: CacheOption = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report with diagrams to this file.")] = None,
    candidates: Annotated[bool, typer.Option(help="Compare the heads it was chosen from (minutes).")] = True,
    as_json: JsonOption = False,
) -> None:
    """How well the match of a model agrees with people's ratings, out of fold in photographs and texts."""
    from service.cli.progress import stages

    need_training_packages()
    from training.match_evaluation import measure_match

    check_report(report)
    with stages(errors_console()) as shown:
        measured = measure_match(encoder_named(model, device), data, _cache(cache), shown, compare=candidates)
    if report is not None:
        report.write_text(measured.page(), encoding="utf-8")
        say(f"The report is in {report}.")
    if as_json:
        print_line(json.dumps(measured.as_json(), indent=2))
        return
    _print(measured)


_SHOWN = ("expert_tau_c", "crowd_tau_b", "rmse", "mae", "ece", "crowd_brier", "crowd_brier_base", "crowd_ece")


def _print(measured: MatchReport) -> None:
    from training.match_evaluation import candidate_rows, interval_text

    figures, intervals = measured.scoring.figures, measured.scoring.intervals
    rows = {
        name: f"{figures[name]:7.3f}   (95 % interval {interval_text(intervals[name], 3)})"
        for name in _SHOWN
        if name in figures
    }
    for name, each in measured.differences.items():
        rows[f"{name} over cosine"] = f"{each.value:+7.3f}   (95 % interval {interval_text(each.interval, 3)})"
    for cut in measured.answerable:
        rows[f"answerable, {cut.gallery} photographs"] = (
            f"AUROC {cut.auroc:.3f} ({interval_text(cut.auroc_interval, 3)}); cosine {cut.cosine_auroc:.3f}; "
            f"difference {interval_text(cut.difference_interval, 3)}; at a match of {cut.min_match:.2f} "
            f"{cut.answerable_pass:.0%} of the answerable pass and {cut.unanswerable_pass:.0%} of the others"
        )
    order = measured.order
    for name in ("match", "cosine") if order else ():
        rows[f"own photograph by {name}"] = " / ".join(f"{order[f'{name}_r{depth}']:.1f}" for depth in (1, 5, 10))
    print_rows(rows)
    if len(measured.candidates) > 1:
        print_line("")
        print_table(candidate_rows(measured.candidates))


def _cache(folder: Path | None) -> Path:
    from platformdirs import user_cache_path

    return folder or user_cache_path("smysl") / "ratings"
