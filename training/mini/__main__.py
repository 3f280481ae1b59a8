"""`python -m training.mini --data DIR --out DIR`: trains `mini`, fits its match, measures both, writes the card.

Takes about an hour on two cores; an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from service.errors import SmyslError
from service.store.atomic import write_text
from service.types import OnStage
from training.mini.settings import MiniSettings
from training.progress_bar import progress_bar

METRICS = "metrics.json"
CARD = "README.md"


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    settings = MiniSettings(**{field.name: getattr(options, field.name) for field in fields(MiniSettings)})
    try:
        with progress_bar() as on_stage:
            figures = run(options.data, options.out, options.cache, settings, options.threads, on_stage)
    except SmyslError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(figures["test"], indent=2) + "\n")
    return 0


def run(data: Path, out: Path, cache: Path, settings: MiniSettings, threads: int, on_stage: OnStage) -> dict[str, Any]:
    """Write `mini` to `out` and return the content of its `metrics.json`."""
    import torch

    from data.captions import read_captions
    from service.compute.malloc import keep_memory
    from training.mini.card import model_card
    from training.mini.pretrained_towers import load_image_tower, load_text_tower
    from training.mini.recipe import make_mini

    torch.set_num_threads(threads)
    keep_memory()
    image, text = load_image_tower(), load_text_tower(settings.context_length)
    validation = make_mini(data, out, cache, image, text, settings, on_stage)
    figures = {
        "settings": asdict(settings),
        "validation": validation,
        **measure(data, out, cache, on_stage),
    }
    write_text(out / METRICS, json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    trained_on = len(read_captions(data, "train")) - settings.validation
    write_text(out / CARD, model_card(figures, trained_on))
    return figures


def measure(data: Path, folder: Path, cache: Path, on_stage: OnStage) -> dict[str, Any]:
    """Measure a trained model on the split `test` and on everyday queries, and fit its match."""
    from eval.retrieval import evaluate
    from service.encoder.encoder import Encoder
    from training.match_fit import train_scorer
    from training.mini.everyday import formats_check, sample_check

    encoder = Encoder.load(f"local-dir:{folder.resolve()}")
    test = evaluate(encoder, data, "test", lambda done, total: on_stage("test photographs and captions", done, total))
    everyday = [sample_check(encoder)]
    if (data.parent / "formats").is_dir():
        everyday.append(formats_check(encoder, data.parent / "formats"))
    match = train_scorer(encoder, data, folder, cache / "ratings", on_stage)
    # The path that the model was written to means nothing to a reader of the figures.
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


if __name__ == "__main__":
    sys.exit(main())
