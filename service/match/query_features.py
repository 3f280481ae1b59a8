"""The features of one text with many photographs, as a search needs them, with few and small matrix products.

`service.match.features` defines the features for any pairs and computes the readouts of each photograph. Here no
readouts of photographs are computed: a readout is a weighted sum of centroids, so its product with a vector is the same
sum of the centroids' products with that vector. Photographs are multiplied with all centroids once; the rest are sums.
The softmax weights at one temperature are the squares of those at twice the temperature, so one exponential is enough.
"""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np

from service.match.features import BANKS, FEATURES, POWERS, TEMPERATURES, Bank, Prepared
from service.types import Float32Array

_HIGH_TEMPERATURE = TEMPERATURES[1]
"""Twice the other one."""
_READOUT_FEATURES = 3
"""Products with one or both readouts, at each temperature."""


class QueryFeatures:
    """Computes the features of one text with many photographs; `banks` in the order of BANKS."""

    def __init__(self, banks: tuple[Bank, ...]) -> None:
        self._banks = banks
        self._centroids = np.ascontiguousarray(np.concatenate([bank.vectors for bank in banks]).T, np.float32)
        ends = accumulate((len(bank.vectors) for bank in banks), initial=0)
        self._columns = [slice(*each) for each in pairwise(ends)]

    def measure(self, text: Prepared, photographs: Float32Array) -> Float32Array:
        """The features (n, len(FEATURES)) float32 of a text with photographs (n, dimension), unit vectors.

        They equal those of `pair_features` but for rounding.
        """
        high = photographs @ self._centroids
        # Cosines are at most 1, so nothing overflows: exp(1 / 0.05) is 5e8.
        high *= 1.0 / _HIGH_TEMPERATURE
        np.exp(high, out=high)
        low = high * high
        features = np.empty((len(FEATURES), len(photographs)), np.float32)
        direct = self._direct(text, photographs)
        features[0] = direct[0]
        blocks, products = np.split(features[1:-1], len(BANKS)), np.split(direct[1:], len(BANKS))
        totals = [
            self._fill_bank(number, (low[:, columns], high[:, columns]), text, products[number], blocks[number])
            for number, columns in enumerate(self._columns)
        ]
        features[-1] = _HIGH_TEMPERATURE * np.log(totals[BANKS.index("texts")])
        return features.T

    def _direct(self, text: Prepared, photographs: Float32Array) -> Float32Array:
        """Products (1 + banks · (temperatures + powers), n) of photographs with vectors computed only from the text."""
        rows, offsets = [text.vectors[0]], [0.0]
        for bank, by_bank in zip(self._banks, text.by_bank, strict=True):
            applied = bank.apply_powers(text.vectors[0])
            rows += [*(each[0] for each in by_bank.readouts), *applied]
            offsets += [0.0] * len(by_bank.readouts) + (applied @ bank.centre).tolist()
        products: Float32Array = (photographs @ np.stack(rows, axis=1) - np.array(offsets, np.float32)).T
        return products

    def _fill_bank(
        self,
        number: int,
        weights: tuple[Float32Array, ...],
        text: Prepared,
        products: Float32Array,
        block: Float32Array,
    ) -> Float32Array:
        """Fills in the features of one bank, the rows of `block`; returns the sums (n,) of the weights at the high
        temperature.

        `weights` (n, centroids) are the photographs' softmax weights at each temperature, not normalised and without
        the shares of the centroids; `products` is the bank's part of `_direct`.
        """
        bank, by_bank = self._banks[number], text.by_bank[number]
        cosines = np.stack([text.vectors[0], *(each[0] for each in by_bank.readouts)]) @ bank.vectors.T
        for turn, each in enumerate(weights):
            summands = np.stack([np.ones_like(cosines[0]), cosines[0], cosines[turn + 1]]) * bank.shares
            sums = summands @ each.T
            total: Float32Array = sums[0]
            rows = block[_READOUT_FEATURES * turn : _READOUT_FEATURES * (turn + 1)]
            rows[0] = products[turn]
            rows[1:] = sums[1:] / total
        done = _READOUT_FEATURES * len(weights)
        block[done : done + len(POWERS)] = products[len(weights) :]
        block[done + len(POWERS) :] = by_bank.own.T
        return total
