"""numpy keeps to one thread inside, and to what it had outside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.artifact import TextMatch
from service.one_thread import OneThread, _thread_functions
from service.scorer import Scorer
from tests.service.colours import ColourEncoder
from tests.service.matches import a_match, strangers


def threads() -> int:
    functions = _thread_functions()
    return functions[0]() if functions else pytest.skip("numpy multiplies with another library here")


@pytest.fixture
def two() -> Iterator[None]:
    """As on a machine with two cores."""
    before, functions = threads(), _thread_functions()
    assert functions is not None
    functions[1](2)
    yield
    functions[1](before)


@pytest.mark.usefixtures("two")
def test_one_thread_inside_and_as_many_as_before_outside() -> None:
    with OneThread():
        assert threads() == 1
    assert threads() == 2


@pytest.mark.usefixtures("two")
def test_the_limit_ends_with_the_last_that_is_inside() -> None:
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


@pytest.mark.usefixtures("two")
def test_an_error_inside_goes_on_and_ends_the_limit() -> None:
    with pytest.raises(ValueError, match="as it was"), OneThread():
        raise ValueError("as it was")
    assert threads() == 2


def test_with_another_library_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.one_thread._thread_functions", lambda: None)
    context = OneThread()
    with context, context:
        assert float((np.eye(3) @ np.ones(3)).sum()) == 3.0


@pytest.mark.usefixtures("two")
def test_a_match_is_made_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def logits(_: TextMatch, query: NDArray[Any], photographs: NDArray[Any]) -> NDArray[np.float64]:
        seen.append(threads())
        return np.zeros(len(photographs))

    monkeypatch.setattr(TextMatch, "logits", logits)
    scorer = Scorer(ColourEncoder(), a_match(), np.empty((0, 4), np.float32))
    scorer.match(strangers(1, 4)[0], strangers(9, 4), "text")
    assert seen == [1]


def test_the_library_that_numpy_is_linked_with_is_told() -> None:
    controls = pytest.importorskip("threadpoolctl")
    named = [each for each in controls.threadpool_info() if "numpy" in each["filepath"]]
    if not named or named[0]["internal_api"] != "openblas":
        pytest.skip("numpy multiplies with another library here")
    functions = _thread_functions()
    assert functions is not None
    assert functions[0]() == named[0]["num_threads"]
