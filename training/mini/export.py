"""Writing the trained network as an ordinary open_clip folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.mini.network import fold_into_first_layer

if TYPE_CHECKING:
    import torch

WEIGHTS = "open_clip_model.safetensors"


def write_weights(network: Any, mean: torch.Tensor, deviation: torch.Tensor, folder: Path) -> None:
    """Write the weights beside the configs of `write_configs`; matrices in half precision.

    `mean` and `deviation` (width,) are those of the photographs' features, which go into the head's first
    layer here. Vectors (norms, biases, running statistics) stay in single precision: they are small, and
    some of the running variances are too near to zero for a half.
    """
    import torch
    from safetensors.torch import save_file

    visual = copy.deepcopy(network.visual)
    fold_into_first_layer(visual.head.mlp.fc1, mean, deviation)
    tensors = network.state_dict() | {f"visual.{name}": value for name, value in visual.state_dict().items()}
    halved = {
        name: (value.to(torch.float16) if value.is_floating_point() and value.ndim > 1 else value).contiguous()
        for name, value in tensors.items()
    }
    part = folder / f"{WEIGHTS}.part"
    save_file(halved, part, metadata={"format": "pt"})
    # safetensors writes for the owner alone; the folder is read by whoever runs the service.
    part.chmod(0o644)
    part.replace(folder / WEIGHTS)
