"""Writes the trained network's weights into its open_clip folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.mini.network import fold_into_first_layer
from training.model_folder import WEIGHTS, save_weights

if TYPE_CHECKING:
    import torch


def write_weights(network: Any, mean: torch.Tensor, deviation: torch.Tensor, folder: Path) -> None:
    """Write the weights to a folder with the configuration of `write_configs`; matrices in half precision.

    `mean` and `deviation` (width,) of the photographs' features are folded into the head's first layer. Vectors (norms,
    biases, running statistics) stay in single precision: they are small, and some running variances are too close to 0
    for half precision.
    """
    import torch

    visual = copy.deepcopy(network.visual)
    fold_into_first_layer(visual.head.mlp.fc1, mean, deviation)
    tensors = network.state_dict() | {f"visual.{name}": value for name, value in visual.state_dict().items()}
    save_weights(
        folder / WEIGHTS,
        {
            name: (value.to(torch.float16) if value.is_floating_point() and value.ndim > 1 else value).contiguous()
            for name, value in tensors.items()
        },
    )
