"""Writing a trained network as an open_clip folder that `local-dir:` loads without a network, wherever it lies."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.encoder.open_clip_model import fingerprint_of, load_network, preprocessing_of
from service.errors import ModelError

if TYPE_CHECKING:
    import torch

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
HERE = "."
"""Stands in the configuration for the folder that it lies in; `service/encoder/encoder.py` makes it absolute."""


def write_model(folder: Path, network: Any, tokenizer: Any, config: dict[str, Any], halves: frozenset[str]) -> None:
    """Write configuration, weights, tokenizer and, for a text tower of transformers, its configuration.

    `config` is the base model's `model_cfg`; `halves` names the weights to be stored in half precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(config)
    text = config["text_cfg"]
    if text.get("hf_model_name"):
        network.text.config.save_pretrained(folder)
        text |= {"hf_model_name": HERE, "hf_model_pretrained": False}
    if hasattr(tokenizer, "save_pretrained"):
        tokenizer.save_pretrained(folder)
        text["hf_tokenizer_name"] = HERE
    preprocessing = asdict(preprocessing_of(network))
    # The photograph's tower says its size itself.
    del preprocessing["size"]
    content = {"model_cfg": config, "preprocess_cfg": preprocessing}
    (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    _write_weights(folder / WEIGHTS, network, halves)


def stored_halves(folder: Path | None) -> frozenset[str]:
    """The names of the weights that a model's folder stores in half precision; none where there is no such file."""
    from safetensors import safe_open

    if folder is None or not (folder / WEIGHTS).is_file():
        return frozenset()
    with safe_open(folder / WEIGHTS, framework="pt") as stored:
        return frozenset(name for name in stored.keys() if stored.get_slice(name).get_dtype() == "F16")  # noqa: SIM118


def check_model(folder: Path, tokenizer: Any, texts: Sequence[str]) -> str:
    """Load what was written and compare how it reads `texts`; its fingerprint.

    Raises ModelError where the folder would not be the model that was trained.
    """
    network, read_back, config = load_network(f"local-dir:{folder}")
    before: torch.Tensor = tokenizer(list(texts))
    after: torch.Tensor = read_back(list(texts))
    if before.shape != after.shape or bool((before != after).any()):
        raise ModelError(
            "The tokenizer of the base model cannot be written so that it reads texts as before; choose another base."
        )
    return fingerprint_of(network, read_back, config)


def _write_weights(file: Path, network: Any, halves: frozenset[str]) -> None:
    import torch
    from safetensors.torch import save_file

    # Cloned, because weights that two layers share are one piece of memory, which safetensors refuses.
    tensors = {
        name: tensor.detach().cpu().to(torch.float16 if name in halves else tensor.dtype, copy=True).contiguous()
        for name, tensor in network.state_dict().items()
    }
    save_file(tensors, file, metadata={"format": "pt"})
    # safetensors writes for the owner alone; the folder is read by whoever runs the service.
    file.chmod(0o644)
