"""Fine-tuning the last stages of a photograph tower to tell kinds apart.

The frozen stages' output for each view of a photograph is computed once and read from files, so that training runs the
last stages only, as in `training/mini/views.py`. The loss is cross-entropy over a linear layer, which is thrown away;
the tower's pooled features are what is kept.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.errors import UsageError
from service.photos.decode import open_photograph
from service.store.atomic import replacing
from service.types import Float16Array, Float32Array, Int64Array, OnProgress
from training.mini.pretrained_towers import split_tower as split_efficientnet
from training.mini.views import view_of

if TYPE_CHECKING:
    import torch


_BATCH = 32
_MOST_BYTES = 4 << 30
"""Disk space for maps; more photographs get fewer views each, but at least two."""


@dataclass(frozen=True)
class TowerSettings:
    """How the last `stages` are trained; `views` random ones beside the photograph and its mirror image."""

    stages: int
    views: int = 10
    epochs: int = 6
    rate: float = 2e-4
    head_rate: float = 1e-3
    weight_decay: float = 0.05
    smoothing: float = 0.1
    clip: float = 1.0
    warmup: float = 0.15
    seed: int = 0


def split_tower(visual: Any, stages: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Cut a photograph tower before its last `stages` into two modules that share its weights.

    The first maps a batch of preprocessed photographs to the input of the second, which returns pooled features. timm's
    EfficientNets and open_clip's own vision transformers can be cut. Raises UsageError for other towers, and for a
    number of stages that the tower does not have.
    """
    trunk = getattr(visual, "trunk", None)
    if trunk is not None and hasattr(trunk, "conv_stem") and hasattr(trunk, "global_pool"):
        return split_efficientnet(trunk, _frozen_stages(len(trunk.blocks), stages))
    if type(visual).__name__ == "VisionTransformer" and type(visual.transformer).__name__ == "Transformer":
        return _split_transformer(visual, _frozen_stages(len(visual.transformer.resblocks), stages))
    raise UsageError(
        f"The photograph tower of this model ({type(trunk or visual).__name__}) cannot be trained in part; leave out "
        "--unfreeze, or choose mini or a ViT of open_clip."
    )


def _frozen_stages(all_stages: int, stages: int) -> int:
    if not 1 <= stages <= all_stages:
        raise UsageError(f"--unfreeze {stages}: this tower has {all_stages} stages; choose 1 to {all_stages}.")
    return all_stages - stages


