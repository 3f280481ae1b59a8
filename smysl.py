"""Search photographs by meaning, from Python:

    import smysl

    with smysl.Library.open("my-library") as library:
        for hit in library.search(smysl.Query(text="two dogs play in the snow")).hits:
            print(f"{hit.match:.2f}", hit.photograph.path)

This is the public name of smysl: what it exports stays, what lies in `service` may move. Nothing is loaded before it is
used. Messages go to the logger "smysl".
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.config import Settings
    from service.errors import (
        BusyError,
        DataError,
        ForbiddenError,
        HubError,
        LibraryError,
        MismatchError,
        ModelError,
        NotFoundError,
        PhotographError,
        SmyslError,
        TooLargeError,
        UsageError,
    )
    from service.indexing.indexer import Finished
    from service.indexing.options import IndexOptions
    from service.indexing.watch_events import WatchOptions
    from service.library import Library
    from service.photos.crop import Box
    from service.photos.decode import open_photograph
    from service.search.hits import Hit, Score, SearchResult
    from service.search.query import Query
    from service.store.filters import Filters, Near

    __version__: str

__all__ = [
    "Box",
    "BusyError",
    "DataError",
    "Filters",
    "Finished",
    "ForbiddenError",
    "Hit",
    "HubError",
    "IndexOptions",
    "Library",
    "LibraryError",
    "MismatchError",
    "ModelError",
    "Near",
    "NotFoundError",
    "PhotographError",
    "Query",
    "Score",
    "SearchResult",
    "Settings",
    "SmyslError",
    "TooLargeError",
    "UsageError",
    "WatchOptions",
    "__version__",
    "open_photograph",
]

_MODULES = {
    "Box": "service.photos.crop",
    "Filters": "service.store.filters",
    "Finished": "service.indexing.indexer",
    "Hit": "service.search.hits",
    "IndexOptions": "service.indexing.options",
    "Library": "service.library",
    "Near": "service.store.filters",
    "Query": "service.search.query",
    "Score": "service.search.hits",
    "SearchResult": "service.search.hits",
    "Settings": "service.config",
    "WatchOptions": "service.indexing.watch_events",
    "open_photograph": "service.photos.decode",
}
"""Where exported names are defined; the others are errors."""

logging.getLogger("smysl").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'smysl' has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("smysl")
    else:
        from importlib import import_module

        value = getattr(import_module(_MODULES.get(name, "service.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _check_not_hidden() -> None:
    """Raise `ImportError` where a file of the user's, such as `service.py` beside a notebook, hides a part of smysl."""
    import sys
    from importlib.util import find_spec

    loaded = sys.modules.get("service")
    origin = getattr(loaded, "__file__", None) if loaded is not None else getattr(find_spec("service"), "origin", None)
    here = Path(__file__).resolve().parent
    # Installed, this module is smysl/__init__.py beside the folder service; in the sources it is smysl.py.
    if origin is None or Path(origin).resolve().parent not in (here / "service", here.parent / "service"):
        raise ImportError(
            f"{origin or 'A folder called “service”'} hides a part of smysl that has the same name. Rename it, or "
            "start Python in another folder."
        )


_check_not_hidden()
