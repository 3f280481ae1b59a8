"""Networks as open_clip gives them: loaded on the CPU in float32, and the fingerprint of what makes their vectors."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.errors import ModelError, UsageError

if TYPE_CHECKING:
    from service.encoder.models import DownloadProgress

_PROBES = (
    "a photo of a cat",
    "Two dogs play in the snow, near 12 red-brick houses!",
    "собака бежит по снегу",
    "un café à la crème",
    "夜の街",
    "naïve   SPACING\tand-punctuation…",
)
"""Texts whose tokens tell one tokenizer from another in the fingerprint."""


def load_network(
    name: str, *, timeout_s: float = 5.0, on_progress: Callable[[DownloadProgress], None] | None = None
) -> tuple[Any, Any, dict[str, Any]]:
    """The open_clip model `name`, its tokenizer and its configuration (`model_cfg`), on the CPU in float32.

    A model that is not on this machine is downloaded. Raises `UsageError` for an unknown name, `HubError`
    where the download fails, `ModelError` for a broken model.
    """
    from service.encoder.models import ensure_downloaded, parse_name

    name = parse_name(name).text
    ensure_downloaded(name, timeout_s=timeout_s, on_progress=on_progress or _ignore)
    try:
        return _build(name)
    # A broken file surfaces as whatever the loader stumbles over: KeyError, RuntimeError, OSError, ...
    except Exception as error:
        said = str(error).strip().splitlines()
        reason = said[0][:300].rstrip(".") if said else type(error).__name__
        raise ModelError(
            f"The model {name} does not load: {reason}. Check the folder or remove the model from the cache "
            "and try again; `smysl models` lists what can be used."
        ) from error


def load_tokenizer(name: str) -> Any:
    """The tokenizer of the open_clip model `name`, which is on this machine, without its weights."""
    from service.encoder.models import cached_only, mini_folder
    from service.encoder.torchvision_compat import mend_torchvision

    mend_torchvision()
    import open_clip

    identifier = f"local-dir:{mini_folder()}" if name == "mini" else name
    with _Quiet(), cached_only():
        return open_clip.get_tokenizer(identifier if ":" in identifier else identifier.partition("/")[0])


def preprocessing_of(model: Any) -> Any:
    """How photographs become the tower's input: open_clip's `PreprocessCfg` of a model that it loaded."""
    from open_clip.transform import PreprocessCfg

    return PreprocessCfg(**_known_fields(PreprocessCfg, model.visual.preprocess_cfg))


def _build(name: str) -> tuple[Any, Any, dict[str, Any]]:
    """The open_clip model, its tokenizer and its configuration, on the CPU in float32."""
    from service.encoder.models import cached_only, mini_folder
    from service.encoder.torchvision_compat import mend_torchvision

    mend_torchvision()
    import open_clip

    identifier = f"local-dir:{mini_folder()}" if name == "mini" else name
    schema, rest = open_clip.factory.parse_model_name(identifier)
    # What a load needs is here by now; a hub that hangs must not be asked again.
    with _Quiet(), cached_only():
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
    """The text tower's own configuration, where it is named relative to the model's folder, made absolute."""
    text = config.get("text_cfg", {})
    named = text.get("hf_model_name")
    if not named or not (folder / named / "config.json").is_file():
        return {}
    return {"text_cfg": {**text, "hf_model_name": str((folder / named).resolve()), "hf_model_pretrained": False}}


def fingerprint_of(model: Any, tokenizer: Any, config: dict[str, Any]) -> str:
    """32 hexadecimal digits (XXH3, 128 bits) over all that makes a vector of an open_clip model what it is."""
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


def choose_device(asked: str | None) -> str:
    """The device asked for, or the first there is of cuda, mps and cpu; `UsageError` for one that is not there."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked is None:
        return next(device for device, found in there.items() if found)
    kind = asked.partition(":")[0]
    if kind not in there:
        raise UsageError(f"There is no device “{asked}”; choose cuda, mps or cpu.")
    if not there[kind]:
        raise UsageError(f"This machine has no {kind} device that torch can use; choose --device cpu.")
    try:
        torch.empty(1, device=asked)
    except (RuntimeError, AssertionError):
        raise UsageError(f"There is no device “{asked}” on this machine; choose cuda, mps or cpu.") from None
    return asked


def _known_fields(settings: Any, values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(settings)}
    return {key: value for key, value in values.items() if key in names}


class _Quiet:
    """Silence what model libraries log and warn about while they load; errors still come out."""

    def __enter__(self) -> None:
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *exc: object) -> None:
        self._warnings.__exit__(None, None, None)
        logging.disable(self._level)


def _ignore(_: object) -> None:
    return None
