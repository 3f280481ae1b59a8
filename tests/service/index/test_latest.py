"""One thread refreshes while the others use the last snapshot."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from service.index.latest import Latest

WAIT_S = 30


class Counter:
    """Snapshots are numbers; a refresh may be held back or fail."""

    def __init__(self) -> None:
        self.long = False
        self.error: Exception | None = None
        self.started, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()
        self.latest = Latest(self.refresh, lambda number: self.long)

    def refresh(self, last: int | None) -> int:
        self.started.set()
        assert self.may_end.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        return (last or 0) + 1


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_each_call_gets_the_newest_if_no_other_thread_refreshes() -> None:
    counter = Counter()
    assert [counter.latest.get() for _ in range(3)] == [1, 2, 3]


def test_others_get_the_last_snapshot_while_one_thread_refreshes() -> None:
    counter = Counter()
    assert counter.latest.get() == 1
    counter.started.clear()
    counter.may_end.clear()
    found: list[int] = []
    thread = in_thread(lambda: found.append(counter.latest.get()))
    assert counter.started.wait(WAIT_S)
    assert [counter.latest.get(), counter.latest.get()] == [1, 1], "nobody waits"
    counter.may_end.set()
    thread.join(WAIT_S)
    assert found == [2], "the thread that refreshed has the newest"
    assert counter.latest.get() == 3


def test_a_long_refresh_is_done_in_the_background() -> None:
    counter = Counter()
    counter.latest.get()
    counter.long = True
    counter.may_end.clear()
    assert [counter.latest.get(), counter.latest.get()] == [1, 1]
    counter.may_end.set()
    with counter.latest.turn() as snapshot:
        assert snapshot == 2, "the turn is had once the background is done"


def test_the_first_snapshot_is_waited_for() -> None:
    counter = Counter()
    counter.may_end.clear()
    found: list[int] = []
    threads = [in_thread(lambda: found.append(counter.latest.get())) for _ in range(2)]
    assert counter.started.wait(WAIT_S)
    counter.may_end.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert sorted(found) in ([1, 1], [1, 2])


@pytest.mark.parametrize("long", [False, True])
def test_a_failed_refresh_is_raised_once_and_tried_again(long: bool) -> None:
    counter = Counter()
    counter.latest.get()
    counter.long, counter.error = long, ValueError("no such model")
    if long:
        assert counter.latest.get() == 1
        with counter.latest.turn():
            counter.error = None
            counter.long = False
        with pytest.raises(ValueError, match="no such model"):
            counter.latest.get()
    else:
        with pytest.raises(ValueError, match="no such model"):
            counter.latest.get()
        counter.error = None
    assert counter.latest.get() == 2


def test_no_thread_refreshes_while_another_has_the_turn() -> None:
    counter = Counter()
    counter.latest.get()
    with counter.latest.turn():
        assert counter.latest.get() == 1
    assert counter.latest.get() == 2
