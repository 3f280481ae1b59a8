"""The command that measures what leaving out borders does: `smysl eval borders`.

`service/cli/train.py` hangs it under `smysl eval`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from service.cli.terminal import (
    DeviceOption,
    JsonOption,
    ModelOption,
    encoder_named,
    errors_console,
    print_line,
    print_rows,
)


def borders(
    data: Annotated[Path, typer.Option(help="Folder with images/ and captions.tsv.")],
    split: Annotated[str, typer.Option(help="Which rows of captions.tsv.")] = "test",
    copies: Annotated[int, typer.Option(help="Photographs that get borders.")] = 300,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="Another folder of photographs that are to be left alone; may be repeated."),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether photographs with borders find their own better without, and the others are left alone.

    Each copy with a letterbox, a frame or a screen around it searches all photographs of the split. What is cut of
    photographs without added borders is named.
    """
    from eval.letterbox_accuracy import evaluate
    from service.cli.progress import steps
    from service.store.paths import resolve_folder

    errors = errors_console()
    folders = [resolve_folder(folder) for folder in also or ()]
    encoder = encoder_named(model, device)
    with steps(errors, "Measuring") as shown:
        report = evaluate(encoder, data, split, copies=copies, also=folders, on_progress=shown)
    if as_json:
        print_line(json.dumps(report.as_json(), indent=2))
        return
    rows = {name: _shown(name, value, report.intervals[name]) for name, value in report.figures.items()}
    for kind, figures in report.kinds.items():
        rows[kind] = (
            f"r1 {figures['r1_kept']:.0f} -> {figures['r1']:.0f} %, cosine {figures['cosine_kept']:.2f} -> "
            f"{figures['cosine']:.2f}, boxes {figures['boxes']:.0f} %, {figures['copies']:.0f} copies"
        )
    rows["photographs"] = f"{report.photographs:,}, searched by {report.copies:,} copies"
    rows["cut"] = "\n".join([f"{len(report.cut)} of {report.bare:,} photographs without added borders", *report.cut])
    rows["model"] = report.model
    rows["seconds"] = f"{report.seconds:.0f}"
    print_rows(rows)


def _shown(name: str, value: float, interval: tuple[float, float]) -> str:
    digits, unit = (3, "") if name.startswith("cosine") else (1, " %")
    return f"{value:.{digits}f}{unit}   (95 % interval {interval[0]:.{digits}f} to {interval[1]:.{digits}f})"
