"""The kinds of scan over a library's rows, and which of them from which size on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from service.index.rows import BLOCK, Found, decoded, flat, let_go, nearest, spread
from service.types import Float16Array, Float32Array, Int64Array

_TRAINING = 16_384
"""Rows that the codes are trained on; FAISS takes 256 a centre, and there are 16."""
_ASKED = 32
_DEPTH = 200
"""How deep a search looks where matches may order photographs anew (`search.LEAST_CANDIDATES`)."""
_LEAST_NEAREST, _LEAST_DEEP = 0.99, 0.97
"""Shares of the ten and of the 200 nearest that a short list must hold."""
_TEXT = 0.5
"""How much of a trial query is a photograph; the rest is a random direction, as texts lie far from photographs."""
_SHARE = 4
"""A short list of more than one in so many rows is longer than it is worth."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Which kind of index from which number of rows on, and when its files are written anew.

    The numbers come from `smysl bench scans`. Codes are quicker from about 30,000 rows on, but take seconds to make, so
    they begin where the base is no longer written at each save.

    Attributes:
        coarse_from: rows from which on codes give a short list that is compared exactly.
        lists: lengths of the short list that are tried; the first that finds enough is kept.
        whole_until: rows up to which all is in one piece: kept in memory, written anew at each save.
        share: share of the base that may be newer than it or gone from it before it is written anew.
    """

    coarse_from: int = 60_000
    lists: tuple[int, ...] = (2_000, 4_000, 8_000, 16_000)
    whole_until: int = 50_000
    share: float = 0.05


class Scan(Protocol):
    """A way to find the nearest of rows that never change."""

    name: str
    """What FAISS calls it."""

    def nearest(self, queries: Float32Array, k: int) -> Found:
        """The `k` nearest rows to each of `queries` (q, dimension), with exact similarities."""

    def size(self) -> int:
        """Bytes that it holds beside the rows."""


class Exact:
    """Compares a query with every row."""

    name = "SQfp16"

    def __init__(self, rows: Float16Array) -> None:
        self._rows = rows
        self._flat = flat(rows)

    def nearest(self, queries: Float32Array, k: int) -> Found:
        """The `k` nearest rows to each of `queries` (q, dimension)."""
        if len(queries) == 1 and len(self._rows):
            similarities, found = self._flat.search(queries, k)
            return similarities, found
        return nearest(self._rows, queries, k)

    def size(self) -> int:
        """Nothing."""
        return 0


class Coarse:
    """Compares a query with codes of every row, and exactly with the rows of a short list.

    The codes are those of a product quantizer of 16 centres for each four dimensions (a bit a dimension), scanned in
    the processor's registers (André, Kermarrec, Le Scouarnec 2015): quicker than RaBitQ at equal recall here. `codes`
    is FAISS's index of them and `length` of how many rows the short list is, ten times `k` where that is more.
    """

    def __init__(self, rows: Float16Array, codes: Any, length: int) -> None:
        self.name = f"PQ{codes.pq.M}x4fs,Refine(SQfp16)"
        self.codes = codes
        self.length = length
        self._rows = rows

    def nearest(self, queries: Float32Array, k: int) -> Found:
        """The `k` nearest of the short list to each of `queries` (q, dimension)."""
        length = max(self.length, 10 * k)
        if length * _SHARE > len(self._rows):
            return nearest(self._rows, queries, k)
        listed = self.codes.search(queries, length)[1]
        found = [
            # In the order of the file: the memory is quicker at it.
            nearest(self._rows, query[None], k, np.sort(places[places >= 0]))
            for query, places in zip(queries, listed, strict=True)
        ]
        return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])

    def size(self) -> int:
        """Bytes of the codes."""
        return int(self.codes.ntotal * self.codes.code_size)

    @classmethod
    def made(cls, rows: Float16Array, lengths: tuple[int, ...]) -> Coarse | None:
        """The codes of rows (n, dimension) with the shortest sufficient list; None where none of `lengths` suffices.

        Queries of two kinds are tried against the exact answer: photographs, and what lies as far from them as texts.
        """
        import faiss

        count, dimension = rows.shape
        each = next(size for size in (4, 3, 2, 1) if dimension % size == 0)
        codes = faiss.IndexPQFastScan(dimension, dimension // each, 4, faiss.METRIC_INNER_PRODUCT)
        # Otherwise it warns on the terminal where rows are few.
        codes.pq.cp.min_points_per_centroid = 1
        codes.train(spread(rows, _TRAINING))
        for start in range(0, count, BLOCK):
            codes.add(decoded(rows[start : start + BLOCK]))
            let_go(rows)
        own = spread(rows, _ASKED)
        random = np.random.default_rng(0).standard_normal(own.shape).astype(np.float32)
        random /= np.linalg.norm(random, axis=1, keepdims=True)
        asked = np.concatenate([own, _TEXT * own + (1 - _TEXT**2) ** 0.5 * random])
        right = nearest(rows, asked, min(_DEPTH, count), once=True)[1]
        for length in lengths:
            listed = codes.search(asked, min(length, count))[1]
            if _share(listed, right[:, :10]) >= _LEAST_NEAREST and _share(listed, right) >= _LEAST_DEEP:
                return cls(rows, codes, length)
        return None


def scan_of(rows: Float16Array, limits: Limits) -> Scan:
    """Builds the kind of scan that suits the number of rows; exact where codes would not tell them apart."""
    if len(rows) >= limits.coarse_from:
        made = Coarse.made(rows, limits.lists)
        if made is not None:
            return made
    return Exact(rows)


def _share(listed: Int64Array, right: Int64Array) -> float:
    found = sum(int(np.isin(wanted, places).sum()) for wanted, places in zip(right, listed, strict=True))
    return found / right.size
