"""Vectors as a model gives them for photographs, in any number: what an index is measured on.

Real photographs in millions are at nobody's hand, and random directions are no substitute: in 512 dimensions they
are all equally far from one another, and every approximate index looks hopeless. Photographs lie in heaps of
unequal size and density, in a few directions more than in the others. `mini` carries 128 centres of photographs'
vectors and how many each stands for; a photograph is drawn around one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.errors import LibraryError, UsageError
from service.types import Float32Array, OnProgress

if TYPE_CHECKING:
    from service.match.features import Bank


_NOISE = 0.8
"""Mean squared length of what is added to a centre of length 1."""
_ALONG = 0.81
"""Share of it in the directions in which the centres differ from one another."""
_UNEVEN = 0.3
"""Standard deviation of the logarithm of its length: some heaps are dense, some photographs lie by themselves."""
_CHUNK = 20_000
DEFAULT_SIZE = 10_000
MOST_QUERIES = 10_000


@dataclass(frozen=True)
class VectorSet:
    """`vectors` (n, dimension) to be searched and `queries` (q, dimension), none of which is among them; unit float32.

    `source` says where they come from.
    """

    vectors: Float32Array
    queries: Float32Array
    source: str


def draw_vectors(
    bank: Bank, count: int, queries: int, *, seed: int = 0, on_progress: OnProgress | None = None
) -> VectorSet:
    """Draw `count` vectors and `queries` further ones around the centres of `bank`; the same for the same seed.

    A centre is chosen by the number that it stands for. Gaussian noise is added whose variance along each principal
    direction of the centres is proportional to their standard deviation there, with a little in all other directions
    alike, and whose length varies (log-normal); then the length is made 1. The three numbers above were set on
    `mini`'s vectors of 6,640 photographs of Flickr8k, of which 600 asked 6,000, so that means and standard deviations
    of the similarities agree:

    |       | nearest     | tenth       | hundredth | local dimension |
    | real  | 0.72 ± 0.09 | 0.62 ± 0.09 | 0.45      | 16              |
    | drawn | 0.71 ± 0.09 | 0.63 ± 0.09 | 0.44      | 15              |

    Local dimension is the estimate by maximum likelihood over 20 neighbours (Levina and Bickel 2004); how well an
    approximate index does depends on it more than on the 512.
    """
    random = np.random.default_rng(seed)
    heaps = VectorMixture(bank)
    made = np.empty((count + queries, bank.vectors.shape[1]), np.float32)
    for start in range(0, len(made), _CHUNK):
        part = made[start : start + _CHUNK]
        part[:] = heaps.draw(random, len(part))
        if on_progress is not None:
            on_progress(min(start + _CHUNK, len(made)), len(made))
    return VectorSet(made[:count], made[count:], f"drawn around {len(bank.counts)} centres of photographs, seed {seed}")


class VectorMixture:
    """The centres of a bank with what is added to them, for drawing again and again; see `draw_vectors`."""

    def __init__(self, bank: Bank) -> None:
        shares = (bank.counts / bank.counts.sum()).astype(np.float64)
        self._centres, self._shares = bank.vectors, shares / shares.sum()
        self._directions, self._deviations = _noise(bank)

    def draw(self, random: np.random.Generator, count: int) -> Float32Array:
        """`count` unit vectors (count, dimension)."""
        noise: Float32Array = random.standard_normal((count, self._centres.shape[1]), np.float32) * self._deviations
        noise *= np.exp(random.normal(0.0, _UNEVEN, (count, 1))).astype(np.float32)
        made: Float32Array = noise @ self._directions
        made += self._centres[random.choice(len(self._shares), count, p=self._shares)]
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made


def draw_or_read(
    photographs: Sequence[int], library: Path | None, queries: int, seed: int
) -> tuple[list[int], Callable[[int, OnProgress], VectorSet]]:
    """The sizes to measure at, and what gives the vectors of a size: a library's own, or drawn ones of `mini`'s kind.

    Raises `UsageError` for what cannot be, and what `library_vectors` raises.
    """
    if not 1 <= queries <= MOST_QUERIES:
        raise UsageError(f"--queries is {queries:,}; it must be from 1 to {MOST_QUERIES:,}.")
    if library is None:
        bank = mini_bank()
        return list(photographs) or [DEFAULT_SIZE], lambda size, shown: draw_vectors(
            bank, size, queries, seed=seed, on_progress=shown
        )
    if photographs:
        raise UsageError("A library has as many photographs as it has: leave out --photos, or leave out --library.")
    own = library_vectors(library, queries, seed=seed)
    return [len(own.vectors)], lambda size, shown: own


def _noise(bank: Bank) -> tuple[Float32Array, Float32Array]:
    """All directions as rows (dimension, dimension), and the standard deviation along each (dimension,)."""
    dimension = bank.vectors.shape[1]
    shares = (bank.counts / bank.counts.sum()).astype(np.float32)
    apart = (bank.vectors - bank.centre) * np.sqrt(shares)[:, None]
    _, between, directions = np.linalg.svd(apart, full_matrices=True)
    # As many centres as there are differ from their mean in one direction less.
    inside = min(len(between), len(shares) - 1, dimension)
    variances = np.zeros(dimension)
    variances[:inside] = _ALONG * between[:inside] / between[:inside].sum()
    if inside < dimension:
        variances[inside:] = (1.0 - _ALONG) / (dimension - inside)
    return directions.astype(np.float32), np.sqrt(_NOISE * variances).astype(np.float32)


def mini_bank() -> Bank:
    """The centres of photographs in the match of `mini`, 128 of 512 dimensions."""
    from service.encoder.models import mini_folder
    from service.match.artifact import ScorerArtifact

    interaction = ScorerArtifact.load(mini_folder(), mini_fingerprint()).text.interaction
    assert interaction is not None  # noqa: S101 - the match of mini is made with banks
    return interaction.banks[1]


def mini_fingerprint() -> str:
    """What names the vectors of `mini`, from its match; loads no model."""
    import json

    from service.encoder.models import mini_folder
    from service.match.artifact import FACTS

    return str(json.loads((mini_folder() / FACTS).read_text(encoding="utf-8"))["fingerprint"])


def library_vectors(folder: Path, queries: int, *, seed: int = 0) -> VectorSet:
    """The vectors of a library, of which `queries` are drawn and taken out to ask for the others.

    Raises `LibraryError` where there is no library, or one with too few photographs.
    """
    from service.library import Library

    with Library.open(folder) as library:
        catalog = library.catalog
        _, _, chunks = catalog.changes([catalog.setting("fingerprint") or ""], 0)
        parts = [vectors.astype(np.float32) for _, (vectors,) in chunks]
    count = sum(map(len, parts))
    if count < 2 * queries:
        raise LibraryError(
            f"The library {folder} holds {count:,} photographs, too few to take {queries:,} out as queries; ask "
            "fewer with --queries, or leave out --library."
        )
    vectors = np.concatenate(parts)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = np.random.default_rng(seed).permutation(count)
    return VectorSet(vectors[np.sort(order[queries:])], vectors[order[:queries]], f"the library {folder}")
