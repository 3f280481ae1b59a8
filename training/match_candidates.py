"""The candidates for a match, fitted and judged on the same folds.

Each candidate turns a text and a photograph into one number on a rising scale of its own. Within a cell of
`eval.folds.double_folds` it is fitted on rows that share neither photograph nor text with the judged ones; two
logistic maps of its number, fitted on the same rows, then say the match (on the experts' grades) and the
probability that a person says yes (on the crowd's votes). So candidates differ in what they see alone, and
not in how their numbers are read.

**One target for candidates that regress one number.** Experts and crowd were asked different things, so the
crowd's share of yes is moved to the scale of the mean grade first: by the rising step function of the share
that is nearest to the grades of the pairs that both rated (isotonic regression, on fitted rows alone). Rows
count as in `training.joint_logistic.targets`. The interaction and the bilinear head need no such step: their logistic
fit takes both kinds of rows as they are.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from data.ratings import RatedPairs
from eval.folds import double_folds
from eval.scoring import scoring_figures
from service.match.artifact import Logistic, sigmoid
from service.types import AnyArray, BoolArray, Float32Array, Float64Array, OnProgress, OnStage
from training.joint_logistic import RIDGE, fit_joint, targets
from training.match_data import MatchData

Scores = Callable[[BoolArray], Float64Array]
"""Numbers of the rows of a mask (n,), in their order; higher fits better."""
Fit = Callable[[BoolArray], Scores]
"""Fits a candidate on the rows of a mask (n,)."""

FOLDS = 5
FIGURES = ("expert_tau_c", "crowd_tau_b", "rmse", "ece", "crowd_brier")
"""Columns of the table of candidates, in this order, between `candidate` and `seconds`."""
_FEWEST_RATED_BY_BOTH = 20
_DIRECTIONS = 128
_PRODUCT_SCALE = 0.1
"""Of the products beside the cosine, so that the same ridge holds their many weights a hundred times as firmly."""
_CALIBRATION_RIDGE = 1e-3


def candidates(material: MatchData, seed: int = 0) -> dict[str, Fit]:
    """All candidates that the material has enough for, in the order of the table.

    Those that compare with background texts or photographs are left out where there are none, and those on
    features where there are no features.
    """
    both = _both_vectors(material)
    fits = {"raw cosine": _fixed(material.cosine)}
    if len(material.background_texts) and len(material.background_photographs):
        fits["cosine, means subtracted"] = _fixed(_centred_cosine(material))
    if len(material.background_photographs) > 1:
        fits["background"] = _fixed(_against_background(material))
    fits["linear regression on both vectors"] = _regression(material, both, _ridge)
    fits["linear support vector regression on both vectors"] = _regression(material, both, lambda: _support(seed))
    fits["three-layer network on both vectors"] = _regression(material, both, lambda: _network((64, 32), 3, seed))
    if len(material.background_texts) > 1:
        fits["low-rank bilinear"] = _bilinear(material)
    if material.features.shape[1]:
        of_pair = _features(material)
        fits["gradient boosting on features"] = _regression(material, of_pair, lambda: _boosting(seed))
        fits["network on features"] = _regression(material, of_pair, lambda: _network((32, 16), 8, seed))
        fits["interaction"] = _joint(material, material.features)
    return fits


def out_of_fold(
    material: MatchData,
    fit: Fit,
    calibrate: bool = True,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[Float64Array, Float64Array]:
    """Match and probability of a yes (n,) of each row, 0 to 1, by fits that met neither its photograph nor its text.

    Without `calibrate` the candidate's number is taken for the logit of the match as it is. Where the fitted
    rows of a cell are all of experts, or all of the crowd, match and probability are the same. `on_progress` is
    called with the cells done and their number. Raises DataError as `double_folds` does.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    pairs = material.pairs
    match, agreement = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    for done, (fitted, judged) in enumerate(double_folds(pairs.photograph, pairs.text, FOLDS, seed), start=1):
        known = np.zeros(len(pairs))
        # The products of one batch are small: threads that wait for each other make them up to ten times as slow.
        with threadpool_limits(1):
            scores = fit(fitted)
            known[fitted], asked = scores(fitted), scores(judged)
        match[judged] = _calibration(known, pairs, fitted, pairs.expert)(asked) if calibrate else sigmoid(asked)
        agreement[judged] = _calibration(known, pairs, fitted, pairs.crowd)(asked)
        if on_progress is not None:
            on_progress(done, FOLDS**2)
    return match, agreement


