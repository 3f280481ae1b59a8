"""The commands of the workbench: what measures models. `service/cli.py` hangs them under `smysl`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from service.terminal import DeviceOption, JsonOption, ModelOption, errors_console, print_line, print_rows, settings_of

eval_app = typer.Typer(help="Measure the quality of a model or of the match.", no_args_is_help=True)


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

    errors = errors_console()
    settings = settings_of(model=model, device=device)
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
    print_rows(rows)
