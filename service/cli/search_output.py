"""What the command shows of a search: of the library's own result, or of what a service answered."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from service.search.hits import SearchResult

Kind = TypeVar("Kind")
_PART = ("x", "y", "width", "height")


@dataclass(frozen=True, slots=True)
class SearchOutput:
    """Matches (0 to 1) and paths, best first, and what a person is told beside them.

    `part` is what was searched with of the query's photograph as x,y,width,height, None for all of it; the other
    fields are those of `SearchResult`.
    """

    hits: list[tuple[float, str]]
    min_match: float
    answerable: bool
    best_match: float | None
    notice: str | None
    part: str | None
    borders_left_out: bool

    @classmethod
    def of(cls, result: SearchResult) -> SearchOutput:
        """From the library's own result."""
        return cls(
            [(hit.match, str(hit.photograph.path)) for hit in result.hits],
            result.min_match,
            result.answerable,
            result.best_match,
            result.notice,
            None if result.part is None else str(result.part),
            result.borders_left_out,
        )

    @classmethod
    def read(cls, body: bytes) -> SearchOutput:
        """From what `POST /search` answers; raises `ValueError` for anything else."""
        try:
            said = json.loads(body)
            return cls(
                [(_number(hit["match"]), _of(hit["uri"], str)) for hit in said["hits"]],
                _number(said["min_match"]),
                _of(said["answerable"], bool),
                None if said["best_match"] is None else _number(said["best_match"]),
                None if said["notice"] is None else _of(said["notice"], str),
                None if said["part"] is None else _part(said["part"]),
                _of(said["borders_left_out"], bool),
            )
        except (LookupError, TypeError, RecursionError) as error:
            raise ValueError(f"no answer to a search: {error}") from None


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _of(value: Any, kind: type[Kind]) -> Kind:
    if not isinstance(value, kind):
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return value


def _part(part: Mapping[str, Any]) -> str:
    return ",".join(f"{round(_number(part[name]), 4):g}" for name in _PART)