def compare(material: MatchData, seed: int = 0, on_stage: OnStage | None = None) -> list[dict[str, object]]:
    """The table of candidates: for each its name, its FIGURES out of fold, and the seconds that its fits took.

    A figure for which nobody rated is None. `on_stage` is called with the candidate, the cells done and
    their number. Raises DataError as `double_folds` does.
    """
    rows: list[dict[str, object]] = []
    for name, fit in candidates(material, seed).items():

        def on_cell(done: int, total: int, name: str = name) -> None:
            if on_stage is not None:
                on_stage(name, done, total)

        began = time.perf_counter()
        match, agreement = out_of_fold(material, fit, seed=seed, on_progress=on_cell)
        seconds = time.perf_counter() - began
        figures = scoring_figures(material.pairs, match, agreement, resamples=0).figures
        rows.append({"candidate": name, **{each: figures.get(each) for each in FIGURES}, "seconds": seconds})
    return rows


def grades_of(pairs: RatedPairs, fitted: BoolArray) -> Float64Array:
    """One target (n,) on the scale of mean grades, 0 to 1: grades as they are, shares of yes moved to them.

    Learnt from the fitted rows that experts and crowd both rated; where they are too few, the share itself.
    """
    from sklearn.isotonic import IsotonicRegression

    pair = pairs.photograph * len(pairs.texts) + pairs.text
    graded, voted = np.flatnonzero(fitted & pairs.expert), np.flatnonzero(fitted & pairs.crowd)
    _, of_expert, of_crowd = np.intersect1d(pair[graded], pair[voted], assume_unique=True, return_indices=True)
    said, _ = targets(pairs)
    if len(of_expert) < _FEWEST_RATED_BY_BOTH:
        return said
    expert, crowd = graded[of_expert], voted[of_crowd]
    moved = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    moved.fit(pairs.share[crowd], pairs.grade[expert], sample_weight=(pairs.yes + pairs.no)[crowd])
    said[pairs.crowd] = moved.predict(pairs.share[pairs.crowd])
    return said


def _calibration(score: Float64Array, pairs: RatedPairs, fitted: BoolArray, kind: BoolArray) -> Logistic:
    """The logistic map of `score` (n,) that the fitted rows of one kind make likeliest, or all where none is."""
    rows = fitted & kind if (fitted & kind).any() else fitted
    mean, deviation = _scale(score[rows])
    weights, intercept, _ = fit_joint(((score - mean) / deviation)[:, None], pairs, rows, _CALIBRATION_RIDGE)
    slope = float(weights[0] / deviation)
    return Logistic(slope, float(intercept - slope * mean))


def _fixed(score: Float64Array) -> Fit:
    """What is fitted on nothing."""
    return lambda _: lambda rows: score[rows]


def _joint(material: MatchData, columns: Float32Array, spread: Float64Array | float = 1.0) -> Fit:
    """The joint logistic fit on columns (n, f), brought to deviation `spread` by the fitted rows."""

    def fit(fitted: BoolArray) -> Scores:
        mean, deviation = _scale(columns[fitted])
        deviation = deviation / spread
        weights, intercept, _ = fit_joint((columns - mean) / deviation, material.pairs, fitted, RIDGE)

        def scores(rows: BoolArray) -> Float64Array:
            line: Float64Array = ((columns[rows] - mean) / deviation) @ weights + intercept
            return line

        return scores

    return fit


