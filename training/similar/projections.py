"""Candidate projections of pooled image features that bring photographs of one kind close together.

Each is fitted on features and kinds and gives the similarity of queries and gallery photographs. All except the
likelihood ratio are linear projections followed by a cosine, which is what a head holds (`service.heads.projection`).

- *Cosine*: features as they are.
- *Whitening*: principal components scaled to standard deviation 1.
- *LDA*: Fisher's linear discriminants after PCA; one dimension fewer than there are kinds.
- *Whitening within kinds*: the deviation of photographs from their kind's mean scaled to 1 in every direction
  (Hatch, Kajarekar, Stolcke 2006, within-class covariance normalisation).
- *Likelihood ratio*: of two photographs being of one kind or of two, where the means of kinds and the photographs of a
  kind are normally distributed (PLDA; Prince, Elder 2007; the ratio as in Brümmer, de Villiers 2010, The speaker
  partitioning problem).
- *ArcFace* (Deng et al. 2019), *supervised contrastive* (Khosla et al. 2020) and *proxy-anchor* (Kim et al. 2020)
  losses on a linear projection, from pytorch-metric-learning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from service.heads.projection import Projection
from service.types import AnyArray, Float32Array, Float64Array, Int64Array

if TYPE_CHECKING:
    import torch


SHRINKAGE = 0.3
"""Shrinkage of the covariance within kinds towards a sphere, as a share of its mean variance."""
ELSEWHERE = 0.02
"""Variance between kinds in directions in which the fitted kinds do not differ, as a share of the mean variance."""
WIDTH = 64
"""Smallest dimension of a projection that is trained with a loss."""
_EPOCHS, _BATCH, _RATE = 30, 256, 1e-3
_MOST_STEPS = 1000
"""Training steps of a loss at most; with many photographs there are fewer epochs."""
_LEAST_EIGENVALUE = 1e-8
"""Principal components with a smaller share of the largest variance are dropped."""


class FittedSimilarity(Protocol):
    """A fitted candidate: the similarity is the inner product of a query vector and a gallery vector."""

    def query_vectors(self, features: Float32Array) -> Float32Array:
        """Vectors of queries, (n, width) to (n, dimension)."""

    def gallery_vectors(self, features: Float32Array) -> Float32Array:
        """Vectors of gallery photographs, (n, width) to (n, dimension)."""


@dataclass(frozen=True, eq=False)
class LinearSimilarity:
    """The cosine after a linear projection, or a weighted sum of such cosines; a head can hold it."""

    parts: tuple[Projection, ...]

    def query_vectors(self, features: Float32Array) -> Float32Array:
        """Unit vectors (n, dimension) of features (n, width)."""
        return np.concatenate([np.sqrt(np.float32(part.weight)) * part(features) for part in self.parts], axis=1)

    gallery_vectors = query_vectors

    def times(self, weight: float) -> tuple[Projection, ...]:
        """The parts with their weights multiplied by `weight`."""
        return tuple(replace(part, weight=part.weight * weight) for part in self.parts)


@dataclass(frozen=True, eq=False)
class PldaSimilarity:
    """The two-covariance model in coordinates in which the log likelihood ratio is a sum over directions.

    With deviation 1 within kinds and variance ψ between them, each direction contributes
    ψ / (1 + 2ψ) · (x y − ½ ψ / (1 + ψ) · (x² + y²)) and a constant. Terms of the query alone do not change the order
    and are left out.
    """

    center: Float32Array
    axes: Float32Array
    between: Float64Array

    def query_vectors(self, features: Float32Array) -> Float32Array:
        """Vectors (n, directions + 1), the last number 1."""
        x = (features - self.center) @ self.axes
        factor = (self.between / (1.0 + 2.0 * self.between)).astype(np.float32)
        return np.concatenate([x * factor, np.ones((len(x), 1), np.float32)], axis=1)

    def gallery_vectors(self, features: Float32Array) -> Float32Array:
        """Vectors (n, directions + 1), the last number the term of the gallery photograph alone."""
        y = (features - self.center) @ self.axes
        factor = 0.5 * self.between**2 / ((1.0 + self.between) * (1.0 + 2.0 * self.between))
        return np.concatenate([y, -(y**2 @ factor)[:, None]], axis=1).astype(np.float32)


class Statistics:
    """Statistics that the closed forms share: principal components, and covariance within and between kinds.

    `rows` (n, width) float32 are features of photographs, or of several views of each; `kinds` (n,) are their kinds.
    """

    def __init__(self, rows: Float32Array, kinds: Int64Array, dimension: int) -> None:
        self.center = rows.mean(axis=0)
        centred = (rows - self.center).astype(np.float64)
        values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
        kept = min(dimension, len(rows) - 1, int((values > _LEAST_EIGENVALUE * values[-1]).sum()))
        self.values, self.components = values[::-1][:kept], vectors[:, ::-1][:, :kept]
        reduced = centred @ self.components
        _, kinds = np.unique(kinds, return_inverse=True)
        counts = np.bincount(kinds)
        self.shares = counts / len(rows)
        sums = np.zeros((len(counts), kept))
        np.add.at(sums, kinds, reduced)
        self.means = sums / counts[:, None]
        inner = reduced - self.means[kinds]
        within = inner.T @ inner / len(rows)
        widths, axes = np.linalg.eigh(within + SHRINKAGE * np.trace(within) / kept * np.eye(kept))
        self.whitener: Float64Array = self.components @ (axes / np.sqrt(widths))
        """Projection (width, kept) of centred features in which photographs of a kind have standard deviation 1."""
        self.white_means: Float64Array = self.means @ (axes / np.sqrt(widths))

    def kind_axes(self) -> tuple[Float64Array, Float64Array]:
        """Directions (kept, m) of the whitened space in which the fitted kinds differ, and their variances (m,)."""
        _, sizes, rows = np.linalg.svd(self.white_means * np.sqrt(self.shares)[:, None], full_matrices=False)
        kept = min(len(self.shares) - 1, int((sizes > 1e-6 * sizes[0]).sum()))
        return rows[:kept].T, sizes[:kept] ** 2


def cosine(width: int) -> LinearSimilarity:
    """Features as they are."""
    return LinearSimilarity((_part(np.zeros(width, np.float32)),))


def whitening(statistics: Statistics) -> LinearSimilarity:
    """Principal components scaled to standard deviation 1."""
    return LinearSimilarity((_part(statistics.center, statistics.components / np.sqrt(statistics.values)),))


def within_kind_whitening(statistics: Statistics) -> LinearSimilarity:
    """Features scaled so that photographs of a kind have standard deviation 1 in every direction."""
    return LinearSimilarity((_part(statistics.center, statistics.whitener),))


def lda(statistics: Statistics, constant: float = 0.0) -> LinearSimilarity:
    """Fisher's linear discriminants; `constant` as in `Projection`."""
    return LinearSimilarity((_part(statistics.center, statistics.whitener @ statistics.kind_axes()[0], constant),))


