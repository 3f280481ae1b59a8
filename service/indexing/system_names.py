"""Names of files and folders that systems, NAS devices and photo programs keep for themselves beside photographs."""

from __future__ import annotations

from service.indexing.skipped import Reason

_NAMES = frozenset(
    {
        # Synology and QNAP
        *("@eadir", "#recycle", "#snapshot", "@tmp", "@sharebin", "@transcode", "@recycle", "@recently-snapshot"),
        *(".@__thumb", "@__thumb", "~snapshot"),
        # Windows
        *("$recycle.bin", "recycler", "recycled", "system volume information", "thumbs.db", "ehthumbs.db"),
        *("ehthumbs_vista.db", "desktop.ini"),
        # macOS
        *(".ds_store", ".appledouble", "__macosx", "network trash folder", "temporary items", "icon\r"),
        *(".spotlight-v100", ".fseventsd", ".temporaryitems", ".documentrevisions-v100"),
        # Linux and photo programs
        *("lost+found", ".dtrash", ".thumbnails", ".picasa.ini", "picasa.ini"),
    }
)
"""Whole names, in lower case."""

_PREFIXES = ("._", ".trash")
"""AppleDouble files hold the attributes of a file on disks that have no room for them."""

_SUFFIXES = (".lrdata", ".lrcat-data", ".cocatalogdb")
"""Previews and data of Lightroom's and Capture One's catalogs."""

_PACKAGES = (".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary", ".cocatalog")
"""Folders that Photos, iPhoto, Aperture and Capture One show as one file: originals, and much that is made of them."""

_ORIGINALS = frozenset({"originals", "masters"})
"""The only folders of such a package that hold the person's own files, in lower case."""


def skipped_by_name(name: str, parent: str) -> Reason | None:
    """Why a file or folder is left out whatever it holds; None if its name does not say.

    Args:
        name: of the file or folder.
        parent: the name of the folder that it is in.
    """
    lower = name.lower()
    if lower in _NAMES or lower.startswith(_PREFIXES) or lower.endswith(_SUFFIXES):
        return Reason.RUBBISH
    if lower.startswith("."):
        return Reason.HIDDEN
    if parent.lower().endswith(_PACKAGES) and lower not in _ORIGINALS:
        return Reason.RUBBISH
    return None
