"""Features of a text and a photograph beside the cosine of their vectors, from which a match is computed.

Two banks hold typical vectors: centroids of many captions and of many photographs, each with the number of vectors in
its cluster. The *readout* of a vector from a bank is the mean of the centroids weighted by a softmax of their cosines
with it (one step of attention); it keeps what captions talk about, or photographs show, and drops noise. The features
are cosines with one or both vectors replaced by their readouts, products that weigh directions by a bank's variance
along them, and how near a vector is to the whole bank: a cosine means less for hubs, which are near to everything
(Bogolin et al. 2022, Cross Modal Retrieval with Querybank Normalisation). All are computed from the two vectors
alone, so nothing more is stored for a photograph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from service.types import Float32Array, Int64Array

TEMPERATURES = (0.05, 0.1)
"""Of the softmax over a bank; lower ones use fewer centroids."""
POWERS = (0.25, 0.5)
"""Of a bank's covariance in the products: 0 is the centred product, at 1 the direction of most variance dominates."""
BANKS = ("texts", "photographs")
HUBNESS_RANK, HUBNESS_TEMPERATURE = 16, 0.15
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
"""Names of the columns of `pair_features`, as artifacts store them ("seen" is a readout)."""
_NEARNESS = _OF_TEXT.index("text's nearness")
_LEAST_VARIANCE = 1e-12
"""Variance below which a bank counts as constant."""
_LEAST_RELATIVE_VARIANCE = 1e-12
"""Variance relative to the largest, below which a direction is a rounding error."""


@dataclass(frozen=True)
class Bank:
    """Typical texts or photographs as centroids of clusters, and their principal directions. All arrays are float32.

    Attributes:
        vectors: (n, dimension), centroids of unit length.
        counts: (n,), vectors in each cluster.
        centre: (dimension,), mean of the centroids weighted by the counts.
        directions: (r, dimension), unit eigenvectors of their covariance.
        variance: (r,), eigenvalues divided by the largest.
    """

    vectors: Float32Array
    counts: Float32Array
    centre: Float32Array = field(init=False)
    directions: Float32Array = field(init=False)
    variance: Float32Array = field(init=False)

    def __post_init__(self) -> None:
        centre = self.shares @ self.vectors
        centred = (self.vectors - centre) * np.sqrt(self.shares)[:, None]
        # Through the Gram matrix, since there are fewer centroids than dimensions: a fifth of the time of a singular
        # value decomposition, and as exact in float64.
        wide = centred.astype(np.float64)
        eigenvalues, eigenvectors = np.linalg.eigh(wide @ wide.T)
        # A bank of one vector, or of equal ones, has no variance; its products are 0.
        largest = max(float(eigenvalues[-1]), _LEAST_VARIANCE)
        varying = np.flatnonzero(eigenvalues > _LEAST_RELATIVE_VARIANCE * largest)[::-1]
        directions = (eigenvectors[:, varying].T @ wide) / np.sqrt(eigenvalues[varying])[:, None]
        object.__setattr__(self, "centre", centre)
        object.__setattr__(self, "directions", directions.astype(np.float32))
        object.__setattr__(self, "variance", (eigenvalues[varying] / largest).astype(np.float32))

    @cached_property
    def shares(self) -> Float32Array:
        """Share of each centroid in all counts, (n,)."""
        shares: Float32Array = (self.counts / self.counts.sum()).astype(np.float32)
        return shares

    @cached_property
    def powers(self) -> tuple[Float32Array, ...]:
        """The covariance, scaled to a largest eigenvalue of 1, to each of POWERS: (dimension, dimension)."""
        return tuple((self.directions.T * self.variance**each) @ self.directions for each in POWERS)

    def apply_powers(self, vector: Float32Array) -> Float32Array:
        """A vector (dimension,), centred, times each of `powers`: (len(POWERS), dimension)."""
        # Not with `powers`, which are four times as much to read if there are few directions.
        along = self.directions @ (vector - self.centre)
        scaled = [along * self.variance**each for each in POWERS]
        applied: Float32Array = np.stack(scaled) @ self.directions
        return applied


