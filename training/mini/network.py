"""Both towers with their heads as one open_clip model, so that the trained model is the one that is shipped.

The photograph's head is a two-layer perceptron, the text's head a linear map. Two exact identities are used:

- gelu(x) − gelu(−x) = x, so a perceptron whose first layer is [L; −L] and whose second is [I, −I] starts as the linear
  map L;
- both heads train best on standardised features. For photographs this scaling is folded into the head's first layer;
  for texts into the weight and bias of the tower's last LayerNorm, because the mean over tokens is linear.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.encoder.tokenizer import TOKENIZER_FILE
from service.encoder.torchvision_compat import mend_torchvision
from service.store.atomic import write_text
from training.mini.pretrained_towers import ImageTower, TextTower
from training.mini.settings import MiniSettings
from training.model_folder import CONFIG

if TYPE_CHECKING:
    import torch


def write_configs(folder: Path, image: ImageTower, text: TextTower, settings: MiniSettings) -> None:
    """Write an open_clip folder without the weights: its configuration, the text tower's, and the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    text.transformer.config.save_pretrained(folder)
    text.tokenizer.model_max_length = settings.context_length
    text.tokenizer.save_pretrained(folder)
    # Written again without indentation, which is a third of the file.
    file = folder / TOKENIZER_FILE
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    write_text(file, json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n")
    write_text(folder / CONFIG, json.dumps(open_clip_config(image, settings), indent=2) + "\n")


def open_clip_config(image: ImageTower, settings: MiniSettings) -> dict[str, Any]:
    """The `open_clip_config.json`; "." is the folder that contains it."""
    return {
        "model_cfg": {
            "embed_dim": settings.dimension,
            "vision_cfg": {
                "timm_model_name": image.architecture,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "mlp",
                "timm_proj_bias": True,
                "image_size": image.side,
            },
            "text_cfg": {
                "hf_model_name": ".",
                "hf_tokenizer_name": ".",
                "hf_model_pretrained": False,
                "hf_pooler_type": "mean_pooler",
                "hf_proj_type": "linear",
                "context_length": settings.context_length,
            },
        },
        "preprocess_cfg": {
            "mean": list(image.mean),
            "std": list(image.std),
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }


def build_network(folder: Path) -> Any:
    """The open_clip model of a folder written by `write_configs`, with random weights."""
    mend_torchvision()
    import open_clip

    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model_cfg"]
    text = {**config["text_cfg"], "hf_model_name": str(folder.resolve())}
    return open_clip.CustomTextCLIP(config["embed_dim"], config["vision_cfg"], text)


def fill_towers(network: Any, image: ImageTower, text: TextTower) -> None:
    """Copy the pretrained towers into the open_clip model and freeze the photograph tower."""
    network.visual.trunk.load_state_dict(image.trunk.state_dict())
    network.visual.trunk.requires_grad_(False)
    network.text.transformer.load_state_dict(text.transformer.state_dict())


def start_heads(network: Any, temperature: float, seed: int) -> None:
    """Initialise both heads as linear maps with orthogonal rows."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    mlp, proj = network.visual.head.mlp, network.text.proj
    size, width = proj.out_features, mlp.fc1.in_features
    linear = torch.empty(size, width)
    torch.nn.init.orthogonal_(linear, generator=generator)
    unit = torch.eye(size)
    with torch.no_grad():
        mlp.fc1.weight.copy_(torch.cat([linear, -linear]))
        mlp.fc2.weight.copy_(torch.cat([unit, -unit], dim=1))
        mlp.fc1.bias.zero_()
        mlp.fc2.bias.zero_()
        torch.nn.init.orthogonal_(proj.weight, generator=generator)
        network.logit_scale.fill_(math.log(1 / temperature))


def interpolate_weights(network: Any, before: dict[str, torch.Tensor], share: float) -> None:
    """Set the weights to a point on the line from `before` (share 0) to the present ones (share 1).

    Between the two, a model often keeps the abilities of both (Wortsman et al. 2022, Robust fine-tuning).
    """
    now = network.state_dict()
    network.load_state_dict(
        {
            name: before[name] + share * (value - before[name]) if value.is_floating_point() else value
            for name, value in now.items()
        }
    )


def fold_into_first_layer(layer: torch.nn.Linear, mean: torch.Tensor, deviation: torch.Tensor) -> None:
    """Let a layer that expects (x − mean) / deviation take x instead; `mean` and `deviation` are (in,)."""
    import torch

    with torch.no_grad():
        layer.weight.div_(deviation)
        layer.bias.sub_(layer.weight @ mean)


def fold_into_layer_norm(norm: torch.nn.LayerNorm, mean: torch.Tensor, deviation: torch.Tensor) -> None:
    """Let a LayerNorm return (x − mean) / deviation instead of x; `mean` and `deviation` are (width,)."""
    import torch

    with torch.no_grad():
        norm.weight.div_(deviation)
        norm.bias.sub_(mean).div_(deviation)


def last_layer_norm(network: Any) -> torch.nn.LayerNorm:
    """The LayerNorm whose output the text tower pools."""
    norm: torch.nn.LayerNorm = network.text.transformer.encoder.layer[-1].output.LayerNorm
    return norm
