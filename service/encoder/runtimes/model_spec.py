"""All that is needed to use a model besides its two towers, so that its network need not be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from service.encoder.open_clip_model import fingerprint_of, preprocessing_of, sigmoid_of
from service.encoder.pooled_features import with_pooled_features
from service.encoder.preprocess import Preprocessing
from service.encoder.runtimes.probes import TEXTS
from service.encoder.token_trimming import TokenTrimming, trimming_of
from service.encoder.tokenizer import TokenizerConfig, save_tokenizer_file

_ODD_TEXTS = ("", "собака бежит", "un café à la crème", "夜の街", "R&amp;B  \t naïve …", "cat " * 300)
"""What a saved tokenizer is checked on besides `TEXTS`."""


@dataclass(frozen=True)
class ModelSpec:
    """Fingerprint, dimension, preprocessing and tokenizer settings of one model.

    Attributes:
        fingerprint: names everything that determines the vectors; see `open_clip_model.fingerprint_of`.
        dimension: length of a vector.
        has_features: whether the image tower has pooled features besides its embedding.
        preprocessing: how photographs become the image tower's input.
        sigmoid: scale and bias of a model trained with the sigmoid loss (SigLIP), else None.
        tokenizer: what the tokenizer's file does not say; None where the tokenizer is not such a file.
        trimming: which tokens the text tower needs.
        base: fingerprint of the model that this one was quantised from, else None.
    """

    fingerprint: str
    dimension: int
    has_features: bool
    preprocessing: Preprocessing
    sigmoid: tuple[float, float] | None
    tokenizer: TokenizerConfig | None
    trimming: TokenTrimming
    base: str | None = None

    @classmethod
    def of_network(
        cls, network: Any, tokenizer: Any, config: dict[str, Any], tokenizer_folder: Path | None = None
    ) -> ModelSpec:
        """The spec of an open_clip network on the CPU in float32; saves its tokenizer in a folder, where a file can."""
        saved = None
        if tokenizer_folder is not None:
            saved = save_tokenizer_file(tokenizer, tokenizer_folder, (*TEXTS, *_ODD_TEXTS))
        return cls(
            fingerprint=fingerprint_of(network, tokenizer, config),
            dimension=int(config["embed_dim"]),
            has_features=with_pooled_features(network.visual) is not None,
            preprocessing=Preprocessing.from_config(asdict(preprocessing_of(network))),
            sigmoid=sigmoid_of(network),
            tokenizer=saved,
            trimming=trimming_of(network),
        )

    def as_json(self) -> dict[str, Any]:
        """All fields under the names that they have on disk; `from_json` reads them."""
        return {
            "fingerprint": self.fingerprint,
            "dimension": self.dimension,
            "features": self.has_features,
            "preparation": self.preprocessing.as_json(),
            "sigmoid": self.sigmoid,
            "reading": None if self.tokenizer is None else asdict(self.tokenizer),
            "used": self.trimming.as_json(),
            "base": self.base,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ModelSpec:
        """Read what `as_json` gave; raises KeyError, TypeError or ValueError for anything else."""
        sigmoid, tokenizer, base = content["sigmoid"], content["reading"], content.get("base")
        return cls(
            fingerprint=str(content["fingerprint"]),
            dimension=int(content["dimension"]),
            has_features=bool(content["features"]),
            preprocessing=Preprocessing.from_config(content["preparation"]),
            sigmoid=None if sigmoid is None else (float(sigmoid[0]), float(sigmoid[1])),
            tokenizer=None if tokenizer is None else TokenizerConfig(**tokenizer),
            trimming=TokenTrimming.from_json(content["used"]),
            base=None if base is None else str(base),
        )
