"""Inside the context numpy and FAISS use one thread, afterwards as many as before."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from service.compute.blas_threads import OneThread, _thread_functions
from service.encoder.text_batcher import TextBatcher
from service.match.artifact import TextMatch
from service.match.scorer import Scorer
from service.search.query import Query
from service.search.search import search
from service.search.target import ModelTarget
from service.store.catalog import Catalog
from service.types import AnyArray, Float64Array
from tests.service.colours import ColourEncoder
from tests.service.sample_artifacts import make_artifact, random_unit_vectors


def threads() -> int:
    functions = _thread_functions()
    return functions[0]() if functions else pytest.skip("numpy uses another library here")


@pytest.fixture
def two_threads() -> Iterator[None]:
    """numpy uses two threads, as on a machine with two cores."""
    before, functions = threads(), _thread_functions()
    assert functions is not None
    functions[1](2)
    yield
    functions[1](before)


@pytest.mark.usefixtures("two_threads")
def test_numpy_uses_one_thread_inside_and_its_own_number_afterwards() -> None:
    with OneThread():
        assert threads() == 1
    assert threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_the_limit_lasts_until_the_last_thread_leaves() -> None:
    context = OneThread()
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with context:
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with context:
        thread.start()
        assert entered.wait(10)
    assert threads() == 1, "the other is still inside"
    leave.set()
    thread.join(10)
    assert threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_an_error_inside_is_raised_and_ends_the_limit() -> None:
    with pytest.raises(ValueError, match="as it was"), OneThread():
        raise ValueError("as it was")
    assert threads() == 2


def faiss_threads() -> int:
    import faiss

    return int(faiss.omp_get_max_threads())


def test_faiss_uses_one_thread_inside_and_its_own_number_afterwards() -> None:
    import faiss

    before = faiss_threads()
    context = OneThread()
    try:
        faiss.omp_set_num_threads(3)
        with context:
            with context:
                assert faiss_threads() == 1
            assert faiss_threads() == 1
        assert faiss_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


def test_faiss_is_not_limited_for_other_threads() -> None:
    import faiss

    found: list[int] = []

    def other() -> None:
        faiss.omp_set_num_threads(3)
        found.append(faiss_threads())

    thread = threading.Thread(target=other)
    with OneThread():
        thread.start()
        thread.join(10)
        assert faiss_threads() == 1
    assert found == [3]


def test_faiss_is_not_limited_if_it_is_loaded_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    import faiss

    before = faiss_threads()
    context = OneThread()
    monkeypatch.delitem(sys.modules, "faiss")
    with context:
        monkeypatch.setitem(sys.modules, "faiss", faiss)
        assert faiss_threads() == before
    assert faiss_threads() == before


def test_another_blas_library_is_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.compute.blas_threads._thread_functions", lambda: None)
    context = OneThread()
    with context, context:
        assert float((np.eye(3) @ np.ones(3)).sum()) == 3.0


@pytest.mark.usefixtures("two_threads")
def test_a_match_is_computed_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    def logits(_: TextMatch, query: AnyArray, photographs: AnyArray) -> Float64Array:
        used.append(threads())
        return np.zeros(len(photographs))

    monkeypatch.setattr(TextMatch, "logits", logits)
    scorer = Scorer(ColourEncoder(), make_artifact(), np.empty((0, 4), np.float32))
    scorer.match(random_unit_vectors(1, 4)[0], random_unit_vectors(9, 4), "text")
    assert used == [1]


def test_the_openblas_that_numpy_is_linked_with_is_found() -> None:
    controls = pytest.importorskip("threadpoolctl")
    loaded = [each for each in controls.threadpool_info() if "numpy" in each["filepath"]]
    if not loaded or loaded[0]["internal_api"] != "openblas":
        pytest.skip("numpy uses another library here")
    functions = _thread_functions()
    assert functions is not None
    assert functions[0]() == loaded[0]["num_threads"]


def test_an_index_is_searched_on_one_thread(tmp_path: Path) -> None:
    used: list[tuple[int, int]] = []

    class Index:
        fingerprint, dimension = "colours", 4

        def candidates(self, vector: AnyArray, k: int, among: object) -> tuple[AnyArray, AnyArray, AnyArray]:
            used.append((faiss_threads(), threads()))
            return np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros((0, 4), np.float32)

        def __len__(self) -> int:
            return 0

    scorer = Scorer(ColourEncoder(), make_artifact(), np.empty((0, 4), np.float32))
    with closing(Catalog(tmp_path / "catalog.sqlite")) as catalog:
        target = ModelTarget(ColourEncoder(), Index(), scorer, TextBatcher(), catalog)  # type: ignore[arg-type]
        search(Query(text="red"), target, catalog, select=pytest.fail)
    assert used == [(1, 1)]
    assert faiss_threads() >= 1
