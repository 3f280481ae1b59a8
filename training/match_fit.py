"""Fits the match of an encoder to people's ratings.

Experts graded pairs from 1 to 4; the crowd said yes or no to “does this text describe this photograph?”. These are
different questions: of pairs with a mean grade of 3, “almost, with small mistakes”, a third of the crowd says yes. So
neither is converted to the other's scale. Instead one latent logit is fitted to both: one logistic function maps it to
the expected grade, from 1…4 to 0…1, which is the match, and another to the probability of a yes. Grades weigh more than
votes (`training.joint_logistic`), because there are fewer and the match is defined by them.

**Two photographs.** Their cosines are on another scale, so they have a logistic map of their own, from the same
ratings: a rating of photograph A with a text written for photograph B is taken as a rating of A and B.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.ratings import RatedPairs, read_rated_pairs
from service.errors import DataError, ModelError
from service.match.artifact import FeatureModel, Logistic, ScorerArtifact, TextMatch, design_matrix
from service.match.features import prepare
from service.types import BoolArray, Float32Array, Float64Array, OnStage
from training.joint_logistic import fit_joint
from training.match_data import MatchData, read_match_data

if TYPE_CHECKING:
    from eval.answerable import Answerability
    from service.config import Settings
    from service.encoder.encoder import Encoder


FEWEST_RATINGS, FEWEST_OF_A_SIDE = 40, 5
"""Ratings needed to fit a match, and among them ratings that say the text fits, and that it does not."""
FOLDS = 5
GALLERY, KEEPS = 20, 0.98
"""Gallery size on which the default `min_match` is chosen, and the share of answerable queries that keep a hit: to miss
what is there is worse than to see one photograph too many."""
_LEAST_DEVIATION = 1e-3
"""Least standard deviation of a feature, so that one that hardly varies in the ratings is not amplified elsewhere."""
NOT_RISING = "The encoder's cosines do not rise with the ratings, so no match can be fitted on them."


@dataclass(frozen=True)
class OutOfFoldMatches:
    """Matches of pairs whose photograph and text the fit did not see.

    Attributes:
        match: (n,), of the rated pairs.
        agreement: (n,), probability of a yes for the rated pairs.
        all_pairs: (texts, photographs), match of each rated text with each rated photograph.
    """

    match: Float64Array
    agreement: Float64Array
    all_pairs: Float32Array


def train_scorer(
    encoder: Encoder,
    data: Path,
    out: Path,
    cache: Path,
    on_stage: OnStage,
    *,
    base: ScorerArtifact | None = None,
    alone: bool = False,
) -> ScorerArtifact:
    """Fit a match on the ratings in a folder of data, measure it out of fold and write it into `out`.

    With `base`, a match of the same encoder, these ratings are added to those of the base. With `alone`, the base only
    provides its banks and what the ratings cannot: the match of two photographs and, where they are too few, the
    default `min_match`. A match with added ratings is not measured, because it was fitted on what it would be measured
    on.

    Raises:
        DataError: the data has a fault, or too few or one-sided ratings.
        ModelError: the encoder's cosines do not rise with the ratings.
    """
    pairs = read_rated_pairs(data)
    check_enough(pairs)
    match_data = read_match_data(encoder, data, pairs, cache, on_stage, base)
    extended = None if alone else base
    if extended is None:
        text = fit_text_match(match_data, np.ones(len(pairs), dtype=bool))
        figures, min_match = _measure(match_data, on_stage)
    else:
        text = add_ratings(match_data, extended)
        figures, min_match = {}, None
    if min_match is None:
        min_match = 0.0 if base is None else base.min_match
    trained_on = describe_ratings(pairs)
    artifact = ScorerArtifact(
        fingerprint=encoder.fingerprint,
        text=text,
        photograph=_fit_photograph_match(match_data) if base is None else base.photograph,
        min_match=min_match,
        trained_on=trained_on if extended is None else f"{extended.trained_on}, and {trained_on}",
        figures=figures,
        **_precisions(match_data, text, extended),
    )
    artifact.save(out)
    return artifact


def _measure(data: MatchData, on_stage: OnStage) -> tuple[dict[str, Any], float | None]:
    """Figures out of fold and the default `min_match`; empty and None where the ratings are too few to measure on.

    The match may still be good; its quality is just not known.
    """
    from eval.scoring import scoring_figures

    if not can_be_folded(data.pairs):
        return {}, None
    try:
        matches = out_of_fold(data, on_stage)
    except (DataError, ModelError):
        return {}, None
    figures = scoring_figures(
        data.pairs,
        matches.match,
        matches.agreement,
        on_progress=lambda done, total: on_stage("intervals", done, total),
    )
    try:
        answerable = measure_answerability(data, matches, GALLERY, on_stage)
    except DataError:
        return figures.as_json(), None
    min_match = round(float(np.quantile(answerable.match.answerable, 1 - KEEPS)), 2)
    return {**figures.as_json(), "answerable": answerable.as_json()}, min_match


def describe_ratings(pairs: RatedPairs) -> str:
    """The ratings that a match was fitted on, in words."""
    counts = ((int(pairs.expert.sum()), "pairs graded"), (int(pairs.crowd.sum()), "pairs voted on"))
    rated = " and ".join(f"{count:,} {what}" for count, what in counts if count)
    return f"{rated}, of {len(pairs.photographs):,} photographs and {len(pairs.texts):,} texts"


def check_enough(pairs: RatedPairs) -> None:
    """Raise DataError for ratings that no match can be fitted on."""
    fits, fits_not = _count_sides(np.where(pairs.expert, pairs.grade, pairs.share))
    if len(pairs) < FEWEST_RATINGS:
        raise DataError(
            f"{len(pairs)} rated pairs are too few to fit a match on; it takes at least {FEWEST_RATINGS}, with "
            "different texts and photographs."
        )
    if min(fits, fits_not) < FEWEST_OF_A_SIDE:
        rare, count = ("fits", fits) if fits < fits_not else ("does not fit", fits_not)
        raise DataError(
            f"The ratings are one-sided: only {count} of {len(pairs)} say that a text {rare}. Rate at least "
            f"{FEWEST_OF_A_SIDE} pairs of each kind."
        )


def _count_sides(target: Float64Array) -> tuple[int, int]:
    """How many ratings say that a text fits, and how many that it does not."""
    return int((target >= 0.5).sum()), int((target < 0.5).sum())


def can_be_folded(pairs: RatedPairs) -> bool:
    """Whether there are enough texts and photographs to measure a match out of fold."""
    return len(pairs.texts) >= 25 and len(pairs.photographs) >= 25


def fit_text_match(data: MatchData, fitted: BoolArray) -> TextMatch:
    """Fit the match of texts with photographs on some rows of the ratings, a mask (n,)."""
    unrated, usable = data.unrated, _usable_unrated(data, fitted)
    cosines = data.corrected_cosines(unrated.text[usable], unrated.photograph[usable])
    others = cosines, unrated.target[usable], unrated.weight[usable]
    plain = _fit_cosine(data.corrected_cosine, data.pairs, fitted, others)
    if plain is None:
        raise ModelError(NOT_RISING)
    text = TextMatch(plain, Logistic(1.0, 0.0), _fit_feature_model(data, fitted, usable), data.hubness)
    return _calibrate(text, data, fitted)


def add_ratings(data: MatchData, base: ScorerArtifact) -> TextMatch:
    """The match of `base` with these ratings added to those that it was fitted on.

    The earlier ratings are a normal prior on the weights (Laplace approximation), against which the few ratings of one
    person have little effect.
    """
    every, text = np.ones(len(data.pairs), dtype=bool), base.text
    plain, feature_model = text.plain, text.feature_model
    if base.plain_precision is not None:
        prior = np.array([plain.intercept, plain.slope]), base.plain_precision
        slope, intercept, _ = fit_joint(data.corrected_cosine[:, None], data.pairs, every, prior=prior)
        plain = Logistic(float(slope[0]), intercept) if slope[0] > 0 else plain
    if feature_model is not None and base.precision is not None:
        prior = np.append(feature_model.intercept, feature_model.weights), base.precision
        # With a base, `data.features` were computed with its banks.
        weights, intercept, _ = fit_joint(feature_model.design_matrix(data.features), data.pairs, every, prior=prior)
        feature_model = replace(feature_model, weights=weights, intercept=intercept)
    return TextMatch(plain, text.agreement, feature_model, text.hubness)


def _usable_unrated(data: MatchData, fitted: BoolArray) -> BoolArray:
    """Mask of the unrated pairs whose text and photograph are both among those fitted on."""
    pairs, unrated = data.pairs, data.unrated
    texts, photographs = np.unique(pairs.text[fitted]), np.unique(pairs.photograph[fitted])
    usable: BoolArray = np.isin(unrated.text, texts) & np.isin(unrated.photograph, photographs)
    return usable


def _fit_cosine(
    cosine: Float64Array,
    pairs: RatedPairs,
    fitted: BoolArray,
    unrated: tuple[Float64Array, Float64Array, Float64Array] | None = None,
) -> Logistic | None:
    """The joint fit on the cosine (n,) alone; None where it does not rise with the ratings.

    `unrated` are cosines, targets and weights of further pairs.
    """
    mean, deviation = float(cosine[fitted].mean()), float(cosine[fitted].std()) + 1e-9
    others = None if unrated is None else ((unrated[0][:, None] - mean) / deviation, *unrated[1:])
    weights, intercept, _ = fit_joint((cosine[:, None] - mean) / deviation, pairs, fitted, unrated=others)
    slope = float(weights[0]) / deviation
    return Logistic(slope, intercept - slope * mean) if slope > 0 else None


def _fit_feature_model(data: MatchData, fitted: BoolArray, usable: BoolArray) -> FeatureModel | None:
    """The joint fit on the features of rated pairs and of `usable` unrated ones; None without banks."""
    if not data.banks:
        return None
    mean = data.features[fitted].mean(axis=0, dtype=np.float64)
    deviation = np.maximum(data.features[fitted].std(axis=0, dtype=np.float64), _LEAST_DEVIATION)
    unrated = data.unrated
    others = design_matrix(unrated.features[usable], mean, deviation), unrated.target[usable], unrated.weight[usable]
    weights, intercept, _ = fit_joint(design_matrix(data.features, mean, deviation), data.pairs, fitted, unrated=others)
    return FeatureModel(data.banks, mean, deviation, weights, intercept, *data.gate)


def _calibrate(text: TextMatch, data: MatchData, fitted: BoolArray) -> TextMatch:
    """The match with its logits scaled to the grades, and with the probability of a crowd's yes."""
    pairs = data.pairs
    logits = _logits(text, data, fitted)
    grades, votes = pairs.expert[fitted], pairs.crowd[fitted]
    target = np.where(grades, pairs.grade[fitted], pairs.share[fitted])
    judges = np.isfinite(pairs.grades[fitted]).sum(axis=1) + (pairs.yes + pairs.no)[fitted]
    # Too few or one-sided grades give no scale; then the votes are used too.
    scale = grades if min(_count_sides(target[grades])) >= FEWEST_OF_A_SIDE else grades | votes
    to_match = fit_logistic(logits[scale], target[scale], judges[scale].astype(np.float64))
    agreement = Logistic(1.0, 0.0)
    if min(_count_sides(target[votes])) >= FEWEST_OF_A_SIDE:
        agreement = fit_logistic(to_match.logit(logits[votes]), target[votes], judges[votes].astype(np.float64))
    feature_model = text.feature_model
    if feature_model is not None:
        feature_model = replace(
            feature_model,
            weights=to_match.slope * feature_model.weights,
            intercept=to_match.slope * feature_model.intercept + to_match.intercept,
        )
    plain = Logistic(to_match.slope * text.plain.slope, to_match.slope * text.plain.intercept + to_match.intercept)
    return TextMatch(plain, agreement, feature_model, text.hubness)


