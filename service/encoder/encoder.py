"""Encoder: any open_clip model; texts and photographs to unit vectors of one space; its fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from service.encoder.runtimes import Towers
from service.encoder.runtimes.model_spec import ModelFacts
from service.encoder.tokenizer import Tokenize
from service.errors import UsageError
from service.types import Float32Array, UInt8Array

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from service.config import Settings
    from service.encoder.models import DownloadProgress

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
RUNTIMES = ("openvino", "torch")


class Encoder:
    """One CLIP on one device: photographs and texts in, L2-normalised float32 vectors out.

    Made by `Encoder.load`. `fingerprint` names architecture, weights, preprocessing and tokenizer; vectors
    of two encoders may be compared only where it is equal. `runtime`, `device`, `precision` (the photograph tower's)
    and `text_precision` change speed, not meaning, and are no part of it; int8 does change meaning a little, and what
    was quantised has a fingerprint of its own. `notice` is a sentence on why the runtime is
    not the quickest there might be, else None. Safe to use from several threads.
    """

    def __init__(
        self, name: str, facts: ModelFacts, tokenize: Tokenize, towers: Towers, notice: str | None = None
    ) -> None:
        self.name = name
        self.fingerprint = facts.fingerprint
        self.base_fingerprint = facts.base or facts.fingerprint
        """Of the model that this one was quantised from, whose match holds for it too; else `fingerprint`."""
        self.dimension = facts.dimension
        self.sigmoid = facts.sigmoid
        """Scale and bias of a model trained with the sigmoid loss (SigLIP), else None."""
        self.photograph_side = facts.preparation.side
        """Pixels of the tower's input; decode at least twice as many."""
        self.notice = notice
        self.towers = towers
        self._facts = facts
        self._tokenize = tokenize

    @property
    def features_fingerprint(self) -> str:
        """Names the pooled features, as `fingerprint` the vectors; the same where the tower has none of its own."""
        return features_fingerprint(self.fingerprint) if self._facts.features else self.fingerprint

    @property
    def runtime(self) -> str:
        """What computes the towers: "openvino" or "torch"."""
        return self.towers.runtime

    @property
    def device(self) -> str:
        """Where they are computed: cpu, cuda or mps."""
        return self.towers.device

    @property
    def precision(self) -> str:
        """Of the photograph tower: fp32, bf16, fp16 or int8."""
        return self.towers.precision

    @property
    def text_precision(self) -> str:
        """Of the text tower."""
        return self.towers.text_precision

    @property
    def batch_size(self) -> int:
        """Photographs at once with which the photograph tower is quick."""
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
        on_progress: Callable[[DownloadProgress], None] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> Encoder:
        """Load the model `name`: "mini", "ARCH/PRETRAINED", "hf-hub:ORG/NAME" or "local-dir:PATH".

        A model that is not on this machine is downloaded, with `on_progress` told about it. `device` is
        cuda, mps or cpu and by default the first of these that is there; `precision` is fp32, bf16, fp16 or int8 and
        by default for each tower the fastest that keeps the vectors (cosine with fp32 above 0.999). On a CPU
        `runtime` is openvino or torch, by default the first; a model is converted for openvino once and kept in the
        folder `cache` (None: the user's), with `say` told so in a sentence. Raises `UsageError` for an unknown name,
        device, precision or runtime, `HubError` where the download fails, `ModelError` for a broken model.
        """
        from service.encoder.models import parse_name
        from service.encoder.runtimes.loading import Wanted, load

        if precision is not None and precision not in PRECISIONS:
            raise UsageError(f"There is no precision “{precision}”; choose fp32, bf16, fp16 or int8.")
        if runtime is not None and runtime not in RUNTIMES:
            raise UsageError(f"There is no runtime “{runtime}”; choose openvino or torch.")
        wanted = Wanted(parse_name(name).text, device, precision, runtime, cache)
        loaded = load(wanted, timeout_s=timeout_s, on_progress=on_progress, say=say or _say_nothing)
        return cls(wanted.name, loaded.facts, loaded.tokenize, loaded.towers, loaded.notice)

    def encode_texts(self, texts: Sequence[str]) -> Float32Array:
        """Unit vectors (n, dimension), float32, of `texts`; what exceeds the context length is cut."""
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        return _unit(self.towers.texts(self._tokenize(texts)))

    def prepare(self, image: Image.Image) -> UInt8Array:
        """An upright RGB photograph as the tower's input: uint8 (height, width, 3). Needs no lock."""
        return self._facts.preparation(image)

    def encode_prepared(self, prepared: Sequence[UInt8Array]) -> Float32Array:
        """Unit vectors (n, dimension), float32, of what `prepare` gave."""
        if not prepared:
            return np.empty((0, self.dimension), np.float32)
        return _unit(self.towers.photographs(np.stack(prepared))[0])

    def encode_with_features(self, prepared: Sequence[UInt8Array]) -> tuple[Float32Array, Float32Array]:
        """Of what `prepare` gave, unit vectors (n, dimension) and pooled features (n, width), float32, of length 1.

        Features are what the tower has seen before its last projection; a tower without one has its vectors for
        features. One pass gives both.
        """
        outputs, pooled = self.towers.photographs(np.stack(prepared))
        vectors = _unit(outputs)
        return vectors, vectors if pooled is None else _unit(pooled)

    def encode_photographs(self, images: Sequence[Image.Image]) -> Float32Array:
        """Unit vectors (n, dimension), float32, of upright RGB photographs, as one batch."""
        return self.encode_prepared([self.prepare(image) for image in images])


def features_fingerprint(fingerprint: str) -> str:
    """What names the pooled features of the encoder with a fingerprint, where its tower has some of its own."""
    return f"{fingerprint}.features"


def load_encoder(
    name: str,
    settings: Settings,
    on_progress: Callable[[DownloadProgress], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Encoder:
    """The encoder `name` with the device, precision and runtime of `settings`; see `Encoder.load` for the errors."""
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
