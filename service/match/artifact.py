"""A fitted match and its files, `match.json` and `match.safetensors`, bound to one encoder.

The JSON holds the encoder's fingerprint, the calibration and what the match was fitted on; the arrays are the banks and
the weights of the features. The JSON holds a checksum of the arrays, and nothing is pickled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from service.errors import MismatchError, ModelError
from service.match.features import BANKS, FEATURES, Bank, HubnessCorrection, prepare
from service.match.query_features import QueryFeatures
from service.store.array_files import describe_error, read_arrays, write_arrays
from service.store.atomic import write_text
from service.types import AnyArray, Float32Array, Float64Array, Int8Array

VERSION = 2
MATCH_JSON = "match.json"
MATCH_ARRAYS = "match.safetensors"

QueryKind = Literal["text", "photograph"]


@dataclass(frozen=True, slots=True)
class Logistic:
    """Platt scaling, 1 / (1 + exp(−(slope · x + intercept))), with slope > 0."""

    slope: float
    intercept: float

    @classmethod
    def of(cls, facts: Mapping[str, float]) -> Logistic:
        """Reads what `as_json` gave; raises `ValueError` for a slope that is not positive or numbers not finite."""
        slope, intercept = float(facts["slope"]), float(facts["intercept"])
        if not (math.isfinite(slope) and math.isfinite(intercept) and slope > 0):
            raise ValueError(f"slope {slope} and intercept {intercept} are not valid")
        return cls(slope, intercept)

    def as_json(self) -> dict[str, float]:
        """For `of`."""
        return {"slope": self.slope, "intercept": self.intercept}

    def logit(self, x: AnyArray) -> Float64Array:
        """slope · x + intercept, float64 of the shape of `x`."""
        line: Float64Array = self.slope * x.astype(np.float64) + self.intercept
        return line

    def __call__(self, x: AnyArray) -> Float32Array:
        """Probabilities, float32 of the shape of `x`."""
        return sigmoid(self.logit(x))


@dataclass(frozen=True)
class FeatureModel:
    """A linear model of the logit of a match on the features of a text and a photograph.

    The features were fitted on texts like those of the bank and say little about others, so a text's nearness to the
    bank decides how much they count.

    Attributes:
        banks: from which the features are computed, in the order of BANKS.
        mean: of each feature, (len(FEATURES),) float64.
        deviation: standard deviation of each feature, (len(FEATURES),) float64.
        weights: of the columns of `design_matrix`, (2 · len(FEATURES),) float64.
        intercept: of the logit.
        far: up to this nearness only the cosine counts.
        near: from this nearness on only the features count.
    """

    banks: tuple[Bank, ...]
    mean: Float64Array
    deviation: Float64Array
    weights: Float64Array
    intercept: float
    far: float
    near: float

    @cached_property
    def query_features(self) -> QueryFeatures:
        """Computes the features of one text with many photographs."""
        return QueryFeatures(self.banks)

    def logits(self, design: Float64Array) -> Float64Array:
        """Logits (n,) of rows of `design_matrix`."""
        line: Float64Array = design @ self.weights + self.intercept
        return line

    def design_matrix(self, features: Float32Array) -> Float64Array:
        """The columns (n, 2 · len(FEATURES)) to which `weights` apply, of features (n, len(FEATURES))."""
        return design_matrix(features, self.mean, self.deviation)

    def feature_weight(self, nearness: Float32Array) -> Float64Array:
        """How much the features count against the cosine for texts of this nearness, 0 to 1."""
        return np.clip((nearness.astype(np.float64) - self.far) / (self.near - self.far), 0.0, 1.0)


@dataclass(frozen=True)
class TextMatch:
    """The match of texts with photographs.

    Attributes:
        plain: calibrates the cosine alone, corrected by `hubness` if that is given.
        agreement: maps the logit of a match to the probability that a person says yes to “does this text describe this
            photograph?”, a stricter question than a grade.
        feature_model: the match by features, if they were fitted.
        hubness: subtracts the photograph's nearness to everyday texts from the cosine.
    """

    plain: Logistic
    agreement: Logistic
    feature_model: FeatureModel | None = None
    hubness: HubnessCorrection | None = None

    @property
    def reorders(self) -> bool:
        """Whether matches may rank photographs differently from the cosine."""
        return self.feature_model is not None or self.hubness is not None

    def logits(self, query: Float32Array, photographs: Float32Array) -> Float64Array:
        """Logits (n,) of the match of a text (dimension,) with photographs (n, dimension), unit vectors."""
        model = self.feature_model
        if model is None:
            return self._plain_logits(query, photographs)
        text = prepare(query[None], model.banks)
        weight = float(model.feature_weight(text.nearness)[0])
        if weight == 0.0 or not len(photographs):
            return self._plain_logits(query, photographs)
        features = model.query_features.measure(text, photographs)
        logits = model.logits(model.design_matrix(features))
        if weight == 1.0:
            return logits
        return weight * logits + (1.0 - weight) * self._plain_logits(query, photographs)

    def _plain_logits(self, query: Float32Array, photographs: Float32Array) -> Float64Array:
        similarity = photographs @ query
        if self.hubness is not None:
            similarity = self.hubness.correct(similarity, photographs)
        return self.plain.logit(similarity)


@dataclass(frozen=True)
class ScorerArtifact:
    """A fitted match, the encoder it belongs to and what it was fitted on.

    Attributes:
        fingerprint: of the encoder.
        text: the match of texts with photographs.
        photograph: the match of photographs with photographs; None if no ratings of such pairs were given.
        min_match: the default threshold of a search.
        trained_on: description of the ratings.
        figures: metrics of the fit.
        precision: (1 + weights, 1 + weights), precision matrix of intercept and weights of the feature model, for a
            later fit that adds ratings; None if unknown.
        plain_precision: (2, 2), the same for intercept and slope of `text.plain`.
    """

    fingerprint: str
    text: TextMatch
    photograph: Logistic | None
    min_match: float = 0.0
    trained_on: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    precision: Float64Array | None = None
    plain_precision: Float64Array | None = None

    @classmethod
    def load(cls, folder: Path, fingerprint: str, *also: str) -> ScorerArtifact:
        """Reads the match in `folder`, made for the encoder with `fingerprint` or one of the fingerprints `also`.

        Raises `MismatchError` for a match of another encoder, `ModelError` for one that cannot be read.
        """
        file = folder / MATCH_JSON
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
            version, owner = facts["version"], str(facts["fingerprint"])
            if version == VERSION and owner in (fingerprint, *also):
                return cls._of(facts, folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"The match {file} cannot be read ({describe_error(error)}). Restore {MATCH_JSON} and {MATCH_ARRAYS} "
                "from a copy, fit the match again with `smysl train scorer`, or remove both files to use a match "
                "without ratings."
            ) from None
        if version != VERSION:
            raise ModelError(
                f"The match {file} has version {version}, this smysl reads {VERSION}. Fit it again with "
                "`smysl train scorer`, or remove it to use a match without ratings."
            )
        raise MismatchError(
            f"The match {file} belongs to the model with the fingerprint {owner}, not to {fingerprint}. Fit it again "
            "for this model with `smysl train scorer`, or remove it to use a match without ratings."
        )

    @classmethod
    def _of(cls, facts: dict[str, Any], folder: Path) -> ScorerArtifact:
        feature_model, precision, hubness = None, None, None
        arrays = read_arrays(folder / MATCH_ARRAYS, facts["checksum"]) if facts["checksum"] else {}
        if facts["features"]:
            if tuple(facts["features"]) != FEATURES:
                raise ValueError("it was fitted on other features than this version measures")
            feature_model = _feature_model(facts, arrays)
            precision = arrays["precision"].astype(np.float64) if "precision" in arrays else None
        if "everyday centre" in arrays:
            hubness = HubnessCorrection(
                arrays["everyday centre"].astype(np.float32), arrays["everyday spread"].astype(np.float32)
            )
        min_match = float(facts["min_match"])
        if not 0.0 <= min_match <= 1.0:
            raise ValueError(f"min_match {min_match} is not from 0 to 1")
        return cls(
            fingerprint=facts["fingerprint"],
            text=TextMatch(Logistic.of(facts["plain"]), Logistic.of(facts["agreement"]), feature_model, hubness),
            photograph=None if facts["photograph"] is None else Logistic.of(facts["photograph"]),
            min_match=min_match,
            trained_on=str(facts["trained_on"]),
            figures=facts["figures"],
            precision=precision,
            plain_precision=_square(facts["plain_precision"]),
        )

    def save(self, folder: Path) -> None:
        """Writes both files, the arrays first, so that after a crash `load` refuses a mix of old and new."""
        feature_model = self.text.feature_model
        facts: dict[str, Any] = {
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "trained_on": self.trained_on,
            "min_match": self.min_match,
            "plain": self.text.plain.as_json(),
            "agreement": self.text.agreement.as_json(),
            "photograph": None if self.photograph is None else self.photograph.as_json(),
            "plain_precision": None if self.plain_precision is None else self.plain_precision.tolist(),
            "features": [],
            "checksum": "",
        }
        folder.mkdir(parents=True, exist_ok=True)
        if feature_model is not None:
            facts |= {
                "features": list(FEATURES),
                "intercept": feature_model.intercept,
                "far": feature_model.far,
                "near": feature_model.near,
            }
        arrays = self._arrays()
        if arrays:
            facts["checksum"] = write_arrays(folder / MATCH_ARRAYS, arrays)
        write_text(folder / MATCH_JSON, json.dumps(facts | {"figures": dict(self.figures)}, indent=1) + "\n")
        if not arrays:
            (folder / MATCH_ARRAYS).unlink(missing_ok=True)

    def _arrays(self) -> dict[str, AnyArray]:
        arrays: dict[str, AnyArray] = {}
        feature_model, hubness = self.text.feature_model, self.text.hubness
        if feature_model is not None:
            for name, bank in zip(BANKS, feature_model.banks, strict=True):
                arrays |= {name: _to_int8(bank.vectors), f"{name} counts": bank.counts.astype(np.float32)}
            arrays |= {
                "mean": feature_model.mean,
                "deviation": feature_model.deviation,
                "weights": feature_model.weights,
            }
            if self.precision is not None:
                arrays["precision"] = self.precision.astype(np.float32)
        if hubness is not None:
            arrays |= {
                "everyday centre": hubness.centre.astype(np.float16),
                "everyday spread": hubness.spread.astype(np.float16),
            }
        return arrays


def swap_match(folder: Path, old: str, new: str) -> None:
    """Renames the match in `folder` after the fingerprint `old`, and restores the one named after `new`, if any.

    So a library's own match comes and goes with its model.
    """
    for name in (MATCH_ARRAYS, MATCH_JSON):
        file, renamed, restored = folder / name, folder / f"{old}-{name}", folder / f"{new}-{name}"
        if file.is_file():
            file.replace(renamed)
        if restored.is_file():
            restored.replace(file)


def design_matrix(features: Float32Array, mean: Float64Array, deviation: Float64Array) -> Float64Array:
    """Standardised features (n, f), and these times the first, the cosine: (n, 2f).

    The second half lets features weigh differently where the cosine is high.
    """
    scaled = (features - mean) / deviation
    return np.concatenate([scaled, scaled * scaled[:, :1]], axis=1)


def sigmoid(logits: Float64Array) -> Float32Array:
    """1 / (1 + exp(−x)) as float32, for any x."""
    return (1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0)))).astype(np.float32)


def quantised(vectors: Float32Array) -> Float32Array:
    """Unit vectors as they are read back from a file, which holds int8."""
    return _from_int8(_to_int8(vectors))


def _to_int8(vectors: Float32Array) -> Int8Array:
    """Each vector scaled so that its largest absolute number is 127."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled: Int8Array = np.round(vectors * (127.0 / largest)).astype(np.int8)
    return scaled


