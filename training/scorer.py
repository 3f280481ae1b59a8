"""The match of an encoder, fitted on people's ratings: one number for two ways of asking.

Experts graded pairs from 1 to 4; the crowd said yes or no to “does this text describe this photograph?”. The
two are not the same question: of pairs that experts graded 3 in the mean, “almost, with small mistakes”, a
third of the crowd says yes. So neither is moved onto the other's scale. One latent number is fitted to both
at once, a logit; through one logistic it is the expected grade, mapped from 1…4 to 0…1, which is the match,
and through another the probability of a yes. Grades count more than votes (`training.joint`): there are
fewer, and they are what the match is to mean.

**Two photographs.** Their cosines live on another scale, so they get a map of their own, from the same
ratings: what people say of photograph A and a text written for photograph B is said of A and B.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from data.ratings import RatedPairs
from service.artifact import Interaction, Logistic, ScorerArtifact, TextMatch
from service.errors import DataError, ModelError
from service.interaction import side
from training.joint import fit_joint
from training.material import Material, Report, read_material

if TYPE_CHECKING:
    from eval.answerable import Answerability
    from service.encoder import Encoder

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FEWEST_RATINGS, FEWEST_OF_A_SIDE = 40, 5
"""Ratings that it takes to fit a match at all, and of those that say it fits and that it does not."""
FAR, NEAR = 1.0, 10.0
"""Percentiles of the captions' nearness to the bank of texts: below the first, features do not count; above the
second they count wholly. Queries of a word or two are mostly below."""
GALLERY = 50
"""Photographs of a gallery that the default cut is chosen on."""

NO_RISE = "The encoder's cosines do not rise with the ratings, so no match can be fitted on them."


@dataclass(frozen=True)
class OutOfFold:
    """Matches that saw neither the photograph nor the text of what they judge.

    `match` and `agreement` (n,) of the rated pairs; `everything` (texts, photographs) of each rated text with
    each rated photograph.
    """

    match: Numbers
    agreement: Numbers
    everything: npt.NDArray[np.float32]


def train_scorer(
    encoder: Encoder,
    data: Path,
    out: Path,
    cache: Path,
    report: Report,
    *,
    base: ScorerArtifact | None = None,
    trained_on: str = "",
) -> ScorerArtifact:
    """Fit a match on the ratings in a folder of data, measure it out of fold and write it into `out`.

    `base` is a match of the same encoder that these ratings are added to. Raises DataError for a fault of the
    data and for too few or one-sided ratings, ModelError where the encoder cannot tell what fits.
    """
    from eval.scoring import scoring_figures

    material = read_material(encoder, data, cache, report, base)
    check_enough(material.pairs)
    text = fit_text_match(material, np.ones(len(material.pairs), dtype=bool), base)
    figures: dict[str, Any] = {}
    min_match = 0.0 if base is None else base.min_match
    if base is None and can_be_folded(material.pairs):
        judged = out_of_fold(material, report)
        measured = scoring_figures(
            material.pairs,
            judged.match,
            judged.agreement,
            on_progress=lambda done, total: report("intervals", done, total),
        )
        cut = judge_the_cut(material, judged, GALLERY, report)
        figures = {**measured.as_json(), "answerable": cut.as_json()}
        min_match = cut.min_match
    artifact = ScorerArtifact(
        fingerprint=encoder.fingerprint,
        text=text,
        photograph=_photograph_map(material, base),
        min_match=min_match,
        trained_on=trained_on or described(material.pairs),
        figures=figures,
        precision=_precision(material, text, base),
    )
    artifact.save(out)
    return artifact


def described(pairs: RatedPairs) -> str:
    """What a match was fitted on, in words."""
    return (
        f"{int(pairs.expert.sum()):,} pairs graded and {int(pairs.crowd.sum()):,} voted on, of "
        f"{len(pairs.photographs):,} photographs and {len(pairs.texts):,} texts"
    )


def check_enough(pairs: RatedPairs) -> None:
    """Raise DataError for ratings that no match can be fitted on."""
    said = np.where(pairs.expert, pairs.grade, pairs.share)
    fits, fits_not = int((said >= 0.5).sum()), int((said < 0.5).sum())
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


def can_be_folded(pairs: RatedPairs) -> bool:
    """Whether there are enough texts and photographs to judge matches out of fold."""
    return len(pairs.texts) >= 25 and len(pairs.photographs) >= 25


def fit_text_match(material: Material, fitted: Flags, base: ScorerArtifact | None = None) -> TextMatch:
    """Fit the match of texts with photographs on some rows of the ratings, a mask (n,)."""
    plain = _of_cosine(material.cosine, material.pairs, fitted)
    if plain is None:
        raise ModelError(NO_RISE)
    text = TextMatch(plain, Logistic(1.0, 0.0), _interaction(material, fitted, base))
    return _calibrated(text, material, fitted)


def _of_cosine(cosine: Numbers, pairs: RatedPairs, fitted: Flags) -> Logistic | None:
    """The joint fit on the cosine (n,) alone; None where more of it does not go with better ratings."""
    mean, deviation = float(cosine[fitted].mean()), float(cosine[fitted].std()) + 1e-9
    weights, intercept, _ = fit_joint((cosine[:, None] - mean) / deviation, pairs, fitted)
    slope = float(weights[0]) / deviation
    return Logistic(slope, intercept - slope * mean) if slope > 0 else None


def _interaction(material: Material, fitted: Flags, base: ScorerArtifact | None) -> Interaction | None:
    if not material.banks:
        return None
    if base is not None and base.text.interaction is not None and base.text.interaction.banks is material.banks:
        known = base.text.interaction
        prior = None if base.precision is None else (np.append(known.intercept, known.weights), base.precision)
        weights, intercept, _ = fit_joint(known.standard(material.features), material.pairs, fitted, prior=prior)
        return replace(known, weights=weights, intercept=intercept)
    mean = material.features[fitted].mean(axis=0, dtype=np.float64)
    deviation = material.features[fitted].std(axis=0, dtype=np.float64) + 1e-9
    weights, intercept, _ = fit_joint((material.features - mean) / deviation, material.pairs, fitted)
    far, near = np.percentile(side(material.background_texts, material.banks).nearness, [FAR, NEAR])
    return Interaction(material.banks, mean, deviation, weights, intercept, float(far), float(near))


def _calibrated(text: TextMatch, material: Material, fitted: Flags) -> TextMatch:
    """The match with its logits brought to the scale of grades, and its map to the crowd's yes."""
    pairs = material.pairs
    logits = _logits(text, material, fitted)
    grades, votes = pairs.expert[fitted], pairs.crowd[fitted]
    target = np.where(grades, pairs.grade[fitted], pairs.share[fitted])
    judges = np.isfinite(pairs.grades[fitted]).sum(axis=1) + (pairs.yes + pairs.no)[fitted]
    said = grades if grades.any() else votes
    to_match = fit_logistic(logits[said], target[said], judges[said].astype(np.float64))
    agreement = Logistic(1.0, 0.0)
    if votes.any():
        agreement = fit_logistic(to_match.logit(logits[votes]), target[votes], judges[votes].astype(np.float64))
    interaction = text.interaction
    if interaction is not None:
        interaction = replace(
            interaction,
            weights=to_match.slope * interaction.weights,
            intercept=to_match.slope * interaction.intercept + to_match.intercept,
        )
    plain = Logistic(to_match.slope * text.plain.slope, to_match.slope * text.plain.intercept + to_match.intercept)
    return TextMatch(plain, agreement, interaction)


