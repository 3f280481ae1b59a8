"""The match of an encoder, fitted on people's ratings: one number for two ways of asking.

Experts graded pairs from 1 to 4; the crowd said yes or no to “does this text describe this photograph?”. The
two are not the same question: of pairs that experts graded 3 in the mean, “almost, with small mistakes”, a
third of the crowd says yes. So neither is moved onto the other's scale. One latent number is fitted to both
at once, a logit; through one logistic it is the expected grade, mapped from 1…4 to 0…1, which is the match,
and through another the probability of a yes. Grades count more than votes (`training.joint_logistic`): there are
fewer, and they are what the match is to mean.

**Two photographs.** Their cosines live on another scale, so they get a map of their own, from the same
ratings: what people say of photograph A and a text written for photograph B is said of A and B.
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
"""Ratings that it takes to fit a match at all, and of those that say it fits and that it does not."""
FOLDS = 5
GALLERY, KEEPS = 20, 0.98
"""Photographs of the galleries that the default cut is chosen on, and the share of answerable queries that it lets
pass: who asks for what is there and gets nothing is worse off than who gets one photograph too many."""
_LEAST_DEVIATION = 1e-3
"""Of a feature: one that the ratings hardly vary is not blown up for texts where it varies."""
NO_RISE = "The encoder's cosines do not rise with the ratings, so no match can be fitted on them."


@dataclass(frozen=True)
class OutOfFoldMatches:
    """Matches that saw neither the photograph nor the text of what they judge.

    `match` and `agreement` (n,) of the rated pairs; `everything` (texts, photographs) of each rated text with
    each rated photograph.
    """

    match: Float64Array
    agreement: Float64Array
    everything: Float32Array


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

    `base` is a match of the same encoder that these ratings are added to or, with `alone`, that lends its banks
    and what such ratings say nothing of: the map of two photographs and, where there are too few, the cut. A
    match that ratings were added to is not measured: it has seen what it would be measured on. Raises DataError
    for a fault of the data and for too few or one-sided ratings, ModelError where the encoder cannot tell what
    fits.
    """
    pairs = read_rated_pairs(data)
    check_enough(pairs)
    material = read_match_data(encoder, data, pairs, cache, on_stage, base)
    every = np.ones(len(material.pairs), dtype=bool)
    added = base is not None and not alone
    text = add_ratings(material, base) if base is not None and added else fit_text_match(material, every)
    figures, cut = ({}, None) if added else _measured(material, on_stage)
    if cut is None:
        cut = 0.0 if base is None else base.min_match
    trained_on = described(material.pairs)
    artifact = ScorerArtifact(
        fingerprint=encoder.fingerprint,
        text=text,
        photograph=_photograph_map(material, base),
        min_match=cut,
        trained_on=f"{base.trained_on}, and {trained_on}" if base is not None and added else trained_on,
        figures=figures,
        **_precisions(material, text, base if added else None),
    )
    artifact.save(out)
    return artifact


def _measured(material: MatchData, on_stage: OnStage) -> tuple[dict[str, Any], float | None]:
    """Figures out of fold and the default cut; none of the two, or no cut, where the ratings do not carry them.

    A match of ratings that hang together too closely to be folded, or of which four fifths say nothing, is as
    good as it is; it is only not known how good.
    """
    from eval.scoring import scoring_figures

    if not can_be_folded(material.pairs):
        return {}, None
    try:
        judged = out_of_fold(material, on_stage)
    except (DataError, ModelError):
        return {}, None
    measured = scoring_figures(
        material.pairs,
        judged.match,
        judged.agreement,
        on_progress=lambda done, total: on_stage("intervals", done, total),
    )
    try:
        cut = judge_the_cut(material, judged, GALLERY, on_stage)
    except DataError:
        return measured.as_json(), None
    min_match = round(float(np.quantile(cut.match.answerable, 1 - KEEPS)), 2)
    return {**measured.as_json(), "answerable": cut.as_json()}, min_match


