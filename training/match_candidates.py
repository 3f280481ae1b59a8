"""Candidates for the match, fitted and measured on the same folds.

Each candidate computes a score of a text and a photograph, on a scale of its own. Within a cell of
`eval.folds.double_folds` it is fitted on rows that share neither photograph nor text with the test rows. Two logistic
maps of the score, fitted on the same rows, give the match (from the experts' grades) and the probability of a yes (from
the crowd's votes), so candidates differ in their scores only and not in the calibration.

**One target for regressors.** Experts and crowd answered different questions, so the crowd's share of yes is first
mapped to the scale of the mean grade by isotonic regression on the fitted pairs that both rated. Rows are weighted as
in `training.joint_logistic.targets`. The interaction and the bilinear candidate do not need this: their joint logistic
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
"""Scores of the rows of a mask (n,), in their order; a higher score means a better fit."""
Fit = Callable[[BoolArray], Scores]
"""Fits a candidate on the rows of a mask (n,)."""

FOLDS = 5
FIGURES = ("expert_tau_c", "crowd_tau_b", "rmse", "ece", "crowd_brier")
"""Columns of the table of candidates between `candidate` and `seconds`."""
_FEWEST_RATED_BY_BOTH = 20
_DIRECTIONS = 128
_PRODUCT_SCALE = 0.1
"""Standard deviation of the products, so that the same ridge penalises their weights a hundred times as much."""
_CALIBRATION_RIDGE = 1e-3


def candidates(data: MatchData, seed: int = 0) -> dict[str, Fit]:
    """All candidates that can be fitted to the data, in the order of the table.

    Those that need background texts, background photographs or features are left out where there are none.
    """
    both = _both_vectors(data)
    fits = {"raw cosine": _unfitted(data.cosine)}
    if len(data.background_texts) and len(data.background_photographs):
        fits["cosine, means subtracted"] = _unfitted(_centred_cosine(data))
    if len(data.background_photographs) > 1:
        fits["background"] = _unfitted(_z_score(data))
    fits["linear regression on both vectors"] = _regression(data, both, _ridge)
    fits["linear support vector regression on both vectors"] = _regression(data, both, lambda: _support(seed))
    fits["three-layer network on both vectors"] = _regression(data, both, lambda: _network((64, 32), 3, seed))
    if len(data.background_texts) > 1:
        fits["low-rank bilinear"] = _bilinear(data)
    if data.features.shape[1]:
        features = _features(data)
        fits["gradient boosting on features"] = _regression(data, features, lambda: _boosting(seed))
        fits["network on features"] = _regression(data, features, lambda: _network((32, 16), 8, seed))
        fits["interaction"] = _joint(data, data.features)
    return fits


def out_of_fold(
    data: MatchData,
    fit: Fit,
    calibrate: bool = True,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[Float64Array, Float64Array]:
    """Match and probability of a yes (n,), 0 to 1, of each row, by fits that saw neither its photograph nor its text.

    Without `calibrate` the candidate's score is the logit of the match. Where the fitted rows of a cell are all from
    experts, or all from the crowd, match and probability are equal. `on_progress` is called with the cells done and
    their number. Raises DataError as `double_folds` does.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    pairs = data.pairs
    match, agreement = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    for done, (fitted, test) in enumerate(double_folds(pairs.photograph, pairs.text, FOLDS, seed), start=1):
        fitted_scores = np.zeros(len(pairs))
        # Matrices of one batch are so small that more threads make their products up to ten times slower.
        with threadpool_limits(1):
            scores = fit(fitted)
            fitted_scores[fitted], test_scores = scores(fitted), scores(test)
        to_match = _calibration(fitted_scores, pairs, fitted, pairs.expert) if calibrate else sigmoid
        match[test] = to_match(test_scores)
        agreement[test] = _calibration(fitted_scores, pairs, fitted, pairs.crowd)(test_scores)
        if on_progress is not None:
            on_progress(done, FOLDS**2)
    return match, agreement


def compare(data: MatchData, seed: int = 0, on_stage: OnStage | None = None) -> list[dict[str, object]]:
    """The table of candidates: name, FIGURES out of fold, and the seconds that the fits took.

    A figure without ratings for it is None. `on_stage` is called with the candidate, the cells done and their number.
    Raises DataError as `double_folds` does.
    """
    rows: list[dict[str, object]] = []
    for name, fit in candidates(data, seed).items():

        def on_cell(done: int, total: int, name: str = name) -> None:
            if on_stage is not None:
                on_stage(name, done, total)

        began = time.perf_counter()
        match, agreement = out_of_fold(data, fit, seed=seed, on_progress=on_cell)
        seconds = time.perf_counter() - began
        figures = scoring_figures(data.pairs, match, agreement, resamples=0).figures
        rows.append({"candidate": name, **{each: figures.get(each) for each in FIGURES}, "seconds": seconds})
    return rows


def grades_of(pairs: RatedPairs, fitted: BoolArray) -> Float64Array:
    """One target (n,) on the scale of mean grades, 0 to 1: grades as they are, shares of yes mapped to them.

    The map is fitted on the fitted pairs that experts and crowd both rated; where they are too few, shares are kept.
    """
    from sklearn.isotonic import IsotonicRegression

    pair = pairs.photograph * len(pairs.texts) + pairs.text
    graded, voted = np.flatnonzero(fitted & pairs.expert), np.flatnonzero(fitted & pairs.crowd)
    _, of_expert, of_crowd = np.intersect1d(pair[graded], pair[voted], assume_unique=True, return_indices=True)
    target, _ = targets(pairs)
    if len(of_expert) < _FEWEST_RATED_BY_BOTH:
        return target
    expert, crowd = graded[of_expert], voted[of_crowd]
    to_grade = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    to_grade.fit(pairs.share[crowd], pairs.grade[expert], sample_weight=(pairs.yes + pairs.no)[crowd])
    target[pairs.crowd] = to_grade.predict(pairs.share[pairs.crowd])
    return target