def _logits(text: TextMatch, material: Material, rows: Flags) -> Numbers:
    """Logits of rated pairs, as search would find them."""
    plain = text.plain.logit(material.cosine[rows])
    if text.interaction is None:
        return plain
    share = text.interaction.share(side(material.texts, material.banks).nearness)[material.pairs.text[rows]]
    seen = text.interaction.logits(text.interaction.standard(material.features[rows]))
    mixed: Numbers = share * seen + (1.0 - share) * plain
    return mixed


def fit_logistic(score: Numbers, target: Numbers, weight: Numbers) -> Logistic:
    """The logistic map of a score (n,) that makes shares (n,) in [0, 1] most likely, each counted `weight` times.

    Raises ModelError where more of the score does not go with more of the target: such a map orders nothing.
    """
    from sklearn.linear_model import LogisticRegression

    column = np.concatenate([score, score])[:, None]
    votes = np.concatenate([np.ones_like(target), np.zeros_like(target)])
    counted = np.concatenate([target * weight, (1 - target) * weight])
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
    model.fit(column[counted > 0], votes[counted > 0], sample_weight=counted[counted > 0])
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if not slope > 0:
        raise ModelError(NO_RISE)
    return Logistic(slope, intercept)


def _photograph_map(material: Material, base: ScorerArtifact | None) -> Logistic | None:
    known: Flags = np.logical_and.reduce(np.isfinite(material.others), axis=1)
    said = np.where(material.pairs.expert, material.pairs.grade, material.pairs.share)[known]
    if base is not None or min((said >= 0.5).sum(), (said < 0.5).sum()) < FEWEST_OF_A_SIDE:
        return None if base is None else base.photograph
    ours = material.photographs[material.pairs.photograph]
    cosine = np.einsum("nd,nd->n", ours, np.nan_to_num(material.others)).astype(np.float64)
    return _of_cosine(cosine, material.pairs, known)


