"""Decoding, encoding and storing at the same time, in bounded memory and in the order of the sources.

Several threads decode, one thread encodes batches, and the thread that consumes the results stores them. The next
full batches wait for the encoder, and what it has made is stored while it goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, TypeVar

Source = TypeVar("Source")
Item = TypeVar("Item")
Encoded = TypeVar("Encoded")
Result = TypeVar("Result")

_BATCHES_ENCODED_AHEAD = 3
"""Batches that are submitted to the encoder and not stored yet: one in work, one behind it, one to be stored."""

_BATCHES_DECODED_AHEAD = 2
"""Batches of items that are being decoded or wait to be put into a batch."""

_MAX_ITEMS_PER_ENCODED = 16
"""A batch has at most this many times `batch_size` items; progress is reported once a batch."""


def run_pipeline(
    sources: Iterable[Source],
    decode: Callable[[Source], Item],
    encode: Callable[[list[Item]], Encoded],
    store: Callable[[Encoded], Iterable[Result]],
    *,
    needs_encoding: Callable[[Item], bool],
    batch_size: int,
    threads: int,
) -> Iterator[Result]:
    """Take `sources` through `decode`, `encode` and `store`; yields what `store` returns for each batch, in order.

    `decode` runs in `threads` threads, `encode` in a thread of its own, `store` in the thread that consumes. A batch is
    full when `batch_size` of its items need encoding. When the iterator is closed, or on Ctrl-C, it ends after the
    batch being encoded, and what has been encoded is stored. An exception from any stage ends it in the same way and
    is raised unchanged; nothing that follows it is stored. No thread outlives the iterator.
    """
    upcoming = iter(sources)
    decoding: deque[Future[Item]] = deque()
    encoding: deque[Future[Encoded]] = deque()
    batch: list[Item] = []
    to_encode = 0
    with (
        ThreadPoolExecutor(threads, thread_name_prefix="decode") as decoders,
        ThreadPoolExecutor(1, thread_name_prefix="encode") as encoder,
    ):
        try:
            while True:
                free = _BATCHES_DECODED_AHEAD * batch_size + threads - len(decoding)
                decoding.extend(decoders.submit(decode, source) for source in islice(upcoming, max(0, free)))
                if decoding and decoding[0].done() and len(encoding) < _BATCHES_ENCODED_AHEAD:
                    item = decoding.popleft().result()
                    batch.append(item)
                    to_encode += needs_encoding(item)
                    full = to_encode >= batch_size or len(batch) >= _MAX_ITEMS_PER_ENCODED * batch_size
                    # `decoding` is refilled in each round, so it is empty only after the last source.
                    if full or not decoding:
                        encoding.append(encoder.submit(encode, batch))
                        batch, to_encode = [], 0
                elif encoding and (encoding[0].done() or not decoding or len(encoding) >= _BATCHES_ENCODED_AHEAD):
                    yield from _store_oldest(encoding, store)
                elif decoding:
                    oldest: list[Future[Any]] = [decoding[0], *islice(encoding, 1)]
                    wait(oldest, return_when=FIRST_COMPLETED)
                else:
                    return
        except BaseException:
            _cancel(decoding)
            while encoding and not encoding[0].cancel() and encoding[0].exception() is None:
                _store_oldest(encoding, store)
            _cancel(encoding)
            raise


def _store_oldest(encoding: deque[Future[Encoded]], store: Callable[[Encoded], Iterable[Result]]) -> Iterable[Result]:
    """Wait for the oldest batch and store it."""
    encoded = encoding[0].result()
    encoding.popleft()
    try:
        return store(encoded)
    except BaseException:
        # Later batches must not be stored after one that failed.
        _cancel(encoding)
        raise


def _cancel(futures: deque[Future[Any]]) -> None:
    while futures:
        futures.pop().cancel()
