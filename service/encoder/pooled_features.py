"""Pooled image features before the final projection.

CLIP's final projection keeps what texts describe. The pooled features before it separate kinds of photographs better:
on the flowers of docs/evaluation.md, the ten nearest photographs by `mini`'s pooled features share the photograph's
kind more often than those by its vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    FeatureTower = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    """Normalised images (n, 3, height, width) to embeddings (n, dimension) and pooled features (n, width)."""


def with_pooled_features(tower: Any) -> FeatureTower | None:
    """An open_clip image tower that also returns its pooled features; None where it has none besides its embedding."""
    kind = type(tower).__name__
    if kind == "TimmModel":
        projection = _timm_projection(tower)
        return None if projection is None else _input_of(tower, projection)
    if kind == "VisionTransformer" and tower.proj is not None and not tower.output_tokens:
        return _before_matrix(tower)
    if kind == "ModifiedResNet":
        return _mean_of_maps(tower, tower.layer4)
    return None


def _timm_projection(tower: Any) -> Any | None:
    """The module of a timm tower that projects pooled features to the embedding."""
    from torch import nn

    names = [name for name, _ in tower.head.named_children()]
    if "pool" in names:
        return getattr(tower.head, "proj", None) or getattr(tower.head, "mlp", None)
    if names:
        return tower.head
    classifier = tower.trunk.get_classifier()
    return classifier if isinstance(classifier, nn.Linear) else None


def _input_of(tower: Any, projection: Any) -> FeatureTower:
    """The features are the input of the module `projection`."""

    def both(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        captured: list[torch.Tensor] = []
        hook = projection.register_forward_pre_hook(lambda _, inputs: captured.append(inputs[0]))
        try:
            return tower(images), captured[-1]
        finally:
            hook.remove()

    return both


def _before_matrix(tower: Any) -> FeatureTower:
    """The features are what the tower returns without its projection matrix."""
    matrix = tower.proj

    def both(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tower.proj = None
        try:
            pooled = tower(images)
        finally:
            tower.proj = matrix
        return pooled @ matrix, pooled

    return both


def _mean_of_maps(tower: Any, layer: Any) -> FeatureTower:
    """The features are the spatial mean of the feature maps that `layer` returns."""

    def both(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        captured: list[torch.Tensor] = []
        hook = layer.register_forward_hook(lambda _, inputs, maps: captured.append(maps))
        try:
            return tower(images), captured[-1].mean(dim=(2, 3))
        finally:
            hook.remove()

    return both
