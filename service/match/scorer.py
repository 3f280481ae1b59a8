"""From similarity to match: a number from 0 to 1 that means the same for every query.

A library, or a model's folder, may carry a match fitted on people's ratings and bound to the encoder's
fingerprint (`service/match/artifact.py`). A model without one falls back to what it can say by itself: the
probability of its own sigmoid loss (SigLIP), or how far a similarity stands out of those of the library's
photographs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from service.compute.blas_threads import one_thread
from service.match.artifact import FACTS, Logistic, QueryKind, ScorerArtifact, squash
from service.types import Float32Array

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

CalibrationSource = Literal["ratings", "sigmoid", "background", "head"]


class Matching(Protocol):
    """What a search needs of whatever makes matches: `Scorer`, or a head (`service.heads.registry`)."""

    @property
    def min_match(self) -> float:
        """The cut for texts where nobody asks for another."""

    def calibration(self, kind: QueryKind) -> CalibrationSource:
        """Where the match for queries of this kind comes from."""

    def reorders(self, kind: QueryKind) -> bool:
        """Whether matches may order photographs in another way than similarities do."""

    def match(self, query: Float32Array, photographs: Float32Array, kind: QueryKind) -> Float32Array:
        """Matches (n,), float32 in [0, 1], of photographs (n, dimension) with `query` (dimension,); unit vectors."""


class Encoded(Protocol):
    """What the scorer needs to know of an encoder."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def fingerprint(self) -> str:
        """Names the weights and everything else that makes a vector."""

    @property
    def base_fingerprint(self) -> str:
        """Of the model that this one was quantised from; else `fingerprint`."""

    @property
    def sigmoid(self) -> tuple[float, float] | None:
        """Scale and bias of a model trained with the sigmoid loss."""


class Scorer:
    """Turns similarities into matches for one encoder.

    `background` is a sample (n, dimension) of unit vectors of the library's photographs; only a model
    without ratings needs it.
    """

    def __init__(self, encoder: Encoded, artifact: ScorerArtifact | None, background: Float32Array) -> None:
        self._artifact = artifact
        self._sigmoid = encoder.sigmoid
        self._background = background

    def calibration(self, kind: QueryKind) -> CalibrationSource:
        """Where the match for queries of this kind comes from."""
        if self._artifact is not None and (kind == "text" or self._artifact.photograph is not None):
            return "ratings"
        return "sigmoid" if self._sigmoid is not None and kind == "text" else "background"

    @property
    def min_match(self) -> float:
        """The cut for texts where nobody asks for another; 0 keeps everything."""
        return self._artifact.min_match if self._artifact is not None else 0.0

    @property
    def trained_on(self) -> str | None:
        """Which ratings the match was fitted on; None without ratings."""
        return self._artifact.trained_on if self._artifact is not None else None

    def reorders(self, kind: QueryKind) -> bool:
        """Whether matches may order photographs in another way than similarities do."""
        return kind == "text" and self._artifact is not None and self._artifact.text.reorders

    def match(self, query: Float32Array, photographs: Float32Array, kind: QueryKind) -> Float32Array:
        """Matches (n,), float32 in [0, 1], of photographs (n, dimension) with `query` (dimension,); unit vectors."""
        with one_thread():
            if self._artifact is not None and kind == "text":
                return squash(self._artifact.text.logits(query, photographs))
            return self._of_similarity(query, kind)(photographs @ query)

    def _of_similarity(self, query: Float32Array, kind: QueryKind) -> Logistic:
        if self._artifact is not None and self._artifact.photograph is not None:
            return self._artifact.photograph
        if self._sigmoid is not None and kind == "text":
            return Logistic(*self._sigmoid)
        return _against_background(self._background @ query)


def artifact_of(encoder: Encoded, *folders: Path | None) -> ScorerArtifact | None:
    """The match that the first of some folders with one carries, or None."""
    for folder in folders:
        if folder is not None and (folder / FACTS).is_file():
            # What was quantised has cosines that hardly differ, or it would not have been kept.
            return ScorerArtifact.load(folder, encoder.fingerprint, encoder.base_fingerprint)
    return None


def load_scorer(encoder: Encoder, background: Float32Array | None = None, library: Path | None = None) -> Scorer:
    """The scorer for an encoder: the match fitted for a library, the one that the model's folder carries, or one
    without ratings.

    `background` is a sample (n, dimension) of a library's vectors, `library` its folder; None where there is no
    library. Raises `MismatchError` and `ModelError` as `ScorerArtifact.load` does.
    """
    from service.encoder.models import parse_name

    if background is None:
        background = np.empty((0, encoder.dimension), np.float32)
    return Scorer(encoder, artifact_of(encoder, library, parse_name(encoder.name).folder), background)


def _against_background(similarities: Float32Array) -> Logistic:
    """A map that calls a similarity even (0.5) where it stands three standard deviations out.

    Among photographs that have nothing to do with a query, cosines are nearly normal, and one in 740 lies
    beyond three deviations; the steepness makes two deviations 0.1 and four 0.9.
    """
    mean, deviation = (float(similarities.mean()), float(similarities.std())) if len(similarities) > 1 else (0.2, 0.03)
    slope = float(np.log(9.0)) / max(deviation, 0.01)
    return Logistic(slope, -slope * (mean + 3.0 * max(deviation, 0.01)))
