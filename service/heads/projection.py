"""Head: a fitted linear projection of pooled image features in which photographs of one kind are close together.

`smysl train similar` (`training/similar`) fits it on photographs sorted by kind. On disk it is a folder with
`head.json` and `head.safetensors`, bound to the fingerprints of its encoders; nothing is unpickled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import MismatchError, ModelError
from service.kinds.knn_vote import KnnVote
from service.match.artifact import Logistic
from service.store.array_files import describe_error, read_arrays, write_arrays
from service.store.atomic import write_text
from service.types import AnyArray, Float32Array

VERSION = 1
HEAD_JSON = "head.json"
HEAD_ARRAYS = "head.safetensors"


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear projection of one encoder's features, scaled to unit length.

    Attributes:
        model: name of the encoder.
        fingerprint: of the encoder.
        weight: share of this projection's cosine in the similarity of two photographs, above 0; the weights of a
            head's projections sum to 1.
        center: subtracted from the features, (features,).
        matrix: multiplies the centred features, (features, width); None for the identity.
        constant: appended to the projected features where it is not 0. It makes photographs near the centre, which
            resemble no fitted kind, about equally similar to all others; without it their direction is noise.
    """

    model: str
    fingerprint: str
    weight: float
    center: Float32Array
    matrix: Float32Array | None = None
    constant: float = 0.0

    @property
    def dimension(self) -> int:
        """Length of the projected vectors."""
        width = len(self.center) if self.matrix is None else int(self.matrix.shape[1])
        return width + (self.constant != 0.0)

    def __call__(self, features: Float32Array) -> Float32Array:
        """Unit vectors (n, dimension), float32, of the encoder's features (n, features)."""
        projected = features.astype(np.float32) - self.center
        if self.matrix is not None:
            projected = projected @ self.matrix
        if self.constant:
            column = np.full((len(projected), 1), self.constant, np.float32)
            projected = np.concatenate([projected, column], axis=1)
        return unit(projected)


