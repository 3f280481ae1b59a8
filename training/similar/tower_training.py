"""The last stages of a photograph tower, trained to tell kinds apart.

What the stages before make of each view of a photograph is computed once and read from files, so that training
passes through the last stages alone: the same trick as in `training/mini/views.py`. Trained with cross-entropy over
a linear layer, which is thrown away; what is kept are the tower's pooled features.
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
from service.types import Float16Array, Float32Array, Int64Array, OnProgress
from training.mini.views import view_of

if TYPE_CHECKING:
    import torch


_BATCH = 32
_MOST_BYTES = 4 << 30
"""Of maps on the disk; more photographs get fewer views each, though never fewer than two."""


@dataclass(frozen=True)
class TowerSettings:
    """How the last `stages` are trained; `views` are drawn ones beside the photograph as it is and mirrored."""

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
    """Cut a photograph tower before its last `stages` stages into two modules that share its weights.

    The first maps a batch of prepared photographs to what the second takes; the second gives pooled features.
    EfficientNets of timm and open_clip's own vision transformers can be cut. Raises UsageError for other towers, and
    for a number of stages that the tower does not have.
    """
    from torch import nn

    trunk = getattr(visual, "trunk", None)
    if trunk is not None and hasattr(trunk, "conv_stem") and hasattr(trunk, "global_pool"):
        kept = _kept(len(trunk.blocks), stages)
        lower = nn.Sequential(trunk.conv_stem, trunk.bn1, *trunk.blocks[:kept])
        return lower, nn.Sequential(*trunk.blocks[kept:], trunk.conv_head, trunk.bn2, trunk.global_pool)
    if type(visual).__name__ == "VisionTransformer" and type(visual.transformer).__name__ == "Transformer":
        return _halves_of_transformer(visual, _kept(len(visual.transformer.resblocks), stages))
    raise UsageError(
        f"The photograph tower of this model ({type(trunk or visual).__name__}) cannot be trained in part; leave out "
        "--unfreeze, or choose mini or a ViT of open_clip."
    )


def _kept(there: int, stages: int) -> int:
    if not 1 <= stages <= there:
        raise UsageError(f"--unfreeze {stages}: this tower has {there} stages; choose 1 to {there}.")
    return there - stages


def _halves_of_transformer(visual: Any, kept: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    from torch import nn

    blocks = visual.transformer.resblocks

    class Before(nn.Module):
        """Prepared photographs to tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.visual = visual

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            tokens: torch.Tensor = visual._embeds(batch)
            for block in blocks[:kept]:
                tokens = block(tokens)
            return tokens

    class After(nn.Module):
        """Tokens to pooled features; only what is trained is a part of it."""

        def __init__(self) -> None:
            super().__init__()
            self.blocks = blocks[kept:]
            self.norm = visual.ln_post

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                tokens = block(tokens)
            pooled: torch.Tensor = visual._pool(tokens)[0]
            return pooled

    return Before(), After()


class StageMaps:
    """What the frozen stages make of each photograph's views, in files of `folder`: (n, views, ...) float16.

    View 0 is the photograph as an index run sees it, view 1 its mirror image, the rest are drawn. An interrupted run
    loses one view at most.
    """

    def __init__(self, maps: Sequence[Float16Array]) -> None:
        self._maps = maps

    @property
    def views(self) -> int:
        """How many there are of each photograph."""
        return len(self._maps)

    def of(self, views: Sequence[int], rows: Sequence[int]) -> torch.Tensor:
        """Maps (n, ...), float32, of photographs each in a view of its own."""
        import torch

        gathered = np.stack([self._maps[view][row] for view, row in zip(views, rows, strict=True)])
        maps = torch.from_numpy(gathered).float()
        return maps.contiguous(memory_format=torch.channels_last) if maps.ndim == 4 else maps


