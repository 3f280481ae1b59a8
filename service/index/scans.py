"""The two ways to search a segment: an exact scan, and product quantizer codes with exact refinement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from service.index.rows import BLOCK, TopK, evenly_spaced, exact_search, flat_index, release_pages, to_float32
from service.types import Float16Array, Float32Array, Int64Array

_TRAINING_ROWS = 16_384
"""Rows that the quantizer is trained on; FAISS uses at most 256 per centroid, and there are 16."""
_TRIAL_QUERIES = 32
"""Rows from which trial queries are made, two from each."""
_DEPTH = 200
"""The `k` of a search whose hits are reordered by match (`search.MIN_CANDIDATES`)."""
_LEAST_RECALL_AT_10, _LEAST_RECALL_AT_DEPTH = 0.99, 0.97
"""Recall that a shortlist must reach in the trial, of the ten and of the `_DEPTH` nearest."""
_TEXT_COSINE = 0.5
"""Cosine of a trial query that stands for a text with its row; texts lie far from photographs."""
_MOST_SHARE = 4
"""A shortlist of more than one row in so many takes longer than an exact scan."""
_CODE_NS, _LISTED_NS, _COMPARED_NS, _COPIED_NS = 4, 75, 32, 130
"""Nanoseconds on one core that a row of 512 dimensions costs: its code compared, the row put on the shortlist, compared
where it lies, and copied and compared; only their ratios matter."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From how many rows on an index uses codes, and when its files are rewritten.

    The numbers come from `smysl bench scans`. Codes are faster from about 30,000 rows on but take seconds to compute,
    so they start where the base is no longer rewritten at each save.

    Attributes:
        codes_from: rows from which on codes select a shortlist that is compared exactly.
        shortlists: lengths of the shortlist to try, ascending; the first with enough recall is used.
        small_until: up to so many rows the base is kept in memory and rewritten at each save.
        rewrite_share: the base is rewritten when more than this share of it is deleted or newer.
    """

    codes_from: int = 60_000
    shortlists: tuple[int, ...] = (2_000, 4_000, 8_000, 16_000)
    small_until: int = 50_000
    rewrite_share: float = 0.05


class Scan(Protocol):
    """A way to search rows that never change."""

    name: str
    """FAISS's name of it, as in its index factory."""

    def nearest(self, queries: Float32Array, k: int) -> TopK:
        """The `k` nearest rows to each of `queries` (q, dimension), with exact similarities."""

    def nearest_among(self, query: Float32Array, k: int, positions: Int64Array) -> TopK:
        """The `k` nearest of the rows at `positions` (m,), ascending, m >= k, to a `query` (1, dimension)."""

    def code_bytes(self) -> int:
        """Memory in bytes beside the rows."""


class ExactScan:
    """Compares a query with every row."""

    name = "SQfp16"

    def __init__(self, rows: Float16Array) -> None:
        self._rows = rows
        self._index = flat_index(rows)

    def nearest(self, queries: Float32Array, k: int) -> TopK:
        """The `k` nearest rows to each of `queries` (q, dimension)."""
        if len(queries) == 1 and len(self._rows):
            similarities, found = self._index.search(queries, k)
            return similarities, found
        return exact_search(self._rows, queries, k)

    def nearest_among(self, query: Float32Array, k: int, positions: Int64Array) -> TopK:
        """The `k` nearest of the rows at `positions` (m,), ascending, m >= k, to a `query` (1, dimension)."""
        return exact_among(self._rows, query, k, positions)

    def code_bytes(self) -> int:
        """0."""
        return 0