def _logits(text: TextMatch, data: MatchData, rows: BoolArray) -> Float64Array:
    """Logits of rated pairs, as in a search."""
    plain = text.plain.logit(data.corrected_cosine[rows])
    if text.feature_model is None:
        return plain
    model = text.feature_model
    weight = model.feature_weight(prepare(data.texts, data.banks).nearness)[data.pairs.text[rows]]
    by_features = model.logits(model.design_matrix(data.features[rows]))
    mixed: Float64Array = weight * by_features + (1.0 - weight) * plain
    return mixed


def fit_logistic(score: Float64Array, target: Float64Array, weight: Float64Array) -> Logistic:
    """Platt scaling: the logistic map of a score (n,) to targets (n,) in [0, 1], weighted in votes.

    Targets are smoothed by about one vote on each side (Platt 1999); otherwise the map of a few ratings that the score
    separates perfectly would be a step. Raises ModelError where the target does not rise with the score.
    """
    from sklearn.linear_model import LogisticRegression

    yes, no = float(target @ weight), float((1 - target) @ weight)
    target = target * (yes + 1) / (yes + 2) + (1 - target) / (no + 2)
    column = np.concatenate([score, score])[:, None]
    labels = np.concatenate([np.ones_like(target), np.zeros_like(target)])
    weights = np.concatenate([target * weight, (1 - target) * weight])
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
    model.fit(column[weights > 0], labels[weights > 0], sample_weight=weights[weights > 0])
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if not slope > 0:
        raise ModelError(NOT_RISING)
    return Logistic(slope, intercept)


