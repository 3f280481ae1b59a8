"""What a search gives back: hits, and what a person should know about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.match.scorer import CalibrationSource
from service.photos.crop import Box
from service.search.chips import Chip
from service.search.filter_words import describe_filters
from service.store.filters import Filters
from service.store.records import Details, Record

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Hit:
    """A photograph that was found.

    Attributes:
        photograph: the file.
        match: in [0, 1]; None where nothing was compared, as is the next.
        similarity: the cosine in [-1, 1].
        details: what is known about the photograph.
    """

    photograph: Record
    match: float | None
    similarity: float | None
    details: Details = field(default_factory=Details)


@dataclass(frozen=True, slots=True)
class WithoutFilters:
    """What a search finds without its filters, where with them it finds nothing.

    Attributes:
        filters: what is left out.
        hits: how many photographs pass the cut.
        or_more: whether there may be more, since only the nearest were looked at.
        best_match: of all photographs; None in an empty library.
    """

    filters: Filters
    hits: int
    or_more: bool
    best_match: float | None

    def sentence(self) -> str:
        """What a person should know who finds nothing."""
        if self.best_match is None:
            return "No photographs found."
        nothing = f"Nothing {describe_filters(self.filters)}"
        if not self.hits:
            return f"{nothing}, and no good match without that either: the best is {self.best_match:.3f}."
        more = " or more" if self.or_more else ""
        noun = "photograph" if self.hits == 1 else "photographs"
        return f"{nothing}. Without that: {self.hits:,}{more} {noun}."


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits by descending match, or by date; a notebook shows them as a strip of pictures.

    Attributes:
        hits: the photographs that were found, in the order that was asked for.
        took_ms: how long the search took.
        model: name of the model that answered; the names of all models of a head; None where nothing was compared.
        calibration: where the match comes from; None where nothing was compared.
        min_match: the cut that was applied.
        answerable: whether a hit passed both this cut and the match's own; other hits are only the nearest.
        best_match: of all candidates, whether or not it passed; None without any.
        notice: a sentence for the person, or None.
        photographs: how many were searched.
        thumbnail_of: the JPEG of a photograph by its id, for notebooks.
        head: the head that compared photographs, or None.
        part: the part of the photograph that was searched with; None for all of it.
        borders_left_out: whether `part` is what a letterbox or frame left.
        next_cursor: with it the same search goes on after the last hit; None where there are no more hits.
        filtered: how many photographs the filters leave; None without filters.
        without_filters: what there is without the filters, where with them nothing passes the cut.
        understood: which words of the query were understood as filters.
    """

    hits: list[Hit]
    took_ms: float
    model: str | None
    calibration: CalibrationSource | None
    min_match: float
    answerable: bool
    best_match: float | None
    notice: str | None
    photographs: int
    thumbnail_of: Callable[[int], bytes] | None = field(default=None, repr=False, compare=False)
    head: str | None = None
    part: Box | None = None
    borders_left_out: bool = False
    next_cursor: str | None = None
    filtered: int | None = None
    without_filters: WithoutFilters | None = None
    understood: tuple[Chip, ...] = ()

    def to_dataframe(self) -> pd.DataFrame:
        """The hits as a pandas table, one row a hit, best first.

        Columns: `match` (0 to 1), `similarity` (cosine, -1 to 1), `id`, `path`, `name`, `width` and `height` (pixels of
        the upright photograph), `format`, `bytes`, and the metadata: `taken_at` (by the clock of the place), `camera`,
        `lens`, `focal_length` (mm), `aperture`, `exposure` (seconds), `iso`, `latitude` and `longitude` (degrees),
        `altitude` (m), `town`, `region`, `country`, `title`, `description`, `keywords` and `people` (separated by
        semicolons), `stars`, `label`, and the names of its `files`. A result without hits has the columns and no rows.
        """
        from service.search.notebook import dataframe

        return dataframe([(hit.match, hit.similarity, hit.photograph, hit.details) for hit in self.hits])

    def sentences(self) -> list[str]:
        """What a person should know beside the hits; at least one sentence where there are none."""
        sentences = [self.notice] if self.notice else []
        if self.without_filters is not None:
            sentences.append(self.without_filters.sentence())
        elif not self.answerable and self.best_match is not None:
            best = f"No good match: the best is {self.best_match:.3f}"
            if self.hits:
                sentences.append(f"{best}. These are the nearest.")
            else:
                cut = f"only {self.min_match:.3f} or more is shown"
                sentences.append(f"{best}, and {cut}. Use min_match=0 to see the nearest anyway.")
        return sentences or ([] if self.hits else ["No photographs found."])

    def _repr_html_(self) -> str:
        from service.search.notebook import strip

        pictures = [(hit.match, hit.photograph) for hit in self.hits]
        return strip(pictures, self.sentences(), self.thumbnail_of)


@dataclass(frozen=True, slots=True)
class Score:
    """How well one text fits one photograph: `match` in [0, 1], `similarity` the cosine in [-1, 1]."""

    match: float
    similarity: float
