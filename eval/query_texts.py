"""Texts as people search with, so many that none comes twice: what a service is asked when nothing may be cached."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

_WHO = (
    "a dog", "two dogs", "a child", "three children", "an old man", "a woman in a yellow coat", "a cat", "a red car",
    "a cyclist", "a bride and a groom", "some friends", "a horse", "a bird", "a fishing boat", "a train",
    "a street band",
)  # fmt: skip
_DOES = (
    "", "at night", "in the rain", "seen from above", "in front of mountains", "with a red umbrella", "running",
    "asleep", "covered in snow", "out of focus", "in black and white", "wearing a hat", "and a ball", "behind a fence",
)  # fmt: skip
_WHERE = (
    "", "on a beach", "in a crowded street", "beside a river", "on a wooden table", "near an old bridge", "in a garden",
    "in a forest in autumn", "at a market", "on a mountain path", "in an empty station", "by a window", "in a field",
    "under a cloudy sky", "in a kitchen",
)  # fmt: skip
_WHEN = ("", "at sunset", "early in the morning", "on a foggy day", "in summer", "while it gets dark")
COUNT = len(_WHO) * len(_DOES) * len(_WHERE) * len(_WHEN)


def texts(seed: int = 0) -> Iterator[str]:
    """`COUNT` different texts of two to twenty words in an order drawn with `seed`, then the same with a number."""
    parts = list(product(_WHO, _DOES, _WHERE, _WHEN))
    order = np.random.default_rng(seed).permutation(len(parts))
    round_ = 0
    while True:
        for place in order:
            words = [part for part in parts[int(place)] if part]
            yield " ".join([*words, str(round_)] if round_ else words)
        round_ += 1