def _from_int8(scaled: Int8Array) -> Float32Array:
    vectors = scaled.astype(np.float32)
    unit: Float32Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _feature_model(facts: dict[str, Any], arrays: dict[str, AnyArray]) -> FeatureModel:
    count = len(FEATURES)
    for name, length in {"mean": count, "deviation": count, "weights": 2 * count}.items():
        if arrays[name].shape != (length,):
            raise ValueError(f"{name} has the shape {arrays[name].shape}, not ({length},)")
    near, far, intercept = (float(facts[name]) for name in ("near", "far", "intercept"))
    if not (near > far and math.isfinite(intercept) and (arrays["deviation"] > 0).all()):
        raise ValueError("its intercept, far, near or deviation is not valid")
    banks = tuple(Bank(_from_int8(arrays[name]), arrays[f"{name} counts"]) for name in BANKS)
    return FeatureModel(
        banks=banks,
        mean=arrays["mean"].astype(np.float64),
        deviation=arrays["deviation"].astype(np.float64),
        weights=arrays["weights"].astype(np.float64),
        intercept=intercept,
        far=far,
        near=near,
    )


def _square(rows: list[list[float]] | None) -> Float64Array | None:
    if rows is None:
        return None
    square = np.array(rows, np.float64)
    if square.shape != (2, 2) or not np.isfinite(square).all():
        raise ValueError("its plain_precision is not two by two finite numbers")
    return square
