"""Four stages that overlap: threads that decode, one thread in which the tower encodes, and whoever consumes, storing.

The tower never waits for what can be ready: full batches are queued before it, and what it has made is stored while
it goes on. Everything comes out in the order in which it went in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, Generic, TypeVar

Source = TypeVar("Source")
Item = TypeVar("Item")
Made = TypeVar("Made")
Told = TypeVar("Told")

_AT_THE_TOWER = 3
"""Batches that the tower has or has had: one in work, one behind it, one that is to be stored."""

_DECODED_AHEAD = 2
"""Batches that are being decoded or wait for the tower."""

_MOST_LIGHT = 16
"""Items a batch may have for each that the tower has to work on; progress is told between batches."""


class Pipeline(Generic[Source, Item, Made, Told]):
    """Takes sources through `decode`, `encode` and `store`. Use `run` once.

    `decode` makes an item of a source, in one of `threads` threads; `is_heavy` says whether the tower has to work on
    an item, and `batch_size` of these make a batch. `encode` makes something of a batch, in a thread of its own;
    `store` keeps it, in the thread that consumes, and gives what is to be told.
    """

    def __init__(
        self,
        decode: Callable[[Source], Item],
        encode: Callable[[list[Item]], Made],
        store: Callable[[Made], Iterable[Told]],
        *,
        is_heavy: Callable[[Item], bool],
        batch_size: int,
        threads: int,
    ) -> None:
        self._decode = decode
        self._encode = encode
        self._store = store
        self._is_heavy = is_heavy
        self._batch_size = batch_size
        self._threads = threads
        self._decoding: deque[Future[Item]] = deque()
        self._batch: list[Item] = []
        self._heavy = 0
        self._encoding: deque[Future[Made]] = deque()

    def run(self, sources: Iterable[Source]) -> Iterator[Told]:
        """What `store` tells of each batch, in the order of `sources`.

        Closed, or interrupted by Ctrl-C, it ends after the batch that the tower works on, and what the tower has
        made is stored. So it is with an exception of any stage, which comes out as it is; nothing that comes after
        it is stored. No thread outlives it.
        """
        upcoming = iter(sources)
        with (
            ThreadPoolExecutor(self._threads, thread_name_prefix="decode") as decoders,
            ThreadPoolExecutor(1, thread_name_prefix="tower") as tower,
        ):
            try:
                while True:
                    self._refill(decoders, upcoming)
                    if self._can_collect():
                        self._collect(tower)
                    elif self._encoding and (self._encoding[0].done() or self._must_store()):
                        yield from self._stored()
                    elif self._decoding:
                        oldest: list[Future[Any]] = [self._decoding[0], *islice(self._encoding, 1)]
                        wait(oldest, return_when=FIRST_COMPLETED)
                    else:
                        return
            except BaseException:
                self._cancel(self._decoding)
                self._store_what_is_made()
                raise

    def _refill(self, decoders: ThreadPoolExecutor, upcoming: Iterator[Source]) -> None:
        room = _DECODED_AHEAD * self._batch_size + self._threads - len(self._decoding)
        for source in islice(upcoming, max(0, room)):
            self._decoding.append(decoders.submit(self._decode, source))

    def _can_collect(self) -> bool:
        """Whether the next item is decoded and there is room before the tower."""
        return bool(self._decoding) and self._decoding[0].done() and len(self._encoding) < _AT_THE_TOWER

    def _must_store(self) -> bool:
        """Whether nothing else can go on before the oldest batch is stored."""
        return not self._decoding or len(self._encoding) >= _AT_THE_TOWER

    def _collect(self, tower: ThreadPoolExecutor) -> None:
        """Take the next item into the batch, and give the batch to the tower when it is full or the last."""
        item = self._decoding.popleft().result()
        self._batch.append(item)
        self._heavy += self._is_heavy(item)
        full = self._heavy >= self._batch_size or len(self._batch) >= _MOST_LIGHT * self._batch_size
        # The threads are kept supplied, so none being decoded means that none are left.
        if full or not self._decoding:
            self._encoding.append(tower.submit(self._encode, self._batch))
            self._batch = []
            self._heavy = 0

    def _stored(self) -> Iterable[Told]:
        made = self._encoding[0].result()
        self._encoding.popleft()
        try:
            return self._store(made)
        except BaseException:
            # What comes after it must not be stored before it.
            self._cancel(self._encoding)
            raise

    def _store_what_is_made(self) -> None:
        """Keep what the tower has made or is making; what it has not begun is left."""
        while self._encoding and not self._encoding[0].cancel() and self._encoding[0].exception() is None:
            self._stored()
        self._cancel(self._encoding)

    @staticmethod
    def _cancel(futures: deque[Future[Item]] | deque[Future[Made]]) -> None:
        while futures:
            futures.pop().cancel()