@dataclass(frozen=True, eq=False)
class Head:
    """A weighted sum of projections; the inner product of two of its vectors is their similarity, -1 to 1.

    Attributes:
        projections: at least one.
        same_kind: similarity to the probability that two photographs are of one kind.
        vote: k-NN vote on the kind of a photograph; like `same_kind` calibrated on photographs that the projections
            were not fitted on.
        kinds: names of the kinds that it was fitted on.
        candidate: name of the method that was chosen.
        trained_on: what it was fitted on, in words.
        figures: what was measured when it was fitted.
        fingerprint: of projections and weights; empty until the head is saved or loaded.
    """

    projections: tuple[Projection, ...]
    same_kind: Logistic
    vote: KnnVote
    kinds: tuple[str, ...]
    candidate: str
    trained_on: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""

    @property
    def encoders(self) -> dict[str, str]:
        """Names of the encoders whose features it needs, by fingerprint."""
        return {projection.fingerprint: projection.model for projection in self.projections}

    @property
    def dimension(self) -> int:
        """Length of the head's vectors."""
        return sum(projection.dimension for projection in self.projections)

    def project(self, features: Mapping[str, Float32Array]) -> Float32Array:
        """Unit vectors (n, dimension), float32, of pooled features (n, width) by the fingerprint of their encoder."""
        return np.concatenate(
            [np.sqrt(np.float32(each.weight)) * each(features[each.fingerprint]) for each in self.projections], axis=1
        )

    def check_encoders(self, known: Sequence[str], where: str) -> None:
        """Raise `MismatchError` unless the fingerprints of all its encoders are among `known`.

        `where` says whose encoders these are, for example “the library DIR”.
        """
        for fingerprint, model in self.encoders.items():
            if fingerprint not in known:
                raise MismatchError(
                    f"The head was fitted on {model} with the fingerprint {fingerprint}, which is not in {where}. Fit "
                    f"it again with `smysl train similar`, or add the model with `smysl index --model {model}`."
                )

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Read a head; raises `ModelError` where `folder` has none, or a damaged one, or one of another version."""
        file = folder / HEAD_JSON
        if not file.is_file():
            raise ModelError(f"There is no head in {folder}: it has no {HEAD_JSON}. `smysl train similar` makes one.")
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
            version = facts["version"]
            if version == VERSION:
                return cls._from_files(facts, read_arrays(folder / HEAD_ARRAYS, facts["checksum"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"The head {file} cannot be read ({describe_error(error)}). Restore {HEAD_JSON} and {HEAD_ARRAYS} from "
                "a copy, or fit it again with `smysl train similar`."
            ) from None
        raise ModelError(
            f"The head {file} has version {version}, this smysl reads {VERSION}. Fit it again with `smysl train "
            "similar`."
        )

    @classmethod
    def _from_files(cls, facts: dict[str, Any], arrays: dict[str, AnyArray]) -> Head:
        projections = tuple(_projection(part, number, arrays) for number, part in enumerate(facts["parts"]))
        if not projections or not math.isclose(sum(each.weight for each in projections), 1.0, abs_tol=1e-6):
            raise ValueError("the weights of its projections do not sum to 1")
        return cls(
            projections=projections,
            same_kind=Logistic.of(facts["same_kind"]),
            vote=KnnVote.of(facts["vote"]),
            kinds=tuple(str(kind) for kind in facts["kinds"]),
            candidate=str(facts["candidate"]),
            trained_on=str(facts["trained_on"]),
            figures=facts["figures"],
            fingerprint=_fingerprint(facts),
        )

    def save(self, folder: Path) -> Head:
        """Write both files and return the head as it is read from them.

        The arrays are written first: `load` refuses what a crash leaves between the two, since the checksum differs.
        """
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, AnyArray] = {}
        for number, projection in enumerate(self.projections):
            arrays[f"{number} center"] = projection.center.astype(np.float32)
            if projection.matrix is not None:
                arrays[f"{number} projection"] = projection.matrix.astype(np.float32)
        facts = {
            "version": VERSION,
            "candidate": self.candidate,
            "trained_on": self.trained_on,
            "kinds": list(self.kinds),
            "parts": [
                {name: getattr(projection, name) for name in ("model", "fingerprint", "weight", "constant")}
                for projection in self.projections
            ],
            "same_kind": self.same_kind.as_json(),
            "vote": self.vote.facts(),
            "checksum": write_arrays(folder / HEAD_ARRAYS, arrays),
            "figures": dict(self.figures),
        }
        write_text(folder / HEAD_JSON, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
        return Head.load(folder)


def unit(vectors: NDArray[np.floating[Any]]) -> Float32Array:
    """Vectors (n, dimension) scaled to unit length, float32; zero vectors stay as they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Float32Array = (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return scaled


def _projection(facts: dict[str, Any], number: int, arrays: dict[str, AnyArray]) -> Projection:
    weight, constant = float(facts["weight"]), float(facts["constant"])
    center, matrix = arrays[f"{number} center"], arrays.get(f"{number} projection")
    if not 0.0 < weight <= 1.0:
        raise ValueError(f"the weight {weight} of a projection is not between 0 and 1")
    if not math.isfinite(constant):
        raise ValueError(f"the constant {constant} of a projection is not a number")
    if center.ndim != 1 or (matrix is not None and (matrix.ndim != 2 or len(matrix) != len(center))):
        raise ValueError("the arrays of a projection do not fit together")
    return Projection(str(facts["model"]), str(facts["fingerprint"]), weight, center, matrix, constant)


def _fingerprint(facts: dict[str, Any]) -> str:
    """32 hexadecimal digits (XXH3, 128 bits) over everything that determines the head's vectors."""
    import xxhash

    return xxhash.xxh3_128(json.dumps([facts["parts"], facts["checksum"]], sort_keys=True).encode()).hexdigest()
