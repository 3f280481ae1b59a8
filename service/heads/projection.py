"""Head: pooled features of one encoder or several -> one unit vector in which photographs of a kind are near.

`smysl train similar` fits one on photographs sorted by kind. It is a folder of two files, `head.json` and
`head.safetensors`, bound to the fingerprints of its encoders; nothing is unpickled. Fitting and choosing are in
`training/similar.py`.
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
from service.kinds.knn_vote import Vote
from service.match.artifact import Logistic
from service.store.array_files import describe_error, read_arrays, write_arrays
from service.store.atomic import write_text
from service.types import AnyArray, Float32Array

VERSION = 1
FACTS = "head.json"
ARRAYS = "head.safetensors"


@dataclass(frozen=True, eq=False)
class Projection:
    """One linear look at the features of one encoder.

    Features (n, features) less `center` (features,) times `projection` (features, width), with `constant` as one more
    number where it is not 0, brought to length 1; `projection` None takes features as they are. A photograph near
    the centre, which looks like no kind that the part knows, is by its constant about as near to all others,
    instead of having a direction made of chance. `weight`, above 0, is the share of this part's cosine in the
    similarity of two photographs; the weights of a head's parts sum to 1. `model` and `fingerprint` are name and
    fingerprint of the encoder.
    """

    model: str
    fingerprint: str
    weight: float
    center: Float32Array
    projection: Float32Array | None = None
    constant: float = 0.0

    @property
    def dimension(self) -> int:
        """Numbers that this part adds to a vector of the head."""
        width = len(self.center) if self.projection is None else int(self.projection.shape[1])
        return width + (self.constant != 0.0)

    def __call__(self, features: Float32Array) -> Float32Array:
        """Unit vectors (n, dimension), float32, of features (n, features) of this part's encoder."""
        seen = features.astype(np.float32) - self.center
        if self.projection is not None:
            seen = seen @ self.projection
        if self.constant:
            seen = np.concatenate([seen, np.full((len(seen), 1), self.constant, np.float32)], axis=1)
        return unit(seen)


@dataclass(frozen=True, eq=False)
class Head:
    """What `smysl train similar` fitted. The inner product of two of its vectors is their similarity, -1 to 1.

    `same_kind` maps a similarity to the probability that two photographs are of one kind, `vote` what the nearest
    of a photograph say of its kind; both were fitted on photographs that the head's parts had not seen. `kinds`
    are the names of the kinds, `candidate` the name of what won, `trained_on` says what it was fitted on, in words.
    """

    parts: tuple[Projection, ...]
    same_kind: Logistic
    vote: Vote
    kinds: tuple[str, ...]
    candidate: str
    trained_on: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    """Names parts and weights; known once the head has been saved or loaded."""

    @property
    def encoders(self) -> dict[str, str]:
        """Names of the encoders that a photograph must have gone through, by fingerprint."""
        return {part.fingerprint: part.model for part in self.parts}

    @property
    def dimension(self) -> int:
        """Length of the head's vectors."""
        return sum(part.dimension for part in self.parts)

    def project(self, features: Mapping[str, Float32Array]) -> Float32Array:
        """Unit vectors (n, dimension), float32, of pooled features (n, width) by their encoder's fingerprint."""
        return np.concatenate(
            [np.sqrt(np.float32(part.weight)) * part(features[part.fingerprint]) for part in self.parts], axis=1
        )

    def check_encoders(self, known: Sequence[str], where: str) -> None:
        """Raise `MismatchError` where one of the head's encoders is not among the fingerprints `known`.

        `where` ends the sentence “… is not in”, such as “the library DIR”.
        """
        for fingerprint, model in self.encoders.items():
            if fingerprint not in known:
                raise MismatchError(
                    f"The head was fitted on {model} with the fingerprint {fingerprint}, which is not in {where}. Fit "
                    f"it again with `smysl train similar`, or add the model with `smysl index --model {model}`."
                )

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Read the head in `folder`; `ModelError` where there is none, or a broken one, or one of another version."""
        file = folder / FACTS
        if not file.is_file():
            raise ModelError(f"There is no head in {folder}: it has no {FACTS}. `smysl train similar` makes one.")
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
            version = facts["version"]
            if version == VERSION:
                return cls._of(facts, read_arrays(folder / ARRAYS, facts["checksum"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"The head {file} cannot be read ({describe_error(error)}). Restore {FACTS} and {ARRAYS} from a copy, "
                "or fit it again with `smysl train similar`."
            ) from None
        raise ModelError(
            f"The head {file} has version {version}, this smysl reads {VERSION}. Fit it again with `smysl train "
            "similar`."
        )

    @classmethod
    def _of(cls, facts: dict[str, Any], arrays: dict[str, AnyArray]) -> Head:
        parts = tuple(_part(part, number, arrays) for number, part in enumerate(facts["parts"]))
        if not parts or not math.isclose(sum(part.weight for part in parts), 1.0, abs_tol=1e-6):
            raise ValueError("the weights of its parts do not sum to 1")
        return cls(
            parts=parts,
            same_kind=Logistic.of(facts["same_kind"]),
            vote=Vote.of(facts["vote"]),
            kinds=tuple(str(kind) for kind in facts["kinds"]),
            candidate=str(facts["candidate"]),
            trained_on=str(facts["trained_on"]),
            figures=facts["figures"],
            fingerprint=_fingerprint(facts),
        )

    def save(self, folder: Path) -> Head:
        """Write both files, the arrays first, so that a crash leaves what `load` refuses; the head as it is read."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, AnyArray] = {}
        for number, part in enumerate(self.parts):
            arrays[f"{number} center"] = part.center.astype(np.float32)
            if part.projection is not None:
                arrays[f"{number} projection"] = part.projection.astype(np.float32)
        facts = {
            "version": VERSION,
            "candidate": self.candidate,
            "trained_on": self.trained_on,
            "kinds": list(self.kinds),
            "parts": [
                {
                    "model": part.model,
                    "fingerprint": part.fingerprint,
                    "weight": part.weight,
                    "constant": part.constant,
                }
                for part in self.parts
            ],
            "same_kind": self.same_kind.facts(),
            "vote": self.vote.facts(),
            "checksum": write_arrays(folder / ARRAYS, arrays),
            "figures": dict(self.figures),
        }
        write_text(folder / FACTS, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
        return Head.load(folder)


def unit(vectors: NDArray[np.floating[Any]]) -> Float32Array:
    """Vectors (n, dimension) brought to length 1; one without length stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Float32Array = (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return scaled


def _part(facts: dict[str, Any], number: int, arrays: dict[str, AnyArray]) -> Projection:
    weight, constant = float(facts["weight"]), float(facts["constant"])
    center, projection = arrays[f"{number} center"], arrays.get(f"{number} projection")
    if not 0.0 < weight <= 1.0:
        raise ValueError(f"the weight {weight} of a part is not from 0 to 1")
    if not math.isfinite(constant):
        raise ValueError(f"the constant {constant} of a part is no number")
    if center.ndim != 1 or (projection is not None and (projection.ndim != 2 or len(projection) != len(center))):
        raise ValueError("the arrays of a part do not fit together")
    return Projection(str(facts["model"]), str(facts["fingerprint"]), weight, center, projection, constant)


def _fingerprint(facts: dict[str, Any]) -> str:
    """32 hexadecimal digits (XXH3, 128 bits) over all that makes a vector of a head what it is."""
    import xxhash

    return xxhash.xxh3_128(json.dumps([facts["parts"], facts["checksum"]], sort_keys=True).encode()).hexdigest()