def _calibration(score: Float64Array, pairs: RatedPairs, fitted: BoolArray, kind: BoolArray) -> Logistic:
    """The logistic map of `score` (n,) by the fitted rows of one kind or, where there are none, by all of them."""
    rows = fitted & kind if (fitted & kind).any() else fitted
    mean, deviation = _scale(score[rows])
    weights, intercept, _ = fit_joint(((score - mean) / deviation)[:, None], pairs, rows, _CALIBRATION_RIDGE)
    slope = float(weights[0] / deviation)
    return Logistic(slope, float(intercept - slope * mean))


def _unfitted(score: Float64Array) -> Fit:
    """A candidate without a fit."""
    return lambda _: lambda rows: score[rows]


def _joint(data: MatchData, columns: Float32Array, spread: Float64Array | float = 1.0) -> Fit:
    """The joint logistic fit on columns (n, f), scaled to standard deviation `spread` on the fitted rows."""

    def fit(fitted: BoolArray) -> Scores:
        mean, deviation = _scale(columns[fitted])
        deviation = deviation / spread
        weights, intercept, _ = fit_joint((columns - mean) / deviation, data.pairs, fitted, RIDGE)

        def scores(rows: BoolArray) -> Float64Array:
            line: Float64Array = ((columns[rows] - mean) / deviation) @ weights + intercept
            return line

        return scores

    return fit


def _regression(data: MatchData, columns: Callable[[BoolArray], Float32Array], model: Callable[[], Any]) -> Fit:
    """A scikit-learn regressor on standardised columns, fitted on one target for experts and crowd."""
    _, weight = targets(data.pairs)

    def fit(fitted: BoolArray) -> Scores:
        inputs = columns(fitted)
        mean, deviation = _scale(inputs)
        counts = weight[fitted] / weight[fitted].mean()
        grades, regressor = grades_of(data.pairs, fitted)[fitted], model()
        with warnings.catch_warnings():
            # Networks stop early on purpose, and with few ratings there is a single batch.
            warnings.simplefilter("ignore", UserWarning)
            regressor.fit((inputs - mean) / deviation, grades, sample_weight=counts)

        def scores(rows: BoolArray) -> Float64Array:
            predicted: Float64Array = regressor.predict((columns(rows) - mean) / deviation).astype(np.float64)
            return predicted

        return scores

    return fit


def _scale(columns: AnyArray) -> tuple[Any, Any]:
    """Mean and standard deviation of each column; 1 for a constant column."""
    deviation = columns.std(axis=0)
    return columns.mean(axis=0), np.where(deviation > 0, deviation, 1).astype(columns.dtype)


def _centred_cosine(data: MatchData) -> Float64Array:
    """Cosine of both vectors after subtracting the mean text and the mean photograph."""
    texts = _unit(data.texts - data.background_texts.mean(axis=0))
    photographs = _unit(data.photographs - data.background_photographs.mean(axis=0))
    cosine: Float64Array = _products_of(texts, photographs, data.pairs).sum(axis=1).astype(np.float64)
    return cosine


def _z_score(data: MatchData) -> Float64Array:
    """Standard deviations by which a cosine exceeds the text's mean cosine with background photographs."""
    similarity = data.texts @ data.background_photographs.T
    mean, deviation = similarity.mean(axis=1), similarity.std(axis=1)
    text = data.pairs.text
    score: Float64Array = (data.cosine - mean[text]) / np.maximum(deviation, 1e-6)[text]
    return score


def _bilinear(data: MatchData) -> Fit:
    """Cosine, and products of both vectors along the principal directions of texts.

    This is a bilinear form of low rank whose directions are fixed; only their weights are fitted.
    """
    texts = data.background_texts
    centre = texts.mean(axis=0)
    _, directions = np.linalg.eigh((texts - centre).T @ (texts - centre))
    axes = directions[:, : -_DIRECTIONS - 1 : -1]
    products = _products_of((data.texts - centre) @ axes, (data.photographs - centre) @ axes, data.pairs)
    columns = np.column_stack([data.cosine.astype(np.float32), products])
    return _joint(data, columns, np.array([1.0, *[_PRODUCT_SCALE] * products.shape[1]]))


def _products_of(texts: Float32Array, photographs: Float32Array, pairs: RatedPairs) -> Float32Array:
    products: Float32Array = texts[pairs.text] * photographs[pairs.photograph]
    return products


def _unit(vectors: Float32Array) -> Float32Array:
    unit: Float32Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _both_vectors(data: MatchData) -> Callable[[BoolArray], Float32Array]:
    pairs = data.pairs
    return lambda rows: np.hstack([data.texts[pairs.text[rows]], data.photographs[pairs.photograph[rows]]])


def _features(data: MatchData) -> Callable[[BoolArray], Float32Array]:
    return lambda rows: data.features[rows]


def _ridge() -> Any:
    """Ridge regression; the penalty was the best of three for vectors with a thousand numbers in all."""
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1e5, solver="cholesky")


def _support(seed: int) -> Any:
    """Linear support vector regression by averaged SGD; an exact solver takes ten times as long."""
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
    """A network with ReLU layers, stopped after a few epochs, before it memorises the fitted texts."""
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
