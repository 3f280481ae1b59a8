"""Filters applied to a library: which photographs they leave, how many have which attributes, and their dates."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from service.index.attributes import AttributeIndex, Attributes, Place, Places
from service.index.attributes.columns import UNKNOWN_TIME
from service.index.attributes.conditions import conjunction, masks_of
from service.index.id_mask import IdMask
from service.store.filters import Filters
from service.types import BoolArray, Int64Array

if TYPE_CHECKING:
    from service.index.attributes.facets import Facets


@dataclass(frozen=True, eq=False)
class Selection:
    """The photographs that filters leave.

    Attributes:
        attributes: the snapshot that they were selected from.
        mask: which of its photographs are left; None for all.
    """

    attributes: Attributes
    mask: BoolArray | None

    def __len__(self) -> int:
        return len(self.attributes) if self.mask is None else int(np.count_nonzero(self.mask))

    @property
    def ids(self) -> Int64Array:
        """Their ids, ascending."""
        return self.attributes.ids if self.mask is None else self.attributes.ids[self.mask]

    @property
    def among(self) -> IdMask | None:
        """What a search is told of them; None where they are all."""
        return None if self.mask is None else IdMask(self.attributes.ids, self.mask)

    @property
    def town_ids(self) -> Int64Array:
        """The towns where photographs of the whole library were taken."""
        places = self.attributes.names["place"][1:]
        known = (place.town_id for place in places if place.town_id is not None)
        return self.attributes.derive("town ids", lambda: np.fromiter(known, np.int64))

    def dates(self, ids: Int64Array) -> Int64Array:
        """When photographs (n,) were taken; UNKNOWN_TIME for those that the snapshot does not have."""
        known = self.attributes.ids
        if not len(known):
            return np.full(len(ids), UNKNOWN_TIME)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, self.attributes.taken_at[at], UNKNOWN_TIME)


class Selector:
    """Applies filters to the photographs of a library. Safe to use from several threads."""

    def __init__(self, index: AttributeIndex, places: Places) -> None:
        self._index = index
        self._places = places

    def select(self, filters: Filters) -> Selection:
        """The photographs that filters leave."""
        attributes = self._index.get()
        masks = masks_of(attributes, filters, self._places)
        return Selection(attributes, conjunction(masks.values(), len(attributes)) if masks else None)

    def facets(self, filters: Filters, most: int) -> Facets:
        """How many of them have which attributes; see `service.index.attributes.facets`."""
        from service.index.attributes.facets import count_facets

        return count_facets(self._index.get(), filters, self._places, most)

    def save(self) -> None:
        """Brings the attributes up to date and writes them."""
        self._index.save()

    def closing(self) -> AbstractContextManager[object]:
        """Waits until the attributes are up to date and keeps them from being read again inside the block."""
        return self._index.turn()


class OfflinePlaces:
    """The places of `service.photos.places`, with their English names."""

    def find(self, name: str) -> Collection[int]:
        """The ids of the places that are, or lie in, the town, region or country of this name."""
        from service.photos.places import find_places

        return frozenset(find_places(name).tolist())

    def name(self, town_id: int) -> Place | None:
        """The names of a place and of what it lies in."""
        from service.photos.places import place_named

        place = place_named(town_id)
        if place is None:
            return None
        country, region, town = (name and name.en for name in (place.country, place.region, place.town))
        return Place(country, region, town)
