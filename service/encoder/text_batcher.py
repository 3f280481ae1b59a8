"""Embeddings of texts: cached, and batched where several are requested at once.

Leader/follower batching: the first idle caller encodes the queue, then hands over to a caller who arrived meanwhile.
A single client never waits for others, and many at once share a batch, which costs much less than its texts one by
one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.types import Float32Array

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

BATCH_SIZE = 16
"""Texts in one batch; more gain little and delay everybody in it."""

CACHE_SIZE = 1024
"""Texts whose vectors are cached; the least recently used one is dropped first."""

_Key = tuple[str, str]


@dataclass(eq=False)
class _Request:
    """A text that waits for its vector; `leads` tells one of its callers to encode the queue."""

    encoder: Encoder
    key: _Key
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    vector: Float32Array | None = None
    error: Exception | None = None

    @property
    def text(self) -> str:
        return self.key[1]

    @property
    def done(self) -> bool:
        return self.vector is not None or self.error is not None


class TextBatcher:
    """Vectors of texts for any number of encoders, which do not wait for each other. Safe to use from several threads.

    Args:
        batch_size: most texts in one batch.
        cache_size: most vectors in the cache.
    """

    def __init__(self, batch_size: int = BATCH_SIZE, cache_size: int = CACHE_SIZE) -> None:
        self._batch_size = batch_size
        self._cache_size = cache_size
        self._lock = threading.Lock()
        self._cache: OrderedDict[_Key, Float32Array] = OrderedDict()
        self._requests: dict[_Key, _Request] = {}
        # An encoder has a queue, perhaps an empty one, exactly while it is busy.
        self._queues: dict[str, deque[_Request]] = {}

    def vector(self, encoder: Encoder, text: str) -> Float32Array:
        """The unit vector (dimension,), float32 and read-only, of a text.

        It may differ by rounding from that of the text encoded alone. Raises what the encoder raises for this text,
        never what it raises for others.
        """
        key = (encoder.fingerprint, text)
        with self._lock:
            cached = self._cache.get(key)
            if cached is not None:
                self._cache.move_to_end(key)
                return cached
            leads = encoder.fingerprint not in self._queues
            request = self._requests.get(key)
            if request is None:
                request = self._requests[key] = _Request(encoder, key)
                self._queues.setdefault(encoder.fingerprint, deque()).append(request)
        while True:
            if leads:
                self._encode_batch(encoder.fingerprint)
            request.woken.wait()
            with self._lock:
                if request.done:
                    break
                # Woken to lead: of all callers with this text only one does.
                leads, request.leads = request.leads, False
                request.woken.clear()
        if request.error is not None:
            raise request.error
        assert request.vector is not None  # noqa: S101 - a request that is done has one of the two
        return request.vector

    def clear(self) -> None:
        """Empty the cache."""
        with self._lock:
            self._cache.clear()

    def _encode_batch(self, fingerprint: str) -> None:
        """Encode the first texts of the queue, wake their callers, and make the next caller the leader."""
        with self._lock:
            queue = self._queues[fingerprint]
            batch = [queue.popleft() for _ in range(min(len(queue), self._batch_size))]
        try:
            _encode(batch)
        finally:
            with self._lock:
                for request in batch:
                    self._finish(request)
                if queue:
                    queue[0].leads = True
                    queue[0].woken.set()
                else:
                    del self._queues[fingerprint]

    def _finish(self, request: _Request) -> None:
        del self._requests[request.key]
        if not request.done:
            request.error = RuntimeError("encoding the batch was interrupted")
        if request.vector is not None:
            self._cache[request.key] = request.vector
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        request.woken.set()


def _encode(batch: list[_Request]) -> None:
    """Give each request its vector or its error."""
    try:
        vectors = batch[0].encoder.encode_texts([request.text for request in batch])
        vectors.setflags(write=False)
    # Any error belongs to the text that causes it, so a batch that fails is encoded one by one.
    except Exception as error:  # noqa: BLE001
        if len(batch) == 1:
            batch[0].error = error
            return
        for request in batch:
            _encode([request])
        return
    for request, vector in zip(batch, vectors, strict=True):
        request.vector = vector
