"""Texts that are asked for at once: encoded together, each once, each with its own vector or its own error."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from service.encoder.text_batcher import TextBatcher
from service.types import Float32Array

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

_PATIENCE_S = 30


class Tower:
    """Stands for an encoder: notes its batches, waits to be let through, stumbles over some texts."""

    def __init__(self, fingerprint: str = "a") -> None:
        self.fingerprint = fingerprint
        self.batches: list[list[str]] = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.open = False
        self.inside = 0

    def encode_texts(self, texts: Sequence[str]) -> Float32Array:
        self.inside += 1
        assert self.inside == 1
        self.batches.append(list(texts))
        self.entered.release()
        if not self.open:
            assert self.go.acquire(timeout=_PATIENCE_S)
        self.inside -= 1
        if any("bad" in text for text in texts):
            raise ValueError("cannot read " + " ".join(text for text in texts if "bad" in text))
        return np.array([[hash(text) % 1000, len(text)] for text in texts], np.float32)

    def of(self, text: str) -> list[float]:
        return [hash(text) % 1000, len(text)]


def asked(
    vectors: TextBatcher, tower: Tower, texts: Sequence[str], pool: ThreadPoolExecutor
) -> list[Future[Float32Array]]:
    """Ask for texts from threads of their own, and wait until all of them wait."""
    queue = vectors._queues.get(tower.fingerprint, ())
    known = len(queue)
    futures = [pool.submit(vectors.vector, cast("Encoder", tower), text) for text in texts]
    until = time.monotonic() + _PATIENCE_S
    while len(queue) < known + len(set(texts)) and time.monotonic() < until:
        time.sleep(0.001)
    assert len(queue) == known + len(set(texts))
    return futures


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(64)


def first_inside(vectors: TextBatcher, tower: Tower, pool: ThreadPoolExecutor) -> Future[Float32Array]:
    """Ask for a text, and wait until the tower encodes it."""
    future = pool.submit(vectors.vector, cast("Encoder", tower), "first")
    assert tower.entered.acquire(timeout=_PATIENCE_S)
    return future


def test_one_who_asks_alone_is_encoded_alone_and_remembered() -> None:
    vectors, tower = TextBatcher(), Tower()
    tower.open = True
    for _ in range(2):
        assert vectors.vector(cast("Encoder", tower), "a cat").tolist() == tower.of("a cat")
    assert tower.batches == [["a cat"]]
    vectors.clear()
    vectors.vector(cast("Encoder", tower), "a cat")
    assert tower.batches == [["a cat"]] * 2


def test_what_waits_while_the_tower_is_busy_is_encoded_together(pool: ThreadPoolExecutor) -> None:
    vectors, tower = TextBatcher(batch_size=16), Tower()
    first = first_inside(vectors, tower, pool)
    texts = [f"text {number}" for number in range(40)]
    futures = asked(vectors, tower, texts, pool)
    tower.open = True
    tower.go.release()
    assert first.result(_PATIENCE_S).tolist() == tower.of("first")
    assert [future.result(_PATIENCE_S).tolist() for future in futures] == [tower.of(text) for text in texts]
    assert [len(batch) for batch in tower.batches] == [1, 16, 16, 8]
    assert sorted(text for batch in tower.batches for text in batch) == sorted(["first", *texts])


def test_equal_texts_in_flight_are_encoded_once(pool: ThreadPoolExecutor) -> None:
    vectors, tower = TextBatcher(), Tower()
    first = first_inside(vectors, tower, pool)
    same = [pool.submit(vectors.vector, cast("Encoder", tower), "first") for _ in range(5)]
    futures = asked(vectors, tower, ["again"] * 10, pool)
    tower.open = True
    tower.go.release()
    for future in [first, *same]:
        assert future.result(_PATIENCE_S).tolist() == tower.of("first")
    for future in futures:
        assert future.result(_PATIENCE_S).tolist() == tower.of("again")
    assert tower.batches == [["first"], ["again"]]


def test_a_bad_text_fails_alone_and_is_tried_again(pool: ThreadPoolExecutor) -> None:
    vectors, tower = TextBatcher(), Tower()
    first = first_inside(vectors, tower, pool)
    futures = asked(vectors, tower, ["good", "bad one", "fine", "bad two"], pool)
    tower.open = True
    tower.go.release()
    first.result(_PATIENCE_S)
    assert futures[0].result(_PATIENCE_S).tolist() == tower.of("good")
    assert futures[2].result(_PATIENCE_S).tolist() == tower.of("fine")
    for future, words in ((futures[1], "bad one"), (futures[3], "bad two")):
        with pytest.raises(ValueError, match=f"^cannot read {words}$"):
            future.result(_PATIENCE_S)
    tower.batches.clear()
    with pytest.raises(ValueError, match="bad one"):
        vectors.vector(cast("Encoder", tower), "bad one")
    assert tower.batches == [["bad one"]]


def test_encoders_neither_mix_nor_wait_for_each_other(pool: ThreadPoolExecutor) -> None:
    vectors, tower, other = TextBatcher(), Tower("a"), Tower("b")
    other.open = True
    first = first_inside(vectors, tower, pool)
    futures = asked(vectors, tower, ["one", "two"], pool)
    assert vectors.vector(cast("Encoder", other), "one").tolist() == other.of("one")
    tower.open = True
    tower.go.release()
    for future in [first, *futures]:
        future.result(_PATIENCE_S)
    assert [sorted(batch) for batch in tower.batches] == [["first"], ["one", "two"]]
    assert other.batches == [["one"]]


def test_the_longest_unasked_is_forgotten() -> None:
    vectors, tower = TextBatcher(cache_size=2), Tower()
    tower.open = True
    for text in ("one", "two", "one", "three", "one", "two"):
        vectors.vector(cast("Encoder", tower), text)
    assert tower.batches == [["one"], ["two"], ["three"], ["two"]]


def test_a_vector_cannot_be_changed_by_who_was_given_it() -> None:
    vectors, tower = TextBatcher(), Tower()
    tower.open = True
    with pytest.raises(ValueError, match="read-only"):
        vectors.vector(cast("Encoder", tower), "a cat")[0] = 1


def test_vectors_from_many_threads_are_those_of_texts_encoded_alone(tiny: Encoder) -> None:
    from service.encoder.encoder import Encoder

    texts = [f"{number} {'dogs play in the snow ' * (1 + number % 5)}" for number in range(60)]
    for encoder in (tiny, Encoder.load("mini", device="cpu")):
        vectors = TextBatcher()
        with ThreadPoolExecutor(16) as many:
            together = list(many.map(lambda text: vectors.vector(encoder, text), texts))  # noqa: B023
        alone = [encoder.encode_texts([text])[0] for text in texts]
        assert min(float(a @ b) for a, b in zip(together, alone, strict=True)) > 0.9999
