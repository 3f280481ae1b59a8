"""What a photograph tower has seen before its last projection.

A CLIP's last layer keeps of a photograph what texts say of it. What lies before, pooled over the picture,
tells kinds of photographs better apart: on the flowers of docs/evaluation.md the nearest ten by `mini`'s
pooled features are of the photograph's kind more often than by its vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    Pooling = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    """A batch of prepared photographs to outputs (n, dimension) and pooled features (n, width)."""


def pooling_of(tower: Any) -> Pooling | None:
    """How a photograph tower of an open_clip model gives both in one go; None where its output is all there is."""
    kind = type(tower).__name__
    if kind == "TimmModel":
        last = _projection_of_timm(tower)
        return None if last is None else _before(tower, last)
    if kind == "VisionTransformer" and tower.proj is not None and not tower.output_tokens:
        return _before_matrix(tower)
    if kind == "ModifiedResNet":
        return _averaged(tower, tower.layer4)
    return None


def _projection_of_timm(tower: Any) -> Any | None:
    """The module of a timm tower that takes pooled features to the output."""
    from torch import nn

    names = [name for name, _ in tower.head.named_children()]
    if "pool" in names:
        return getattr(tower.head, "proj", None) or getattr(tower.head, "mlp", None)
    if names:
        return tower.head
    classifier = tower.trunk.get_classifier()
    return classifier if isinstance(classifier, nn.Linear) else None


def _before(tower: Any, module: Any) -> Pooling:
    def both(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen: list[torch.Tensor] = []
        hook = module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            return tower(batch), seen[-1]
        finally:
            hook.remove()

    return both


def _before_matrix(tower: Any) -> Pooling:
    matrix = tower.proj

    def both(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tower.proj = None
        try:
            pooled = tower(batch)
        finally:
            tower.proj = matrix
        return pooled @ matrix, pooled

    return both


def _averaged(tower: Any, module: Any) -> Pooling:
    def both(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen: list[torch.Tensor] = []
        hook = module.register_forward_hook(lambda _, given, maps: seen.append(maps))
        try:
            return tower(batch), seen[-1].mean(dim=(2, 3))
        finally:
            hook.remove()

    return both