def plda(statistics: Statistics) -> PldaSimilarity:
    """The two-covariance model, with a small variance between kinds where the fitted ones do not differ."""
    axes, between = _all_axes(statistics)
    return PldaSimilarity(statistics.center, (statistics.whitener @ axes).astype(np.float32), between)


def plda_axes(statistics: Statistics) -> LinearSimilarity:
    """The cosine in the two-covariance model's directions, each scaled by its factor in the likelihood ratio."""
    axes, between = _all_axes(statistics)
    scaled = statistics.whitener @ axes * np.sqrt(between / (1.0 + 2.0 * between))
    return LinearSimilarity((_part(statistics.center, scaled),))


def blend(fitted_kinds: LinearSimilarity, any_kind: LinearSimilarity, share: float) -> LinearSimilarity:
    """`share` of a similarity that separates the fitted kinds, and the rest of one that suits any kind."""
    return LinearSimilarity((*fitted_kinds.times(share), *any_kind.times(1.0 - share)))


def metric_learned(
    loss: str, statistics: Statistics, rows: Float32Array, kinds: Int64Array, seed: int
) -> LinearSimilarity:
    """A projection trained with a loss of pytorch-metric-learning: "arcface", "contrastive" or "proxy-anchor".

    It starts from the discriminants and random further directions, and is trained in the space whitened within kinds,
    where one learning rate suits all directions.
    """
    import torch

    axes, _ = statistics.kind_axes()
    width = max(WIDTH, axes.shape[1])
    generator = torch.Generator().manual_seed(seed)
    _, kinds = np.unique(kinds, return_inverse=True)
    white = torch.from_numpy(((rows - statistics.center) @ statistics.whitener).astype(np.float32))
    labels = torch.from_numpy(kinds)
    start = 0.1 * torch.randn(white.shape[1], width, generator=generator) / np.sqrt(white.shape[1])
    start[:, : axes.shape[1]] += torch.from_numpy(axes.astype(np.float32))
    matrix = torch.nn.Parameter(start)
    criterion = _loss(loss, int(labels.max()) + 1, width, seed)
    optimizer = torch.optim.AdamW([matrix, *criterion.parameters()], lr=_RATE, weight_decay=1e-2)
    epochs = min(_EPOCHS, math.ceil(_MOST_STEPS * _BATCH / len(white)))
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(white), generator=generator), _BATCH):
            if len(batch) > 1:
                _step(optimizer, criterion(white[batch] @ matrix, labels[batch]))
    trained = matrix.detach().numpy().astype(np.float64)
    return LinearSimilarity((_part(statistics.center, statistics.whitener @ trained),))


def _step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _loss(name: str, kinds: int, width: int, seed: int) -> Any:
    import torch
    from pytorch_metric_learning import losses

    loss_of = {
        "arcface": partial(losses.ArcFaceLoss, kinds, width, margin=15.0, scale=16.0),
        "contrastive": partial(losses.SupConLoss, temperature=0.1),
        "proxy-anchor": partial(losses.ProxyAnchorLoss, kinds, width, margin=0.1, alpha=16.0),
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return loss_of[name]()


def _all_axes(statistics: Statistics) -> tuple[Float64Array, Float64Array]:
    """All directions of the whitened space, the kinds' first, and the variance between kinds in each."""
    axes, between = statistics.kind_axes()
    rest = np.linalg.svd(axes, full_matrices=True)[0][:, axes.shape[1] :]
    elsewhere = np.full(rest.shape[1], ELSEWHERE * between.mean())
    return np.concatenate([axes, rest], axis=1), np.concatenate(
        [np.maximum(between, elsewhere[:1].max(initial=0.0)), elsewhere]
    )


def _part(center: AnyArray, projection: AnyArray | None = None, constant: float = 0.0) -> Projection:
    """A projection of weight 1 whose encoder is not set yet."""
    matrix = None if projection is None else projection.astype(np.float32)
    return Projection("", "", 1.0, center.astype(np.float32), matrix, constant)


def bound_to(parts: Sequence[Projection], model: str, fingerprint: str) -> tuple[Projection, ...]:
    """The projections with the name and fingerprint of the encoder whose features they take."""
    return tuple(replace(part, model=model, fingerprint=fingerprint) for part in parts)
