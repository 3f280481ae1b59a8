"""A run that brings a library up to date: which folders, which encoders, and when another main encoder takes over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.encoder.library_encoders import Encoders
from service.errors import UsageError
from service.indexing.decoder import EncodingTask
from service.indexing.indexer import Event, Finished, Indexer
from service.match.artifact import exchange
from service.store.catalog import Catalog
from service.store.records import Root

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


class IndexRun:
    """One run over folders of the library in `library`, by its main encoder and additional ones. Use `run` once.

    Whoever runs it holds the writer's lock. `features_wanted` says whether some head looks at the features of
    `encoder`; they are then made for known photographs too. `save` is called once everything is written and `encoder`
    is the library's.
    """

    def __init__(
        self,
        library: Path,
        catalog: Catalog,
        encoders: Encoders,
        encoder: Encoder,
        additional: Sequence[Encoder],
        *,
        features_wanted: bool,
        save: Callable[[], None],
    ) -> None:
        self._library = library
        self._catalog = catalog
        self._encoders = encoders
        self._encoder = encoder
        self._additional = additional
        self._features_wanted = features_wanted
        self._save = save

    def run(
        self, folders: Sequence[Path], *, prune: bool, batch_size: int | None, threads: int | None
    ) -> Iterator[Event]:
        """Bring `folders`, or all roots where there are none, up to date; the events tell how."""
        places = list(folders)
        own = self._catalog.setting("fingerprint")
        self._encoders.remember(self._encoder, self._additional)
        if own not in (None, self._encoder.fingerprint):
            places.extend(root.path for root in self._catalog.roots() if root.path.is_dir())
        if not folders:
            places = [root.path for root in self._catalog.roots()]
        if not places:
            raise UsageError("Name at least one folder of photographs: smysl index DIR.")
        works = [
            EncodingTask.main(self._encoder, features_required=self._features_wanted),
            *(EncodingTask.additional(each) for each in self._additional),
        ]
        indexer = Indexer(self._catalog, works, batch_size=batch_size, threads=threads)
        distinct = self._distinct(places)
        for event in indexer.run(distinct, prune=prune):
            if isinstance(event, Finished):
                walked = {root.id for root, folder in distinct if folder == ""} if indexer.saw_everything else set()
                if self._is_complete(walked):
                    self._save()
            yield event

    def _is_complete(self, walked: Collection[int]) -> bool:
        """Whether the library's main encoder is that of the run; it becomes so here if its vectors are complete now.

        They are complete when all roots have been walked from end to end; `walked` are the ids of these.
        """
        own = self._catalog.setting("fingerprint")
        if own != self._encoder.fingerprint:
            if any(root.id not in walked or not root.path.is_dir() for root in self._catalog.roots()):
                return False
            exchange(self._library, str(own), self._encoder.fingerprint)
            self._encoders.adopt(self._encoder)
        elif self._catalog.setting("model") != self._encoder.name:
            self._catalog.remember(model=self._encoder.name)
        self._encoders.use(self._encoder)
        return True

    def _distinct(self, folders: Sequence[Path]) -> list[tuple[Root, str]]:
        """Roots and folders below them, none inside another; outer folders become roots first."""
        outer: list[Path] = []
        for folder in sorted(set(folders), key=lambda path: len(path.parts)):
            if not any(folder.is_relative_to(other) for other in outer):
                outer.append(folder)
        return [self._catalog.add_root(folder) for folder in outer]
