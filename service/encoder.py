"""Encoder: any open_clip model; texts and photographs to unit vectors of one space; its fingerprint."""

from __future__ import annotations

import json
import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.errors import ModelError, UsageError
from service.memory import keep_memory
from service.pooling import pooling_of
from service.towers import PRECISIONS, Precisions, fastest_precisions, settle, transformers_tower

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from PIL import Image

    from service.config import Settings
    from service.models import DownloadProgress

_PROBES = (
    "a photo of a cat",
    "Two dogs play in the snow, near 12 red-brick houses!",
    "собака бежит по снегу",
    "un café à la crème",
    "夜の街",
    "naïve   SPACING\tand-punctuation…",
)
"""Texts whose tokens tell one tokenizer from another in the fingerprint."""


class Encoder:
    """One CLIP on one device: photographs and texts in, L2-normalised float32 vectors out.

    Made by `Encoder.load`. `fingerprint` names architecture, weights, preprocessing and tokenizer; vectors
    of two encoders may be compared only where it is equal. `device`, `precision` (the photograph tower's) and
    `text_precision` change speed, not meaning, and are no part of it. Safe to use from several threads: they
    take turns.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        config: dict[str, Any],
        device: str,
        precisions: Precisions,
    ) -> None:
        import torch
        from open_clip.transform import image_transform_v2

        self.name = name
        self.device = device
        preprocessing = preprocessing_of(model)
        self.fingerprint = fingerprint_of(model, tokenizer, config)
        self.precision, self.text_precision = precisions.photographs, precisions.texts
        self._dtype = getattr(torch, PRECISIONS[self.precision])
        self.sigmoid = _sigmoid_head(model)
        """Scale and bias of a model trained with the sigmoid loss (SigLIP), else None."""
        self._tokenizer = tokenizer
        self._transform = image_transform_v2(preprocessing, is_train=False)
        size = preprocessing.size
        height, width = (size, size) if isinstance(size, int) else size
        self.photograph_side = max(height, width)
        """Pixels of the tower's input; decode at least twice as many."""
        self._model = settle(model, device, precisions, (height, width))
        self._pooling = pooling_of(self._model.visual)
        self._lock = threading.Lock()
        self.dimension = int(self.encode_texts(["a"]).shape[1])

    @property
    def features_fingerprint(self) -> str:
        """Names the pooled features, as `fingerprint` the vectors; the same where the tower has none of its own."""
        return features_fingerprint(self.fingerprint) if self._pooling is not None else self.fingerprint

    @classmethod
    def load(
        cls,
        name: str,
        *,
        device: str | None = None,
        precision: str | None = None,
        timeout_s: float = 5.0,
        on_progress: Callable[[DownloadProgress], None] | None = None,
    ) -> Encoder:
        """Load the model `name`: "mini", "ARCH/PRETRAINED", "hf-hub:ORG/NAME" or "local-dir:PATH".

        A model that is not on this machine is downloaded, with `on_progress` told about it. `device` is
        cuda, mps or cpu and by default the first of these that is there; `precision` is fp32, bf16 or fp16 and
        by default for each tower the fastest that keeps the vectors (cosine with fp32 above 0.999). Raises
        `UsageError` for an unknown name, device or precision, `HubError` where the download fails, `ModelError`
        for a broken model.
        """
        from service.models import parse_name

        name = parse_name(name).text
        device = choose_device(device)
        if precision is not None and precision not in PRECISIONS:
            raise UsageError(f"There is no precision “{precision}”; choose fp32, bf16 or fp16.")
        if device == "cpu":
            keep_memory()
        model, tokenizer, config = load_network(name, timeout_s=timeout_s, on_progress=on_progress)
        chosen = Precisions(precision, precision) if precision else fastest_precisions(device, model)
        return cls(name, model, tokenizer, config, device, chosen)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, dimension), float32, of `texts`; what exceeds the context length is cut."""
        import torch

        if not texts:
            return np.empty((0, self.dimension), np.float32)
        with self._lock, torch.inference_mode():
            tokens = self._tokenizer(list(texts))
            tokens = without_padding(self._model, tokens)
            vectors = self._model.encode_text(tokens.to(self.device), normalize=False)
            return _unit(vectors)

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """An upright RGB photograph as the tower's input: (3, side, side), float32. Needs no lock."""
        prepared: NDArray[np.float32] = self._transform(image).numpy()
        return prepared

    def encode_prepared(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Unit vectors (n, dimension), float32, of what `prepare` gave."""
        import torch

        if not prepared:
            return np.empty((0, self.dimension), np.float32)
        batch = torch.from_numpy(np.stack(prepared))
        with self._lock, torch.inference_mode():
            batch = batch.to(device=self.device, dtype=self._dtype, memory_format=torch.channels_last)
            return _unit(self._model.encode_image(batch, normalize=False))

    def encode_with_features(
        self, prepared: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of what `prepare` gave, unit vectors (n, dimension) and pooled features (n, width), float32, of length 1.

        Features are what the tower has seen before its last projection; a tower without one has its vectors for
        features. One pass gives both.
        """
        import torch

        if self._pooling is None:
            vectors = self.encode_prepared(prepared)
            return vectors, vectors
        batch = torch.from_numpy(np.stack(prepared))
        with self._lock, torch.inference_mode():
            batch = batch.to(device=self.device, dtype=self._dtype, memory_format=torch.channels_last)
            output, pooled = self._pooling(batch)
            return _unit(output), _unit(pooled)

    def encode_photographs(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Unit vectors (n, dimension), float32, of upright RGB photographs, as one batch."""
        return self.encode_prepared([self.prepare(image) for image in images])


def features_fingerprint(fingerprint: str) -> str:
    """What names the pooled features of the encoder with a fingerprint, where its tower has some of its own."""
    return f"{fingerprint}.features"


def load_encoder(
    name: str, settings: Settings, on_progress: Callable[[DownloadProgress], None] | None = None
) -> Encoder:
    """The encoder `name` with the device and precision of `settings`; see `Encoder.load` for the errors."""
    return Encoder.load(
        name,
        device=settings.device,
        precision=settings.precision,
        timeout_s=settings.hub_timeout_s,
        on_progress=on_progress,
    )


def load_network(
    name: str, *, timeout_s: float = 5.0, on_progress: Callable[[DownloadProgress], None] | None = None
) -> tuple[Any, Any, dict[str, Any]]:
    """The open_clip model `name`, its tokenizer and its configuration (`model_cfg`), on the CPU in float32.

    A model that is not on this machine is downloaded. Raises `UsageError` for an unknown name, `HubError`
    where the download fails, `ModelError` for a broken model.
    """
    from service.models import ensure_downloaded, parse_name

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


def without_padding(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Tokens (n, length) of an open_clip model without the columns that are padding for all of them.

    Only for text towers that mask padding (those of transformers), where it changes nothing but time.
    """
    tower = transformers_tower(model)
    if tower is None:
        return tokens
    used = (tokens != tower.config.pad_token_id).any(dim=0)
    return tokens[:, : int(used.nonzero().max()) + 1]


def preprocessing_of(model: Any) -> Any:
    """How photographs become the tower's input: open_clip's `PreprocessCfg` of a model that it loaded."""
    from open_clip.transform import PreprocessCfg

    return PreprocessCfg(**_known_fields(PreprocessCfg, model.visual.preprocess_cfg))


def _build(name: str) -> tuple[Any, Any, dict[str, Any]]:
    """The open_clip model, its tokenizer and its configuration, on the CPU in float32."""
    from service.models import cached_only, mini_folder
    from service.torchvision_mend import mend_torchvision

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


def _sigmoid_head(model: Any) -> tuple[float, float] | None:
    bias = getattr(model, "logit_bias", None)
    scale = getattr(model, "logit_scale", None)
    if bias is None or scale is None:
        return None
    return float(scale.exp()), float(bias)


def _unit(vectors: torch.Tensor) -> NDArray[np.float32]:
    import torch

    unit: NDArray[np.float32] = torch.nn.functional.normalize(vectors.float(), dim=-1).cpu().numpy()
    return unit


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
