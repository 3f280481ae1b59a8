"""`python -m training.mini --data DIR --out DIR`: train `mini`, fit its match, measure both, write the card.

It lasts about an hour on two cores; a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.errors import SmyslError
from service.types import OnStage
from training.mini.settings import MiniSettings

if TYPE_CHECKING:
    from rich.console import Console

    pass

_EVERY_S = 30.0
"""Seconds between two lines where there is no terminal."""
METRICS = "metrics.json"
CARD = "README.md"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    asked = _parser().parse_args(arguments)
    settings = MiniSettings(**{field.name: getattr(asked, field.name) for field in fields(MiniSettings)})
    try:
        with _progress() as report:
            figures = run(asked.data, asked.out, asked.cache, settings, asked.threads, report)
    except SmyslError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(figures["test"], indent=2) + "\n")
    return 0


def run(data: Path, out: Path, cache: Path, settings: MiniSettings, threads: int, report: OnStage) -> dict[str, Any]:
    """Make `mini` in `out` and return what `metrics.json` there says."""
    import torch

    from data.captions import read_captions
    from service.compute.malloc import keep_memory
    from training.mini.card import model_card
    from training.mini.recipe import make_mini
    from training.mini.towers import load_image_tower, load_text_tower

    torch.set_num_threads(threads)
    keep_memory()
    image, text = load_image_tower(), load_text_tower(settings.context_length)
    validation = make_mini(data, out, cache, image, text, settings, report)
    figures = {
        "settings": asdict(settings),
        "validation": validation,
        **measure(data, out, cache, report),
    }
    (out / METRICS).write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    trained_on = len(read_captions(data, "train")) - settings.validation
    (out / CARD).write_text(model_card(figures, trained_on), encoding="utf-8")
    return figures


def measure(data: Path, folder: Path, cache: Path, report: OnStage) -> dict[str, Any]:
    """Measure a finished model on the split `test` and on everyday queries, and fit its match."""
    from eval.retrieval import evaluate
    from service.encoder.encoder import Encoder
    from training.mini.everyday import formats_check, sample_check
    from training.scorer import train_scorer

    encoder = Encoder.load(f"local-dir:{folder.resolve()}")
    test = evaluate(encoder, data, "test", lambda done, total: report("test photographs and captions", done, total))
    everyday = [sample_check(encoder)]
    if (data.parent / "formats").is_dir():
        everyday.append(formats_check(encoder, data.parent / "formats"))
    match = train_scorer(encoder, data, folder, cache / "ratings", report)
    # The folder's own name says nothing to a reader, and where it lay while it was made even less.
    return {
        "test": test.as_json() | {"model": "mini"},
        "everyday": {check.name: check.as_json() for check in everyday},
        "match": dict(match.figures),
    }


def _parser() -> argparse.ArgumentParser:
    from platformdirs import user_cache_path

    parser = argparse.ArgumentParser(prog="python -m training.mini", description="Train the built-in model mini.")
    parser.add_argument("--data", type=Path, required=True, help="folder with images/, captions.tsv and ratings")
    parser.add_argument("--out", type=Path, required=True, help="folder for the open_clip model")
    parser.add_argument(
        "--cache", type=Path, default=user_cache_path("smysl") / "training", help="folder for features and checkpoints"
    )
    parser.add_argument("--threads", type=int, default=2, help="processor threads (default 2)")
    for field in fields(MiniSettings):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    return parser


@contextmanager
def _progress() -> Iterator[OnStage]:
    """A progress bar with one line for each step of the recipe; in a pipe a plain line now and then."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    from rich.progress import Progress, TaskID, TimeElapsedColumn, TimeRemainingColumn

    tasks: dict[str, TaskID] = {}
    columns = (*Progress.get_default_columns()[:-1], TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:

        def report(what: str, done: int, total: int) -> None:
            name = what.partition(", ")[0]
            if name not in tasks:
                tasks[name] = bar.add_task(what, total=total)
            bar.update(tasks[name], completed=done, total=total, description=what)

        yield report


def _lines(console: Console) -> OnStage:
    told = 0.0

    def report(what: str, done: int, total: int) -> None:
        nonlocal told
        if done == total or time.monotonic() - told >= _EVERY_S:
            told = time.monotonic()
            console.print(f"{what}: {done:,} of {total:,}", highlight=False, soft_wrap=True)

    return report


if __name__ == "__main__":
    sys.exit(main())