class CodeScan:
    """Approximate search (ANN): compares a query with a code of each row, then exactly with a shortlist of rows.

    The codes are those of a product quantizer with 16 centroids for each four dimensions (one bit per dimension),
    scanned in SIMD registers (André, Kermarrec, Le Scouarnec 2015): faster than RaBitQ at equal recall here. `codes` is
    the FAISS index of them. The shortlist has `shortlist` rows, or 10 · k if that is more.
    """

    def __init__(self, rows: Float16Array, codes: Any, shortlist: int) -> None:
        self.name = f"PQ{codes.pq.M}x4fs,Refine(SQfp16)"
        self.codes = codes
        self.shortlist = shortlist
        self._rows = rows

    def nearest(self, queries: Float32Array, k: int) -> TopK:
        """The `k` nearest rows of the shortlist of each of `queries` (q, dimension)."""
        length = max(self.shortlist, 10 * k)
        if length * _MOST_SHARE > len(self._rows):
            return exact_search(self._rows, queries, k)
        shortlists = self.codes.search(queries, length)[1]
        found = [
            # In the order of the file, which is faster to read.
            exact_search(self._rows, query[None], k, np.sort(positions[positions >= 0]))
            for query, positions in zip(queries, shortlists, strict=True)
        ]
        return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])

    def nearest_among(self, query: Float32Array, k: int, positions: Int64Array) -> TopK:
        """The `k` nearest of the rows at `positions` (m,), ascending, m >= k, to a `query` (1, dimension).

        Codes know no filter, so the shortlist is one of all rows, as long as for the rank that the last of the `k` has
        among all, and longer where too little of it is at `positions`. Few rows are compared exactly, where that is
        faster.
        """
        total, wanted = len(self._rows), 10 * k
        length = max(self.shortlist, wanted * total // len(positions))
        with_codes = _CODE_NS * total + _LISTED_NS * length + _COPIED_NS * length * len(positions) // total
        if _COPIED_NS * len(positions) > with_codes:
            allowed = np.zeros(total, np.bool_)
            allowed[positions] = True
            while length * _MOST_SHARE <= total:
                shortlist = self.codes.search(query, length)[1][0]
                shortlist = np.sort(shortlist[allowed[shortlist]])
                # What a person filters by is often what they search for, or what it is not.
                if 2 * len(shortlist) >= wanted:
                    return exact_search(self._rows, query, k, shortlist)
                length *= 4
        return exact_among(self._rows, query, k, positions)

    def code_bytes(self) -> int:
        """Size of the codes in bytes."""
        return int(self.codes.ntotal * self.codes.code_size)

    @classmethod
    def build(cls, rows: Float16Array, shortlists: tuple[int, ...]) -> CodeScan | None:
        """Computes codes of rows (n, dimension) and picks the shortest sufficient shortlist; None if none suffices.

        Recall is measured with two kinds of queries: rows, and vectors as far from the rows as those of texts.
        """
        import faiss

        count, dimension = rows.shape
        width = next(size for size in (4, 3, 2, 1) if dimension % size == 0)
        codes = faiss.IndexPQFastScan(dimension, dimension // width, 4, faiss.METRIC_INNER_PRODUCT)
        # Otherwise FAISS prints a warning if there are few rows.
        codes.pq.cp.min_points_per_centroid = 1
        codes.train(evenly_spaced(rows, _TRAINING_ROWS))
        for start in range(0, count, BLOCK):
            codes.add(to_float32(rows[start : start + BLOCK]))
            release_pages(rows)
        sample = evenly_spaced(rows, _TRIAL_QUERIES)
        random = np.random.default_rng(0).standard_normal(sample.shape).astype(np.float32)
        random /= np.linalg.norm(random, axis=1, keepdims=True)
        queries = np.concatenate([sample, _TEXT_COSINE * sample + (1 - _TEXT_COSINE**2) ** 0.5 * random])
        nearest = exact_search(rows, queries, min(_DEPTH, count), release=True)[1]
        for shortlist in shortlists:
            found = codes.search(queries, min(shortlist, count))[1]
            if (
                _recall(found, nearest[:, :10]) >= _LEAST_RECALL_AT_10
                and _recall(found, nearest) >= _LEAST_RECALL_AT_DEPTH
            ):
                return cls(rows, codes, shortlist)
        return None


def exact_among(rows: Float16Array, query: Float32Array, k: int, positions: Int64Array) -> TopK:
    """The `k` nearest of the rows at `positions` (m,), ascending, m >= k, to a `query` (1, dimension); exact."""
    total, whole = len(rows), flat_index(rows)
    if len(positions) == total:
        similarities, found = whole.search(query, k)
        return similarities, found
    # Rows are compared faster where they lie than copied: of enough of the nearest, k are at the positions.
    depth = 2 * k * total // len(positions)
    if _COPIED_NS * len(positions) > _COMPARED_NS * total + _LISTED_NS * depth:
        allowed = np.zeros(total, np.bool_)
        allowed[positions] = True
        similarities, found = whole.search(query, min(depth, total))
        at = np.flatnonzero((found[0] >= 0) & allowed[found[0]])[:k]
        if len(at) == k:
            return similarities[:, at], found[:, at]
    return exact_search(rows, query, k, positions)


def build_scan(rows: Float16Array, limits: Limits) -> Scan:
    """The scan that suits the number of rows; an exact one if codes do not reach the required recall."""
    codes = CodeScan.build(rows, limits.shortlists) if len(rows) >= limits.codes_from else None
    return codes or ExactScan(rows)


def _recall(found: Int64Array, nearest: Int64Array) -> float:
    hits = sum(int(np.isin(expected, positions).sum()) for expected, positions in zip(nearest, found, strict=True))
    return hits / nearest.size