@dataclass(frozen=True)
class HubnessCorrection:
    """Subtracts from a cosine how near the photograph is to everyday texts, since hubs are near to every query.

    Cosines of a photograph with many texts are nearly normal; mean and variance follow from the texts' `centre`
    (dimension,) and the principal directions of their covariance, `spread` (r, dimension), with the standard deviation
    as length. The logarithm of the mean of exp(cosine / T) over a normal distribution is mean / T + variance / (2 T²):
    what the inverted softmax subtracts from a cosine (Smith et al. 2017; Bogolin et al. 2022), times T.
    """

    centre: Float32Array
    spread: Float32Array

    @classmethod
    def fit(cls, texts: Float32Array) -> HubnessCorrection:
        """From unit vectors (n, dimension) of everyday texts."""
        centre = texts.mean(axis=0)
        _, lengths, directions = np.linalg.svd(texts - centre, full_matrices=False)
        spread = directions[:HUBNESS_RANK] * lengths[:HUBNESS_RANK, None] / np.sqrt(len(texts))
        # Rounded as in the file, so that the fitted and the loaded match are the same.
        return cls(centre.astype(np.float16).astype(np.float32), spread.astype(np.float16).astype(np.float32))

    def correct(self, similarity: Float32Array, photographs: Float32Array) -> Float32Array:
        """Cosines (n,) minus the nearness of their photographs (n, dimension) to everyday texts."""
        along = photographs @ self._directions
        variance = np.einsum("nr,nr->n", along[:, 1:], along[:, 1:])
        corrected: Float32Array = similarity - along[:, 0] - variance / (2 * HUBNESS_TEMPERATURE)
        return corrected

    @cached_property
    def _directions(self) -> Float32Array:
        """Centre and spread as columns, (dimension, 1 + r), for one product with both."""
        return np.ascontiguousarray(np.concatenate([self.centre[None], self.spread]).T)


@dataclass(frozen=True)
class BankReadouts:
    """Readouts of n vectors from one bank.

    Attributes:
        readouts: for each temperature (n, dimension) float32.
        own: (n, 5), features of each vector alone: the length of each readout; nearness, a soft maximum of its cosines
            with the bank; their mean; their standard deviation.
    """

    readouts: tuple[Float32Array, ...]
    own: Float32Array


@dataclass(frozen=True)
class Prepared:
    """Texts or photographs for `pair_features`: unit `vectors` (n, dimension) and their readouts from each bank."""

    vectors: Float32Array
    by_bank: tuple[BankReadouts, ...]

    @property
    def nearness(self) -> Float32Array:
        """How near each vector is to the bank of texts, (n,): a soft maximum of cosines."""
        return self.by_bank[0].own[:, _NEARNESS]


def prepare(vectors: Float32Array, banks: tuple[Bank, ...]) -> Prepared:
    """Prepares unit vectors (n, dimension) of texts or of photographs; `banks` in the order of BANKS."""
    return Prepared(vectors, tuple(_read_out(vectors, bank) for bank in banks))


def _read_out(vectors: Float32Array, bank: Bank) -> BankReadouts:
    similarity = vectors @ bank.vectors.T
    shares = bank.shares
    readouts: list[Float32Array] = []
    for temperature in TEMPERATURES:
        weights = similarity / temperature + np.log(shares)
        highest = weights.max(axis=1, keepdims=True)
        weights = np.exp(weights - highest)
        total = weights.sum(axis=1, keepdims=True)
        readouts.append(((weights / total) @ bank.vectors).astype(np.float32))
        nearness = temperature * (highest + np.log(total))[:, 0]
    mean = similarity @ shares
    spread = np.sqrt(np.maximum((similarity - mean[:, None]) ** 2 @ shares, 0.0))
    lengths = [np.linalg.norm(each, axis=1) for each in readouts]
    return BankReadouts(tuple(readouts), np.stack([*lengths, nearness, mean, spread], axis=1).astype(np.float32))


def pair_features(
    texts: Prepared, photographs: Prepared, banks: tuple[Bank, ...], text_rows: Int64Array, photograph_rows: Int64Array
) -> Float32Array:
    """Features (n, len(FEATURES)) float32 of n pairs, given as row numbers (n,) of texts and of photographs."""

    def products(of_texts: Float32Array, of_photographs: Float32Array) -> Float32Array:
        dots: Float32Array = np.einsum("nd,nd->n", of_texts[text_rows], of_photographs[photograph_rows])
        return dots

    columns = [products(texts.vectors, photographs.vectors)]
    for bank, text, photograph in zip(banks, texts.by_bank, photographs.by_bank, strict=True):
        for text_readout, photograph_readout in zip(text.readouts, photograph.readouts, strict=True):
            columns += [
                products(text_readout, photographs.vectors),
                products(texts.vectors, photograph_readout),
                products(text_readout, photograph_readout),
            ]
        for power in bank.powers:
            applied = ((texts.vectors - bank.centre) @ power).astype(np.float32)
            columns.append(products(applied, photographs.vectors) - (applied @ bank.centre)[text_rows])
        columns += list(text.own[text_rows].T)
    return np.stack([*columns, photographs.nearness[photograph_rows]], axis=1)
