"""Offline reverse geocoding: the town, region and country of a GPS position, and the places that a name stands for.

The table of towns (`places.npz`, from GeoNames and CLDR, see LICENCES.md) is loaded when it is first needed.
May import `types`.
"""

from service.photos.places.gazetteer import Language, Name, Place, place_named
from service.photos.places.names import find_places, is_place
from service.photos.places.nearest import NOWHERE, place_of, places_of

__all__ = ["NOWHERE", "Language", "Name", "Place", "find_places", "is_place", "place_named", "place_of", "places_of"]
