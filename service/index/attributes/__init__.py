"""Attributes of photographs as columns in memory: answers filters, counts facets, and orders by date.

`columns` holds one immutable snapshot, `encoding` makes it of the catalog's rows and brings it up to date, `conditions`
answers filters, `facets` counts, `timeline` orders by date, `files` reads and writes a snapshot, and `attribute_index`
publishes the latest one. May import `photos`, `store` and what is below them.
"""

from service.index.attributes.attribute_index import AttributeIndex
from service.index.attributes.columns import Attributes, Place, Places

__all__ = ["AttributeIndex", "Attributes", "Place", "Places"]
