"""What a person typed (`Query.q`) becomes a query of words and filters, or of the words alone where nothing fits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from service.photos.places import is_place
from service.search.chips import Chip
from service.search.hits import SearchResult
from service.search.phrases import Vocabulary, parse_query
from service.search.query import Query
from service.search.query_tokens import PUNCTUATION
from service.search.search import Select
from service.store.filters import NO_FILTERS


@dataclass(frozen=True, slots=True)
class Understood:
    """A query without `q`.

    Attributes:
        query: the words and the filters.
        chips: which words were understood as which filters.
        notice: a sentence for the person, or None.
    """

    query: Query
    chips: tuple[Chip, ...] = ()
    notice: str | None = None

    def describe(self, result: SearchResult) -> SearchResult:
        """The result of the query with what was understood."""
        notices = [sentence for sentence in (self.notice, result.notice) if sentence]
        return replace(result, understood=self.chips, notice=" ".join(notices) or None)


def understand(query: Query, select: Select) -> Understood:
    """Takes `q` apart into words and filters; a query without `q` comes back as it is.

    Where no photograph passes the filters, the words are searched as they were typed, since they may mean something
    else ("in Paris" of photographs without places). That is not done with filters that are named, as in "camera:canon".

    Raises:
        UsageError: a filter has a value that cannot be, or two exclude each other.
    """
    if query.q is None:
        return Understood(query)

    # A small town counts if photographs of the library were taken there.
    vocabulary = Vocabulary(lambda name: is_place(name, lambda: select(NO_FILTERS).town_ids))
    parsed = parse_query(query.q, date.today(), vocabulary, query.filters)
    words = replace(query, q=None, text=query.q)
    if not parsed.chips:
        # Without the quotes around a phrase.
        return Understood(replace(words, text=parsed.text or query.q))
    if not any(":" in chip.text.rstrip(PUNCTUATION) for chip in parsed.chips) and not len(select(parsed.filters)):
        typed = ", ".join(f"“{chip.text}”" for chip in parsed.chips)
        return Understood(words, notice=f"No photograph fits {typed}, so the words were searched as they are.")
    if parsed.text:
        return Understood(replace(words, text=parsed.text, filters=parsed.filters), parsed.chips)
    # Nothing is compared, so that no match can be too low.
    return Understood(replace(words, text=None, min_match=None, filters=parsed.filters), parsed.chips)
