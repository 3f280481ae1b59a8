"""What there is to know of a model beside its two towers, so that it can be used without loading its network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from service.encoder.preprocess import Preparation
from service.encoder.token_trimming import UsedTokens
from service.encoder.tokenizer import Reading


@dataclass(frozen=True)
class ModelFacts:
    """Facts of one model.

    `fingerprint` names what makes its vectors, which have `dimension` numbers; `features` says whether the photograph
    tower has pooled features of its own; `sigmoid` is scale and bias of a model trained with the sigmoid loss;
    `reading` is what a tokenizer file does not say, None where the model's tokenizer is no such file; `used` says at
    which tokens the text tower looks. `base` is the fingerprint of the model that this one was quantised from, if it
    was.
    """

    fingerprint: str
    dimension: int
    features: bool
    preparation: Preparation
    sigmoid: tuple[float, float] | None
    reading: Reading | None
    used: UsedTokens
    base: str | None = None

    def as_json(self) -> dict[str, Any]:
        """All fields, for `of`."""
        return asdict(self)

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> ModelFacts:
        """From what `as_json` gave; raises KeyError, TypeError or ValueError where it is something else."""
        sigmoid, reading = written["sigmoid"], written["reading"]
        base = written.get("base")
        return cls(
            fingerprint=str(written["fingerprint"]),
            dimension=int(written["dimension"]),
            features=bool(written["features"]),
            preparation=Preparation.of(written["preparation"]),
            sigmoid=None if sigmoid is None else (float(sigmoid[0]), float(sigmoid[1])),
            reading=None if reading is None else Reading(**reading),
            used=UsedTokens.read(written["used"]),
            base=None if base is None else str(base),
        )
