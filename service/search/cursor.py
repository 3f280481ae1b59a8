"""Cursors: where the next page of a search starts (keyset paging), as text that a client sends back unchanged.

A cursor holds the sort key of the last hit and not a number of hits, so that photographs which come or go between two
pages neither repeat nor hide others. It also holds what the pages must agree on although it is computed anew for each:
the query's vector, which may come out a little different in another batch or process, the bounds between which
similarities were looked at, and the hits of a first page that was found approximately.
"""

from __future__ import annotations

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from service.errors import UsageError
from service.search.query import Query
from service.types import Float32Array

_VERSION = 1
_MOST_CHARACTERS = 20_000
_MOST_SHOWN = 1_000
_UNREADABLE = "The cursor cannot be read. Send `next_cursor` of an answer as it is, or leave it out to start again."


@dataclass(frozen=True, slots=True)
class MatchKey:
    """Where a hit stands in the order by match: by falling match, then falling similarity, then id."""

    match: float
    similarity: float
    id: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page starts.

    Attributes:
        query: the digest of the search that it belongs to (`digest_of`).
        vector: of the query, (dimension,) float16 in float32; empty where nothing is compared.
        best_match: of the first page.
        shown: ids of a first page that was found approximately: they are no hits again.
        after: key of the last hit, or None after a page that only `shown` describes.
        after_date: key of the last hit where the order is by date: seconds, None without a date, and its id.
        seen: about how many photographs are more similar than the next hits.
        ceiling: only photographs with a lower similarity follow; None for all.
        floor: the lowest similarity that is looked at before others are; None where that is not known yet.
    """

    query: str
    vector: Float32Array
    best_match: float | None = None
    shown: tuple[int, ...] = ()
    after: MatchKey | None = None
    after_date: tuple[int | None, int] | None = None
    seen: int = 0
    ceiling: float | None = None
    floor: float | None = None

    def rounded(self) -> Cursor:
        """As it is read back: with the vector in float16."""
        return replace(self, vector=self.vector.astype(np.float16).astype(np.float32))

    def encode(self) -> str:
        """The cursor as text that can stand in an address."""
        facts = [
            _VERSION,
            self.query,
            self.best_match,
            # Differences of ascending ids are shorter.
            np.diff(np.sort(np.array(self.shown, np.int64)), prepend=0).tolist(),
            None if self.after is None else astuple(self.after),
            self.after_date,
            self.seen,
            self.ceiling,
            self.floor,
        ]
        content = json.dumps(facts, separators=(",", ":")).encode() + b"\n" + self.vector.astype("<f2").tobytes()
        return urlsafe_b64encode(content).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, query: str, dimension: int) -> Cursor:
        """Reads what `encode` wrote; raises `UsageError` for any other text and for a cursor of another search.

        Args:
            text: what `encode` returned.
            query: the digest of the search that it must belong to.
            dimension: of the query's vector, 0 where nothing is compared.
        """
        try:
            cursor = cls._decode(text)
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise UsageError(_UNREADABLE) from None
        if cursor.query != query:
            raise UsageError(
                "The cursor belongs to another search: its text or photograph, filters, order, min_match and head must "
                "stay the same. Leave the cursor out to start again."
            )
        if len(cursor.vector) != dimension:
            raise UsageError(_UNREADABLE)
        return cursor

    @classmethod
    def _decode(cls, text: str) -> Cursor:
        if len(text) > _MOST_CHARACTERS:
            raise ValueError("too long")
        content = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        head, _, vector = content.partition(b"\n")
        facts = json.loads(head, parse_constant=_refuse)
        version, query, best_match, shown, after, after_date, seen, ceiling, floor = facts
        if version != _VERSION or not isinstance(query, str) or len(shown) > _MOST_SHOWN:
            raise ValueError("of another version")
        numbers = np.frombuffer(vector, "<f2").astype(np.float32)
        if not np.isfinite(numbers).all():
            raise ValueError("not finite")
        return cls(
            query=query,
            vector=numbers,
            best_match=_number(best_match),
            shown=tuple(np.cumsum([_integer(each) for each in shown], dtype=np.int64).tolist()),
            after=None if after is None else _match_key(*after),
            after_date=None if after_date is None else _date_key(*after_date),
            seen=min(max(_integer(seen), 0), 1 << 40),
            ceiling=_number(ceiling),
            floor=_number(floor),
        )


def digest_of(query: Query, fingerprint: str) -> str:
    """A short hash of all of a search that the pages of one result have in common.

    Args:
        query: its `k` and `cursor` do not count.
        fingerprint: of the model or head that answers; "" where nothing is compared.
    """
    import xxhash

    image = None if query.image is None else xxhash.xxh3_64_hexdigest(query.image.tobytes())
    facts = (
        *(query.text, query.photo_id, image, query.min_match, query.head, query.without),
        *(query.date_order, fingerprint, query.filters),
    )
    return str(xxhash.xxh3_64_hexdigest(repr(facts).encode("utf-8", "surrogatepass")))


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no number")
    return float(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        raise ValueError("no integer")
    return value


def _match_key(match: Any, similarity: Any, identity: Any) -> MatchKey:
    return MatchKey(_number(match) or 0.0, _number(similarity) or 0.0, _integer(identity))


def _date_key(seconds: Any, identity: Any) -> tuple[int | None, int]:
    return None if seconds is None else _integer(seconds), _integer(identity)
