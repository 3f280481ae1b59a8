"""What is measured of a text and a photograph beside the cosine of their vectors.

Two banks hold typical vectors: the centres of many captions, and those of many photographs, each with the
number that it stands for. A vector seen through a bank, the mean of the centres near to it weighted by a
softmax, keeps what captions speak of (or photographs show) and loses what is noise. Cosines with one end or
both seen so, products in which directions count by how much a bank varies along them, and how near a text is
to everything (which makes a cosine mean less; Bogolin et al. 2022, Cross Modal Retrieval with Querybank
Normalisation) are the features that a match is fitted on. All need the two vectors alone, so nothing more is
kept of a photograph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from service.types import Float32Array, Int64Array

TEMPERATURES = (0.05, 0.1)
"""Of the softmax over a bank: lower ones see a vector through fewer centres."""
POWERS = (0.25, 0.5)
"""Of a bank's covariance in the products: 0 is the centred product, 1 lets the widest direction rule."""
BANKS = ("texts", "photographs")
EVERYDAY_RANK, EVERYDAY_TEMPERATURE = 16, 0.15
_OF_PAIR = (
    *(f"{seen} at {each:g}" for each in TEMPERATURES for seen in ("text seen", "photograph seen", "both seen")),
    *(f"product to {each:g}" for each in POWERS),
)
_OF_TEXT = (*(f"text's length at {each:g}" for each in TEMPERATURES), "text's nearness", "text's mean", "text's spread")
FEATURES = (
    "cosine",
    *(f"{bank}: {name}" for bank in BANKS for name in (*_OF_PAIR, *_OF_TEXT)),
    "texts: photograph's nearness",
)
"""Names of the columns that `features` returns."""
_NEARNESS = _OF_TEXT.index("text's nearness")
_STILL = 1e-12
"""Variance below which a bank does not vary."""
_NOISE = 1e-12
"""Variance, as a part of the widest, below which a direction is one of rounding."""


@dataclass(frozen=True)
class Bank:
    """Typical texts or photographs: unit `vectors` (n, dimension) and the number that each stands for, `counts` (n,).

    `centre` is their mean; they vary along the unit `directions` (r, dimension) with `variance` (r,), as a part of that
    along the widest of these. All float32.
    """

    vectors: Float32Array
    counts: Float32Array
    centre: Float32Array = field(init=False)
    directions: Float32Array = field(init=False)
    variance: Float32Array = field(init=False)

    def __post_init__(self) -> None:
        centre = self.shares @ self.vectors
        apart = (self.vectors - centre) * np.sqrt(self.shares)[:, None]
        # Through the products of rows with rows, of which there are fewer than dimensions; a fifth of the time of a
        # decomposition of the rows themselves, and as exact in float64.
        wide = apart.astype(np.float64)
        squares, sides = np.linalg.eigh(wide @ wide.T)
        # A bank of one vector, or of equal ones, does not vary; its products are 0.
        widest = max(float(squares[-1]), _STILL)
        varied = np.flatnonzero(squares > _NOISE * widest)[::-1]
        directions = (sides[:, varied].T @ wide) / np.sqrt(squares[varied])[:, None]
        object.__setattr__(self, "centre", centre)
        object.__setattr__(self, "directions", directions.astype(np.float32))
        object.__setattr__(self, "variance", (squares[varied] / widest).astype(np.float32))

    @cached_property
    def shares(self) -> Float32Array:
        """What part of all each vector stands for, (n,)."""
        shares: Float32Array = (self.counts / self.counts.sum()).astype(np.float32)
        return shares

    @cached_property
    def powers(self) -> tuple[Float32Array, ...]:
        """The covariance, of which the largest variance is 1, to each of POWERS: (dimension, dimension)."""
        return tuple((self.directions.T * self.variance**each) @ self.directions for each in POWERS)

    def turned(self, vector: Float32Array) -> Float32Array:
        """A vector (dimension,) from the centre on, times each of `powers`: (len(POWERS), dimension)."""
        # Without the powers, which are four times as much to read where directions are few.
        along = self.directions @ (vector - self.centre)
        strengths = [along * self.variance**each for each in POWERS]
        turned: Float32Array = np.stack(strengths) @ self.directions
        return turned


