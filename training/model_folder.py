"""Writes a trained network as an open_clip folder, which `local-dir:` loads offline and from any path."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.encoder.open_clip_model import fingerprint_of, load_network, preprocessing_of
from service.errors import ModelError
from service.store.atomic import replacing, write_text

if TYPE_CHECKING:
    import torch

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
HERE = "."
"""The configuration's own folder, in the configuration; `service/encoder/open_clip_model.py` makes it absolute."""


def write_model(folder: Path, network: Any, tokenizer: Any, config: dict[str, Any], halves: frozenset[str]) -> None:
    """Write weights, tokenizer, configuration and, for a text tower from transformers, its configuration.

    `config` is the base model's `model_cfg`; `halves` are the names of weights to store in half precision. The
    configuration comes last, without which the folder is not a model.
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
    # The photograph tower knows its own input size.
    del preprocessing["size"]
    content = {"model_cfg": config, "preprocess_cfg": preprocessing}
    save_weights(folder / WEIGHTS, _stored_weights(network, halves))
    write_text(folder / CONFIG, json.dumps(content, indent=2) + "\n")


def stored_halves(folder: Path | None) -> frozenset[str]:
    """The names of the weights that a model's folder stores in half precision; none for a model without a folder."""
    from safetensors import safe_open

    if folder is None or not (folder / WEIGHTS).is_file():
        return frozenset()
    with safe_open(folder / WEIGHTS, framework="pt") as stored:
        return frozenset(name for name in stored.keys() if stored.get_slice(name).get_dtype() == "F16")  # noqa: SIM118


def check_model(folder: Path, tokenizer: Any, texts: Sequence[str]) -> str:
    """Load the written model, check that it tokenizes `texts` as before, and return its fingerprint.

    Raises ModelError where it does not load or tokenizes differently.
    """
    network, read_back, config = load_network(f"local-dir:{folder}")
    before: torch.Tensor = tokenizer(list(texts))
    after: torch.Tensor = read_back(list(texts))
    if before.shape != after.shape or bool((before != after).any()):
        raise ModelError(
            "The base model's tokenizer reads texts differently after it was written to a file; choose another base."
        )
    return fingerprint_of(network, read_back, config)


def save_weights(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write contiguous tensors, none of which share memory, as safetensors."""
    from safetensors.torch import save_file

    with replacing(file) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
        # safetensors makes the file readable by its owner only, but the service may run as another user.
        temporary.chmod(0o644)


def _stored_weights(network: Any, halves: frozenset[str]) -> dict[str, torch.Tensor]:
    import torch

    # Copied, because safetensors refuses weights that two layers share.
    return {
        name: tensor.detach().cpu().to(torch.float16 if name in halves else tensor.dtype, copy=True).contiguous()
        for name, tensor in network.state_dict().items()
    }
