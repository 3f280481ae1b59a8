"""Candidates: ways to look at pooled features in which photographs of a kind are near.

Each is fitted on rows of views and kinds, and gives the similarity of photographs that ask with photographs that
are searched. All but the likelihood ratio are looks: linear maps after which the cosine says it (`service.heads.projection`).

- *Cosine*: features as they are.
- *Whitening*: principal components with deviation 1.
- *LDA*: Fisher's discriminants behind principal components; as many numbers as kinds, less one.
- *Whitening within kinds*: the deviation of photographs from their kind's mean made 1 in every direction
  (Hatch, Kajarekar, Stolcke 2006, within-class covariance normalisation).
- *Likelihood ratio*: two photographs are of one kind, or of two; kinds and photographs of a kind are both normal
  (PLDA; Prince, Elder 2007; the ratio as in Brümmer, de Villiers 2010, The speaker partitioning problem).
- *ArcFace* (Deng et al. 2019), *supervised contrastive* (Khosla et al. 2020) and *proxy-anchor* (Kim et al. 2020)
  losses over a linear map, from pytorch-metric-learning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from service.heads.projection import Projection
from service.types import AnyArray, Float32Array, Float64Array, Int64Array

if TYPE_CHECKING:
    import torch


SHRINKAGE = 0.3
"""Of the covariance within kinds towards a ball, as a share of its mean variance."""
ELSEWHERE = 0.02
"""How much kinds are taken to differ, as a share of their mean variance, where the few fitted ones do not."""
WIDTH = 64
"""Numbers that a learnt look has for each kind of the three losses."""
_EPOCHS, _BATCH, _RATE = 30, 256, 1e-3
_MOST_STEPS = 1000
"""Of a learnt look: many photographs are seen fewer times each."""
_LEAST = 1e-8


class Similarity(Protocol):
    """What a fitted candidate is: two sets of vectors whose inner product is the similarity."""

    def asked(self, features: Float32Array) -> Float32Array:
        """Photographs that ask, (n, width) to (n, dimension)."""

    def searched(self, features: Float32Array) -> Float32Array:
        """Photographs that are searched, (n, width) to (n, dimension)."""


@dataclass(frozen=True, eq=False)
class Look:
    """A cosine, or a sum of weighted cosines, after linear maps: what a head can be made of."""

    parts: tuple[Projection, ...]

    def asked(self, features: Float32Array) -> Float32Array:
        """Unit vectors (n, dimension) of features (n, width)."""
        return np.concatenate([np.sqrt(np.float32(part.weight)) * part(features) for part in self.parts], axis=1)

    searched = asked

    def times(self, weight: float) -> tuple[Projection, ...]:
        """The parts with their weights times `weight`."""
        return tuple(
            Projection(part.model, part.fingerprint, part.weight * weight, part.center, part.projection, part.constant)
            for part in self.parts
        )


@dataclass(frozen=True, eq=False)
class Likelihoods:
    """The two-covariance model in coordinates in which it is a sum over directions.

    With deviation 1 within kinds and variance ψ between them, the logarithm of the ratio is in each direction
    ψ / (1 + 2ψ) · (x y − ½ ψ / (1 + ψ) · (x² + y²)) and a constant. What depends on the photograph that asks alone
    does not order anything and is left out.
    """

    center: Float32Array
    axes: Float32Array
    between: Float64Array

    def asked(self, features: Float32Array) -> Float32Array:
        """Vectors (n, directions + 1) whose last number is 1."""
        x = (features - self.center) @ self.axes
        pull = (self.between / (1.0 + 2.0 * self.between)).astype(np.float32)
        return np.concatenate([x * pull, np.ones((len(x), 1), np.float32)], axis=1)

    def searched(self, features: Float32Array) -> Float32Array:
        """Vectors (n, directions + 1) whose last number is what each is worth for all that ask."""
        y = (features - self.center) @ self.axes
        cost = 0.5 * self.between**2 / ((1.0 + self.between) * (1.0 + 2.0 * self.between))
        return np.concatenate([y, -(y**2 @ cost)[:, None]], axis=1).astype(np.float32)


class Statistics:
    """What closed forms need of the fitted photographs: principal components, and the deviation within kinds.

    `rows` (n, width) float32 are features of photographs or of several views of each, `kinds` (n,) theirs.
    """

    def __init__(self, rows: Float32Array, kinds: Int64Array, dimension: int) -> None:
        self.center = rows.mean(axis=0)
        centred = (rows - self.center).astype(np.float64)
        values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
        kept = min(dimension, len(rows) - 1, int((values > _LEAST * values[-1]).sum()))
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
        """Features less the centre to coordinates in which photographs of a kind deviate by 1: (width, kept)."""
        self.white_means: Float64Array = self.means @ (axes / np.sqrt(widths))

    def kind_axes(self) -> tuple[Float64Array, Float64Array]:
        """Directions (kept, m) of the whitened space in which the fitted kinds differ, and by what variance (m,)."""
        _, sizes, rows = np.linalg.svd(self.white_means * np.sqrt(self.shares)[:, None], full_matrices=False)
        kept = min(len(self.shares) - 1, int((sizes > 1e-6 * sizes[0]).sum()))
        return rows[:kept].T, sizes[:kept] ** 2


def cosine(width: int) -> Look:
    """Features as they are."""
    return Look((_part(np.zeros(width, np.float32)),))


def whitened(statistics: Statistics) -> Look:
    """Principal components with deviation 1."""
    return Look((_part(statistics.center, statistics.components / np.sqrt(statistics.values)),))


def whitened_within(statistics: Statistics) -> Look:
    """Photographs of a kind deviate by 1 in every direction."""
    return Look((_part(statistics.center, statistics.whitener),))


def discriminants(statistics: Statistics, constant: float = 0.0) -> Look:
    """Fisher's linear discriminants."""
    return Look((_part(statistics.center, statistics.whitener @ statistics.kind_axes()[0], constant),))


