"""The data that a match is fitted on: embeddings of rated texts and photographs, features, and banks.

Embeddings are cached in a file named after the encoder's fingerprint and the data's content, so that a second fit or a
measurement starts at once.
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
from service.store.atomic import replacing
from service.types import Float32Array, Float64Array, Int64Array, OnStage

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


BANK_SIZES = (384, 128)
"""Centroids in the banks of texts and of photographs. They take a quarter of a megabyte; more were no better."""
FEWEST_CAPTIONS = 2000
"""Captions of unrated photographs from which banks are made, at least."""
MOST_TEXTS, MOST_PHOTOGRAPHS = 30_000, 2_000
EVERYDAY_TEXTS = 3_000
TEXT_BATCH = 128
OWN_TARGET, OWN_WEIGHT = 0.99, 50.0
"""Target of a text with the photograph it was written for, which is the mean grade that experts gave such pairs, and
its weight in votes."""
RANDOM_PER_TEXT, RANDOM_TARGET, RANDOM_WEIGHT = 50, 0.03, 2.0
"""Random photographs paired with each text, their target, and their weight in votes."""
FAR, NEAR = 1.0, 10.0
"""Percentiles of the captions' nearness to the bank of texts: below the first only the cosine counts, above the second
only the features do. Queries of a word or two are mostly below the first."""
_LEAST_DIFFERENCE = 1e-3
"""Between the two ends of the gate, and between the vectors of a bank."""


@dataclass(frozen=True)
class UnratedPairs:
    """Pairs (m,) that nobody rated but whose target is known well enough to fit on.

    Attributes:
        text: (m,) rows of texts.
        photograph: (m,) rows of photographs.
        target: (m,) on the scale of grades mapped to [0, 1].
        weight: (m,) in votes.
        features: (m, len(FEATURES)), or (m, 0) without banks.
    """

    text: Int64Array
    photograph: Int64Array
    target: Float64Array
    weight: Float64Array
    features: Float32Array


@dataclass(frozen=True)
class MatchData:
    """Rated pairs (n,) with everything computed from them. All vectors have length 1.

    Attributes:
        pairs: the ratings.
        texts: (t, d), vectors of the rated texts.
        photographs: (p, d), vectors of the rated photographs.
        owner_vectors: (n, d), for each pair the vector of the photograph that its text was written for, or of a crop
            of it where that is the pair's own photograph; NaN where there is none.
        background_texts: (b, d), vectors of captions that nobody rated; may be empty.
        background_photographs: (c, d), vectors of photographs that nobody rated; may be empty.
        banks: made of the background, or empty.
        gate: the nearness of a text up to which only the cosine counts, and from which on only the features do.
        features: (n, len(FEATURES)), or (n, 0) without banks.
        unrated: further pairs to fit on.
        hubness: corrects the cosine for photographs that are near to every text.
    """

    pairs: RatedPairs
    texts: Float32Array
    photographs: Float32Array
    owner_vectors: Float32Array
    background_texts: Float32Array
    background_photographs: Float32Array
    banks: tuple[Bank, ...]
    gate: tuple[float, float]
    features: Float32Array
    unrated: UnratedPairs
    hubness: HubnessCorrection | None = None

    @property
    def cosine(self) -> Float64Array:
        """Cosine (n,) of each rated pair."""
        return self._cosines(self.pairs.text, self.pairs.photograph)

    @property
    def corrected_cosine(self) -> Float64Array:
        """Cosine (n,) of each rated pair, corrected for hubness."""
        return self.corrected_cosines(self.pairs.text, self.pairs.photograph)

    def corrected_cosines(self, text: Int64Array, photograph: Int64Array) -> Float64Array:
        """Cosines (m,) of rows of texts with rows of photographs, corrected for hubness."""
        cosine = self._cosines(text, photograph)
        if self.hubness is None:
            return cosine
        correction = self.hubness.correct(np.zeros(len(self.photographs), np.float32), self.photographs)
        return cosine + correction[photograph]

    def _cosines(self, text: Int64Array, photograph: Int64Array) -> Float64Array:
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
    """Encode the rated pairs of a folder of data, and its unrated captions and photographs.

    The banks are those of `base` or, without one, made of the unrated captions and photographs; there are none where
    the captions are fewer than `FEWEST_CAPTIONS`. Raises DataError for a fault of the data.
    """
    base_model = None if base is None else base.text.feature_model
    unrated = [] if base_model is not None else _unrated_photographs(data, pairs)
    captions = [caption.text for each in unrated for caption in each.captions][:MOST_TEXTS]
    if len(captions) < FEWEST_CAPTIONS:
        captions, unrated = [], []
    background = _sample(unrated, MOST_PHOTOGRAPHS)
    everyday = everyday_texts() if base is None else []
    vectors = _encode(encoder, cache, pairs, captions, background, everyday, on_stage)
    if base_model is not None:
        banks, gate = base_model.banks, (base_model.far, base_model.near)
    else:
        banks = _make_banks(vectors["background_texts"], vectors["background_photographs"], on_stage)
        gate = _gate(vectors["background_texts"], banks)
    text, photograph, target, weight = _unrated_pairs(pairs)
    rated_features, unrated_features = np.empty((len(pairs), 0), np.float32), np.empty((len(text), 0), np.float32)
    if banks:
        texts, photographs = prepare(vectors["texts"], banks), prepare(vectors["photographs"], banks)
        rated_features = pair_features(texts, photographs, banks, pairs.text, pairs.photograph)
        unrated_features = pair_features(texts, photographs, banks, text, photograph)
    return MatchData(
        pairs=pairs,
        texts=vectors["texts"],
        photographs=vectors["photographs"],
        owner_vectors=vectors["others"],
        background_texts=vectors["background_texts"],
        background_photographs=vectors["background_photographs"],
        banks=banks,
        gate=gate,
        features=rated_features,
        unrated=UnratedPairs(text, photograph, target, weight, unrated_features),
        hubness=HubnessCorrection.fit(vectors["everyday_texts"]) if base is None else base.text.hubness,
    )


def everyday_texts() -> list[str]:
    """Texts that people may search for: names of ImageNet's classes and of their hypernyms, in a few phrases."""
    from training.mini.imagenet_classes import imagenet_texts

    texts = [each.text for each in imagenet_texts(0)]
    return [texts[each] for each in np.random.default_rng(0).permutation(len(texts))[:EVERYDAY_TEXTS]]


