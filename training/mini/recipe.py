"""The whole recipe of `mini`: towers, features, training, the open_clip folder, figures on held-out photographs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from data.captions import CaptionedPhotograph, read_captions
from service.store.atomic import replacing
from service.types import OnStage
from training.mini.export import write_weights
from training.mini.fit import Examples, TextTable, first_phases, fit, last_phases, pool_texts, tokenize
from training.mini.fit_stages import StageExamples, fit_stages
from training.mini.held_out import HeldOut, History, hold_out
from training.mini.imagenet_classes import ClassPhotographs, ClassText, class_shares, imagenet_texts
from training.mini.network import (
    build_network,
    fill_towers,
    fold_into_layer_norm,
    interpolate_weights,
    last_layer_norm,
    start_heads,
    write_configs,
)
from training.mini.pretrained_towers import ImageTower, TextTower, split_tower
from training.mini.settings import MiniSettings
from training.mini.views import Views, training_views, view_features, whole_photographs

if TYPE_CHECKING:
    import torch


SMALLEST_DEVIATION = 1e-3
HISTORY = "history.json"
AGAIN_VIEWS = 3
"""Views that the trained tower encodes for the last phase, which is short."""


def make_mini(
    data: Path,
    out: Path,
    cache: Path,
    image: ImageTower,
    text: TextTower,
    settings: MiniSettings,
    on_stage: OnStage,
) -> list[dict[str, Any]]:
    """Train on the split `train` of a folder of data and write an open_clip folder.

    Args:
        data: folder with images/ and captions.tsv.
        out: folder for the model.
        cache: folder for views and checkpoints, from which an interrupted run resumes.
        image: the pretrained image tower.
        text: the pretrained text tower.
        settings: the options of the run.
        on_stage: called with the progress of each stage.

    Returns:
        The figures on held-out photographs, one entry for each epoch; none where `settings.validation` is 0.

    Raises:
        DataError: the data has a fault.
    """
    import torch

    torch.manual_seed(settings.seed)
    photographs = sorted(read_captions(data, "train"), key=lambda each: each.name)
    held_out = hold_out(len(photographs), settings)
    training = np.flatnonzero(~held_out).tolist()
    work = cache / _run_key(settings, photographs, image)
    work.mkdir(parents=True, exist_ok=True)

    paths = [each.path for each in photographs]
    views = training_views(
        image,
        settings.frozen_stages,
        settings.side,
        paths,
        settings.views,
        cache / "views",
        seed=settings.seed,
        on_progress=lambda done, total: on_stage("views of photographs", done, total),
    )
    whole = whole_photographs(
        image,
        settings.frozen_stages,
        paths,
        cache / "views",
        on_progress=lambda done, total: on_stage("whole photographs", done, total),
    )
    class_texts = imagenet_texts(settings.seed) if image.class_rows is not None else []
    table = tokenize(text.tokenizer, _all_texts(photographs, class_texts), settings.context_length)

    write_configs(out, image, text, settings)
    network = build_network(out)
    fill_towers(network, image, text)
    start_heads(network, settings.temperature, settings.seed)
    network.eval()
    _, upper = split_tower(network.visual.trunk, settings.frozen_stages)

    pooled_views = torch.from_numpy(np.concatenate([whole.pooled, views.pooled])[:, training]).float()
    mean, deviation = pooled_views[0].mean(dim=0), pooled_views[0].std(dim=0) + SMALLEST_DEVIATION
    features = ((pooled_views - mean) / deviation).half()
    captions = _caption_rows(photographs)
    pooled = _pooled_texts(network, table, cache / "texts", on_stage)
    pooled = _standardise_texts(network, pooled, [row for rows in captions for row in rows])

    history = History(work / HISTORY)
    validation = np.flatnonzero(held_out).tolist()
    check: HeldOut | None = None
    if validation:
        check = HeldOut(
            network=network,
            upper=upper,
            whole=whole,
            rows=validation,
            mean=mean,
            deviation=deviation,
            table=table,
            captions=[captions[row] for row in validation],
        )

    def on_epoch(phase: str, epoch: int) -> None:
        if check is not None:
            history.add({"phase": phase, "epoch": epoch, **check.figures()})

    def on_step(phase: str, done: int, total: int, loss: float) -> None:
        on_stage(f"training {phase}, loss {loss:.2f}", done, total)

    examples = Examples(
        features=features,
        texts=table,
        pooled_texts=pooled,
        captions_of=[captions[row] for row in training],
        class_texts=class_texts,
        class_photographs=_class_photographs(image, features[0].float(), deviation, settings),
        class_shares=_class_shares(image, pooled_views.mean(dim=0)),
    )
    fit(network, examples, settings, first_phases(settings), work / "texts.pt", on_epoch=on_epoch, on_step=on_step)
    stage_examples = StageExamples(
        views=views,
        rows=training,
        captions_of=examples.captions_of,
        texts=_pooled_texts(network, table, work, on_stage),
        class_texts=class_texts,
        class_photographs=examples.class_photographs,
        class_shares=examples.class_shares,
        mean=mean,
        deviation=deviation,
    )
    fit_stages(network, upper, stage_examples, settings, work, on_epoch=on_epoch, on_step=on_step)
    if settings.again_epochs:
        encoded = [(whole, 0), *((views, view) for view in range(min(AGAIN_VIEWS, settings.views)))]
        raw = _trained_features(upper, encoded, training, on_stage)
        again = replace(examples, features=((raw - mean) / deviation).half())
        before = {name: value.clone() for name, value in network.state_dict().items()}
        fit(network, again, settings, last_phases(settings), work / "again.pt", on_epoch=on_epoch, on_step=on_step)
        interpolate_weights(network, before, settings.again_share)
        on_epoch("text tower again, a share of it kept", settings.again_epochs)
    write_weights(network, mean, deviation, out)
    return history.entries


def _trained_features(
    upper: torch.nn.Module, views: Sequence[tuple[Views, int]], rows: Sequence[int], on_stage: OnStage
) -> torch.Tensor:
    """Features float32 (views, n, width) of the photographs `rows` by the trained tower, in some views."""
    import torch

    features = []
    for number, (source, view) in enumerate(views):
        on_stage("photographs' features", number, len(views))
        features.append(view_features(upper, source, view, rows))
    on_stage("photographs' features", len(views), len(views))
    return torch.stack(features)


def _all_texts(photographs: Sequence[CaptionedPhotograph], class_texts: Sequence[ClassText]) -> list[str]:
    captions = [caption.text for each in photographs for caption in each.captions]
    return captions + [each.text for each in class_texts]


def _caption_rows(photographs: Sequence[CaptionedPhotograph]) -> list[list[int]]:
    ends = np.cumsum([len(each.captions) for each in photographs])
    return [list(range(end - len(each.captions), end)) for end, each in zip(ends, photographs, strict=True)]


def _pooled_texts(network: Any, table: TextTable, folder: Path, on_stage: OnStage) -> torch.Tensor:
    """Features float32 (n, width) of all texts by the text tower as it is now, cached in a file."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    digest = xxhash.xxh3_64(table.ids.numpy().tobytes())
    for tensor in network.text.transformer.state_dict().values():
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    file = folder / f"{digest.hexdigest()}.npy"
    if not file.exists():
        parts: list[torch.Tensor] = []
        rows = torch.arange(len(table.ids))
        with torch.no_grad():
            for part in torch.split(rows, 1024):
                parts.append(pool_texts(network, table, part))
                on_stage("texts' features", int(part[-1]) + 1, len(rows))
        with replacing(file) as temporary:
            np.save(temporary, torch.cat(parts).numpy(), allow_pickle=False)
    return torch.from_numpy(np.load(file, allow_pickle=False))


