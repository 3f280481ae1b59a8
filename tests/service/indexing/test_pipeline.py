"""Stages overlap, results stay in order, what is read ahead is bounded, and no thread is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from service.indexing.pipeline import run_pipeline


class Stages:
    """Stages over numbers: decoding doubles them, encoding makes a tuple of a batch, storing keeps it."""

    def __init__(self) -> None:
        self.stored: list[tuple[int, ...]] = []
        self.encoded = 0
        self.decoded: list[int] = []
        self.most_ahead = 0
        """Most numbers that were taken from the source and not stored yet."""
        self.before: Callable[[str, int], None] = lambda stage, number: None
        """Called with the name of a stage and its (first) number before the stage works."""

    def decode(self, number: int) -> int:
        self.before("decode", number)
        self.decoded.append(number)
        return 2 * number

    def encode(self, batch: list[int]) -> tuple[int, ...]:
        self.before("encode", batch[0])
        self.encoded += len(batch)
        return tuple(batch)

    def store(self, batch: tuple[int, ...]) -> list[int]:
        self.before("store", batch[0])
        self.stored.append(batch)
        return [len(batch)]

    def source(self, count: int) -> Iterator[int]:
        for number in range(count):
            self.most_ahead = max(self.most_ahead, number + 1 - len(flat(self.stored)))
            yield number

    def run(self, count: int, *, batch_size: int = 3, threads: int = 4, encoded_from: int = 0) -> Iterator[int]:
        """Over the numbers below `count`; those that decode to less than `encoded_from` need no encoding."""
        return run_pipeline(
            self.source(count),
            self.decode,
            self.encode,
            self.store,
            needs_encoding=lambda item: item >= encoded_from,
            batch_size=batch_size,
            threads=threads,
        )


@pytest.fixture
def stages() -> Iterator[Stages]:
    yield Stages()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith(("decode", "encode"))]
    assert left == [], "threads were left behind"


def flat(batches: list[tuple[int, ...]]) -> list[int]:
    return [item for batch in batches for item in batch]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 50])
@pytest.mark.parametrize("threads", [1, 4])
def test_results_come_in_order_and_in_full_batches(stages: Stages, count: int, threads: int) -> None:
    """With several threads, each even number is decoded only after the odd one that follows it."""
    finished = [threading.Event() for _ in range(count)]

    def swap_pairs(stage: str, number: int) -> None:
        if stage != "decode":
            return
        if threads > 1 and number % 2 == 0 and number + 1 < count:
            assert finished[number + 1].wait(30)
        finished[number].set()

    stages.before = swap_pairs
    results = list(stages.run(count, threads=threads))
    assert flat(stages.stored) == [2 * number for number in range(count)]
    assert all(len(batch) == 3 for batch in stages.stored[:-1])
    assert sum(results) == count


def test_all_stages_work_at_the_same_time(stages: Stages) -> None:
    """Storing the first batch, encoding the second and decoding a later number all wait for each other."""
    meeting = threading.Barrier(3, timeout=30)
    met = threading.Event()

    def meet(stage: str, number: int) -> None:
        late_decode = stage == "decode" and number == 7
        if not met.is_set() and (late_decode or (stage, number) in {("encode", 6), ("store", 0)}):
            meeting.wait()
            if stage == "store":
                met.set()

    stages.before = meet
    assert sum(stages.run(30)) == 30
    assert met.is_set()


def test_items_without_encoding_fill_no_batch_but_are_reported(stages: Stages) -> None:
    assert sum(stages.run(200, encoded_from=10_000)) == 200
    assert len(stages.stored) > 1, "progress is reported before the end"
    stages.stored.clear()
    assert sum(stages.run(40, encoded_from=40)) == 40
    assert [sum(item >= 40 for item in batch) for batch in stages.stored] == [3, 3, 3, 3, 3, 3, 2]


@pytest.mark.parametrize(("stage", "number"), [("decode", 8), ("encode", 12), ("store", 12)])
@pytest.mark.parametrize("error", [ValueError("broken"), MemoryError(), KeyboardInterrupt()])
def test_an_error_in_any_stage_is_raised_unchanged(
    stages: Stages, stage: str, number: int, error: BaseException
) -> None:
    def fail(at: str, current: int) -> None:
        if (at, current) == (stage, number):
            raise error

    stages.before = fail
    with pytest.raises(type(error)) as raised:
        list(stages.run(60))
    assert raised.value is error
    before = [0, 2, 4, 6, 8, 10]
    if stage == "decode":
        assert flat(stages.stored) == before[: stages.encoded], "the encoder starts nothing more"
    else:
        assert flat(stages.stored) == before


def test_when_closed_it_finishes_the_batch_being_encoded_and_stores_what_is_encoded(stages: Stages) -> None:
    running = stages.run(3000)
    assert next(running) == 3
    running.close()  # type: ignore[attr-defined]
    assert stages.encoded == len(flat(stages.stored))
    assert stages.encoded <= 12
    assert flat(stages.stored) == [2 * number for number in range(len(flat(stages.stored)))]


def test_closed_before_the_start_it_does_nothing(stages: Stages) -> None:
    stages.run(10).close()  # type: ignore[attr-defined]
    assert not stages.decoded


def test_reading_ahead_is_bounded(stages: Stages) -> None:
    """Each batch is encoded only when decoding is as far ahead of it as it may be, and it is never further."""
    count, batch_size, threads = 90, 3, 2
    at_the_encoder, at_the_decoders = 3 * batch_size, 2 * batch_size + threads
    bound = at_the_encoder + at_the_decoders
    started = 0
    changed = threading.Condition()

    def wait_for_decoding(stage: str, number: int) -> None:
        nonlocal started
        with changed:
            if stage == "decode":
                started += 1
                changed.notify_all()
            elif stage == "encode":
                first = number // 2
                assert changed.wait_for(lambda: started >= min(count, first + bound), timeout=10)

    stages.before = wait_for_decoding
    assert sum(stages.run(count, batch_size=batch_size, threads=threads)) == count
    assert stages.most_ahead == bound
