"""How well an encoder in training finds what it has not seen.

The figures are those of `eval.retrieval` with one difference: a text that stands beside several photographs
("our cat") is one text, and each of its photographs is a right answer. Where no text stands beside two, they
are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.retrieval import CHUNK, DEPTHS
from service.types import Float32Array, Int64Array


def recalls(
    text_vectors: Float32Array, photo_vectors: Float32Array, texts_of: Sequence[Sequence[int]]
) -> dict[str, float]:
    """`t2i_r1`, `t2i_r5`, `t2i_r10`, `i2t_r1`, `i2t_r5`, `i2t_r10` in percent.

    `text_vectors` (n, d), no text twice, and `photo_vectors` (m, d) are unit vectors; `texts_of` has the rows
    of each photograph's texts.
    """
    photographs_of: list[list[int]] = [[] for _ in text_vectors]
    for photograph, texts in enumerate(texts_of):
        for text in texts:
            photographs_of[text].append(photograph)
    found = {
        "t2i": _wrong_before_right(text_vectors, photo_vectors, photographs_of),
        "i2t": _wrong_before_right(photo_vectors, text_vectors, texts_of),
    }
    return {f"{way}_r{depth}": 100 * float(np.mean(ranks < depth)) for way, ranks in found.items() for depth in DEPTHS}


def goodness(figures: dict[str, float]) -> tuple[float, float]:
    """What makes one epoch better than another: the mean R@5 of both ways, and where it is equal that of R@1."""
    return (figures["t2i_r5"] + figures["i2t_r5"]) / 2, (figures["t2i_r1"] + figures["i2t_r1"]) / 2


def _wrong_before_right(queries: Float32Array, answers: Float32Array, right_of: Sequence[Sequence[int]]) -> Int64Array:
    """How many wrong answers are at least as similar to each query as its best right one."""
    ranks = np.empty(len(queries), dtype=np.int64)
    for first in range(0, len(queries), CHUNK):
        similarity = queries[first : first + CHUNK] @ answers.T
        right = np.zeros(similarity.shape, dtype=bool)
        for row, places in enumerate(right_of[first : first + CHUNK]):
            right[row, list(places)] = True
        best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
        ranks[first : first + len(similarity)] = ((similarity >= best) & ~right).sum(axis=1)
    return ranks
