"""Texts requested at once are encoded together, each once, each with its own vector or its own error."""

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

_TIMEOUT_S = 30


class FakeEncoder:
    """Records its batches, waits for `go`, and fails for texts that contain “bad”."""

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
            assert self.go.acquire(timeout=_TIMEOUT_S)
        self.inside -= 1
        if any("bad" in text for text in texts):
            raise ValueError("cannot read " + " ".join(text for text in texts if "bad" in text))
        return np.array([[hash(text) % 1000, len(text)] for text in texts], np.float32)

    def expected(self, text: str) -> list[float]:
        return [hash(text) % 1000, len(text)]


def request_all(
    batcher: TextBatcher, encoder: FakeEncoder, texts: Sequence[str], pool: ThreadPoolExecutor
) -> list[Future[Float32Array]]:
    """Request each text in its own thread, and wait until all are queued."""
    queue = batcher._queues.get(encoder.fingerprint, ())
    before = len(queue)
    futures = [pool.submit(batcher.vector, cast("Encoder", encoder), text) for text in texts]
    deadline = time.monotonic() + _TIMEOUT_S
    while len(queue) < before + len(set(texts)) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(queue) == before + len(set(texts))
    return futures


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(64)


def occupy(batcher: TextBatcher, encoder: FakeEncoder, pool: ThreadPoolExecutor) -> Future[Float32Array]:
    """Request a text, and wait until the encoder is busy with it."""
    future = pool.submit(batcher.vector, cast("Encoder", encoder), "first")
    assert encoder.entered.acquire(timeout=_TIMEOUT_S)
    return future


def test_single_text_is_encoded_alone_and_cached() -> None:
    batcher, encoder = TextBatcher(), FakeEncoder()
    encoder.open = True
    for _ in range(2):
        assert batcher.vector(cast("Encoder", encoder), "a cat").tolist() == encoder.expected("a cat")
    assert encoder.batches == [["a cat"]]
    batcher.clear()
    batcher.vector(cast("Encoder", encoder), "a cat")
    assert encoder.batches == [["a cat"]] * 2


def test_texts_queued_while_the_encoder_is_busy_are_batched(pool: ThreadPoolExecutor) -> None:
    batcher, encoder = TextBatcher(batch_size=16), FakeEncoder()
    first = occupy(batcher, encoder, pool)
    texts = [f"text {number}" for number in range(40)]
    futures = request_all(batcher, encoder, texts, pool)
    encoder.open = True
    encoder.go.release()
    assert first.result(_TIMEOUT_S).tolist() == encoder.expected("first")
    assert [future.result(_TIMEOUT_S).tolist() for future in futures] == [encoder.expected(text) for text in texts]
    assert [len(batch) for batch in encoder.batches] == [1, 16, 16, 8]
    assert sorted(text for batch in encoder.batches for text in batch) == sorted(["first", *texts])


def test_equal_texts_in_flight_are_encoded_once(pool: ThreadPoolExecutor) -> None:
    batcher, encoder = TextBatcher(), FakeEncoder()
    first = occupy(batcher, encoder, pool)
    same = [pool.submit(batcher.vector, cast("Encoder", encoder), "first") for _ in range(5)]
    futures = request_all(batcher, encoder, ["again"] * 10, pool)
    encoder.open = True
    encoder.go.release()
    for future in [first, *same]:
        assert future.result(_TIMEOUT_S).tolist() == encoder.expected("first")
    for future in futures:
        assert future.result(_TIMEOUT_S).tolist() == encoder.expected("again")
    assert encoder.batches == [["first"], ["again"]]


def test_bad_text_fails_alone_and_is_tried_again(pool: ThreadPoolExecutor) -> None:
    batcher, encoder = TextBatcher(), FakeEncoder()
    first = occupy(batcher, encoder, pool)
    futures = request_all(batcher, encoder, ["good", "bad one", "fine", "bad two"], pool)
    encoder.open = True
    encoder.go.release()
    first.result(_TIMEOUT_S)
    assert futures[0].result(_TIMEOUT_S).tolist() == encoder.expected("good")
    assert futures[2].result(_TIMEOUT_S).tolist() == encoder.expected("fine")
    for future, words in ((futures[1], "bad one"), (futures[3], "bad two")):
        with pytest.raises(ValueError, match=f"^cannot read {words}$"):
            future.result(_TIMEOUT_S)
    encoder.batches.clear()
    with pytest.raises(ValueError, match="bad one"):
        batcher.vector(cast("Encoder", encoder), "bad one")
    assert encoder.batches == [["bad one"]]


def test_encoders_neither_mix_nor_wait_for_each_other(pool: ThreadPoolExecutor) -> None:
    batcher, encoder, other = TextBatcher(), FakeEncoder("a"), FakeEncoder("b")
    other.open = True
    first = occupy(batcher, encoder, pool)
    futures = request_all(batcher, encoder, ["one", "two"], pool)
    assert batcher.vector(cast("Encoder", other), "one").tolist() == other.expected("one")
    encoder.open = True
    encoder.go.release()
    for future in [first, *futures]:
        future.result(_TIMEOUT_S)
    assert [sorted(batch) for batch in encoder.batches] == [["first"], ["one", "two"]]
    assert other.batches == [["one"]]


def test_least_recently_used_text_is_dropped_from_the_cache() -> None:
    batcher, encoder = TextBatcher(cache_size=2), FakeEncoder()
    encoder.open = True
    for text in ("one", "two", "one", "three", "one", "two"):
        batcher.vector(cast("Encoder", encoder), text)
    assert encoder.batches == [["one"], ["two"], ["three"], ["two"]]


def test_vectors_are_read_only() -> None:
    batcher, encoder = TextBatcher(), FakeEncoder()
    encoder.open = True
    with pytest.raises(ValueError, match="read-only"):
        batcher.vector(cast("Encoder", encoder), "a cat")[0] = 1


def test_vectors_from_many_threads_equal_those_of_texts_encoded_alone(tiny: Encoder) -> None:
    from service.encoder.encoder import Encoder

    texts = [f"{number} {'dogs play in the snow ' * (1 + number % 5)}" for number in range(60)]
    for encoder in (tiny, Encoder.load("mini", device="cpu")):
        batcher = TextBatcher()
        with ThreadPoolExecutor(16) as many:
            together = list(many.map(lambda text: batcher.vector(encoder, text), texts))  # noqa: B023
        alone = [encoder.encode_texts([text])[0] for text in texts]
        assert min(float(a @ b) for a, b in zip(together, alone, strict=True)) > 0.9999