def _split_transformer(visual: Any, frozen: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    from torch import nn

    blocks = visual.transformer.resblocks

    class Before(nn.Module):
        """Preprocessed photographs to tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.visual = visual

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            tokens: torch.Tensor = visual._embeds(batch)
            for block in blocks[:frozen]:
                tokens = block(tokens)
            return tokens

    class After(nn.Module):
        """Tokens to pooled features; holds only the parameters that are trained."""

        def __init__(self) -> None:
            super().__init__()
            self.blocks = blocks[frozen:]
            self.norm = visual.ln_post

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                tokens = block(tokens)
            pooled: torch.Tensor = visual._pool(tokens)[0]
            return pooled

    return Before(), After()


class StageMaps:
    """The frozen stages' output for each view of each photograph, one file of (n, ...) float16 per view.

    View 0 is the photograph as it is indexed, view 1 its mirror image, the others are random.
    """

    def __init__(self, maps: Sequence[Float16Array]) -> None:
        self._maps = maps

    @property
    def views(self) -> int:
        """How many views each photograph has."""
        return len(self._maps)

    def of(self, views: Sequence[int], rows: Sequence[int]) -> torch.Tensor:
        """Maps (n, ...), float32, of the photographs `rows`, each in the view at the same position of `views`."""
        import torch

        gathered = np.stack([self._maps[view][row] for view, row in zip(views, rows, strict=True)])
        maps = torch.from_numpy(gathered).float()
        return maps.contiguous(memory_format=torch.channels_last) if maps.ndim == 4 else maps


def stage_maps(
    network: Any, files: Sequence[Path], key: str, folder: Path, settings: TowerSettings, on_progress: OnProgress
) -> StageMaps:
    """Compute the maps of all views, or read those in `folder` that an earlier run computed with the same `key`.

    `key` names the model's weights and the photographs' contents. An interrupted run loses one view at most.
    """
    import torch
    from open_clip.transform import image_transform_v2

    from service.encoder.open_clip_model import preprocessing_of

    lower, _ = split_tower(network.visual, settings.stages)
    lower.eval()
    prepare = image_transform_v2(preprocessing_of(network), is_train=False)
    side = max(network.visual.image_size) if isinstance(network.visual.image_size, tuple) else network.visual.image_size

    def draw_view(view: int, row: int) -> torch.Tensor:
        from PIL import ImageOps

        image = open_photograph(files[row], shorter_side=2 * side).image
        if view > 1:
            image = view_of(image, side, np.random.default_rng((settings.seed, view, row)))
        prepared: torch.Tensor = prepare(ImageOps.mirror(image) if view == 1 else image)
        return prepared

    with torch.no_grad(), ThreadPoolExecutor() as pool:
        bytes_per_view = lower(draw_view(0, 0)[None])[0].numel() * 2 * len(files)
        count = 2 + max(0, min(settings.views, _MOST_BYTES // bytes_per_view - 2))
        maps = []
        for view in range(count):
            file = folder / f"maps-{settings.stages}-{key}-{view}.npy"
            if not file.exists():
                offset, total = view * len(files), count * len(files)
                on_done = partial(_report_offset, on_progress, offset, total)
                _write_maps(file, len(files), lower, partial(draw_view, view), pool, on_done)
            maps.append(np.load(file, mmap_mode="r", allow_pickle=False))
    return StageMaps(maps)


def _report_offset(on_progress: OnProgress, offset: int, total: int, done: int) -> None:
    on_progress(offset + done, total)


def _write_maps(
    file: Path,
    photographs: int,
    lower: torch.nn.Module,
    draw: Callable[[int], torch.Tensor],
    pool: ThreadPoolExecutor,
    on_done: Callable[[int], None],
) -> None:
    """Write one view's maps; the next batch is decoded while one is encoded."""
    import torch

    maps: Any = None
    batches = [range(first, min(first + _BATCH, photographs)) for first in range(0, photographs, _BATCH)]
    ahead = [pool.submit(draw, row) for row in batches[0]]
    with replacing(file) as temporary:
        for batch, following in zip(batches, [*batches[1:], range(0)], strict=True):
            ready, ahead = [each.result() for each in ahead], [pool.submit(draw, row) for row in following]
            output = lower(torch.stack(ready).contiguous(memory_format=torch.channels_last)).half().numpy()
            if maps is None:
                maps = np.lib.format.open_memmap(temporary, "w+", np.float16, (photographs, *output.shape[1:]))
            maps[batch.start : batch.stop] = output
            on_done(batch.stop)
        maps.flush()


def train_tower(
    network: Any, maps: StageMaps, rows: Int64Array, kinds: Int64Array, settings: TowerSettings, on_progress: OnProgress
) -> Any:
    """A copy of `network` whose last stages were trained on the photographs `rows` (n,) of `kinds` (n,).

    Batch normalisation keeps its statistics: there are too few photographs for new ones. The same seed gives the same
    tower on one machine.
    """
    import torch

    trained = copy.deepcopy(network)
    # Convolutions of a few rows take two thirds of the time with channels last.
    trained.visual = trained.visual.to(memory_format=torch.channels_last)
    upper = split_tower(trained.visual, settings.stages)[1].eval().requires_grad_(True)
    names, labels = np.unique(kinds, return_inverse=True)
    head = _first_head(tower_features(upper, maps, 0, rows), labels, len(names), settings.seed)
    optimizer = _optimizer(upper, head, settings)
    steps = settings.epochs * math.ceil(len(rows) / _BATCH)
    rates = [settings.rate, settings.rate, settings.head_rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=settings.warmup)
    generator = np.random.default_rng(settings.seed)
    weights = [each for group in optimizer.param_groups for each in group["params"]]
    done = 0
    for _ in range(settings.epochs):
        order = generator.permutation(len(rows))
        for batch in (order[first : first + _BATCH] for first in range(0, len(order), _BATCH)):
            inputs = maps.of(generator.integers(0, maps.views, len(batch)).tolist(), rows[batch].tolist())
            loss = torch.nn.functional.cross_entropy(
                head(upper(inputs)), torch.from_numpy(labels[batch]), label_smoothing=settings.smoothing
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, settings.clip)
            optimizer.step()
            schedule.step()
            done += 1
            on_progress(done, steps)
    return trained.eval().requires_grad_(False)


def tower_features(
    upper: torch.nn.Module, maps: StageMaps, view: int, rows: Sequence[int] | Int64Array
) -> Float32Array:
    """Pooled features (n, width), float32, not normalised, of the photographs `rows` in one view."""
    import torch

    chosen = np.asarray(rows)
    with torch.no_grad():
        batches = [
            upper(maps.of([view] * len(batch), batch.tolist())).numpy()
            for batch in (chosen[first : first + _BATCH] for first in range(0, len(chosen), _BATCH))
        ]
    return np.concatenate(batches)


def _first_head(features: Float32Array, labels: Int64Array, kinds: int, seed: int) -> torch.nn.Linear:
    """A linear layer initialised from a logistic regression, so that its first steps do not upset the tower."""
    import torch
    from sklearn.linear_model import LogisticRegression

    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    fitted = LogisticRegression(C=10.0, max_iter=500, random_state=seed).fit(features / lengths, labels)
    weight, bias = fitted.coef_, fitted.intercept_
    if kinds == 2:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    head = torch.nn.Linear(features.shape[1], kinds)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight / lengths.mean()))
        head.bias.copy_(torch.from_numpy(bias))
    return head


def _optimizer(upper: torch.nn.Module, head: torch.nn.Linear, settings: TowerSettings) -> torch.optim.Optimizer:
    import torch

    matrices = [each for each in upper.parameters() if each.ndim > 1]
    vectors = [each for each in upper.parameters() if each.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
            {"params": list(head.parameters()), "weight_decay": 0.0, "lr": settings.head_rate},
        ],
        lr=settings.rate,
    )


def run_key(parts: Sequence[object], settings: TowerSettings) -> str:
    """A hash of everything that a trained tower depends on."""
    import xxhash

    return xxhash.xxh3_64_hexdigest(json.dumps([*parts, asdict(settings)], default=str).encode())
