"""Can the top match tell that nothing here is what was asked for?

**Queries** are the rated texts that have a right photograph among the rated ones. **Right** for a text are
the photograph that it was written for and each one that experts gave a mean grade of 3 ("almost, with small
mistakes") or more. **Doubtful** are, beside those, the photographs of which most of the crowd said yes.

Each query is asked twice, of two **galleries** of the same size that differ in one photograph. The
*unanswerable* one is a random set of photographs that are not even doubtful. In the *answerable* one the last
of them gives way to a right photograph: the text's own, or, where that is not among the rated, the one with
the best grade. So neither the query nor the size of the gallery nor the rest of it tells the two apart.

A detector says one number for each gallery, the highest score that any photograph in it has with the text.
**AUROC** over all galleries of all queries is the chance that an answerable gallery gets a higher number than
an unanswerable one *of any other query*, so it asks for scores that mean the same for every query; a detector
that knows nothing gets 0.5.

Most pairs of a text and a photograph were never rated, and some of those that were not are right by chance
(one more dog on one more beach). They make a gallery answerable that counts as unanswerable, for every
detector alike, so 1 cannot be reached, and the larger the gallery is, the less.
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
"""Galleries of each kind drawn for each query: with one alone the seed would show in the figures."""


@dataclass(frozen=True)
class Tops:
    """The highest score in each gallery, (q, g) for q queries and g galleries of each kind."""

    answerable: Float64Array
    unanswerable: Float64Array

    def passing(self, cut: float) -> tuple[float, float]:
        """Share of answerable and of unanswerable galleries with a score of at least `cut`."""
        return float(np.mean(self.answerable >= cut)), float(np.mean(self.unanswerable >= cut))

    def curve(self) -> tuple[Float64Array, Float64Array, Float64Array]:
        """The ROC curve: shares of unanswerable and answerable that pass, and the cuts at which they do."""
        from sklearn.metrics import roc_curve

        wrong, right, cuts = roc_curve(_labels(self), _all(self))
        return wrong, right, cuts

    def best_cut(self) -> float:
        """The cut with the highest balanced accuracy (Youden's index, right − wrong); the lowest of several."""
        wrong, right, cuts = self.curve()
        gain = right - wrong
        return float(cuts[np.flatnonzero(gain == gain.max())[-1]])


@dataclass(frozen=True)
class Answerability:
    """How well a match and raw cosine tell answerable galleries from others; intervals are 95 %, over queries.

    `min_match` is the cut of the match with the highest balanced accuracy; `answerable_pass` and
    `unanswerable_pass` are the shares of galleries with a match of at least that much.
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
        """Mean of the shares of answerable galleries that pass `min_match` and of others that do not."""
        return (self.answerable_pass + 1 - self.unanswerable_pass) / 2

    def as_json(self) -> dict[str, Any]:
        """The figures, flat; without the scores that they come from."""
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
    """AUROC of the top match as a detector of "answerable", beside that of raw cosine on the same galleries.

    `match` and `cosine` (texts, photographs) float32 hold a score for each row of `pairs.texts` with each row
    of `pairs.photographs`; a fitted match is to be out of fold (`eval.folds.fold_numbers`). `split` keeps the
    photographs of one split; `gallery` is the size of the galleries, by default half of the photographs, and
    `galleries` how many of each kind a query is asked of. The bootstrap draws the queries' right photographs;
    the galleries stay. `on_progress` is called with the draws done and their number.

    Raises ValueError for matrices of another shape and galleries of fewer than 2 photographs, DataError where
    no query has enough photographs.
    """
    if gallery is not None and gallery < 2:
        raise ValueError(f"a gallery needs 2 photographs, one of them to be exchanged, not {gallery}")
    for scores in (match, cosine):
        if scores.shape != (len(pairs.texts), len(pairs.photographs)) or not np.isfinite(scores).all():
            raise ValueError(f"scores are to be finite, one for each text and photograph, not {scores.shape}")
    members, right = _galleries(pairs, split, gallery, galleries, seed)
    queries = np.flatnonzero(right >= 0)
    ours, theirs = (_tops(scores[queries], members[queries], right[queries]) for scores in (match, cosine))
    drawn = _drawn_aurocs(ours, theirs, right[queries], resamples, seed, on_progress)
    auroc, cosine_auroc = _auroc(ours), _auroc(theirs)
    cut = ours.best_cut()
    return Answerability(
        auroc=auroc,
        auroc_interval=interval([own for own, _ in drawn]),
        cosine_auroc=cosine_auroc,
        cosine_auroc_interval=interval([other for _, other in drawn]),
        difference=auroc - cosine_auroc,
        difference_interval=interval([own - other for own, other in drawn]),
        min_match=cut,
        answerable_pass=ours.passing(cut)[0],
        unanswerable_pass=ours.passing(cut)[1],
        queries=len(queries),
        gallery=members.shape[2],
        galleries=galleries,
        match=ours,
        cosine=theirs,
    )


def right_photographs(pairs: RatedPairs) -> tuple[BoolArray, BoolArray]:
    """Which photographs are right and which are doubtful (right ones among them), (texts, photographs) each."""
    right = np.zeros((len(pairs.texts), len(pairs.photographs)), dtype=np.bool_)
    owned = np.flatnonzero(pairs.text_owner >= 0)
    right[owned, pairs.text_owner[owned]] = True
    # Three grades of 3 have a mean that floats put a little below two thirds.
    graded = np.nan_to_num(pairs.grade, nan=-1.0) >= RIGHT - 1e-9
    right[pairs.text[graded], pairs.photograph[graded]] = True
    doubtful = right.copy()
    voted = pairs.yes > pairs.no
    doubtful[pairs.text[voted], pairs.photograph[voted]] = True
    return right, doubtful


def _galleries(
    pairs: RatedPairs, split: str | None, size: int | None, count: int, seed: int
) -> tuple[Int64Array, Int64Array]:
    """Photographs of unanswerable galleries (texts, count, size), and the right one that takes the last place.

    The right one (texts,) is −1 for a text that is no query: it has no right photograph here, or too few
    photographs that are not doubtful.
    """
    here = np.array([split is None or each.split == split for each in pairs.photographs])
    held = max(2, int(here.sum()) // 2) if size is None else size
    right, doubtful = right_photographs(pairs)
    best = _best(pairs, right & here)
    generator = np.random.default_rng(seed)
    members = np.zeros((len(pairs.texts), count, held), dtype=np.int64)
    for text in range(len(pairs.texts)):
        others = np.flatnonzero(here & ~doubtful[text])
        if len(others) < held:
            best[text] = -1
            continue
        for gallery in range(count):
            members[text, gallery] = generator.choice(others, held, replace=False)
    if not (best >= 0).any():
        raise DataError(
            f"No rated text has both a right photograph and {held} others that are not: rate more pairs, or ask "
            "for smaller galleries."
        )
    return members, best


def _best(pairs: RatedPairs, right: BoolArray) -> Int64Array:
    """The right photograph of each text that its answerable galleries hold, (texts,); −1 where there is none."""
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
        found = np.take_along_axis(scores, members[:, gallery], axis=1)
        unanswerable[:, gallery] = found.max(axis=1)
        answerable[:, gallery] = np.maximum(found[:, :-1].max(axis=1), scores[rows, right])
    return Tops(answerable, unanswerable)


def _drawn_aurocs(
    ours: Tops, theirs: Tops, right: Int64Array, resamples: int, seed: int, on_progress: OnProgress | None
) -> list[tuple[float, float]]:
    """Both AUROCs for each draw of the photographs that are right for a query."""
    _, photograph = np.unique(right, return_inverse=True)
    drawn = []
    for done, times in enumerate(resample_counts(int(photograph.max()) + 1, resamples, seed), start=1):
        weights = times[photograph].astype(np.float64)
        drawn.append((_auroc(ours, weights), _auroc(theirs, weights)))
        if on_progress is not None:
            on_progress(done, resamples)
    return drawn


def _auroc(tops: Tops, weights: Float64Array | None = None) -> float:
    """Area under the ROC curve, each query (q,) as often as `weights` says."""
    from sklearn.metrics import roc_auc_score

    spread = None if weights is None else np.tile(np.repeat(weights, tops.answerable.shape[1]), 2)
    return float(roc_auc_score(_labels(tops), _all(tops), sample_weight=spread))


def _all(tops: Tops) -> Float64Array:
    return np.concatenate([tops.answerable.ravel(), tops.unanswerable.ravel()])


def _labels(tops: Tops) -> BoolArray:
    return np.repeat([True, False], tops.answerable.size)
