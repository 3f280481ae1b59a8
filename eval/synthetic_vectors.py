"""Synthetic vectors in any number, distributed like a model's vectors of photographs: what indexes are measured on.

Millions of real photographs are seldom at hand, and random directions are no substitute: in 512 dimensions they are all
equally far from one another, and every approximate index looks hopeless. Photographs form clusters of unequal size and
density, and vary in some directions more than in others. `mini` comes with 128 cluster centres of photographs' vectors
and the number of photographs of each; synthetic vectors are drawn around these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eval.bench_report import check_range
from service.errors import LibraryError, UsageError
from service.types import Float32Array, OnProgress

if TYPE_CHECKING:
    from service.match.features import Bank


_NOISE = 0.8
"""Mean squared length of the noise that is added to a centre of length 1."""
_ALONG = 0.81
"""Share of the noise in the directions in which the centres differ from one another."""
_UNEVEN = 0.3
"""Standard deviation of the logarithm of the noise's length: some clusters are dense, some vectors are outliers."""
_CHUNK = 20_000
DEFAULT_SIZE = 10_000
MAX_QUERIES = 10_000


@dataclass(frozen=True)
class VectorSet:
    """Unit vectors, float32: `vectors` (n, dimension) to search and `queries` (q, dimension), which are not among them.

    `source` says in words where they come from.
    """

    vectors: Float32Array
    queries: Float32Array
    source: str


def draw_vectors(
    bank: Bank, count: int, queries: int, *, seed: int = 0, on_progress: OnProgress | None = None
) -> VectorSet:
    """Draw `count` vectors and `queries` further ones around the centres of `bank`; the same for the same seed.

    A centre is chosen in proportion to its number of photographs. Gaussian noise is added whose variance along each
    principal direction of the centres is proportional to their standard deviation there, with a small equal variance in
    all other directions, and whose length varies (log-normal); then the vector is normalised. The three constants above
    were fitted to `mini`'s vectors of 6,640 photographs of Flickr8k, of which 600 searched 6,000, so that means and
    standard deviations of the similarities agree:

    |       | nearest     | tenth       | hundredth | local dimension |
    | real  | 0.72 ± 0.09 | 0.62 ± 0.09 | 0.45      | 16              |
    | drawn | 0.71 ± 0.09 | 0.63 ± 0.09 | 0.44      | 15              |

    Local dimension is the maximum likelihood estimate over 20 neighbours (Levina and Bickel 2004); the recall of an
    approximate index depends on it more than on the 512.
    """
    random = np.random.default_rng(seed)
    mixture = VectorMixture(bank)
    made = np.empty((count + queries, bank.vectors.shape[1]), np.float32)
    for start in range(0, len(made), _CHUNK):
        part = made[start : start + _CHUNK]
        part[:] = mixture.draw(random, len(part))
        if on_progress is not None:
            on_progress(min(start + _CHUNK, len(made)), len(made))
    return VectorSet(
        made[:count], made[count:], f"synthetic, around {len(bank.counts)} centres of photographs, seed {seed}"
    )


class VectorMixture:
    """The distribution that `draw_vectors` draws from: the centres of a bank with noise around each."""

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
    """The sizes to measure at, and a function that returns the vectors of a size: synthetic, or those of a library.

    Raises `UsageError` for an argument out of range and for sizes beside a library, and as `library_vectors` does.
    """
    check_range("--queries", queries, 1, MAX_QUERIES)
    if library is None:
        bank = mini_bank()
        return list(photographs) or [DEFAULT_SIZE], lambda size, shown: draw_vectors(
            bank, size, queries, seed=seed, on_progress=shown
        )
    if photographs:
        raise UsageError("--photos is for synthetic vectors: leave out --photos or --library.")
    own = library_vectors(library, queries, seed=seed)
    return [len(own.vectors)], lambda size, shown: own


def _noise(bank: Bank) -> tuple[Float32Array, Float32Array]:
    """Directions of the noise as rows (dimension, dimension), and the standard deviation along each (dimension,)."""
    dimension = bank.vectors.shape[1]
    shares = (bank.counts / bank.counts.sum()).astype(np.float32)
    apart = (bank.vectors - bank.centre) * np.sqrt(shares)[:, None]
    _, between, directions = np.linalg.svd(apart, full_matrices=True)
    # n centres differ from their mean in at most n - 1 directions.
    inside = min(len(between), len(shares) - 1, dimension)
    variances = np.zeros(dimension)
    variances[:inside] = _ALONG * between[:inside] / between[:inside].sum()
    if inside < dimension:
        variances[inside:] = (1.0 - _ALONG) / (dimension - inside)
    return directions.astype(np.float32), np.sqrt(_NOISE * variances).astype(np.float32)


def mini_bank() -> Bank:
    """The 128 centres of photographs in `mini`'s scorer, of 512 dimensions."""
    from service.encoder.models import mini_folder
    from service.match.artifact import ScorerArtifact

    interaction = ScorerArtifact.load(mini_folder(), mini_fingerprint()).text.feature_model
    assert interaction is not None  # noqa: S101 - the scorer of mini has banks
    return interaction.banks[1]


def mini_fingerprint() -> str:
    """The fingerprint of `mini`, read from its scorer without loading the model."""
    import json

    from service.encoder.models import mini_folder
    from service.match.artifact import MATCH_JSON

    return str(json.loads((mini_folder() / MATCH_JSON).read_text(encoding="utf-8"))["fingerprint"])


def library_vectors(folder: Path, queries: int, *, seed: int = 0) -> VectorSet:
    """The vectors of a library, of which `queries` random ones are held out as queries.

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
            f"The library {folder} holds {count:,} photographs, too few to hold out {queries:,} as queries; lower "
            "--queries, or leave out --library."
        )
    vectors = np.concatenate(parts)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = np.random.default_rng(seed).permutation(count)
    return VectorSet(vectors[np.sort(order[queries:])], vectors[order[:queries]], f"the library {folder}")
