"""Retrieval figures of an encoder in training on validation photographs.

They are those of `eval.retrieval`, except that a text which several photographs share ("our cat") counts as one text,
with each of its photographs a right answer. Where no text is shared, the figures are the same.
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

    `text_vectors` (n, d), of distinct texts, and `photo_vectors` (m, d) are unit vectors; `texts_of` has the rows of
    each photograph's texts.
    """
    photographs_of: list[list[int]] = [[] for _ in text_vectors]
    for photograph, texts in enumerate(texts_of):
        for text in texts:
            photographs_of[text].append(photograph)
    ranks_of = {
        "t2i": _wrong_before_right(text_vectors, photo_vectors, photographs_of),
        "i2t": _wrong_before_right(photo_vectors, text_vectors, texts_of),
    }
    return {
        f"{way}_r{depth}": 100 * float(np.mean(ranks < depth)) for way, ranks in ranks_of.items() for depth in DEPTHS
    }


def selection_score(figures: dict[str, float]) -> tuple[float, float]:
    """Epochs are ranked by the mean R@5 of both directions, and equal ones by the mean R@1."""
    return (figures["t2i_r5"] + figures["i2t_r5"]) / 2, (figures["t2i_r1"] + figures["i2t_r1"]) / 2


def describe_recalls(figures: dict[str, float]) -> str:
    """The recalls of both directions in words, in percent."""
    directions = {"t2i": "text to photograph", "i2t": "photograph to text"}
    return ", ".join(
        f"{words} {' / '.join(format(figures[f'{direction}_r{depth}'], '.1f') for depth in DEPTHS)}"
        for direction, words in directions.items()
    )


def _wrong_before_right(queries: Float32Array, answers: Float32Array, right_of: Sequence[Sequence[int]]) -> Int64Array:
    """For each query, how many wrong answers are at least as similar as its best right one."""
    ranks = np.empty(len(queries), dtype=np.int64)
    for first in range(0, len(queries), CHUNK):
        similarity = queries[first : first + CHUNK] @ answers.T
        right = np.zeros(similarity.shape, dtype=bool)
        for row, columns in enumerate(right_of[first : first + CHUNK]):
            right[row, list(columns)] = True
        best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
        ranks[first : first + len(similarity)] = ((similarity >= best) & ~right).sum(axis=1)
    return ranks
