"""Search texts that look like people's, in such number that none repeats, so that no cache answers them."""

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


def query_texts(seed: int = 0) -> Iterator[str]:
    """`COUNT` different texts of two to twenty words, shuffled with `seed`; then the same with a number, and so on."""
    parts = list(product(_WHO, _DOES, _WHERE, _WHEN))
    order = np.random.default_rng(seed).permutation(len(parts))
    round_ = 0
    while True:
        for number in order:
            words = [part for part in parts[int(number)] if part]
            yield " ".join([*words, str(round_)] if round_ else words)
        round_ += 1
