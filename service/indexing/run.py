"""An index run of a library: which folders and encoders it covers, and when a new main encoder takes over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from service.encoder.library_encoders import LibraryEncoders
from service.errors import UsageError
from service.indexing.decoder import EncodingTask
from service.indexing.ignore import IgnoreRules
from service.indexing.indexer import Event, Finished, update_catalog
from service.indexing.options import IndexOptions
from service.match.artifact import swap_match
from service.store.catalog import Catalog
from service.store.paths import is_folder
from service.store.records import Root, RootOptions

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


def index_folders(
    library: Path,
    catalog: Catalog,
    encoders: LibraryEncoders,
    main: Encoder,
    additional: Sequence[Encoder],
    folders: Sequence[Path],
    *,
    features_required: bool,
    save: Callable[[], None],
    options: IndexOptions,
) -> Iterator[Event]:
    """Bring `folders`, or all roots if there are none, up to date in the library in the folder `library`.

    The caller holds the writer's lock. With another `main` than the library's own, all roots are encoded by it, and it
    takes over when its vectors are complete.

    Args:
        features_required: encode known photographs that lack features of `main`, because a head uses them.
        save: called when everything is written and `main` is the library's main encoder.
        options: as for `update_catalog`.

    Raises:
        UsageError: there are neither folders nor roots.
    """
    own = catalog.setting("fingerprint")
    named = folders
    encoders.remember(main, additional)
    roots = [root.path for root in catalog.roots()]
    if not folders:
        folders = roots
    elif own not in (None, main.fingerprint):
        folders = [*folders, *(root for root in roots if is_folder(root))]
        options = replace(options, shallow=frozenset())
    if not folders:
        raise UsageError("Name at least one folder of photographs: smysl index DIR.")
    tasks = [
        EncodingTask.main(main, features_required=features_required),
        *(EncodingTask.additional(each) for each in additional),
    ]
    distinct = _distinct(catalog, folders, options.shallow)
    distinct = [
        (_remember(catalog, root, options) if any(each.is_relative_to(root.path) for each in named) else root, folder)
        for root, folder in distinct
    ]
    for event in update_catalog(catalog, tasks, distinct, options):
        if isinstance(event, Finished):
            whole = {
                root.id
                for root, folder in event.summary.folders
                if not folder and root.path not in options.shallow and not event.summary.unreadable
            }
            if _adopt_if_complete(library, catalog, encoders, main, whole):
                save()
        yield event


def _adopt_if_complete(
    library: Path, catalog: Catalog, encoders: LibraryEncoders, main: Encoder, walked: Collection[int]
) -> bool:
    """Make `main` the library's main encoder if its vectors are complete; returns whether it is the main encoder now.

    Its vectors are complete when all roots have been walked entirely; `walked` are the ids of those that were.
    """
    own = catalog.setting("fingerprint")
    if own != main.fingerprint:
        if any(root.id not in walked or not is_folder(root.path) for root in catalog.roots()):
            return False
        swap_match(library, str(own), main.fingerprint)
        encoders.adopt(main)
    elif catalog.setting("model") != main.name:
        catalog.save_settings(model=main.name)
    encoders.use_as_main(main)
    return True


def _distinct(catalog: Catalog, folders: Sequence[Path], shallow: Collection[Path]) -> list[tuple[Root, str]]:
    """Roots and folders below them, none inside another that is not shallow; outer folders become roots first."""
    distinct: list[Path] = []
    deep: set[Path] = set()
    for folder in sorted(set(folders), key=lambda path: len(path.parts)):
        if deep.isdisjoint(folder.parents):
            distinct.append(folder)
            if folder not in shallow:
                deep.add(folder)
    return [catalog.add_root(folder) for folder in distinct]


def _remember(catalog: Catalog, root: Root, options: IndexOptions) -> Root:
    """The root with what `options` say of how it is walked, which later runs go by."""
    chosen = RootOptions(
        root.options.exclude if options.exclude is None else tuple(each for each in options.exclude if each),
        root.options.follow_links if options.follow_links is None else options.follow_links,
        root.options.min_bytes if options.min_bytes is None else options.min_bytes,
    )
    if chosen != root.options:
        IgnoreRules.excluding(chosen.exclude)
        catalog.set_root_options(root.id, chosen)
    return catalog.root_at(root.path)
