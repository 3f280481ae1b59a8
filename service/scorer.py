"""From similarity to match: a number from 0 to 1 that means the same for every query.

A model's folder may carry `match.json`, a map fitted on people's ratings and bound to the encoder's
fingerprint. A model without one falls back to what it can say by itself: the probability of its own
sigmoid loss (SigLIP), or how far a similarity stands out of those of the library's photographs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from service.errors import MismatchError, ModelError

if TYPE_CHECKING:
    from service.encoder import Encoder

QueryKind = Literal["text", "photograph"]
Calibration = Literal["ratings", "sigmoid", "background"]

_VERSION = 1


class Encoded(Protocol):
    """What the scorer needs to know of an encoder."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def fingerprint(self) -> str:
        """Names the weights and everything else that makes a vector."""

    @property
    def sigmoid(self) -> tuple[float, float] | None:
        """Scale and bias of a model trained with the sigmoid loss."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """match = 1 / (1 + exp(-(slope * similarity + intercept))); monotone, since slope > 0."""

    slope: float
    intercept: float

    def __call__(self, similarity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map similarities of any shape to matches of that shape, float32 in [0, 1]."""
        exponent = np.clip(self.slope * similarity.astype(np.float64) + self.intercept, -500.0, 500.0)
        return (1.0 / (1.0 + np.exp(-exponent))).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ScorerArtifact:
    """A fitted match: one map for text queries, one for photograph queries, and what they belong to."""

    fingerprint: str
    text: Logistic
    photograph: Logistic

    @classmethod
    def load(cls, file: Path, fingerprint: str) -> ScorerArtifact:
        """Read `match.json`; raises `MismatchError` for another encoder's, `ModelError` for a broken one."""
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
            if facts["version"] != _VERSION:
                raise ModelError(f"The match {file} has version {facts['version']}, this smysl reads {_VERSION}.")
            artifact = cls(facts["fingerprint"], _logistic(facts), _logistic(facts["photograph"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"The match {file} cannot be read ({error!r}). Restore the file from a copy of the model, or remove "
                "it to use a match without ratings."
            ) from None
        if artifact.fingerprint != fingerprint:
            raise MismatchError(
                f"The match {file} belongs to the model with the fingerprint {artifact.fingerprint}, not to "
                f"{fingerprint}. Fit it again for this model, or remove it to use a match without ratings."
            )
        return artifact


class Scorer:
    """Turns similarities into matches for one encoder.

    `background` is a sample (n, dimension) of unit vectors of the library's photographs; only a model
    without ratings needs it.
    """

    def __init__(self, encoder: Encoded, artifact: ScorerArtifact | None, background: NDArray[np.float32]) -> None:
        self._artifact = artifact
        self._sigmoid = encoder.sigmoid
        self._background = background

    def calibration(self, kind: QueryKind) -> Calibration:
        """Where the match for queries of this kind comes from."""
        if self._artifact is not None:
            return "ratings"
        return "sigmoid" if self._sigmoid is not None and kind == "text" else "background"

    def match(
        self, query: NDArray[np.float32], similarities: NDArray[np.float32], kind: QueryKind
    ) -> NDArray[np.float32]:
        """Matches (n,), float32 in [0, 1], of candidates with these similarities (n,) to `query` (dimension,)."""
        if self._artifact is not None:
            return (self._artifact.text if kind == "text" else self._artifact.photograph)(similarities)
        if self._sigmoid is not None and kind == "text":
            return Logistic(*self._sigmoid)(similarities)
        return _against_background(self._background @ query)(similarities)


def artifact_of(encoder: Encoded, folder: Path | None) -> ScorerArtifact | None:
    """The match that a model's folder carries, or None where there is no folder or no match in it."""
    if folder is None or not (folder / "match.json").is_file():
        return None
    return ScorerArtifact.load(folder / "match.json", encoder.fingerprint)


def load_scorer(encoder: Encoder, background: NDArray[np.float32] | None = None) -> Scorer:
    """The scorer for an encoder: the ratings' match that its folder carries, or one without ratings.

    `background` is a sample (n, dimension) of a library's vectors; None where there is no library.
    """
    from service.models import parse_name

    if background is None:
        background = np.empty((0, encoder.dimension), np.float32)
    return Scorer(encoder, artifact_of(encoder, parse_name(encoder.name).folder), background)


def _logistic(facts: dict[str, float]) -> Logistic:
    slope, intercept = float(facts["slope"]), float(facts["intercept"])
    if not (np.isfinite(slope) and np.isfinite(intercept) and slope > 0):
        raise ValueError(f"slope {slope} and intercept {intercept} are no rising map")
    return Logistic(slope, intercept)


def _against_background(similarities: NDArray[np.float32]) -> Logistic:
    """A map that calls a similarity even (0.5) where it stands three standard deviations out.

    Among photographs that have nothing to do with a query, cosines are nearly normal, and one in 740 lies
    beyond three deviations; the steepness makes two deviations 0.1 and four 0.9.
    """
    mean, deviation = (float(similarities.mean()), float(similarities.std())) if len(similarities) > 1 else (0.2, 0.03)
    slope = float(np.log(9.0)) / max(deviation, 0.01)
    return Logistic(slope, -slope * (mean + 3.0 * max(deviation, 0.01)))
