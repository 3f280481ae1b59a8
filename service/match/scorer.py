"""Calibration: turns a similarity into a match, a number from 0 to 1 that means the same for every query.

A library or a model's folder may hold a match fitted on people's ratings for this encoder (`service.match.artifact`).
Without one, the match is the probability of the model's own sigmoid loss (SigLIP), or else says how far a similarity
stands out from those of the library's photographs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from service.compute.blas_threads import one_thread
from service.match.artifact import MATCH_JSON, Logistic, QueryKind, ScorerArtifact, sigmoid
from service.types import Float32Array

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

CalibrationSource = Literal["ratings", "sigmoid", "background", "head"]


class Matcher(Protocol):
    """What a search needs to compute matches: a `Scorer`, or that of a head (`service.heads.target`)."""

    @property
    def min_match(self) -> float:
        """The default threshold for texts."""

    def calibration(self, kind: QueryKind) -> CalibrationSource:
        """On what the match for queries of this kind is based."""

    def reorders(self, kind: QueryKind) -> bool:
        """Whether matches may rank photographs differently from similarities."""

    def match(self, query: Float32Array, photographs: Float32Array, kind: QueryKind) -> Float32Array:
        """Matches (n,), float32 in [0, 1], of photographs (n, dimension) with `query` (dimension,); unit vectors."""


class EncoderInfo(Protocol):
    """What the scorer needs to know about an encoder."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def fingerprint(self) -> str:
        """Hash of the weights and everything else on which a vector depends."""

    @property
    def base_fingerprint(self) -> str:
        """The fingerprint of the model that this one was quantised from, else its own."""

    @property
    def sigmoid(self) -> tuple[float, float] | None:
        """Scale and bias of a model trained with the sigmoid loss, else None."""


class Scorer:
    """Turns similarities into matches for one encoder.

    `background` is a sample (n, dimension) of unit vectors of the library's photographs, used only without an artifact.
    """

    def __init__(self, encoder: EncoderInfo, artifact: ScorerArtifact | None, background: Float32Array) -> None:
        self._artifact = artifact
        self._sigmoid = encoder.sigmoid
        self._background = background

    def calibration(self, kind: QueryKind) -> CalibrationSource:
        """On what the match for queries of this kind is based."""
        if self._artifact is not None and (kind == "text" or self._artifact.photograph is not None):
            return "ratings"
        return "sigmoid" if self._sigmoid is not None and kind == "text" else "background"

    @property
    def min_match(self) -> float:
        """The default threshold for texts; 0 without an artifact."""
        return self._artifact.min_match if self._artifact is not None else 0.0

    @property
    def trained_on(self) -> str | None:
        """Which ratings the match was fitted on; None without an artifact."""
        return self._artifact.trained_on if self._artifact is not None else None

    def reorders(self, kind: QueryKind) -> bool:
        """Whether matches may rank photographs differently from similarities."""
        return kind == "text" and self._artifact is not None and self._artifact.text.reorders

    def match(self, query: Float32Array, photographs: Float32Array, kind: QueryKind) -> Float32Array:
        """Matches (n,), float32 in [0, 1], of photographs (n, dimension) with `query` (dimension,); unit vectors."""
        with one_thread():
            if self._artifact is not None and kind == "text":
                return sigmoid(self._artifact.text.logits(query, photographs))
            return self._calibration_of(query, kind)(photographs @ query)

    def _calibration_of(self, query: Float32Array, kind: QueryKind) -> Logistic:
        if self._artifact is not None and self._artifact.photograph is not None:
            return self._artifact.photograph
        if self._sigmoid is not None and kind == "text":
            return Logistic(*self._sigmoid)
        return _against_background(self._background @ query)


def find_artifact(encoder: EncoderInfo, *folders: Path | None) -> ScorerArtifact | None:
    """The match in the first of the folders that has one, or None."""
    for folder in folders:
        if folder is not None and (folder / MATCH_JSON).is_file():
            # A quantised model has almost the cosines of its base model, or it would have been rejected.
            return ScorerArtifact.load(folder, encoder.fingerprint, encoder.base_fingerprint)
    return None


def load_scorer(encoder: Encoder, background: Float32Array | None = None, library: Path | None = None) -> Scorer:
    """The scorer for an encoder, with the match of the library, or that of the model, or no artifact.

    Args:
        encoder: loaded.
        background: sample (n, dimension) of a library's vectors, or None without a library.
        library: the library's folder, or None.

    Raises:
        MismatchError: the match belongs to another encoder.
        ModelError: the match cannot be read.
    """
    from service.encoder.models import parse_name

    if background is None:
        background = np.empty((0, encoder.dimension), np.float32)
    return Scorer(encoder, find_artifact(encoder, library, parse_name(encoder.name).folder), background)


def _against_background(similarities: Float32Array) -> Logistic:
    """A calibration to a match of 0.1, 0.5 and 0.9 at two, three and four standard deviations above the mean.

    The cosines of photographs that have nothing to do with a query are nearly normal; one in 740 lies beyond three
    standard deviations.
    """
    mean, deviation = (float(similarities.mean()), float(similarities.std())) if len(similarities) > 1 else (0.2, 0.03)
    slope = float(np.log(9.0)) / max(deviation, 0.01)
    return Logistic(slope, -slope * (mean + 3.0 * max(deviation, 0.01)))