def _fit_photograph_match(data: MatchData) -> Logistic | None:
    """The match of two photographs; None where too few rated texts were written for a photograph."""
    pairs = data.pairs
    has_owner: BoolArray = np.logical_and.reduce(np.isfinite(data.owner_vectors), axis=1)
    target = np.where(pairs.expert, pairs.grade, pairs.share)[has_owner]
    if min(_count_sides(target)) < FEWEST_OF_A_SIDE:
        return None
    vectors = data.photographs[pairs.photograph]
    cosine = np.einsum("nd,nd->n", vectors, np.nan_to_num(data.owner_vectors)).astype(np.float64)
    return _fit_cosine(cosine, pairs, has_owner)


def _precisions(data: MatchData, text: TextMatch, base: ScorerArtifact | None) -> dict[str, Float64Array | None]:
    """The precision matrices of a match, for a later fit that adds ratings; those of `base` where it was extended.

    Calibration scales the logits of a fit, so the precision is divided by the square of that scale.
    """
    if base is not None:
        return {"precision": base.precision, "plain_precision": base.plain_precision}
    every = np.ones(len(data.pairs), dtype=bool)
    slope, _, precision = fit_joint(data.corrected_cosine[:, None], data.pairs, every, ridge=1e-3)
    precisions: dict[str, Float64Array | None] = {"plain_precision": precision * (slope[0] / text.plain.slope) ** 2}
    if text.feature_model is not None:
        weights, _, precision = fit_joint(text.feature_model.design_matrix(data.features), data.pairs, every)
        scale = float(np.linalg.norm(text.feature_model.weights) / np.linalg.norm(weights))
        precisions["precision"] = precision / scale**2
    return precisions


