"""The figures on validation photographs: as in `eval.retrieval`, except for shared texts."""

from __future__ import annotations

import numpy as np

from eval.retrieval import recalls as plain_recalls
from training.validation import recalls


def test_recalls_equal_those_of_the_evaluation_where_no_text_is_shared() -> None:
    generator = np.random.default_rng(1)
    photo_of_text = np.repeat(np.arange(30), 2)
    photographs = generator.normal(size=(30, 8)).astype(np.float32)
    texts = photographs[photo_of_text] + generator.normal(size=(60, 8)).astype(np.float32)
    own = [[2 * number, 2 * number + 1] for number in range(30)]
    assert recalls(texts, photographs, own) == plain_recalls(texts, photographs, photo_of_text)


def test_each_photograph_of_a_shared_text_is_a_right_answer() -> None:
    photographs = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    texts = np.eye(3, dtype=np.float32)[[0, 1]]
    assert set(recalls(texts, photographs, [[0], [0], [1]]).values()) == {100.0}
    assert recalls(texts, photographs, [[1], [1], [0]])["t2i_r1"] == 0
