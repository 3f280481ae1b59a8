"""What a fitted match is in files: `match.json` and `match.safetensors`, bound to one encoder.

The JSON says whose match it is, how it is calibrated and what it was fitted on; the arrays are the banks of
typical texts and photographs and the weights of the features. Nothing is unpickled, and arrays that are not
those that the JSON was written with are refused by their checksum.
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
from service.match.features import BANKS, FEATURES, Bank, Everyday, side
from service.match.query_features import OneText
from service.store.array_files import describe_error, read_arrays, write_arrays
from service.store.atomic import write_text
from service.types import AnyArray, Float32Array, Float64Array, Int8Array

VERSION = 2
FACTS = "match.json"
ARRAYS = "match.safetensors"

QueryKind = Literal["text", "photograph"]


@dataclass(frozen=True, slots=True)
class Logistic:
    """1 / (1 + exp(−(slope · x + intercept))); rising, since slope > 0."""

    slope: float
    intercept: float

    @classmethod
    def of(cls, facts: Mapping[str, float]) -> Logistic:
        """Read from a file's JSON; raises `ValueError` where it does not rise."""
        slope, intercept = float(facts["slope"]), float(facts["intercept"])
        if not (math.isfinite(slope) and math.isfinite(intercept) and slope > 0):
            raise ValueError(f"slope {slope} and intercept {intercept} are no rising map")
        return cls(slope, intercept)

    def facts(self) -> dict[str, float]:
        """What `of` reads."""
        return {"slope": self.slope, "intercept": self.intercept}

    def logit(self, x: AnyArray) -> Float64Array:
        """What the exponential is taken of, float64 of the shape of `x`."""
        line: Float64Array = self.slope * x.astype(np.float64) + self.intercept
        return line

    def __call__(self, x: AnyArray) -> Float32Array:
        """Numbers of any shape to [0, 1], float32."""
        return squash(self.logit(x))


@dataclass(frozen=True)
class Interaction:
    """A linear map of the features of a text and a photograph to the logit of a match.

    Features are standardised by `mean` and `deviation`, (len(FEATURES),) float64, and stand a second time
    multiplied by the cosine, since they weigh otherwise where it is high; `weights` are (2 · len(FEATURES),). A
    text whose nearness to the bank of texts is at most `far` is left to the cosine alone, one of at least `near`
    to the features alone: they were fitted on texts like those of the bank and say little about others.
    """

    banks: tuple[Bank, ...]
    mean: Float64Array
    deviation: Float64Array
    weights: Float64Array
    intercept: float
    far: float
    near: float

    @cached_property
    def one_text(self) -> OneText:
        """What measures one text with many photographs, for a search."""
        return OneText(self.banks)

    def logits(self, standard: Float64Array) -> Float64Array:
        """Logits (n,) of what `standard` gives."""
        line: Float64Array = standard @ self.weights + self.intercept
        return line

    def standard(self, measured: Float32Array) -> Float64Array:
        """Features (n, len(FEATURES)) as what weights are for, (n, 2 · len(FEATURES)); the first is the cosine."""
        return standardised(measured, self.mean, self.deviation)

    def share(self, nearness: Float32Array) -> Float64Array:
        """How much the features count for texts of this nearness, 0 to 1."""
        return np.clip((nearness.astype(np.float64) - self.far) / (self.near - self.far), 0.0, 1.0)


@dataclass(frozen=True)
class TextMatch:
    """The match of texts with photographs: by the cosine alone, and by features where there are any.

    `plain` is of the cosine, less the photograph's nearness to `everyday` words where these are known.
    `agreement` maps the logit of a match to the probability that a person says yes to “does this text
    describe this photograph?”, which is a stricter question than a grade.
    """

    plain: Logistic
    agreement: Logistic
    interaction: Interaction | None = None
    everyday: Everyday | None = None

    @property
    def reorders(self) -> bool:
        """Whether more than the cosine decides."""
        return self.interaction is not None or self.everyday is not None

    def logits(self, query: Float32Array, photographs: Float32Array) -> Float64Array:
        """Logits (n,) of the match of a text (dimension,) with photographs (n, dimension), unit vectors."""
        if self.interaction is None:
            return self._plain(query, photographs)
        text = side(query[None], self.interaction.banks)
        share = float(self.interaction.share(text.nearness)[0])
        if share == 0.0 or not len(photographs):
            return self._plain(query, photographs)
        measured = self.interaction.one_text.features(text, photographs)
        seen = self.interaction.logits(self.interaction.standard(measured))
        if share == 1.0:
            return seen
        return share * seen + (1.0 - share) * self._plain(query, photographs)

    def _plain(self, query: Float32Array, photographs: Float32Array) -> Float64Array:
        similarity = photographs @ query
        if self.everyday is not None:
            similarity = self.everyday.apart(similarity, photographs)
        return self.plain.logit(similarity)