def described(pairs: RatedPairs) -> str:
    """What a match was fitted on, in words."""
    counts = ((int(pairs.expert.sum()), "pairs graded"), (int(pairs.crowd.sum()), "pairs voted on"))
    rated = " and ".join(f"{count:,} {what}" for count, what in counts if count)
    return f"{rated}, of {len(pairs.photographs):,} photographs and {len(pairs.texts):,} texts"


def check_enough(pairs: RatedPairs) -> None:
    """Raise DataError for ratings that no match can be fitted on."""
    said = np.where(pairs.expert, pairs.grade, pairs.share)
    fits, fits_not = _sides(said)
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


def _sides(said: Float64Array) -> tuple[int, int]:
    """How many say that a text fits, and how many that it does not."""
    return int((said >= 0.5).sum()), int((said < 0.5).sum())


def can_be_folded(pairs: RatedPairs) -> bool:
    """Whether there are enough texts and photographs to judge matches out of fold."""
    return len(pairs.texts) >= 25 and len(pairs.photographs) >= 25


def fit_text_match(material: MatchData, fitted: BoolArray) -> TextMatch:
    """Fit the match of texts with photographs on some rows of the ratings, a mask (n,)."""
    beside, known = material.beside, _beside(material, fitted)
    cosines = material.plain_of(beside.text[known], beside.photograph[known])
    others = cosines, beside.said[known], beside.weight[known]
    plain = _of_cosine(material.plain, material.pairs, fitted, others)
    if plain is None:
        raise ModelError(NO_RISE)
    text = TextMatch(plain, Logistic(1.0, 0.0), _feature_model(material, fitted, known), material.everyday)
    return _calibrated(text, material, fitted)


def add_ratings(material: MatchData, base: ScorerArtifact) -> TextMatch:
    """The match of `base` with these ratings added to those that it was fitted on.

    What the earlier ratings said of the weights is a normal distribution around them (Laplace); the few
    ratings of one person move them as far as they can hold against it.
    """
    every, text = np.ones(len(material.pairs), dtype=bool), base.text
    plain, feature_model = text.plain, text.feature_model
    if base.plain_precision is not None:
        prior = np.array([plain.intercept, plain.slope]), base.plain_precision
        slope, intercept, _ = fit_joint(material.plain[:, None], material.pairs, every, prior=prior)
        plain = Logistic(float(slope[0]), intercept) if slope[0] > 0 else plain
    if feature_model is not None and base.precision is not None:
        known = np.append(feature_model.intercept, feature_model.weights), base.precision
        # The features of a material with a base are measured by the base's banks.
        standard = feature_model.design_matrix(material.features)
        weights, shift, _ = fit_joint(standard, material.pairs, every, prior=known)
        feature_model = replace(feature_model, weights=weights, intercept=shift)
    return TextMatch(plain, text.agreement, feature_model, text.hubness)


def _beside(material: MatchData, fitted: BoolArray) -> BoolArray:
    """Which of the pairs that nobody rated have their text and their photograph among those fitted on."""
    pairs, beside = material.pairs, material.beside
    texts, photographs = np.unique(pairs.text[fitted]), np.unique(pairs.photograph[fitted])
    known: BoolArray = np.isin(beside.text, texts) & np.isin(beside.photograph, photographs)
    return known


def _of_cosine(
    cosine: Float64Array,
    pairs: RatedPairs,
    fitted: BoolArray,
    beside: tuple[Float64Array, Float64Array, Float64Array] | None = None,
) -> Logistic | None:
    """The joint fit on the cosine (n,) alone; None where more of it does not go with better ratings.

    `beside`: cosines, what they say and what they count for.
    """
    mean, deviation = float(cosine[fitted].mean()), float(cosine[fitted].std()) + 1e-9
    others = None if beside is None else ((beside[0][:, None] - mean) / deviation, *beside[1:])
    weights, intercept, _ = fit_joint((cosine[:, None] - mean) / deviation, pairs, fitted, beside=others)
    slope = float(weights[0]) / deviation
    return Logistic(slope, intercept - slope * mean) if slope > 0 else None