def _regression(material: MatchData, columns: Callable[[BoolArray], Float32Array], model: Callable[[], Any]) -> Fit:
    """A regressor of scikit-learn on standardised columns, fitted on one target for experts and crowd."""
    _, weight = targets(material.pairs)

    def fit(fitted: BoolArray) -> Scores:
        measured = columns(fitted)
        mean, deviation = _scale(measured)
        counts = weight[fitted] / weight[fitted].mean()
        grades, regressor = grades_of(material.pairs, fitted)[fitted], model()
        with warnings.catch_warnings():
            # Networks stop early on purpose, and few ratings make a single batch.
            warnings.simplefilter("ignore", UserWarning)
            regressor.fit((measured - mean) / deviation, grades, sample_weight=counts)

        def scores(rows: BoolArray) -> Float64Array:
            said: Float64Array = regressor.predict((columns(rows) - mean) / deviation).astype(np.float64)
            return said

        return scores

    return fit


def _scale(columns: AnyArray) -> tuple[Any, Any]:
    """Mean and standard deviation of each column; 1 where a column says one thing."""
    deviation = columns.std(axis=0)
    return columns.mean(axis=0), np.where(deviation > 0, deviation, 1).astype(columns.dtype)


def _centred_cosine(material: MatchData) -> Float64Array:
    """Cosine of what is left of both vectors without the mean text and the mean photograph."""
    texts = _unit(material.texts - material.background_texts.mean(axis=0))
    photographs = _unit(material.photographs - material.background_photographs.mean(axis=0))
    cosine: Float64Array = _products_of(texts, photographs, material.pairs).sum(axis=1).astype(np.float64)
    return cosine


def _against_background(material: MatchData) -> Float64Array:
    """How many standard deviations a cosine stands out of the text's cosines with photographs that nobody chose."""
    similarity = material.texts @ material.background_photographs.T
    mean, deviation = similarity.mean(axis=1), similarity.std(axis=1)
    text = material.pairs.text
    score: Float64Array = (material.cosine - mean[text]) / np.maximum(deviation, 1e-6)[text]
    return score


def _bilinear(material: MatchData) -> Fit:
    """Cosine, and products of both vectors along the directions in which texts differ most.

    A bilinear form of low rank whose directions are given, so that only their weights are fitted.
    """
    texts = material.background_texts
    centre = texts.mean(axis=0)
    _, directions = np.linalg.eigh((texts - centre).T @ (texts - centre))
    turn = directions[:, : -_DIRECTIONS - 1 : -1]
    products = _products_of((material.texts - centre) @ turn, (material.photographs - centre) @ turn, material.pairs)
    columns = np.column_stack([material.cosine.astype(np.float32), products])
    return _joint(material, columns, np.array([1.0, *[_PRODUCT_SCALE] * products.shape[1]]))


def _products_of(texts: Float32Array, photographs: Float32Array, pairs: RatedPairs) -> Float32Array:
    products: Float32Array = texts[pairs.text] * photographs[pairs.photograph]
    return products


def _unit(vectors: Float32Array) -> Float32Array:
    unit: Float32Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _both_vectors(material: MatchData) -> Callable[[BoolArray], Float32Array]:
    pairs = material.pairs
    return lambda rows: np.hstack([material.texts[pairs.text[rows]], material.photographs[pairs.photograph[rows]]])


def _features(material: MatchData) -> Callable[[BoolArray], Float32Array]:
    return lambda rows: material.features[rows]


def _ridge() -> Any:
    """Linear regression, its weights held by the ridge that a trial of three chose; both vectors have a thousand."""
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1e5, solver="cholesky")


def _support(seed: int) -> Any:
    """Linear support vector regression by averaged stochastic steps; an exact solver takes ten times as long."""
    from sklearn.linear_model import SGDRegressor

    return SGDRegressor(
        loss="epsilon_insensitive",
        epsilon=0.1,
        alpha=1.0,
        eta0=1e-3,
        max_iter=8,
        tol=None,
        average=True,
        random_state=seed,
    )


def _network(widths: tuple[int, ...], epochs: int, seed: int) -> Any:
    """A network of rectified layers, stopped after few epochs, before it knows the fitted texts by heart."""
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(
        hidden_layer_sizes=widths,
        max_iter=epochs,
        batch_size=512,
        alpha=0.1,
        learning_rate_init=5e-3,
        random_state=seed,
    )


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=150, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=200, random_state=seed
    )
