"""Vector index: the nearest photographs to an embedding, derived from the catalog and fast up to a million.

`rows` searches float16 vectors exactly, `scans` chooses between that and codes, `segments` adds ids and deletion,
`files` reads and writes an index, `vector_index` keeps one up to date with the catalog, and `latest` lets searches go
on meanwhile. May import `store` and what is below it.
"""

from service.index.scans import Limits
from service.index.vector_index import VectorIndex

__all__ = ["Limits", "VectorIndex"]
