"""open_clip models: loaded on the CPU in float32, and the fingerprint of all that determines their vectors."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from service.encoder.models import OnDownload, cached_only, ensure_downloaded, mini_folder, parse_name
from service.encoder.torchvision_compat import mend_torchvision
from service.errors import ModelError, UsageError

_PROBES = (
    "a photo of a cat",
    "Two dogs play in the snow, near 12 red-brick houses!",
    "собака бежит по снегу",
    "un café à la crème",
    "夜の街",
    "naïve   SPACING\tand-punctuation…",
)
"""Texts whose tokens go into the fingerprint, to tell tokenizers apart."""


def load_network(
    name: str, *, timeout_s: float = 5.0, on_progress: OnDownload | None = None
) -> tuple[Any, Any, dict[str, Any]]:
    """Load the open_clip model `name` on the CPU in float32: the network, its tokenizer and its `model_cfg`.

    A model that is not on this machine is downloaded. Raises `UsageError` for an unknown name, `HubError` where the
    download fails, `ModelError` for a broken model.
    """
    name = parse_name(name).text
    ensure_downloaded(name, timeout_s=timeout_s, on_progress=on_progress)
    try:
        return _build(name)
    # A broken file can raise anything: KeyError, RuntimeError, OSError, ...
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = lines[0][:300].rstrip(".") if lines else type(error).__name__
        raise ModelError(
            f"The model {name} does not load: {reason}. Check the folder or remove the model from the cache "
            "and try again; `smysl models` lists what can be used."
        ) from error


def load_tokenizer(name: str) -> Any:
    """Load the tokenizer of the open_clip model `name`, which is on this machine, without its weights."""
    mend_torchvision()
    import open_clip

    identifier = f"local-dir:{mini_folder()}" if name == "mini" else name
    with _quietly_from_cache():
        return open_clip.get_tokenizer(identifier if ":" in identifier else identifier.partition("/")[0])


def preprocessing_of(model: Any) -> Any:
    """open_clip's `PreprocessCfg` of a model that it loaded."""
    from open_clip.transform import PreprocessCfg

    return PreprocessCfg(**_known_fields(PreprocessCfg, model.visual.preprocess_cfg))


def _build(name: str) -> tuple[Any, Any, dict[str, Any]]:
    mend_torchvision()
    import open_clip

    identifier = f"local-dir:{mini_folder()}" if name == "mini" else name
    schema, rest = open_clip.factory.parse_model_name(identifier)
    with _quietly_from_cache():
        if schema is None:
            architecture, _, tag = rest.partition("/")
            config = open_clip.get_model_config(architecture)
            model = open_clip.create_model(architecture, pretrained=tag)
            return model, open_clip.get_tokenizer(architecture), config
        config = open_clip.factory.get_model_config(identifier)
        overrides = _resolve_text_tower(Path(rest), config) if schema == "local-dir" else {}
        model = open_clip.create_model(identifier, require_pretrained=True, **overrides)
        return model, open_clip.get_tokenizer(identifier), config


def _resolve_text_tower(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Make absolute the path of a text tower that the configuration names relative to the model's folder."""
    text = config.get("text_cfg", {})
    name = text.get("hf_model_name")
    if not name or not (folder / name / "config.json").is_file():
        return {}
    return {"text_cfg": {**text, "hf_model_name": str((folder / name).resolve()), "hf_model_pretrained": False}}


def fingerprint_of(model: Any, tokenizer: Any, config: dict[str, Any]) -> str:
    """32 hexadecimal digits (XXH3, 128 bits) of all that determines the vectors of an open_clip model."""
    import torch
    import xxhash

    preprocessing = asdict(preprocessing_of(model))
    digest = xxhash.xxh3_128()
    digest.update(json.dumps([config, preprocessing], sort_keys=True, default=str).encode())
    digest.update(np.asarray(tokenizer(list(_PROBES))).tobytes())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().to(torch.float32).contiguous().numpy().data)
    return digest.hexdigest()


def sigmoid_of(model: Any) -> tuple[float, float] | None:
    """Scale and bias of a model trained with the sigmoid loss (SigLIP), else None."""
    bias = getattr(model, "logit_bias", None)
    scale = getattr(model, "logit_scale", None)
    if bias is None or scale is None:
        return None
    return float(scale.exp()), float(bias)


def choose_device(requested: str | None) -> str:
    """The requested device, or the first available one of cuda, mps and cpu; `UsageError` if it is not available."""
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if requested is None:
        return next(device for device, found in available.items() if found)
    kind = requested.partition(":")[0]
    if kind not in available:
        raise UsageError(f"There is no device “{requested}”; choose cuda, mps or cpu.")
    if not available[kind]:
        raise UsageError(f"This machine has no {kind} device that torch can use; choose --device cpu.")
    try:
        torch.empty(1, device=requested)
    except (RuntimeError, AssertionError):
        raise UsageError(f"There is no device “{requested}” on this machine; choose cuda, mps or cpu.") from None
    return requested


def _known_fields(settings: Any, values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(settings)}
    return {key: value for key, value in values.items() if key in names}


@contextmanager
def _quietly_from_cache() -> Iterator[None]:
    """Silence the logs and warnings of model libraries, and let them use cached files only; errors still come out."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), cached_only():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
