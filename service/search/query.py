"""What is searched for: the query, and what it must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from service.errors import UsageError
from service.index.attributes.timeline import DateOrder
from service.match.artifact import QueryKind
from service.photos.crop import Box
from service.search.target import QueryItem
from service.store.filters import NO_FILTERS, Filters
from service.texts import check_text

if TYPE_CHECKING:
    from PIL import Image

DEFAULT_K = 5
MAX_K = 1_000
"""Hits of one answer; its cursor leads to more."""

Order = Literal["match", "taken_at", "-taken_at"]
"""How hits are ordered: best match first, or by date, oldest or newest first."""
ORDERS: tuple[Order, ...] = ("match", "taken_at", "-taken_at")


@dataclass(frozen=True, slots=True)
class Query:
    """A search for at most one of a text, a photograph of the library, or another photograph.

    Without any of them it browses: it finds all photographs that `filters` leave, by date. That needs filters or an
    order by date, so that an empty request stays an error.

    Args:
        text: the scene, in words that are searched as they are.
        q: what a person types: words, of which some may mean filters, such as "beach 2019" (see
            `service.search.phrases`); `filters` hold besides.
        photo_id: the id of a photograph of the library; it is never a hit itself.
        image: an upright RGB photograph.
        k: how many hits at most (top-k), 1 to 1,000.
        min_match: no hit has a lower match, 0 to 1. With None the match's own cut applies: it has one for texts if it
            was fitted on ratings, and otherwise keeps everything.
        head: name of the library's head that compares photographs; not for texts.
        box: search with this part of the photograph only.
        keep_borders: search with the letterbox or frame around `image` too; without a box it is left out otherwise.
        without: id of a photograph of the library that is never a hit.
        filters: which photographs can be hits.
        order: "match", or by date within what matches.
        cursor: `next_cursor` of the same search, to go on after its last hit; `k` may be another.

    Raises:
        UsageError: the query cannot be searched.
    """

    text: str | None = None
    photo_id: int | None = None
    image: Image.Image | None = None
    q: str | None = None
    k: int = DEFAULT_K
    min_match: float | None = None
    head: str | None = None
    box: Box | None = None
    keep_borders: bool = False
    without: int | None = None
    filters: Filters = NO_FILTERS
    order: Order = "match"
    cursor: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("text", "photo_id", "image", "q") if getattr(self, name) is not None]
        if self.order not in ORDERS:
            raise UsageError(
                f"The order {self.order!r} is not known; it must be one of {', '.join(ORDERS)}.", {"order": "order"}
            )
        if len(given) > 1 or (not given and self.order == "match" and not self.filters):
            raise UsageError(
                f"A search needs one thing to look for, a text or a photograph; it was given {len(given)}."
            )
        if not given:
            self._check_nothing_to_compare()
        words = self.text if self.q is None else self.q
        if words is not None:
            check_text(words)
            if self.box is not None:
                raise UsageError(
                    "A box is a part of a photograph, and a text has none. Leave out the box.", {"the box": "box"}
                )
            if self.head is not None:
                raise UsageError(
                    f"The head {self.head} compares photographs with photographs and cannot read texts. Search with a "
                    "photograph, or leave out the head.",
                    {"the head": "head"},
                )
        if not 1 <= self.k <= MAX_K:
            raise UsageError(f"k is {self.k}; it must be from 1 to {MAX_K:,}.", {"k": "k"})
        if self.min_match is not None and not 0.0 <= self.min_match <= 1.0:
            raise UsageError(f"min_match is {self.min_match:g}; it must be from 0 to 1.", {"min_match": "min_match"})

    def _check_nothing_to_compare(self) -> None:
        """Raise `UsageError` for what only a text or a photograph can have."""
        needless = [name for name in ("min_match", "head", "box", "without") if getattr(self, name) is not None]
        if needless:
            raise UsageError(
                f"{needless[0]} needs a text or a photograph to look for, and the search has none; leave it out.",
                {needless[0]: needless[0]},
            )

    @property
    def browses(self) -> bool:
        """Whether there is nothing to compare photographs with."""
        return self.text is None and self.photo_id is None and self.image is None and self.q is None

    @property
    def date_order(self) -> DateOrder | None:
        """The order by date, newest first where nothing is compared; None by match."""
        if self.order == "match":
            return "-taken_at" if self.browses else None
        return self.order

    @property
    def kind(self) -> QueryKind:
        """Texts and photographs have similarities on different scales."""
        return "text" if self.text is not None else "photograph"

    @property
    def item(self) -> QueryItem:
        """The one thing that is searched for."""
        return next(item for item in (self.text, self.photo_id, self.image) if item is not None)

    @property
    def excluded(self) -> int | None:
        """The photograph of the library that is never a hit: the one that is searched with, or a part of it."""
        return self.without if self.photo_id is None else self.photo_id
