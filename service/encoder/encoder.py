"""Encoder: any open_clip model, from texts and photographs to unit vectors of one embedding space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from service.errors import UsageError
from service.types import Float32Array, Say, UInt8Array

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from service.config import Settings
    from service.encoder.models import OnDownload
    from service.encoder.runtimes.model_spec import ModelSpec
    from service.encoder.runtimes.towers import Towers
    from service.encoder.tokenizer import Tokenizer

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
RUNTIMES = ("openvino", "torch")


class Encoder:
    """One CLIP on one device: photographs and texts in, L2-normalised float32 vectors out.

    Made by `Encoder.load`. `fingerprint` identifies architecture, weights, preprocessing and tokenizer; vectors of two
    encoders may be compared only where it is equal. `runtime`, `device`, `precision` and `text_precision` change
    speed and rounding only and are no part of it; int8 changes vectors a little more, so a quantised model has a
    fingerprint of its own. Safe to use from several threads.
    """

    def __init__(
        self, name: str, spec: ModelSpec, tokenizer: Tokenizer, towers: Towers, notice: str | None = None
    ) -> None:
        self.name = name
        self.fingerprint = spec.fingerprint
        self.base_fingerprint = spec.base or spec.fingerprint
        """Fingerprint of the model that this one was quantised from, whose scorer fits both; else `fingerprint`."""
        self.dimension = spec.dimension
        self.sigmoid = spec.sigmoid
        """Scale and bias of a model trained with the sigmoid loss (SigLIP), else None."""
        self.photograph_side = spec.preprocessing.side
        """Longer side of the image tower's input in pixels; decode photographs to at least twice that."""
        self.notice = notice
        """A sentence on why the runtime is slower than it could be, else None."""
        self.towers = towers
        self._spec = spec
        self._tokenizer = tokenizer

    @property
    def features_fingerprint(self) -> str:
        """Identifies the pooled features; equal to `fingerprint` where the tower has none besides its vectors."""
        return features_fingerprint(self.fingerprint) if self._spec.has_features else self.fingerprint

    @property
    def runtime(self) -> str:
        """What computes the towers, "openvino" or "torch"."""
        return self.towers.runtime

    @property
    def device(self) -> str:
        """cpu, cuda or mps."""
        return self.towers.device

    @property
    def precision(self) -> str:
        """Precision of the image tower: fp32, bf16, fp16 or int8."""
        return self.towers.precision

    @property
    def text_precision(self) -> str:
        """Precision of the text tower."""
        return self.towers.text_precision

    @property
    def batch_size(self) -> int:
        """Photographs per batch that the image tower computes fast."""
        return self.towers.batch_size

    @classmethod
    def load(
        cls,
        name: str,
        *,
        device: str | None = None,
        precision: str | None = None,
        runtime: str | None = None,
        cache: Path | None = None,
        timeout_s: float = 5.0,
        on_progress: OnDownload | None = None,
        say: Say | None = None,
    ) -> Encoder:
        """Load a model; download it first where it is not on this machine.

        Args:
            name: "mini", "ARCH/PRETRAINED", "hf-hub:ORG/NAME" or "local-dir:PATH".
            device: cuda, mps or cpu; by default the first of these that is available.
            precision: fp32, bf16, fp16 or int8; by default, for each tower, the fastest that keeps the vectors (cosine
                with fp32 above 0.999).
            runtime: openvino or torch on a CPU; by default openvino, for which a model is converted once.
            cache: folder of converted models; by default the user's.
            timeout_s: seconds that the model hub may take to answer.
            on_progress: follows a download.
            say: called with a sentence before a conversion.

        Raises:
            UsageError: unknown name, device, precision or runtime.
            HubError: the download fails.
            ModelError: the model is broken.
        """
        from service.encoder.models import parse_name
        from service.encoder.runtimes.loading import LoadOptions, load_model

        if precision is not None and precision not in PRECISIONS:
            raise UsageError(f"There is no precision “{precision}”; choose fp32, bf16, fp16 or int8.")
        if runtime is not None and runtime not in RUNTIMES:
            raise UsageError(f"There is no runtime “{runtime}”; choose openvino or torch.")
        options = LoadOptions(parse_name(name).text, device, precision, runtime, cache)
        loaded = load_model(options, timeout_s=timeout_s, on_progress=on_progress, say=say or _say_nothing)
        return cls(options.name, loaded.spec, loaded.tokenizer, loaded.towers, loaded.notice)

    def encode_texts(self, texts: Sequence[str]) -> Float32Array:
        """Unit vectors (n, dimension), float32, of `texts`, each truncated to the context length."""
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        return _unit(self.towers.encode_tokens(self._tokenizer(texts)))

    def prepare(self, image: Image.Image) -> UInt8Array:
        """Preprocess an upright RGB photograph to the image tower's input: uint8 (height, width, 3)."""
        return self._spec.preprocessing(image)

    def encode_prepared(self, prepared: Sequence[UInt8Array]) -> Float32Array:
        """Unit vectors (n, dimension), float32, of photographs from `prepare`."""
        if not prepared:
            return np.empty((0, self.dimension), np.float32)
        return _unit(self.towers.encode_pixels(np.stack(prepared))[0])

    def encode_with_features(self, prepared: Sequence[UInt8Array]) -> tuple[Float32Array, Float32Array]:
        """Unit vectors (n, dimension) and pooled features (n, width) of photographs from `prepare`, in one pass.

        Both are float32 and L2-normalised. A tower without pooled features has its vectors for features.
        """
        embeddings, features = self.towers.encode_pixels(np.stack(prepared))
        vectors = _unit(embeddings)
        return vectors, vectors if features is None else _unit(features)

    def encode_photographs(self, images: Sequence[Image.Image]) -> Float32Array:
        """Unit vectors (n, dimension), float32, of upright RGB photographs, as one batch."""
        return self.encode_prepared([self.prepare(image) for image in images])


def features_fingerprint(fingerprint: str) -> str:
    """The fingerprint of the pooled features of the encoder with a fingerprint."""
    return f"{fingerprint}.features"


def load_encoder(
    name: str,
    settings: Settings,
    on_progress: OnDownload | None = None,
    say: Say | None = None,
) -> Encoder:
    """Load an encoder with the device, precision and runtime of `settings`; see `Encoder.load` for the errors."""
    return Encoder.load(
        name,
        device=settings.device,
        precision=settings.precision,
        runtime=settings.runtime,
        cache=settings.cache,
        timeout_s=settings.hub_timeout_s,
        on_progress=on_progress,
        say=say,
    )


def _unit(vectors: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Float32Array = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit


def _say_nothing(sentence: str) -> None:
    return None