def _standardise_texts(network: Any, pooled: torch.Tensor, captions: Sequence[int]) -> torch.Tensor:
    """Standardise features by the captions' mean and deviation, and fold the same scaling into the tower."""
    import torch

    of_captions = pooled[torch.tensor(captions)]
    mean, deviation = of_captions.mean(dim=0), of_captions.std(dim=0) + SMALLEST_DEVIATION
    fold_into_layer_norm(last_layer_norm(network), mean, deviation)
    return (pooled - mean) / deviation


def _class_photographs(
    image: ImageTower, features: torch.Tensor, deviation: torch.Tensor, settings: MiniSettings
) -> ClassPhotographs | None:
    if image.class_rows is None or settings.class_pairs == 0:
        return None
    return ClassPhotographs(image.class_rows, features, deviation, noise=settings.class_noise)


def _class_shares(image: ImageTower, pooled: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.zeros(len(pooled), 0) if image.class_rows is None else class_shares(image.class_rows, pooled)


def _run_key(settings: MiniSettings, photographs: Sequence[CaptionedPhotograph], image: ImageTower) -> str:
    """The name of a run's folder, by its settings and data."""
    digest = xxhash.xxh3_64(json.dumps([asdict(settings), image.architecture]).encode())
    for each in photographs:
        digest.update(f"{each.name} {len(each.captions)}".encode())
    return f"run-{digest.hexdigest()}"
