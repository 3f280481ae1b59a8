"""What `smysl search` prints: from the library's own result or from the answer of a running service."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.cli.terminal import print_line, say

if TYPE_CHECKING:
    from service.search.hits import SearchResult


@dataclass(frozen=True, slots=True)
class SearchOutput:
    """Matches (0 to 1; None where nothing was compared) with paths, and what the sentences beside them need.

    `part` is the part of the query photograph that was searched with, as x,y,width,height; None for all of it.
    `without_filters` is how many photographs there are without filters, and whether there may be more; `understood` are
    labels of chips. The other fields are those of `SearchResult`.
    """

    hits: list[tuple[float | None, str]]
    min_match: float
    answerable: bool
    best_match: float | None
    notice: str | None
    part: str | None
    borders_left_out: bool
    filtered: int | None
    without_filters: tuple[int, bool] | None
    understood: list[str]

    @classmethod
    def of(cls, result: SearchResult) -> SearchOutput:
        """From the library's own result."""
        without = result.without_filters
        return cls(
            [(hit.match, str(hit.photograph.path)) for hit in result.hits],
            result.min_match,
            result.answerable,
            result.best_match,
            result.notice,
            None if result.part is None else str(result.part),
            result.borders_left_out,
            result.filtered,
            None if without is None else (without.hits, without.or_more),
            [chip.label for chip in result.understood],
        )

    def print(self) -> None:
        """Print the hits to standard output, everything else to standard error."""
        if self.understood:
            from service.search.chips import describe_labels

            say(describe_labels(self.understood))
        if self.notice:
            say(self.notice)
        if self.borders_left_out:
            say(f"Cropped borders and searched with the part {self.part}. Use --keep-borders to search with all of it.")
        separator = "  " if sys.stdout.isatty() else "\t"
        for match, path in self.hits:
            print_line(path if match is None else f"{match:.3f}{separator}{path}")
        if not self.hits and self.filtered is not None:
            say(self._nothing_with_filters())
        elif not self.answerable and self.best_match is not None:
            best = f"No good match: the best is {self.best_match:.3f}"
            if self.hits:
                say(f"{best}. These are the nearest.")
            else:
                say(
                    f"{best}, and only {self.min_match:.3f} or more is shown. "
                    "Use --min-match 0 to see the nearest anyway."
                )

    def _nothing_with_filters(self) -> str:
        nothing = "No photograph passes the filters"
        if self.filtered:
            nothing = f"None of the photographs that pass the filters ({self.filtered:,}) is a good match"
        if self.without_filters is None:
            return f"{nothing}."
        matching, or_more = self.without_filters
        if not matching:
            return f"{nothing}, and without them there is no good match either."
        return f"{nothing}; without them {matching:,}{' or more' if or_more else ''} would be shown."
