"""Stages overlap, and still everything comes out in order, stops when it is told to, and leaves no thread behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from service.indexing.pipeline import run_pipeline


class Stages:
    """Stages of numbers: decoding doubles them, the tower makes a tuple of a batch, storing keeps it."""

    def __init__(self) -> None:
        self.stored: list[tuple[int, ...]] = []
        self.encoded = 0
        self.decoded: list[int] = []
        self.fail: Callable[[str, int], None] = lambda stage, number: None

    def decode(self, number: int) -> int:
        self.fail("decode", number)
        self.decoded.append(number)
        return 2 * number

    def encode(self, batch: list[int]) -> tuple[int, ...]:
        self.fail("encode", batch[0])
        self.encoded += len(batch)
        return tuple(batch)

    def store(self, batch: tuple[int, ...]) -> list[int]:
        self.fail("store", batch[0])
        self.stored.append(batch)
        return [len(batch)]

    def run(self, count: int, *, batch_size: int = 3, threads: int = 4, heavy: int | None = None) -> Iterator[int]:
        """Over the numbers below `count`; those that decode to less than `heavy` are no work for the tower."""
        return run_pipeline(
            range(count),
            self.decode,
            self.encode,
            self.store,
            needs_encoding=lambda item: heavy is None or item >= heavy,
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
def test_everything_comes_out_in_order_in_full_batches(stages: Stages, count: int, threads: int) -> None:
    stages.fail = lambda stage, number: time.sleep(0.002 * (number % 3)) if stage == "decode" else None
    told = list(stages.run(count, threads=threads))
    assert flat(stages.stored) == [2 * number for number in range(count)]
    assert all(len(batch) == 3 for batch in stages.stored[:-1])
    assert sum(told) == count


def test_all_stages_work_at_the_same_time(stages: Stages) -> None:
    """The tower is in its second batch while the first is stored, and threads decode meanwhile: each waits for both."""
    meeting = threading.Barrier(3, timeout=30)
    met = threading.Event()

    def meet(stage: str, number: int) -> None:
        late_decode = stage == "decode" and number == 7
        if not met.is_set() and (late_decode or (stage, number) in {("encode", 6), ("store", 0)}):
            meeting.wait()
            if stage == "store":
                met.set()

    stages.fail = meet
    assert sum(stages.run(30)) == 30
    assert met.is_set()


def test_what_is_light_fills_no_batch_and_is_told_all_the_same(stages: Stages) -> None:
    assert sum(stages.run(200, heavy=10_000)) == 200
    assert len(stages.stored) > 1, "progress is told before the end"
    stages.stored.clear()
    assert sum(stages.run(40, heavy=40)) == 40
    assert [sum(item >= 40 for item in batch) for batch in stages.stored] == [3, 3, 3, 3, 3, 3, 2]


@pytest.mark.parametrize(("stage", "number"), [("decode", 8), ("encode", 12), ("store", 12)])
@pytest.mark.parametrize("error", [ValueError("broken"), MemoryError(), KeyboardInterrupt()])
def test_an_error_of_any_stage_comes_out_as_it_is(
    stages: Stages, stage: str, number: int, error: BaseException
) -> None:
    def fail(at: str, seen: int) -> None:
        if (at, seen) == (stage, number):
            raise error

    stages.fail = fail
    with pytest.raises(type(error)) as raised:
        list(stages.run(60))
    assert raised.value is error
    before = [0, 2, 4, 6, 8, 10]
    if stage == "decode":
        assert flat(stages.stored) == before[: stages.encoded], "the tower begins nothing more"
    else:
        assert flat(stages.stored) == before


def test_closed_it_ends_with_the_batch_in_work_and_keeps_what_is_made(stages: Stages) -> None:
    running = stages.run(3000)
    assert next(running) == 3
    running.close()  # type: ignore[attr-defined]
    assert stages.encoded == len(flat(stages.stored))
    assert stages.encoded <= 12
    assert flat(stages.stored) == [2 * number for number in range(len(flat(stages.stored)))]


def test_never_begun_it_does_nothing(stages: Stages) -> None:
    stages.run(10).close()  # type: ignore[attr-defined]
    assert not stages.decoded


def test_what_is_decoded_ahead_is_bounded(stages: Stages) -> None:
    """A consumer that takes its time holds the threads up after a few batches."""
    running = stages.run(10_000, threads=2)
    next(running)
    time.sleep(0.2)
    assert len(stages.decoded) < 40
    running.close()  # type: ignore[attr-defined]