def _precision(material: Material, text: TextMatch, base: ScorerArtifact | None) -> Numbers | None:
    """How firmly the ratings hold the weights as they are written, which calibration has stretched."""
    if text.interaction is None:
        return None
    every = np.ones(len(material.pairs), dtype=bool)
    weights, _, precision = fit_joint(text.interaction.standard(material.features), material.pairs, every)
    stretch = float(np.linalg.norm(text.interaction.weights) / np.linalg.norm(weights))
    held: Numbers = precision / stretch**2
    return held if base is None or base.precision is None else held + base.precision


def out_of_fold(material: Material, report: Report) -> OutOfFold:
    """Judge all rated pairs, and every rated text with every rated photograph, by matches of 25 folds."""
    from eval.folds import double_folds, fold_numbers
    from service.artifact import squash

    pairs = material.pairs
    match, agreement = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    everything = np.zeros((len(pairs.texts), len(pairs.photographs)), np.float32)
    photograph_fold, text_fold = fold_numbers(pairs.photograph, pairs.text)
    fold_of_photograph = np.zeros(len(pairs.photographs), np.int64)
    fold_of_text = np.zeros(len(pairs.texts), np.int64)
    fold_of_photograph[pairs.photograph], fold_of_text[pairs.text] = photograph_fold, text_fold
    cells = list(double_folds(pairs.photograph, pairs.text))
    for number, (fitted, judged) in enumerate(cells, start=1):
        text = fit_text_match(material, fitted)
        logits = _logits(text, material, judged)
        match[judged], agreement[judged] = squash(logits), text.agreement(logits)
        one = np.flatnonzero(judged)[0]
        columns = np.flatnonzero(fold_of_photograph == photograph_fold[one])
        for row in np.flatnonzero(fold_of_text == text_fold[one]):
            found = text.logits(material.texts[row], material.photographs[columns])
            everything[row, columns] = squash(found)
        report("folds", number, len(cells))
    return OutOfFold(match, agreement, everything)


def judge_the_cut(material: Material, judged: OutOfFold, gallery: int, report: Report) -> Answerability:
    """How well the best match tells whether a gallery holds what a text asks for, beside raw cosine."""
    from eval.answerable import answerability

    return answerability(
        material.pairs,
        judged.everything,
        material.texts @ material.photographs.T,
        gallery=gallery,
        on_progress=lambda done, total: report("intervals of the cut", done, total),
    )
