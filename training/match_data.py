"""What a match is fitted on, encoded once: rated texts and photographs, what stands beside them, and the banks.

Vectors are kept in the user's cache under the encoder's fingerprint and the data's content, so that a second fit,
or a measurement, starts at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from data.captions import CaptionedPhotograph, read_captions
from data.ratings import RatedPairs
from service.match.artifact import ScorerArtifact, quantised
from service.match.features import Bank, HubnessCorrection, pair_features, prepare
from service.types import Float32Array, Float64Array, Int64Array, OnStage

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


BANK_SIZES = (384, 128)
"""Centres of texts and of photographs: half a thousand take a quarter of a megabyte, and more give no more."""
FEWEST_BESIDE = 2000
"""Captions beside the rated ones that it takes to know what texts are like."""
MOST_TEXTS, MOST_PHOTOGRAPHS = 30_000, 2_000
EVERYDAY_TEXTS = 3_000
TEXT_BATCH = 128
OWN_SAYS, OWN_WEIGHT = 0.99, 50.0
"""What a text says of the photograph that it was written for, as experts graded such pairs in the mean, and the
votes that this counts for."""
RANDOM_BESIDE, RANDOM_SAYS, RANDOM_WEIGHT = 50, 0.03, 2.0
"""Random photographs for each text, how much they are taken to fit, and the votes that each counts for."""
FAR, NEAR = 1.0, 10.0
"""Percentiles of the captions' nearness to the bank of texts: below the first, features do not count; above the
second they count wholly. Queries of a word or two are mostly below."""
_LEAST_WAY = 1e-3
"""Between the two ends of the gate, and between two vectors that are not the same."""


@dataclass(frozen=True)
class UnratedPairs:
    """Pairs that nobody rated and that say something all the same, (m,) each: rows of texts and of photographs, what
    they say on the scale of grades mapped to [0, 1], the votes that they count for, and their features."""

    text: Int64Array
    photograph: Int64Array
    said: Float64Array
    weight: Float64Array
    features: Float32Array


@dataclass(frozen=True)
class MatchData:
    """Rated pairs with everything that is measured of them.

    Unit vectors of the rated `texts` (t, d) and `photographs` (p, d); `others` (n, d), for each pair the
    photograph that its text was written for (a crop of the same where that is the pair's own), NaN where there
    is none; `background_texts` and `background_photographs`, vectors of captions and photographs beside the
    rated ones, maybe none; `banks` made of these, empty without them; `gate` the nearness of a text below which
    features do not count and that above which they count wholly; `features` (n, len(FEATURES)) of the pairs,
    (n, 0) without banks; `beside`, pairs that nobody rated; `everyday`, how near photographs are to everything.
    """

    pairs: RatedPairs
    texts: Float32Array
    photographs: Float32Array
    others: Float32Array
    background_texts: Float32Array
    background_photographs: Float32Array
    banks: tuple[Bank, ...]
    gate: tuple[float, float]
    features: Float32Array
    beside: UnratedPairs
    everyday: HubnessCorrection | None = None

    @property
    def plain(self) -> Float64Array:
        """What the match without features is of, for each pair, (n,)."""
        return self.plain_of(self.pairs.text, self.pairs.photograph)

    def plain_of(self, text: Int64Array, photograph: Int64Array) -> Float64Array:
        """The same for rows of texts and of photographs: the cosine, less the nearness to everyday words."""
        cosine = self.cosines(text, photograph)
        if self.everyday is None:
            return cosine
        nearness = -self.everyday.correct(np.zeros(len(self.photographs), np.float32), self.photographs)
        return cosine - nearness[photograph]

    @property
    def cosine(self) -> Float64Array:
        """Cosine of each pair, (n,)."""
        return self.cosines(self.pairs.text, self.pairs.photograph)

    def cosines(self, text: Int64Array, photograph: Int64Array) -> Float64Array:
        """Cosines (m,) of rows of texts with rows of photographs."""
        cosine: Float64Array = np.einsum("nd,nd->n", self.texts[text], self.photographs[photograph]).astype(np.float64)
        return cosine


def read_match_data(
    encoder: Encoder,
    data: Path,
    pairs: RatedPairs,
    cache: Path,
    on_stage: OnStage,
    base: ScorerArtifact | None = None,
) -> MatchData:
    """Encode the rated pairs of a folder of data and what lies beside them.

    Banks are those of `base` or, without one, made of the captions and photographs that nobody rated; where
    these are fewer than `FEWEST_BESIDE` there are none. Raises DataError for a fault of the data.
    """
    known = None if base is None else base.text.feature_model
    beside = [] if known is not None else _beside(data, pairs)
    captions = [caption.text for each in beside for caption in each.captions][:MOST_TEXTS]
    few = len(captions) < FEWEST_BESIDE
    shown = [] if few else _drawn(beside, MOST_PHOTOGRAPHS)
    words = everyday_texts() if base is None else []
    vectors = _encoded(encoder, cache, pairs, [] if few else captions, shown, words, on_stage)
    if known is not None:
        banks, gate = known.banks, (known.far, known.near)
    else:
        banks = _banks(vectors["background_texts"], vectors["background_photographs"], on_stage)
        gate = _gate(vectors["background_texts"], banks)
    text, photograph, said, weight = _beside_rated(pairs)
    measured, of_beside = np.empty((len(pairs), 0), np.float32), np.empty((len(text), 0), np.float32)
    if banks:
        texts, photographs = prepare(vectors["texts"], banks), prepare(vectors["photographs"], banks)
        measured = pair_features(texts, photographs, banks, pairs.text, pairs.photograph)
        of_beside = pair_features(texts, photographs, banks, text, photograph)
    unrated = UnratedPairs(text, photograph, said, weight, of_beside)
    of_words = vectors.pop("everyday_texts")
    everyday = HubnessCorrection.fit(of_words) if base is None else base.text.hubness
    return MatchData(
        pairs=pairs, banks=banks, gate=gate, features=measured, beside=unrated, everyday=everyday, **vectors
    )


def _gate(captions: Float32Array, banks: tuple[Bank, ...]) -> tuple[float, float]:
    if not banks:
        return 0.0, 1.0
    far, near = np.percentile(prepare(captions, banks).nearness, [FAR, NEAR])
    return float(far), max(float(near), float(far) + _LEAST_WAY)


def _beside_rated(
    pairs: RatedPairs,
) -> tuple[Int64Array, Int64Array, Float64Array, Float64Array]:
    """Texts with their own photographs and with random ones: rows, what they say, and what they count for.

    Rated pairs were chosen because they are plausible; a library is full of photographs that are not.
    """
    rated = set(zip(pairs.text.tolist(), pairs.photograph.tolist(), strict=True))
    owned = np.flatnonzero(pairs.text_owner >= 0)
    own = [(text, int(pairs.text_owner[text])) for text in owned.tolist()]
    drawn = np.random.default_rng(0).integers(len(pairs.photographs), size=(len(owned), RANDOM_BESIDE))
    others = [
        (text, photograph)
        for (text, mine), row in zip(own, drawn.tolist(), strict=True)
        for photograph in set(row) - {mine}
    ]
    kept = [[pair for pair in group if pair not in rated] for group in (own, others)]
    counts = [len(group) for group in kept]
    rows = np.array([*kept[0], *kept[1]], np.int64).reshape(-1, 2)
    said, weight = np.repeat([OWN_SAYS, RANDOM_SAYS], counts), np.repeat([OWN_WEIGHT, RANDOM_WEIGHT], counts)
    return rows[:, 0], rows[:, 1], said, weight


def _beside(data: Path, pairs: RatedPairs) -> list[CaptionedPhotograph]:
    """Photographs with captions that nobody rated, and none of the rated texts among these."""
    rated = {each.name for each in pairs.photographs}
    return [each for each in read_captions(data) if each.name not in rated]


def _drawn(photographs: Sequence[CaptionedPhotograph], most: int) -> list[CaptionedPhotograph]:
    chosen = np.random.default_rng(0).permutation(len(photographs))[:most]
    return [photographs[each] for each in sorted(chosen)]


def _encoded(
    encoder: Encoder,
    cache: Path,
    pairs: RatedPairs,
    captions: Sequence[str],
    shown: Sequence[CaptionedPhotograph],
    words: Sequence[str],
    on_stage: OnStage,
) -> dict[str, Any]:
    digest = xxhash.xxh3_64(encoder.fingerprint.encode())
    for photographs in (pairs.photographs, shown):
        digest.update(f"{len(photographs)} photographs".encode())
        for each in photographs:
            # Exports of two libraries may have equal names, and pictures of one format and size are of equal length.
            digest.update(xxhash.xxh3_128_digest(each.path.read_bytes()))
    for texts in (pairs.texts, captions, words):
        digest.update(json.dumps(list(texts)).encode())
    digest.update(pairs.text_owner.tobytes() + pairs.photograph.tobytes() + pairs.text.tobytes())
    file = cache / f"ratings-{digest.hexdigest()}.npz"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        rated = _photograph_vectors(encoder, pairs.photographs, "rated photographs", on_stage)
        vectors = {
            "texts": _text_vectors(encoder, pairs.texts, "rated texts", on_stage),
            "photographs": rated,
            "others": _others(encoder, pairs, rated, on_stage),
            "background_texts": _text_vectors(encoder, captions, "captions beside them", on_stage),
            "everyday_texts": _text_vectors(encoder, words, "everyday words", on_stage),
            "background_photographs": _photograph_vectors(encoder, shown, "photographs beside them", on_stage),
        }
        part = file.with_suffix(".part.npz")
        np.savez(part, allow_pickle=False, **vectors)
        part.replace(file)
    with np.load(file) as kept:
        return {name: kept[name] for name in kept.files}


def everyday_texts() -> list[str]:
    """What people may ask for: names of ImageNet's classes and of what they are kinds of, in a few sentences."""
    from training.mini.imagenet_classes import imagenet_texts

    texts = [each.text for each in imagenet_texts(0)]
    return [texts[each] for each in np.random.default_rng(0).permutation(len(texts))[:EVERYDAY_TEXTS]]


def _text_vectors(encoder: Encoder, texts: Sequence[str], what: str, on_stage: OnStage) -> Float32Array:
    rows = [np.empty((0, encoder.dimension), np.float32)]
    for first in range(0, len(texts), TEXT_BATCH):
        rows.append(encoder.encode_texts(texts[first : first + TEXT_BATCH]))
        on_stage(what, min(first + TEXT_BATCH, len(texts)), len(texts))
    return np.concatenate(rows)


def _photograph_vectors(
    encoder: Encoder, photographs: Sequence[CaptionedPhotograph], what: str, on_stage: OnStage
) -> Float32Array:
    from eval.retrieval import encode_photographs

    if not photographs:
        return np.empty((0, encoder.dimension), np.float32)
    done = 0

    def on_done(count: int) -> None:
        nonlocal done
        done += count
        on_stage(what, done, len(photographs))

    return encode_photographs(encoder, list(photographs), on_done)


def _others(encoder: Encoder, pairs: RatedPairs, photographs: Float32Array, on_stage: OnStage) -> Float32Array:
    """Where people say that a text written for photograph B describes A, the two show the same scene as far as
    words tell. A text's own photograph would be beside itself at a cosine of 1, which teaches nothing; a random
    crop stands in for it."""
    from service.photos.decode import open_photograph
    from training.mini.views import view_of

    owner = pairs.text_owner[pairs.text]
    others = np.where((owner >= 0)[:, None], photographs[owner], np.float32(np.nan))
    own = np.flatnonzero(pairs.own)
    cropped = np.unique(pairs.photograph[own])
    crops: dict[int, Float32Array] = {}
    for number, row in enumerate(cropped, start=1):
        image = open_photograph(pairs.photographs[row].path).image
        crop = view_of(image, encoder.photograph_side, np.random.default_rng((0, int(row))))
        crops[int(row)] = encoder.encode_photographs([crop])[0]
        on_stage("crops of rated photographs", number, len(cropped))
    for pair in own:
        others[pair] = crops[int(pairs.photograph[pair])]
    return others.astype(np.float32)


def _banks(texts: Float32Array, photographs: Float32Array, on_stage: OnStage) -> tuple[Bank, ...]:
    """Banks of the centres of texts and photographs; none where there are too few, or all are the same."""
    banks = []
    for number, (vectors, size) in enumerate(zip((texts, photographs), BANK_SIZES, strict=True), start=1):
        if len(vectors) < 2 * size or np.ptp(vectors, axis=0).max() < _LEAST_WAY:
            return ()
        banks.append(make_bank(vectors, size))
        on_stage("banks", number, len(BANK_SIZES))
    return tuple(banks)


def make_bank(vectors: Float32Array, size: int, seed: int = 0) -> Bank:
    """The centres of `size` clusters of unit vectors (n, d), brought to length 1 and quantised as a file keeps them.

    Of vectors that are fewer different ones there are fewer centres.
    """
    from sklearn.cluster import KMeans

    fitted = KMeans(size, n_init=1, max_iter=30, random_state=seed).fit(vectors)
    counts = np.bincount(fitted.labels_, minlength=size)
    centres = fitted.cluster_centers_[counts > 0].astype(np.float32)
    unit = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    return Bank(quantised(unit), counts[counts > 0].astype(np.float32))
