"""Candidates: each does what its name says, and finds kinds that the raw cosine does not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.similar.pictures import clouds
from training.similar import looks
from training.similar.looks import Look, Similarity, Statistics


@pytest.fixture(scope="module")
def material() -> tuple[np.ndarray, np.ndarray]:
    return clouds(5, 40, 40)


def share_right(similarity: Similarity, features: np.ndarray, kinds: np.ndarray) -> float:
    """How many of the nearest are of the kind, of photographs that were not fitted on."""
    asked, searched = features[::2], features[1::2]
    found = (similarity.asked(asked) @ similarity.searched(searched).T).argmax(axis=1)
    return float((kinds[1::2][found] == kinds[::2]).mean())


def fitted(features: np.ndarray, kinds: np.ndarray, dimension: int = 40) -> Statistics:
    return Statistics(features[1::2, 0], kinds[1::2], dimension)


def test_whitened_components_have_deviation_one_and_do_not_hang_together(
    material: tuple[np.ndarray, np.ndarray],
) -> None:
    features, kinds = material
    rows = features[:, 0]
    part = looks.whitened(Statistics(rows, kinds, 10)).parts[0]
    assert part.projection is not None
    seen = (rows - part.center) @ part.projection
    assert np.allclose(seen.T @ seen / len(rows), np.eye(10), atol=1e-3)


def test_photographs_of_a_kind_deviate_by_as_much_in_every_whitened_direction(
    material: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    features, kinds = material
    monkeypatch.setattr(looks, "SHRINKAGE", 0.0)
    part = looks.whitened_within(Statistics(features[:, 0], kinds, 20)).parts[0]
    assert part.projection is not None
    seen = (features[:, 0] - part.center) @ part.projection
    inner = seen - np.stack([seen[kinds == kind].mean(axis=0) for kind in range(5)])[kinds]
    assert np.allclose(inner.T @ inner / len(inner), np.eye(20), atol=1e-2)


def test_discriminants_are_those_of_scikit_learn(
    material: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    features, kinds = material
    monkeypatch.setattr(looks, "SHRINKAGE", 0.0)
    part = looks.discriminants(Statistics(features[:, 0], kinds, 40)).parts[0]
    assert part.projection is not None
    ours = (features[:, 0] - part.center) @ part.projection
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit_transform(features[:, 0], kinds)
    theirs -= theirs.mean(axis=0)
    # The same plane: each of theirs is a mixture of ours.
    rest = theirs - ours @ np.linalg.lstsq(ours, theirs, rcond=None)[0]
    assert part.projection.shape == (40, 4)
    assert np.abs(rest).max() < 0.05 * np.abs(theirs).max()


def test_the_likelihood_ratio_is_the_one_of_the_normal_model() -> None:
    from scipy.stats import multivariate_normal

    between = np.array([2.0, 0.3])
    model = looks.Likelihoods(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), between)
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

    ours = model.asked(x) @ model.searched(y).T
    theirs = np.array([[ratio(one, other) for other in y] for one in x])
    # Ours leaves out what is the same for all that a photograph is compared with.
    assert np.allclose(ours - ours[:, :1], theirs - theirs[:, :1], atol=1e-4)


@pytest.mark.parametrize("loss", ["arcface", "contrastive", "proxy-anchor"])
def test_learnt_looks_find_more_than_the_cosine_and_are_the_same_for_a_seed(
    loss: str, material: tuple[np.ndarray, np.ndarray]
) -> None:
    features, kinds = material
    statistics = fitted(features, kinds)
    arguments = (loss, statistics, features[1::2, 0], kinds[1::2])
    look = looks.learnt(*arguments, seed=3)
    whole = features[:, 0]
    assert share_right(look, whole, kinds) > share_right(looks.cosine(40), whole, kinds) + 0.2
    assert np.array_equal(look.asked(whole), looks.learnt(*arguments, seed=3).asked(whole))


def test_a_blend_is_the_weighted_sum_of_its_cosines(material: tuple[np.ndarray, np.ndarray]) -> None:
    features, kinds = material
    statistics = fitted(features, kinds)
    kind, rest = looks.discriminants(statistics, constant=2.0), looks.whitened_within(statistics)
    both = looks.blended(kind, rest, 0.7)
    x, y = features[0, :1], features[7, :1]

    def similarity(look: Look) -> float:
        return float((look.asked(x) @ look.searched(y).T)[0, 0])

    assert similarity(both) == pytest.approx(0.7 * similarity(kind) + 0.3 * similarity(rest), abs=1e-6)
    assert np.allclose(np.linalg.norm(both.asked(features[:, 0]), axis=1), 1.0, atol=1e-5)
    assert share_right(both, features[:, 0], kinds) > share_right(looks.cosine(40), features[:, 0], kinds) + 0.2


def test_statistics_of_fewer_photographs_than_features_are_finite() -> None:
    features, kinds = clouds(3, 3, 50)
    statistics = Statistics(features[:, 0], kinds, 512)
    for look in (looks.whitened(statistics), looks.discriminants(statistics), looks.whitened_within(statistics)):
        assert np.isfinite(look.asked(features[:, 0])).all()