def _feature_model(material: MatchData, fitted: BoolArray, known: BoolArray) -> FeatureModel | None:
    """The fit on features; `known` masks the pairs beside the rated ones that it may see."""
    if not material.banks:
        return None
    mean = material.features[fitted].mean(axis=0, dtype=np.float64)
    deviation = np.maximum(material.features[fitted].std(axis=0, dtype=np.float64), _LEAST_DEVIATION)
    beside = material.beside
    others = design_matrix(beside.features[known], mean, deviation), beside.said[known], beside.weight[known]
    weights, intercept, _ = fit_joint(
        design_matrix(material.features, mean, deviation), material.pairs, fitted, beside=others
    )
    return FeatureModel(material.banks, mean, deviation, weights, intercept, *material.gate)


def _calibrated(text: TextMatch, material: MatchData, fitted: BoolArray) -> TextMatch:
    """The match with its logits brought to the scale of grades, and its map to the crowd's yes."""
    pairs = material.pairs
    logits = _logits(text, material, fitted)
    grades, votes = pairs.expert[fitted], pairs.crowd[fitted]
    target = np.where(grades, pairs.grade[fitted], pairs.share[fitted])
    judges = np.isfinite(pairs.grades[fitted]).sum(axis=1) + (pairs.yes + pairs.no)[fitted]
    # A few grades that say the same give no scale; then the votes have to.
    said = grades if min(_sides(target[grades])) >= FEWEST_OF_A_SIDE else grades | votes
    to_match = fit_logistic(logits[said], target[said], judges[said].astype(np.float64))
    agreement = Logistic(1.0, 0.0)
    if min(_sides(target[votes])) >= FEWEST_OF_A_SIDE:
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


def _logits(text: TextMatch, material: MatchData, rows: BoolArray) -> Float64Array:
    """Logits of rated pairs, as search would find them."""
    plain = text.plain.logit(material.plain[rows])
    if text.feature_model is None:
        return plain
    share = text.feature_model.feature_weight(prepare(material.texts, material.banks).nearness)[
        material.pairs.text[rows]
    ]
    seen = text.feature_model.logits(text.feature_model.design_matrix(material.features[rows]))
    mixed: Float64Array = share * seen + (1.0 - share) * plain
    return mixed


def fit_logistic(score: Float64Array, target: Float64Array, weight: Float64Array) -> Logistic:
    """The logistic map of a score (n,) that makes shares (n,) in [0, 1] most likely, each counted `weight` times.

    Shares are drawn in by about one vote on either side (Platt 1999), without which the map of few ratings that a
    score parts wholly would be a step. Raises ModelError where more of the score does not go with more of the
    target: such a map orders nothing.
    """
    from sklearn.linear_model import LogisticRegression

    yes, no = float(target @ weight), float((1 - target) @ weight)
    target = target * (yes + 1) / (yes + 2) + (1 - target) / (no + 2)
    column = np.concatenate([score, score])[:, None]
    votes = np.concatenate([np.ones_like(target), np.zeros_like(target)])
    counted = np.concatenate([target * weight, (1 - target) * weight])
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
    model.fit(column[counted > 0], votes[counted > 0], sample_weight=counted[counted > 0])
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if not slope > 0:
        raise ModelError(NO_RISE)
    return Logistic(slope, intercept)


def _photograph_map(material: MatchData, base: ScorerArtifact | None) -> Logistic | None:
    known: BoolArray = np.logical_and.reduce(np.isfinite(material.others), axis=1)
    said = np.where(material.pairs.expert, material.pairs.grade, material.pairs.share)[known]
    if base is not None or min(_sides(said)) < FEWEST_OF_A_SIDE:
        return None if base is None else base.photograph
    ours = material.photographs[material.pairs.photograph]
    cosine = np.einsum("nd,nd->n", ours, np.nan_to_num(material.others)).astype(np.float64)
    return _of_cosine(cosine, material.pairs, known)