def out_of_fold(data: MatchData, on_stage: OnStage) -> OutOfFoldMatches:
    """Match all rated pairs, and every rated text with every rated photograph, by fits in 25 folds."""
    from eval.folds import double_folds, fold_numbers
    from service.match.artifact import sigmoid

    pairs = data.pairs
    match, agreement = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    all_pairs = np.zeros((len(pairs.texts), len(pairs.photographs)), np.float32)
    photograph_fold, text_fold = fold_numbers(pairs.photograph, pairs.text, FOLDS)
    fold_of_photograph = np.zeros(len(pairs.photographs), np.int64)
    fold_of_text = np.zeros(len(pairs.texts), np.int64)
    fold_of_photograph[pairs.photograph], fold_of_text[pairs.text] = photograph_fold, text_fold
    cells = list(double_folds(pairs.photograph, pairs.text, FOLDS, every=True))
    for number, (fitted, judged) in enumerate(cells):
        text = fit_text_match(data, fitted)
        logits = _logits(text, data, judged)
        match[judged], agreement[judged] = sigmoid(logits), text.agreement(logits)
        columns = np.flatnonzero(fold_of_photograph == number // FOLDS)
        for row in np.flatnonzero(fold_of_text == number % FOLDS):
            all_pairs[row, columns] = sigmoid(text.logits(data.texts[row], data.photographs[columns]))
        on_stage("folds", number + 1, len(cells))
    return OutOfFoldMatches(match, agreement, all_pairs)


def measure_answerability(data: MatchData, matches: OutOfFoldMatches, gallery: int, on_stage: OnStage) -> Answerability:
    """How well a query's best match tells whether a gallery has its photograph, compared with the raw cosine."""
    from eval.answerable import answerability

    return answerability(
        data.pairs,
        matches.all_pairs,
        data.texts @ data.photographs.T,
        gallery=gallery,
        on_progress=lambda done, total: on_stage(f"intervals of answerability, {gallery} photographs", done, total),
    )


def train_on_library(
    settings: Settings, folder: Path, out: Path, cache: Path, on_stage: OnStage, *, alone: bool
) -> ScorerArtifact:
    """Fit on the ratings of a library, `alone` or added to those of its model's match.

    `folder` is an empty folder for copies of the rated photographs. Raises as `train_scorer`, and LibraryError where
    there is no library.
    """
    from service.encoder.models import parse_name
    from service.library import Library
    from service.match.scorer import find_artifact

    with Library.open(settings.library, settings) as library:
        encoder = library.encoder
        base = find_artifact(encoder, parse_name(encoder.name).folder)
        library.export_ratings(folder, on_progress=lambda done, total: on_stage("rated photographs", done, total))
    return train_scorer(encoder, folder, out, cache, on_stage, base=base, alone=alone)