def make_bank(vectors: Float32Array, size: int, seed: int = 0) -> Bank:
    """The centroids of `size` clusters of unit vectors (n, d), scaled to length 1 and quantised as in the file.

    There are fewer centroids where fewer vectors are distinct.
    """
    from sklearn.cluster import KMeans

    fitted = KMeans(size, n_init=1, max_iter=30, random_state=seed).fit(vectors)
    counts = np.bincount(fitted.labels_, minlength=size)
    centroids = fitted.cluster_centers_[counts > 0].astype(np.float32)
    unit = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
    return Bank(quantised(unit), counts[counts > 0].astype(np.float32))


def _make_banks(texts: Float32Array, photographs: Float32Array, on_stage: OnStage) -> tuple[Bank, ...]:
    """Banks of texts and of photographs; none where there are too few vectors, or all are equal."""
    banks = []
    for number, (vectors, size) in enumerate(zip((texts, photographs), BANK_SIZES, strict=True), start=1):
        if len(vectors) < 2 * size or np.ptp(vectors, axis=0).max() < _LEAST_DIFFERENCE:
            return ()
        banks.append(make_bank(vectors, size))
        on_stage("banks", number, len(BANK_SIZES))
    return tuple(banks)


def _gate(captions: Float32Array, banks: tuple[Bank, ...]) -> tuple[float, float]:
    if not banks:
        return 0.0, 1.0
    far, near = np.percentile(prepare(captions, banks).nearness, [FAR, NEAR])
    return float(far), max(float(near), float(far) + _LEAST_DIFFERENCE)


def _unrated_pairs(pairs: RatedPairs) -> tuple[Int64Array, Int64Array, Float64Array, Float64Array]:
    """Texts with their own photographs and with random ones: rows of texts and photographs, targets, weights.

    People rate pairs that are plausible, but most photographs of a library are not plausible for a query.
    """
    rated = set(zip(pairs.text.tolist(), pairs.photograph.tolist(), strict=True))
    with_owner = np.flatnonzero(pairs.text_owner >= 0)
    own = [(text, int(pairs.text_owner[text])) for text in with_owner.tolist()]
    drawn = np.random.default_rng(0).integers(len(pairs.photographs), size=(len(with_owner), RANDOM_PER_TEXT))
    random = [
        (text, photograph)
        for (text, owner), row in zip(own, drawn.tolist(), strict=True)
        for photograph in set(row) - {owner}
    ]
    own, random = ([pair for pair in group if pair not in rated] for group in (own, random))
    counts = [len(own), len(random)]
    rows = np.array([*own, *random], np.int64).reshape(-1, 2)
    target, weight = np.repeat([OWN_TARGET, RANDOM_TARGET], counts), np.repeat([OWN_WEIGHT, RANDOM_WEIGHT], counts)
    return rows[:, 0], rows[:, 1], target, weight