def _precisions(material: MatchData, text: TextMatch, base: ScorerArtifact | None) -> dict[str, Float64Array | None]:
    """How firmly the ratings, and those behind `base`, hold the numbers of a match as they are written.

    Calibration stretches a fit's logits, and its precision shrinks by the square of that.
    """
    if base is not None:
        return {"precision": base.precision, "plain_precision": base.plain_precision}
    every = np.ones(len(material.pairs), dtype=bool)
    slope, _, held = fit_joint(material.plain[:, None], material.pairs, every, ridge=1e-3)
    precisions: dict[str, Float64Array | None] = {"plain_precision": held * (slope[0] / text.plain.slope) ** 2}
    if text.feature_model is not None:
        weights, _, held = fit_joint(text.feature_model.design_matrix(material.features), material.pairs, every)
        stretch = float(np.linalg.norm(text.feature_model.weights) / np.linalg.norm(weights))
        precisions["precision"] = held / stretch**2
    return precisions


def out_of_fold(material: MatchData, on_stage: OnStage) -> OutOfFoldMatches:
    """Judge all rated pairs, and every rated text with every rated photograph, by matches of 25 folds."""
    from eval.folds import double_folds, fold_numbers
    from service.match.artifact import sigmoid

    pairs = material.pairs
    match, agreement = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    everything = np.zeros((len(pairs.texts), len(pairs.photographs)), np.float32)
    photograph_fold, text_fold = fold_numbers(pairs.photograph, pairs.text, FOLDS)
    fold_of_photograph = np.zeros(len(pairs.photographs), np.int64)
    fold_of_text = np.zeros(len(pairs.texts), np.int64)
    fold_of_photograph[pairs.photograph], fold_of_text[pairs.text] = photograph_fold, text_fold
    cells = list(double_folds(pairs.photograph, pairs.text, FOLDS, every=True))
    for number, (fitted, judged) in enumerate(cells):
        text = fit_text_match(material, fitted)
        logits = _logits(text, material, judged)
        match[judged], agreement[judged] = sigmoid(logits), text.agreement(logits)
        columns = np.flatnonzero(fold_of_photograph == number // FOLDS)
        for row in np.flatnonzero(fold_of_text == number % FOLDS):
            found = text.logits(material.texts[row], material.photographs[columns])
            everything[row, columns] = sigmoid(found)
        on_stage("folds", number + 1, len(cells))
    return OutOfFoldMatches(match, agreement, everything)


def judge_the_cut(material: MatchData, judged: OutOfFoldMatches, gallery: int, on_stage: OnStage) -> Answerability:
    """How well the best match tells whether a gallery holds what a text asks for, beside raw cosine."""
    from eval.answerable import answerability

    return answerability(
        material.pairs,
        judged.everything,
        material.texts @ material.photographs.T,
        gallery=gallery,
        on_progress=lambda done, total: on_stage(f"intervals of the cut, {gallery} photographs", done, total),
    )


def train_on_library(
    settings: Settings, folder: Path, out: Path, cache: Path, on_stage: OnStage, *, alone: bool
) -> ScorerArtifact:
    """Fit on the ratings of a library: alone, or added to those behind the match that its model carries.

    `folder` is an empty one that the rated photographs are copied into for the while. Raises as
    `train_scorer` does, and LibraryError where there is no library.
    """
    from service.encoder.models import parse_name
    from service.library import Library
    from service.match.scorer import find_artifact

    with Library.open(settings.library, settings) as library:
        encoder = library.encoder
        base = find_artifact(encoder, parse_name(encoder.name).folder)
        library.export_ratings(folder, on_progress=lambda done, total: on_stage("rated photographs", done, total))
    return train_scorer(encoder, folder, out, cache, on_stage, base=base, alone=alone)