@dataclass(frozen=True)
class ScorerArtifact:
    """A fitted match, what it belongs to and what it was fitted on.

    `photograph` is None where the ratings said nothing of two photographs. `min_match` is the cut that search
    applies where nobody asks for another. `precision`, (1 + weights, 1 + weights), is how firmly the ratings
    hold intercept and weights, `plain_precision` (2, 2) intercept and slope of the cosine alone, for a later fit
    that adds ratings to these; None where that is not known.
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
        """Read the match in `folder` for the encoder with `fingerprint`; one for the fingerprints `also` will do.

        Raises `MismatchError` for another encoder's, `ModelError` for a broken one.
        """
        file = folder / FACTS
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
            version, owner = facts["version"], str(facts["fingerprint"])
            if version == VERSION and owner in (fingerprint, *also):
                return cls._of(facts, folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"The match {file} cannot be read ({describe_error(error)}). Restore {FACTS} and {ARRAYS} from a copy, "
                "fit the match again with `smysl train scorer`, or remove both files to use a match without ratings."
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
        interaction, precision, everyday = None, None, None
        arrays = read_arrays(folder / ARRAYS, facts["checksum"]) if facts["checksum"] else {}
        if facts["features"]:
            if tuple(facts["features"]) != FEATURES:
                raise ValueError("it was fitted on other features than this version measures")
            interaction = _interaction(facts, arrays)
            precision = arrays["precision"].astype(np.float64) if "precision" in arrays else None
        if "everyday centre" in arrays:
            everyday = Everyday(
                arrays["everyday centre"].astype(np.float32), arrays["everyday spread"].astype(np.float32)
            )
        min_match = float(facts["min_match"])
        if not 0.0 <= min_match <= 1.0:
            raise ValueError(f"min_match {min_match} is not from 0 to 1")
        return cls(
            fingerprint=facts["fingerprint"],
            text=TextMatch(Logistic.of(facts["plain"]), Logistic.of(facts["agreement"]), interaction, everyday),
            photograph=None if facts["photograph"] is None else Logistic.of(facts["photograph"]),
            min_match=min_match,
            trained_on=str(facts["trained_on"]),
            figures=facts["figures"],
            precision=precision,
            plain_precision=_square(facts["plain_precision"]),
        )

    def save(self, folder: Path) -> None:
        """Write both files, the arrays first, so that a crash leaves what `load` refuses, never half a match."""
        interaction = self.text.interaction
        facts: dict[str, Any] = {
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "trained_on": self.trained_on,
            "min_match": self.min_match,
            "plain": self.text.plain.facts(),
            "agreement": self.text.agreement.facts(),
            "photograph": None if self.photograph is None else self.photograph.facts(),
            "plain_precision": None if self.plain_precision is None else self.plain_precision.tolist(),
            "features": [],
            "checksum": "",
        }
        folder.mkdir(parents=True, exist_ok=True)
        if interaction is not None:
            facts |= {
                "features": list(FEATURES),
                "intercept": interaction.intercept,
                "far": interaction.far,
                "near": interaction.near,
            }
        arrays = self._arrays()
        if arrays:
            facts["checksum"] = write_arrays(folder / ARRAYS, arrays)
        write_text(folder / FACTS, json.dumps(facts | {"figures": dict(self.figures)}, indent=1) + "\n")
        if not arrays:
            (folder / ARRAYS).unlink(missing_ok=True)

    def _arrays(self) -> dict[str, AnyArray]:
        arrays: dict[str, AnyArray] = {}
        interaction, everyday = self.text.interaction, self.text.everyday
        if interaction is not None:
            for name, bank in zip(BANKS, interaction.banks, strict=True):
                arrays |= {name: _steps(bank.vectors), f"{name} counts": bank.counts.astype(np.float32)}
            arrays |= {
                "mean": interaction.mean,
                "deviation": interaction.deviation,
                "weights": interaction.weights,
            }
            if self.precision is not None:
                arrays["precision"] = self.precision.astype(np.float32)
        if everyday is not None:
            arrays |= {
                "everyday centre": everyday.centre.astype(np.float16),
                "everyday spread": everyday.spread.astype(np.float16),
            }
        return arrays


def exchange(folder: Path, old: str, new: str) -> None:
    """Put the match in `folder` aside under the fingerprint `old`, and bring back one put aside under `new`.

    A library's own match goes and comes with its model; nothing is deleted.
    """
    for name in (ARRAYS, FACTS):
        here, aside, kept = folder / name, folder / f"{old}-{name}", folder / f"{new}-{name}"
        if here.is_file():
            here.replace(aside)
        if kept.is_file():
            kept.replace(here)


def standardised(measured: Float32Array, mean: Float64Array, deviation: Float64Array) -> Float64Array:
    """Features (n, f) with mean 0 and deviation 1, and these times the first of them: (n, 2f)."""
    scaled = (measured - mean) / deviation
    return np.concatenate([scaled, scaled * scaled[:, :1]], axis=1)


def squash(logits: Float64Array) -> Float32Array:
    """1 / (1 + exp(−x)) as float32, for any x."""
    return (1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0)))).astype(np.float32)


def rounded(vectors: Float32Array) -> Float32Array:
    """Vectors as a file keeps them: in steps of 1/127 of each one's largest number, brought back to length 1."""
    return _unrounded(_steps(vectors))


def _steps(vectors: Float32Array) -> Int8Array:
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    steps: Int8Array = np.round(vectors * (127.0 / largest)).astype(np.int8)
    return steps


def _unrounded(steps: Int8Array) -> Float32Array:
    vectors = steps.astype(np.float32)
    unit: Float32Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _interaction(facts: dict[str, Any], arrays: dict[str, AnyArray]) -> Interaction:
    count = len(FEATURES)
    for name, length in {"mean": count, "deviation": count, "weights": 2 * count}.items():
        if arrays[name].shape != (length,):
            raise ValueError(f"{name} has the shape {arrays[name].shape}, not ({length},)")
    near, far, intercept = (float(facts[name]) for name in ("near", "far", "intercept"))
    if not (near > far and math.isfinite(intercept) and (arrays["deviation"] > 0).all()):
        raise ValueError("its numbers make no map")
    banks = tuple(Bank(_unrounded(arrays[name]), arrays[f"{name} counts"]) for name in BANKS)
    return Interaction(
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
        raise ValueError("its plain_precision is no table of two by two numbers")
    return square
