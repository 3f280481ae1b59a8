"""The vectors of texts: remembered, and encoded together where several are asked for at once.

Whoever finds the text tower free encodes all texts that wait, and hands over to one who came meanwhile. So a client
who asks alone is never kept waiting for others, and many at once share a batch, which costs much less than its texts
one by one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.types import Float32Array

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

MOST_AT_ONCE = 16
"""Texts of a batch: more gain little and keep those who wait for them longer."""

REMEMBERED = 1024
"""Texts whose vectors are kept; the one that has not been asked for the longest goes first."""

_Key = tuple[str, str]


@dataclass(eq=False)
class _Waiting:
    """A text that waits for its vector, and whether one of its askers is to encode what waits."""

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
    def over(self) -> bool:
        return self.vector is not None or self.error is not None


class TextVectors:
    """Vectors of texts by encoder; encoders do not wait for each other. Safe to use from several threads.

    `most_at_once` is how many texts a batch has at most, `remembered` how many vectors are kept.
    """

    def __init__(self, most_at_once: int = MOST_AT_ONCE, remembered: int = REMEMBERED) -> None:
        self._most = most_at_once
        self._remembered = remembered
        self._guard = threading.Lock()
        self._known: OrderedDict[_Key, Float32Array] = OrderedDict()
        self._asked: dict[_Key, _Waiting] = {}
        self._queues: dict[str, deque[_Waiting]] = {}

    def vector(self, encoder: Encoder, text: str) -> Float32Array:
        """The unit vector (dimension,), float32, of a text, which nobody may change.

        It may differ from that of the text encoded alone by the rounding of another batch. Raises what the encoder
        raises for this text, and nothing that it raises for those of others.
        """
        key = (encoder.fingerprint, text)
        with self._guard:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
            # The queue of an encoder that is busy is there, be it empty.
            leads = encoder.fingerprint not in self._queues
            waiting = self._asked.get(key)
            if waiting is None:
                waiting = self._asked[key] = _Waiting(encoder, key)
                self._queues.setdefault(encoder.fingerprint, deque()).append(waiting)
        while True:
            if leads:
                self._encode_some(encoder.fingerprint)
            waiting.woken.wait()
            with self._guard:
                if waiting.over:
                    break
                # It was woken to lead; several may have asked for the same text, and one of them does.
                leads, waiting.leads = waiting.leads, False
                waiting.woken.clear()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.vector is not None  # noqa: S101 - what is over has one of the two
        return waiting.vector

    def clear(self) -> None:
        """Forget all vectors."""
        with self._guard:
            self._known.clear()

    def _encode_some(self, fingerprint: str) -> None:
        """Encode the first texts that wait, tell their askers, and let one of the next encode the rest."""
        with self._guard:
            queue = self._queues[fingerprint]
            batch = [queue.popleft() for _ in range(min(len(queue), self._most))]
        try:
            _encode(batch)
        finally:
            with self._guard:
                for each in batch:
                    self._finish(each)
                if queue:
                    queue[0].leads = True
                    queue[0].woken.set()
                else:
                    del self._queues[fingerprint]

    def _finish(self, each: _Waiting) -> None:
        del self._asked[each.key]
        if not each.over:
            each.error = RuntimeError("the texts that were encoded together were given up")
        if each.vector is not None:
            self._known[each.key] = each.vector
            if len(self._known) > self._remembered:
                self._known.popitem(last=False)
        each.woken.set()


def _encode(batch: list[_Waiting]) -> None:
    """Give each text its vector or its error."""
    try:
        vectors = batch[0].encoder.encode_texts([each.text for each in batch])
        vectors.setflags(write=False)
    # Whatever the encoder stumbles over belongs to the text that it stumbles over.
    except Exception as error:  # noqa: BLE001
        if len(batch) == 1:
            batch[0].error = error
            return
        for each in batch:
            _encode([each])
        return
    for each, vector in zip(batch, vectors, strict=True):
        each.vector = vector
