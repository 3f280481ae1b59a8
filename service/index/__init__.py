"""What is derived from the catalog to answer searches fast, up to a million photographs: vectors and attributes.

Of vectors, the nearest to an embedding: `rows` searches float16 vectors exactly, `scans` chooses between that and
codes, `segments` adds ids and deletion, `id_mask` says which photographs may be found, `files` reads and writes an
index, and `vector_index` keeps one up to date with the catalog. `attributes` answers filters. `latest` lets searches go
on while either is brought up to date. May import `photos`, `store` and what is below them.
"""

from service.index.scans import Limits
from service.index.vector_index import VectorIndex

__all__ = ["Limits", "VectorIndex"]
