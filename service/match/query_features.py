"""The features of one text with many photographs, which is what a search asks for, in few and small products.

`interaction.features` says what features are, of any pairs, and forms for it what each bank shows of each
photograph. Here none of that is formed. What is seen through a bank is a weighted sum of its centres, so its product
with a vector is the same sum of the centres' products with that vector: photographs are multiplied with all centres
once, and what is left are sums over these. Weights at one temperature are the squares of those at twice the
temperature, so that one exponential is enough.
"""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np

from service.match.features import BANKS, FEATURES, POWERS, TEMPERATURES, Bank, Side
from service.types import Float32Array

_COARSE = TEMPERATURES[1]
"""Twice the other one."""
_SEEN = 3
"""Products with one end or both seen, at each temperature."""


class OneText:
    """Ready to measure one text with many photographs through `banks`, in the order of BANKS."""

    def __init__(self, banks: tuple[Bank, ...]) -> None:
        self._banks = banks
        self._centres = np.ascontiguousarray(np.concatenate([bank.vectors for bank in banks]).T, np.float32)
        ends = accumulate((len(bank.vectors) for bank in banks), initial=0)
        self._places = [slice(*each) for each in pairwise(ends)]

    def features(self, text: Side, photographs: Float32Array) -> Float32Array:
        """What `interaction.features` gives for the one text of a side with each of some photographs.

        Those are unit vectors (n, dimension); the features are float32 (n, len(FEATURES)), the same but for rounding.
        """
        coarse = photographs @ self._centres
        # Cosines are at most 1, so that nothing overflows: exp(1 / 0.05) is 5e8.
        coarse *= 1.0 / _COARSE
        np.exp(coarse, out=coarse)
        fine = coarse * coarse
        columns = np.empty((len(FEATURES), len(photographs)), np.float32)
        direct = self._direct(text, photographs)
        columns[0] = direct[0]
        blocks, products = np.split(columns[1:-1], len(BANKS)), np.split(direct[1:], len(BANKS))
        totals = [
            self._through(number, (fine[:, place], coarse[:, place]), text, products[number], blocks[number])
            for number, place in enumerate(self._places)
        ]
        columns[-1] = _COARSE * np.log(totals[BANKS.index("texts")])
        return columns.T

    def _direct(self, text: Side, photographs: Float32Array) -> Float32Array:
        """Products (1 + banks · (temperatures + powers), n) with vectors that are of the text alone."""
        rows, offsets = [text.vectors[0]], [0.0]
        for bank, seen in zip(self._banks, text.through, strict=True):
            turned = bank.turned(text.vectors[0])
            rows += [*(each[0] for each in seen.seen), *turned]
            offsets += [0.0] * len(seen.seen) + (turned @ bank.centre).tolist()
        products: Float32Array = (photographs @ np.stack(rows, axis=1) - np.array(offsets, np.float32)).T
        return products

    def _through(
        self,
        number: int,
        weights: tuple[Float32Array, ...],
        text: Side,
        products: Float32Array,
        block: Float32Array,
    ) -> Float32Array:
        """Fill in the columns of one bank, the rows of `block`; the sums (n,) of the weights at the last temperature.

        `weights` (n, centres) are the photographs' at each temperature, without the centres' shares; `products` is
        what `_direct` has of the bank.
        """
        bank, seen = self._banks[number], text.through[number]
        ends = np.stack([text.vectors[0], *(each[0] for each in seen.seen)]) @ bank.vectors.T
        for turn, each in enumerate(weights):
            summed = np.stack([np.ones_like(ends[0]), ends[0], ends[turn + 1]]) * bank.shares
            sums = summed @ each.T
            total: Float32Array = sums[0]
            rows = block[_SEEN * turn : _SEEN * (turn + 1)]
            rows[0] = products[turn]
            rows[1:] = sums[1:] / total
        several = _SEEN * len(weights)
        block[several : several + len(POWERS)] = products[len(weights) :]
        block[several + len(POWERS) :] = seen.alone.T
        return total
