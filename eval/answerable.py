"""Can the top match tell whether a gallery holds an answer at all?

**Queries** are the rated texts that have a right photograph among the rated ones. **Right** for a text are the
photograph that it was written for and every photograph with a mean expert grade of 3 ("almost, with small mistakes") or
more. **Doubtful** are, beside those, the photographs for which most of the crowd voted yes.

Each query is searched in pairs of **galleries** of the same size that differ in one photograph. The *unanswerable* one
is a random set of photographs that are not even doubtful. In the *answerable* one the last of them is replaced by a
right photograph: the text's own or, where that is not rated, the one with the best grade. So neither the query nor the
size nor the rest of the gallery gives the difference away.

A detector returns one number per gallery: the highest score of any of its photographs with the text. **AUROC** over all
galleries of all queries is the probability that an answerable gallery gets a higher number than an unanswerable one *of
any query*, so it rewards scores that mean the same for every query; a detector that knows nothing gets 0.5.

Most pairs of a text and a photograph were never rated, and some unrated ones are right by chance (one more dog on one
more beach). Such a gallery is answerable but counts as unanswerable, for every detector alike. So 1 cannot be reached,
and larger galleries lower the maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data.ratings import HIGHEST_GRADE, LOWEST_GRADE, RatedPairs
from eval.bootstrap import RESAMPLES, Interval, interval, resample_counts
from service.errors import DataError
from service.types import BoolArray, Float32Array, Float64Array, Int64Array, OnProgress

RIGHT = (3 - LOWEST_GRADE) / (HIGHEST_GRADE - LOWEST_GRADE)
"""A mean expert grade of 3, on the scale of `RatedPairs.grade`."""
GALLERIES = 5
"""Pairs of galleries per query; with a single one the figures would depend on the seed."""


@dataclass(frozen=True)
class Tops:
    """The highest score in each gallery, (q, g) for q queries and g pairs of galleries."""

    answerable: Float64Array
    unanswerable: Float64Array

    def passing(self, cut: float) -> tuple[float, float]:
        """Shares of answerable and of unanswerable galleries with a score of at least `cut`."""
        return float(np.mean(self.answerable >= cut)), float(np.mean(self.unanswerable >= cut))

    def curve(self) -> tuple[Float64Array, Float64Array, Float64Array]:
        """The ROC curve: shares of unanswerable and of answerable galleries that pass, and the cuts."""
        from sklearn.metrics import roc_curve

        false_positives, true_positives, cuts = roc_curve(_labels(self), _scores(self))
        return false_positives, true_positives, cuts

    def best_cut(self) -> float:
        """The cut with the highest balanced accuracy (Youden's index); the lowest of several."""
        false_positives, true_positives, cuts = self.curve()
        youden = true_positives - false_positives
        return float(cuts[np.flatnonzero(youden == youden.max())[-1]])


@dataclass(frozen=True)
class Answerability:
    """How well match and raw cosine separate answerable from unanswerable galleries; intervals are 95 %, over queries.

    `min_match` is the cut of the match with the highest balanced accuracy; `answerable_pass` and `unanswerable_pass`
    are the shares of galleries whose top match reaches it.
    """

    auroc: float
    auroc_interval: Interval
    cosine_auroc: float
    cosine_auroc_interval: Interval
    difference: float
    difference_interval: Interval
    min_match: float
    answerable_pass: float
    unanswerable_pass: float
    queries: int
    gallery: int
    galleries: int
    match: Tops
    cosine: Tops

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the share of answerable galleries that pass `min_match` and the share of the others that do not."""
        return (self.answerable_pass + 1 - self.unanswerable_pass) / 2

    def as_json(self) -> dict[str, Any]:
        """The figures, flat, without the scores."""
        return {
            "auroc": round(self.auroc, 4),
            "auroc_interval": [round(end, 4) for end in self.auroc_interval],
            "cosine_auroc": round(self.cosine_auroc, 4),
            "cosine_auroc_interval": [round(end, 4) for end in self.cosine_auroc_interval],
            "difference": round(self.difference, 4),
            "difference_interval": [round(end, 4) for end in self.difference_interval],
            "min_match": round(self.min_match, 4),
            "answerable_pass": round(self.answerable_pass, 4),
            "unanswerable_pass": round(self.unanswerable_pass, 4),
            "balanced_accuracy": round(self.balanced_accuracy, 4),
            "queries": self.queries,
            "gallery": self.gallery,
            "galleries": self.galleries,
        }


def answerability(
    pairs: RatedPairs,
    match: Float32Array,
    cosine: Float32Array,
    *,
    split: str | None = None,
    gallery: int | None = None,
    galleries: int = GALLERIES,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Answerability:
    """AUROC of the top match as a detector of "answerable", and that of raw cosine on the same galleries.

    The bootstrap resamples the queries' right photographs; the galleries stay the same.

    Args:
        pairs: the rated pairs.
        match, cosine: scores float32 (texts, photographs) of `pairs.texts` with `pairs.photographs`; a fitted match
            must be out of fold (`eval.folds.fold_numbers`).
        split: uses the photographs of one split only.
        gallery: size of the galleries; None is half of the photographs.
        galleries: pairs of galleries per query.
        resamples: bootstrap draws.
        seed: seed of galleries and draws.
        on_progress: called with the draws done and their number.

    Raises:
        ValueError: the scores have another shape or are not finite, or a gallery has fewer than 2 photographs.
        DataError: no query has enough photographs.
    """
    if gallery is not None and gallery < 2:
        raise ValueError(f"a gallery needs 2 photographs, one of which is replaced, not {gallery}")
    for scores in (match, cosine):
        if scores.shape != (len(pairs.texts), len(pairs.photographs)) or not np.isfinite(scores).all():
            raise ValueError(f"scores must be finite, one for each text and photograph, not {scores.shape}")
    members, right = _galleries(pairs, split, gallery, galleries, seed)
    queries = np.flatnonzero(right >= 0)
    of_match, of_cosine = (_tops(scores[queries], members[queries], right[queries]) for scores in (match, cosine))
    resampled = _resampled_aurocs(of_match, of_cosine, right[queries], resamples, seed, on_progress)
    auroc, cosine_auroc = _auroc(of_match), _auroc(of_cosine)
    cut = of_match.best_cut()
    answerable_pass, unanswerable_pass = of_match.passing(cut)
    return Answerability(
        auroc=auroc,
        auroc_interval=interval([each for each, _ in resampled]),
        cosine_auroc=cosine_auroc,
        cosine_auroc_interval=interval([each for _, each in resampled]),
        difference=auroc - cosine_auroc,
        difference_interval=interval([each - other for each, other in resampled]),
        min_match=cut,
        answerable_pass=answerable_pass,
        unanswerable_pass=unanswerable_pass,
        queries=len(queries),
        gallery=members.shape[2],
        galleries=galleries,
        match=of_match,
        cosine=of_cosine,
    )


def right_photographs(pairs: RatedPairs) -> tuple[BoolArray, BoolArray]:
    """Masks (texts, photographs) of the right photographs and of the doubtful ones, which include the right ones."""
    right = np.zeros((len(pairs.texts), len(pairs.photographs)), dtype=np.bool_)
    owned = np.flatnonzero(pairs.text_owner >= 0)
    right[owned, pairs.text_owner[owned]] = True
    # In floating point the mean of three grades of 3 is a little below two thirds.
    graded = np.nan_to_num(pairs.grade, nan=-1.0) >= RIGHT - 1e-9
    right[pairs.text[graded], pairs.photograph[graded]] = True
    doubtful = right.copy()
    voted = pairs.yes > pairs.no
    doubtful[pairs.text[voted], pairs.photograph[voted]] = True
    return right, doubtful


def _galleries(
    pairs: RatedPairs, split: str | None, size: int | None, count: int, seed: int
) -> tuple[Int64Array, Int64Array]:
    """Photographs of the unanswerable galleries (texts, count, size), and the right one for the last place (texts,).

    The right one is −1 for a text that is not a query: it has no right photograph in the split, or too few that are
    not doubtful.
    """
    in_split = np.array([split is None or each.split == split for each in pairs.photographs])
    size = max(2, int(in_split.sum()) // 2) if size is None else size
    right, doubtful = right_photographs(pairs)
    best = _best(pairs, right & in_split)
    generator = np.random.default_rng(seed)
    members = np.zeros((len(pairs.texts), count, size), dtype=np.int64)
    for text in range(len(pairs.texts)):
        others = np.flatnonzero(in_split & ~doubtful[text])
        if len(others) < size:
            best[text] = -1
            continue
        for gallery in range(count):
            members[text, gallery] = generator.choice(others, size, replace=False)
    if not (best >= 0).any():
        raise DataError(
            f"No rated text has both a right photograph and {size} others that are not doubtful. Rate more "
            "pairs, or use smaller galleries."
        )
    return members, best


def _best(pairs: RatedPairs, right: BoolArray) -> Int64Array:
    """The right photograph of each text in its answerable galleries (texts,); −1 where there is none."""
    merit = right.astype(np.float64)
    graded = pairs.expert
    merit[pairs.text[graded], pairs.photograph[graded]] += pairs.grade[graded]
    owned = np.flatnonzero(pairs.text_owner >= 0)
    merit[owned, pairs.text_owner[owned]] += 2
    return np.where(right.any(axis=1), np.where(right, merit, -1.0).argmax(axis=1), -1)


def _tops(scores: Float32Array, members: Int64Array, right: Int64Array) -> Tops:
    """Top scores (q, g) for rows of queries: scores (q, photographs), members (q, g, size), right (q,)."""
    rows = np.arange(len(scores))
    unanswerable = np.empty(members.shape[:2])
    answerable = np.empty(members.shape[:2])
    for gallery in range(members.shape[1]):
        in_gallery = np.take_along_axis(scores, members[:, gallery], axis=1)
        unanswerable[:, gallery] = in_gallery.max(axis=1)
        answerable[:, gallery] = np.maximum(in_gallery[:, :-1].max(axis=1), scores[rows, right])
    return Tops(answerable, unanswerable)


def _resampled_aurocs(
    match: Tops, cosine: Tops, right: Int64Array, resamples: int, seed: int, on_progress: OnProgress | None
) -> list[tuple[float, float]]:
    """Both AUROCs for each bootstrap draw of the queries' right photographs."""
    _, photograph = np.unique(right, return_inverse=True)
    aurocs = []
    for done, times in enumerate(resample_counts(int(photograph.max()) + 1, resamples, seed), start=1):
        weights = times[photograph].astype(np.float64)
        aurocs.append((_auroc(match, weights), _auroc(cosine, weights)))
        if on_progress is not None:
            on_progress(done, resamples)
    return aurocs


def _auroc(tops: Tops, weights: Float64Array | None = None) -> float:
    """Area under the ROC curve, with each query weighted by `weights` (q,)."""
    from sklearn.metrics import roc_auc_score

    repeated = None if weights is None else np.tile(np.repeat(weights, tops.answerable.shape[1]), 2)
    return float(roc_auc_score(_labels(tops), _scores(tops), sample_weight=repeated))


def _scores(tops: Tops) -> Float64Array:
    return np.concatenate([tops.answerable.ravel(), tops.unanswerable.ravel()])


def _labels(tops: Tops) -> BoolArray:
    return np.repeat([True, False], tops.answerable.size)