def _unrated_photographs(data: Path, pairs: RatedPairs) -> list[CaptionedPhotograph]:
    """Captioned photographs that nobody rated."""
    rated = {each.name for each in pairs.photographs}
    return [each for each in read_captions(data) if each.name not in rated]


def _sample(photographs: Sequence[CaptionedPhotograph], most: int) -> list[CaptionedPhotograph]:
    chosen = np.random.default_rng(0).permutation(len(photographs))[:most]
    return [photographs[each] for each in sorted(chosen)]


def _encode(
    encoder: Encoder,
    cache: Path,
    pairs: RatedPairs,
    captions: Sequence[str],
    background: Sequence[CaptionedPhotograph],
    everyday: Sequence[str],
    on_stage: OnStage,
) -> dict[str, Any]:
    """All vectors by name, from the cache where they are in it."""
    digest = xxhash.xxh3_64(encoder.fingerprint.encode())
    for photographs in (pairs.photographs, background):
        digest.update(f"{len(photographs)} photographs".encode())
        for each in photographs:
            # By content, because exports of two libraries may have photographs of equal names and file sizes.
            digest.update(xxhash.xxh3_128_digest(each.path.read_bytes()))
    for texts in (pairs.texts, captions, everyday):
        digest.update(json.dumps(list(texts)).encode())
    digest.update(pairs.text_owner.tobytes() + pairs.photograph.tobytes() + pairs.text.tobytes())
    file = cache / f"ratings-{digest.hexdigest()}.npz"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        rated = _encode_photographs(encoder, pairs.photographs, "rated photographs", on_stage)
        vectors = {
            "texts": _encode_texts(encoder, pairs.texts, "rated texts", on_stage),
            "photographs": rated,
            "others": _owner_vectors(encoder, pairs, rated, on_stage),
            "background_texts": _encode_texts(encoder, captions, "captions of other photographs", on_stage),
            "everyday_texts": _encode_texts(encoder, everyday, "everyday texts", on_stage),
            "background_photographs": _encode_photographs(encoder, background, "other photographs", on_stage),
        }
        with replacing(file) as temporary:
            np.savez(temporary, allow_pickle=False, **vectors)
    with np.load(file, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


def _encode_texts(encoder: Encoder, texts: Sequence[str], stage: str, on_stage: OnStage) -> Float32Array:
    rows = [np.empty((0, encoder.dimension), np.float32)]
    for first in range(0, len(texts), TEXT_BATCH):
        rows.append(encoder.encode_texts(texts[first : first + TEXT_BATCH]))
        on_stage(stage, min(first + TEXT_BATCH, len(texts)), len(texts))
    return np.concatenate(rows)


def _encode_photographs(
    encoder: Encoder, photographs: Sequence[CaptionedPhotograph], stage: str, on_stage: OnStage
) -> Float32Array:
    from eval.retrieval import encode_photographs

    if not photographs:
        return np.empty((0, encoder.dimension), np.float32)
    done = 0

    def on_done(count: int) -> None:
        nonlocal done
        done += count
        on_stage(stage, done, len(photographs))

    return encode_photographs(encoder, list(photographs), on_done)


def _owner_vectors(encoder: Encoder, pairs: RatedPairs, photographs: Float32Array, on_stage: OnStage) -> Float32Array:
    """`MatchData.owner_vectors`.

    If people say that a text written for photograph B describes A, then A and B show the same scene as far as words can
    tell. A text's own photograph would have the cosine 1 with itself, so a random crop takes its place.
    """
    from service.photos.decode import open_photograph
    from training.mini.views import view_of

    owner = pairs.text_owner[pairs.text]
    vectors = np.where((owner >= 0)[:, None], photographs[owner], np.float32(np.nan))
    own = np.flatnonzero(pairs.own)
    cropped = np.unique(pairs.photograph[own])
    crops: dict[int, Float32Array] = {}
    for number, row in enumerate(cropped, start=1):
        image = open_photograph(pairs.photographs[row].path).image
        crop = view_of(image, encoder.photograph_side, np.random.default_rng((0, int(row))))
        crops[int(row)] = encoder.encode_photographs([crop])[0]
        on_stage("crops of rated photographs", number, len(cropped))
    for pair in own:
        vectors[pair] = crops[int(pairs.photograph[pair])]
    return vectors.astype(np.float32)