@dataclass(frozen=True)
class Everyday:
    """How near photographs are to the words of every day, whatever is asked: some are near to everything.

    Cosines of a photograph with many such texts are nearly normal, with a mean and a variance that follow from
    the texts' `centre` (dimension,) and the widest directions of their covariance, `spread` (r, dimension)
    with the standard deviation as length. The logarithm of the mean of exp(cosine / T) over a normal
    distribution is mean / T + variance / (2 T²): what the inverted softmax takes from a cosine (Smith et al.
    2017; Bogolin et al. 2022), times T.
    """

    centre: Float32Array
    spread: Float32Array

    @classmethod
    def of(cls, texts: Float32Array) -> Everyday:
        """From unit vectors (n, dimension) of everyday texts."""
        centre = texts.mean(axis=0)
        _, lengths, directions = np.linalg.svd(texts - centre, full_matrices=False)
        spread = directions[:EVERYDAY_RANK] * lengths[:EVERYDAY_RANK, None] / np.sqrt(len(texts))
        # As a file keeps them, so that what is fitted is what is served.
        return cls(centre.astype(np.float16).astype(np.float32), spread.astype(np.float16).astype(np.float32))

    def apart(self, similarity: Float32Array, photographs: Float32Array) -> Float32Array:
        """Cosines (n,) less the nearness of their photographs (n, dimension) to everyday words."""
        along = photographs @ self._directions
        variance = np.einsum("nr,nr->n", along[:, 1:], along[:, 1:])
        corrected: Float32Array = similarity - along[:, 0] - variance / (2 * EVERYDAY_TEMPERATURE)
        return corrected

    @cached_property
    def _directions(self) -> Float32Array:
        """Centre and spread side by side, (dimension, 1 + r), for one product with both."""
        return np.ascontiguousarray(np.concatenate([self.centre[None], self.spread]).T)


@dataclass(frozen=True)
class Seen:
    """Vectors through one bank: what is seen at each temperature, (n, dimension) float32.

    `alone` (n, 5) is what is measured of a vector by itself: the lengths of what is seen, nearness (a soft
    maximum of its cosines with the bank), their mean and their standard deviation.
    """

    seen: tuple[Float32Array, ...]
    alone: Float32Array


@dataclass(frozen=True)
class Side:
    """Texts or photographs made ready to be paired: unit `vectors` (n, dimension) and what each bank makes of them."""

    vectors: Float32Array
    through: tuple[Seen, ...]

    @property
    def nearness(self) -> Float32Array:
        """How near each is to what the bank of texts speaks of, (n,): a soft maximum of cosines."""
        return self.through[0].alone[:, _NEARNESS]


def side(vectors: Float32Array, banks: tuple[Bank, ...]) -> Side:
    """Make unit vectors (n, dimension) of texts or of photographs ready; `banks` in the order of BANKS."""
    return Side(vectors, tuple(_through(vectors, bank) for bank in banks))


def _through(vectors: Float32Array, bank: Bank) -> Seen:
    similarity = vectors @ bank.vectors.T
    shares = bank.shares
    seen: list[Float32Array] = []
    for temperature in TEMPERATURES:
        weights = similarity / temperature + np.log(shares)
        highest = weights.max(axis=1, keepdims=True)
        weights = np.exp(weights - highest)
        total = weights.sum(axis=1, keepdims=True)
        seen.append(((weights / total) @ bank.vectors).astype(np.float32))
        nearness = temperature * (highest + np.log(total))[:, 0]
    mean = similarity @ shares
    spread = np.sqrt(np.maximum((similarity - mean[:, None]) ** 2 @ shares, 0.0))
    lengths = [np.linalg.norm(each, axis=1) for each in seen]
    return Seen(
        seen=tuple(seen),
        alone=np.stack([*lengths, nearness, mean, spread], axis=1).astype(np.float32),
    )


def features(
    texts: Side, photographs: Side, banks: tuple[Bank, ...], text_rows: Int64Array, photograph_rows: Int64Array
) -> Float32Array:
    """Features float32 (n, len(FEATURES)) of n pairs, given as rows of the two sides; `banks` as for `side`."""

    def products(of_texts: Float32Array, of_photographs: Float32Array) -> Float32Array:
        dots: Float32Array = np.einsum("nd,nd->n", of_texts[text_rows], of_photographs[photograph_rows])
        return dots

    columns = [products(texts.vectors, photographs.vectors)]
    for bank, text, photograph in zip(banks, texts.through, photographs.through, strict=True):
        for text_seen, photograph_seen in zip(text.seen, photograph.seen, strict=True):
            columns += [
                products(text_seen, photographs.vectors),
                products(texts.vectors, photograph_seen),
                products(text_seen, photograph_seen),
            ]
        for power in bank.powers:
            turned = ((texts.vectors - bank.centre) @ power).astype(np.float32)
            columns.append(products(turned, photographs.vectors) - (turned @ bank.centre)[text_rows])
        columns += list(text.alone[text_rows].T)
    return np.stack([*columns, photographs.nearness[photograph_rows]], axis=1)