def likelihoods(statistics: Statistics) -> Likelihoods:
    """The two-covariance model; kinds differ a little in the directions in which the fitted ones do not."""
    axes, between = _all_axes(statistics)
    return Likelihoods(statistics.center, (statistics.whitener @ axes).astype(np.float32), between)


def likelihood_axes(statistics: Statistics) -> Look:
    """The two-covariance model's directions by cosine, each counting by how much it pulls."""
    axes, between = _all_axes(statistics)
    pulled = statistics.whitener @ axes * np.sqrt(between / (1.0 + 2.0 * between))
    return Look((_part(statistics.center, pulled),))


def blended(kind: Look, rest: Look, share: float) -> Look:
    """`share` of what tells the fitted kinds apart, the rest by what is alike in any kind."""
    return Look((*kind.times(share), *rest.times(1.0 - share)))


def learnt(loss: str, statistics: Statistics, rows: Float32Array, kinds: Int64Array, seed: int) -> Look:
    """A linear map trained with one of pytorch-metric-learning's losses: "arcface", "contrastive", "proxy-anchor".

    It starts from the discriminants and further directions of the space whitened within kinds, and is trained in
    that space, where one step suits all directions.
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
    measure = _loss(loss, int(labels.max()) + 1, width, seed)
    optimizer = torch.optim.AdamW([matrix, *measure.parameters()], lr=_RATE, weight_decay=1e-2)
    epochs = min(_EPOCHS, math.ceil(_MOST_STEPS * _BATCH / len(white)))
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(white), generator=generator), _BATCH):
            if len(batch) > 1:
                _step(optimizer, measure(white[batch] @ matrix, labels[batch]))
    return Look((_part(statistics.center, statistics.whitener @ matrix.detach().numpy().astype(np.float64)),))


def _step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _loss(name: str, kinds: int, width: int, seed: int) -> Any:
    import torch
    from pytorch_metric_learning import losses

    made = {
        "arcface": partial(losses.ArcFaceLoss, kinds, width, margin=15.0, scale=16.0),
        "contrastive": partial(losses.SupConLoss, temperature=0.1),
        "proxy-anchor": partial(losses.ProxyAnchorLoss, kinds, width, margin=0.1, alpha=16.0),
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return made[name]()


def _all_axes(statistics: Statistics) -> tuple[Float64Array, Float64Array]:
    axes, between = statistics.kind_axes()
    rest = np.linalg.svd(axes, full_matrices=True)[0][:, axes.shape[1] :]
    elsewhere = np.full(rest.shape[1], ELSEWHERE * between.mean())
    return np.concatenate([axes, rest], axis=1), np.concatenate(
        [np.maximum(between, elsewhere[:1].max(initial=0.0)), elsewhere]
    )


def _part(center: AnyArray, projection: AnyArray | None = None, constant: float = 0.0) -> Projection:
    """A part of an encoder that is not named yet."""
    matrix = None if projection is None else projection.astype(np.float32)
    return Projection("", "", 1.0, center.astype(np.float32), matrix, constant)


def named(parts: Sequence[Projection], model: str, fingerprint: str) -> tuple[Projection, ...]:
    """Parts that say which encoder's features they look at."""
    return tuple(
        Projection(model, fingerprint, part.weight, part.center, part.projection, part.constant) for part in parts
    )
