"""The nearest photographs to a vector: an index derived from the catalog, quick and flat in memory up to a million.

`rows` holds vectors as float16 and scans them, `scans` the kinds of scan and which of them when, `segments` vectors
with ids of which some are gone, `files` what of it is on the disk, `vector_index` the whole. May import `store` and
what is below it.
"""

from service.index.scans import Limits
from service.index.vector_index import Read, VectorIndex

__all__ = ["Limits", "Read", "VectorIndex"]
