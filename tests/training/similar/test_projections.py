"""Candidate projections: each does what its name says, and separates kinds better than the raw cosine."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.similar.pictures import clouds
from training.similar import projections
from training.similar.projections import FittedSimilarity, LinearSimilarity, Statistics

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def labelled() -> tuple[np.ndarray, np.ndarray]:
    return clouds(5, 40, 40)


def share_right(similarity: FittedSimilarity, features: np.ndarray, kinds: np.ndarray) -> float:
    """Share of queries, which were not fitted on, whose nearest photograph is of the same kind."""
    queries, gallery = features[::2], features[1::2]
    nearest = (similarity.query_vectors(queries) @ similarity.gallery_vectors(gallery).T).argmax(axis=1)
    return float((kinds[1::2][nearest] == kinds[::2]).mean())


def fitted(features: np.ndarray, kinds: np.ndarray, dimension: int = 40) -> Statistics:
    return Statistics(features[1::2, 0], kinds[1::2], dimension)


def test_whitened_components_have_deviation_one_and_are_uncorrelated(
    labelled: tuple[np.ndarray, np.ndarray],
) -> None:
    features, kinds = labelled
    rows = features[:, 0]
    part = projections.whitening(Statistics(rows, kinds, 10)).parts[0]
    assert part.matrix is not None
    projected = (rows - part.center) @ part.matrix
    assert np.allclose(projected.T @ projected / len(rows), np.eye(10), atol=1e-3)


def test_within_kind_whitening_gives_equal_deviation_in_every_direction(
    labelled: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    features, kinds = labelled
    monkeypatch.setattr(projections, "SHRINKAGE", 0.0)
    part = projections.within_kind_whitening(Statistics(features[:, 0], kinds, 20)).parts[0]
    assert part.matrix is not None
    projected = (features[:, 0] - part.center) @ part.matrix
    inner = projected - np.stack([projected[kinds == kind].mean(axis=0) for kind in range(5)])[kinds]
    assert np.allclose(inner.T @ inner / len(inner), np.eye(20), atol=1e-2)


def test_discriminants_span_the_space_of_scikit_learn(
    labelled: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    features, kinds = labelled
    monkeypatch.setattr(projections, "SHRINKAGE", 0.0)
    part = projections.lda(Statistics(features[:, 0], kinds, 40)).parts[0]
    assert part.matrix is not None
    ours = (features[:, 0] - part.center) @ part.matrix
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit_transform(features[:, 0], kinds)
    theirs -= theirs.mean(axis=0)
    # The same subspace: each of theirs is a linear combination of ours.
    rest = theirs - ours @ np.linalg.lstsq(ours, theirs, rcond=None)[0]
    assert part.matrix.shape == (40, 4)
    assert np.abs(rest).max() < 0.05 * np.abs(theirs).max()


def test_the_likelihood_ratio_is_that_of_the_normal_model() -> None:
    from scipy.stats import multivariate_normal

    between = np.array([2.0, 0.3])
    model = projections.PldaSimilarity(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), between)
    x, y = np.random.default_rng(0).normal(size=(2, 6, 2)).astype(np.float32)

    def ratio(one: np.ndarray, other: np.ndarray) -> float:
        together = sum(
            multivariate_normal([0, 0], [[1 + b, b], [b, 1 + b]]).logpdf([one[k], other[k]])
            for k, b in enumerate(between)
        )
        apart = sum(
            multivariate_normal(0, 1 + b).logpdf(each[k]) for each in (one, other) for k, b in enumerate(between)
        )
        return float(together - apart)

    ours = model.query_vectors(x) @ model.gallery_vectors(y).T
    theirs = np.array([[ratio(one, other) for other in y] for one in x])
    # Ours leaves out terms of the query alone.
    assert np.allclose(ours - ours[:, :1], theirs - theirs[:, :1], atol=1e-4)


@pytest.mark.parametrize("loss", ["arcface", "contrastive", "proxy-anchor"])
def test_metric_learning_beats_the_cosine_and_repeats_with_a_seed(
    loss: str, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    features, kinds = labelled
    statistics = fitted(features, kinds)
    arguments = (loss, statistics, features[1::2, 0], kinds[1::2])
    similarity = projections.metric_learned(*arguments, seed=3)
    queries = features[:, 0]
    assert share_right(similarity, queries, kinds) > share_right(projections.cosine(40), queries, kinds) + 0.2
    assert np.array_equal(
        similarity.query_vectors(queries), projections.metric_learned(*arguments, seed=3).query_vectors(queries)
    )


def test_a_blend_is_the_weighted_sum_of_its_cosines(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    features, kinds = labelled
    statistics = fitted(features, kinds)
    kind, rest = projections.lda(statistics, constant=2.0), projections.within_kind_whitening(statistics)
    both = projections.blend(kind, rest, 0.7)
    x, y = features[0, :1], features[7, :1]

    def similarity(similarity: LinearSimilarity) -> float:
        return float((similarity.query_vectors(x) @ similarity.gallery_vectors(y).T)[0, 0])

    assert similarity(both) == pytest.approx(0.7 * similarity(kind) + 0.3 * similarity(rest), abs=1e-6)
    assert np.allclose(np.linalg.norm(both.query_vectors(features[:, 0]), axis=1), 1.0, atol=1e-5)
    assert share_right(both, features[:, 0], kinds) > share_right(projections.cosine(40), features[:, 0], kinds) + 0.2


def test_statistics_of_fewer_photographs_than_features_are_finite() -> None:
    features, kinds = clouds(3, 3, 50)
    statistics = Statistics(features[:, 0], kinds, 512)
    for similarity in (
        projections.whitening(statistics),
        projections.lda(statistics),
        projections.within_kind_whitening(statistics),
    ):
        assert np.isfinite(similarity.query_vectors(features[:, 0])).all()