def stage_maps(
    network: Any, files: Sequence[Path], key: str, folder: Path, settings: TowerSettings, on_progress: OnProgress
) -> StageMaps:
    """Make the maps of all views, or read those that an earlier run has made under the same `key`.

    `key` names the model's weights and the photographs' contents.
    """
    import torch
    from open_clip.transform import image_transform_v2

    from service.encoder.open_clip_model import preprocessing_of

    lower, _ = split_tower(network.visual, settings.stages)
    lower.eval()
    prepare = image_transform_v2(preprocessing_of(network), is_train=False)
    side = max(network.visual.image_size) if isinstance(network.visual.image_size, tuple) else network.visual.image_size

    def drawn(view: int, row: int) -> torch.Tensor:
        from PIL import ImageOps

        image = open_photograph(files[row], shorter_side=2 * side).image
        if view > 1:
            image = view_of(image, side, np.random.default_rng((settings.seed, view, row)))
        prepared: torch.Tensor = prepare(ImageOps.mirror(image) if view == 1 else image)
        return prepared

    with torch.no_grad(), ThreadPoolExecutor() as pool:
        size = lower(drawn(0, 0)[None])[0].numel() * 2 * len(files)
        count = 2 + max(0, min(settings.views, _MOST_BYTES // size - 2))
        kept = []
        for view in range(count):
            file = folder / f"maps-{settings.stages}-{key}-{view}.npy"
            if not file.exists():
                start, total = view * len(files), count * len(files)
                _make(file, len(files), lower, partial(drawn, view), pool, partial(_offset, on_progress, start, total))
            kept.append(np.load(file, mmap_mode="r"))
    return StageMaps(kept)


def _offset(on_progress: OnProgress, start: int, total: int, done: int) -> None:
    on_progress(start + done, total)


def _make(
    file: Path,
    photographs: int,
    lower: torch.nn.Module,
    drawn: Callable[[int], torch.Tensor],
    pool: ThreadPoolExecutor,
    tell: Callable[[int], None],
) -> None:
    """Write one view's maps so that the file is either complete or not there."""
    import torch

    part = file.with_suffix(".part")
    maps: Any = None
    batches = [range(first, min(first + _BATCH, photographs)) for first in range(0, photographs, _BATCH)]
    ahead = [pool.submit(drawn, row) for row in batches[0]]
    for batch, following in zip(batches, [*batches[1:], range(0)], strict=True):
        ready, ahead = [each.result() for each in ahead], [pool.submit(drawn, row) for row in following]
        made = lower(torch.stack(ready).contiguous(memory_format=torch.channels_last)).half().numpy()
        if maps is None:
            maps = np.lib.format.open_memmap(part, "w+", np.float16, (photographs, *made.shape[1:]))
        maps[batch.start : batch.stop] = made
        tell(batch.stop)
    maps.flush()
    part.replace(file)


def train_tower(
    network: Any, maps: StageMaps, rows: Int64Array, kinds: Int64Array, settings: TowerSettings, tell: OnProgress
) -> Any:
    """A copy of `network` whose photograph tower's last stages were trained on the photographs `rows` (n,).

    `kinds` (n,) are theirs. Normalisation keeps the statistics that it came with: there are too few photographs for
    new ones. Equal seeds give equal towers on one machine.
    """
    import torch

    trained = copy.deepcopy(network)
    # Convolutions of a few rows take two thirds of the time with channels last.
    trained.visual = trained.visual.to(memory_format=torch.channels_last)
    upper = split_tower(trained.visual, settings.stages)[1].eval().requires_grad_(True)
    names, labels = np.unique(kinds, return_inverse=True)
    head = _first_head(features_of(upper, maps, 0, rows), labels, len(names), settings.seed)
    optimizer = _optimizer(upper, head, settings)
    rounds = settings.epochs * math.ceil(len(rows) / _BATCH)
    rates = [settings.rate, settings.rate, settings.head_rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=rounds, pct_start=settings.warmup)
    generator = np.random.default_rng(settings.seed)
    weights = [each for group in optimizer.param_groups for each in group["params"]]
    done = 0
    for _ in range(settings.epochs):
        order = generator.permutation(len(rows))
        for batch in (order[first : first + _BATCH] for first in range(0, len(order), _BATCH)):
            seen = maps.of(generator.integers(0, maps.views, len(batch)).tolist(), rows[batch].tolist())
            loss = torch.nn.functional.cross_entropy(
                head(upper(seen)), torch.from_numpy(labels[batch]), label_smoothing=settings.smoothing
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, settings.clip)
            optimizer.step()
            schedule.step()
            done += 1
            tell(done, rounds)
    return trained.eval().requires_grad_(False)


def features_of(upper: torch.nn.Module, maps: StageMaps, view: int, rows: Sequence[int] | Int64Array) -> Float32Array:
    """Pooled features (n, width), float32, as they are, of photographs in one view by the tower as it stands."""
    import torch

    chosen = np.asarray(rows)
    with torch.no_grad():
        batches = [
            upper(maps.of([view] * len(batch), batch.tolist())).numpy()
            for batch in (chosen[first : first + _BATCH] for first in range(0, len(chosen), _BATCH))
        ]
    return np.concatenate(batches)


def _first_head(features: Float32Array, labels: Int64Array, kinds: int, seed: int) -> torch.nn.Linear:
    """A linear layer that starts from a logistic regression, so that its first steps do not upset the tower."""
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
    rest = [each for each in upper.parameters() if each.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": rest, "weight_decay": 0.0},
            {"params": list(head.parameters()), "weight_decay": 0.0, "lr": settings.head_rate},
        ],
        lr=settings.rate,
    )


def run_key(parts: Sequence[object], settings: TowerSettings) -> str:
    """A name that changes with anything that decides what a trained tower is."""
    import xxhash

    return xxhash.xxh3_64_hexdigest(json.dumps([*parts, asdict(settings)], default=str).encode())
