"""Library: open, index, search, score, rate, status. The one door for the command line, HTTP and notebooks.

It is `smysl.Library` for people who write Python; `smysl.py` has an example.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from service.compute.cores import compute_threads
from service.config import Settings
from service.encoder.library_encoders import LibraryEncoders
from service.errors import LibraryError, NotFoundError, UsageError
from service.heads.registry import HeadRegistry, HeadSummary
from service.index.attributes import AttributeIndex
from service.index.attributes.timeline import DateOrder
from service.kinds.labels import Kinds
from service.kinds.vote_cache import VoteCache, check_kinds
from service.photos.decode import open_photograph
from service.search.browse import browse
from service.search.hits import Score, SearchResult
from service.search.main_model import MainModel
from service.search.neighbours import IdOrImage, Neighbours, neighbours_of
from service.search.query import MAX_K, Query
from service.search.query_crop import crop_query
from service.search.search import score, search
from service.search.selection import OfflinePlaces, Selection, Selector
from service.search.target import ModelTarget, SearchTarget
from service.search.understanding import understand
from service.store.catalog import CATALOG_FILE, Catalog
from service.store.filters import NO_FILTERS, Filters
from service.store.lock import Writer, current_writer, write_lock
from service.store.paths import bytes_in, file_of, resolve_folder
from service.store.photograph_files import photograph_at, photographs_at
from service.store.ratings import DEFAULT_RATER, Ratings, make_rating
from service.store.records import Rating, Record, Root, Tombstone
from service.store.skipped import SkippedFiles, SkippedRow
from service.store.tombstones import Forgotten, Tombstones
from service.texts import check_text
from service.types import OnProgress

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.encoder.models import DownloadProgress
    from service.index.attributes.facets import Facets
    from service.indexing.changes import Scope
    from service.indexing.indexer import Event
    from service.indexing.options import IndexOptions, Postpone
    from service.indexing.watch_events import WatchEvent, WatchOptions
    from service.kinds.knn_vote import KnnVote
    from service.match.ratings_export import Export
    from service.search.classify import Classification, PhotographSource

BROWSED = 100
"""Photographs of one answer of `Library.photographs`, by default."""
FACET_VALUES = 20
"""Values of each facet, by default."""


@dataclass(frozen=True, slots=True)
class Status:
    """Facts about a library; `model` and `fingerprint` are None before the first index run.

    `additional_models` are the models of which it keeps image features for heads.
    """

    library: Path
    photographs: int
    roots: list[Root]
    model: str | None
    fingerprint: str | None
    generation: int
    bytes: int
    writer: Writer | None
    additional_models: tuple[str, ...] = ()


class Library:
    """A folder with a catalog of photographs and an index derived from it. Made by `Library.open`.

    Safe to use from several threads. Any number of processes may read a library; one may write.
    """

    def __init__(
        self, folder: Path, catalog: Catalog, settings: Settings, say: Callable[[str], None] | None = None
    ) -> None:
        self.folder = folder
        self.catalog = catalog
        self.settings = settings
        self._encoders = LibraryEncoders(folder, catalog, self.settings, say)
        self._heads = HeadRegistry(folder, catalog, self._encoders)
        self._main = MainModel(folder, catalog, self._encoders)
        # More threads than cores get no more done, and keep the interpreter from threads that answer.
        self._turns = threading.BoundedSemaphore(compute_threads())
        self._ratings = Ratings(catalog)
        self._tombstones = Tombstones(catalog)
        self.kinds = Kinds(catalog)
        self._votes = VoteCache(folder, catalog, self.kinds)
        self._selector = Selector(AttributeIndex(folder, catalog), OfflinePlaces())

    @classmethod
    def open(
        cls,
        folder: Path | str,
        settings: Settings | None = None,
        *,
        create: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> Library:
        """Open the library in `folder`; loads no model, which happens when one is needed.

        Args:
            folder: the library's folder.
            settings: what can be chosen; by default what the environment says (`SMYSL_*`).
            create: make the library where it is missing.
            say: called with a sentence about what takes its time, such as loading a model.

        Raises:
            LibraryError: there is no library, or one that cannot be read.
        """
        folder = Path(folder).expanduser()
        if not cls.is_in(folder):
            if not create:
                raise LibraryError(
                    f"There is no library in {folder} yet. Make one with `smysl index DIR`, where DIR is a folder of "
                    "photographs, or name another library with --library."
                )
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LibraryError(
                    f"The library folder {folder} cannot be made ({error.strerror}). Name another with --library."
                ) from None
        return cls(folder, Catalog(folder / CATALOG_FILE), settings or Settings(library=folder), say)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether there is a library in `folder`."""
        # `Path.is_file` raises for a name that is too long and for a folder that may not be entered.
        return os.path.isfile(folder / CATALOG_FILE)  # noqa: PTH113

    def close(self) -> None:
        """Close the catalog, once nothing is brought up to date any more. Nothing else may be called afterwards."""
        with self._main.latest.turn(), self._heads.closing(), self._selector.closing():
            self.catalog.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the model ----------------------------------------------------------------------------------

    @property
    def encoder(self) -> Encoder:
        """The encoder that made the library's vectors, loaded at the first use.

        Raises:
            LibraryError: nothing has been indexed yet.
            MismatchError: the settings name another model, or the installed model has other weights.
        """
        return self._encoders.main

    def encoder_to_index(
        self,
        say: Callable[[str], None] = lambda sentence: None,
        on_progress: Callable[[DownloadProgress], None] | None = None,
    ) -> Encoder:
        """The encoder for an index run: the model of the settings, else the library's own, else the first choice.

        Args:
            say: called with a sentence on what is downloaded, or why the built-in model is used.
            on_progress: follows a download.

        Raises:
            BusyError: another process is writing to the library.
        """
        return self._encoders.main_for_indexing(say, on_progress)

    def additional_to_index(
        self,
        encoder: Encoder,
        named: Sequence[str] = (),
        on_progress: Callable[[DownloadProgress], None] | None = None,
    ) -> list[Encoder]:
        """The additional encoders of an index run: those that the library has, and those `named`."""
        return self._encoders.additional_for_indexing(encoder, named, on_progress)

    def _target(self, head: str | None) -> SearchTarget:
        """What answers queries: the main model, or a head, which needs nothing of the main model."""
        return self._main.latest.get() if head is None else self._heads.open(head)

    # -- index --------------------------------------------------------------------------------------

    def index(
        self,
        folders: Sequence[Path] = (),
        options: IndexOptions | None = None,
        *,
        encoder: Encoder | None = None,
        additional: Sequence[Encoder] | None = None,
    ) -> Generator[Event, None, None]:
        """Bring the library up to date with `folders`, or with all its roots; yields progress events.

        Another model than the library's own encodes everything again; the old vectors answer until the new ones are
        complete. What was committed before an error stays.

        Args:
            folders: folders of photographs; new ones become roots.
            options: what else can be chosen; by default nothing is removed, and the settings say how much is done at
                once.
            encoder: by default what `encoder_to_index` gives.
            additional: encoders of which image features are kept for heads; by default what `additional_to_index`
                gives.

        Raises:
            NotFoundError: a folder is not there.
            UsageError: a file is named instead of a folder.
            BusyError: another process is writing to the library.
        """
        yield from self._index(folders, options, encoder, additional, doing="smysl index")

    def _index(
        self,
        folders: Sequence[Path],
        options: IndexOptions | None,
        encoder: Encoder | None,
        additional: Sequence[Encoder] | None,
        *,
        doing: str,
    ) -> Generator[Event, None, None]:
        """An index run as `index`; other processes are told that it is `doing` that writes."""
        from service.indexing.run import index_folders

        resolved = [resolve_folder(folder) for folder in folders]
        encoder = encoder or self.encoder_to_index()
        others = self.additional_to_index(encoder) if additional is None else additional
        with write_lock(self.folder, doing):
            yield from index_folders(
                self.folder,
                self.catalog,
                self._encoders,
                encoder,
                others,
                resolved,
                features_required=bool(self._heads.using_encoder(encoder.fingerprint)),
                save=partial(self._save, encoder),
                options=self._complete(options),
            )

    def watch(
        self,
        folders: Sequence[Path] = (),
        options: WatchOptions | None = None,
        *,
        load: Callable[[], Encoder] | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[WatchEvent, None, None]:
        """Index `folders`, or all roots, and then what changes in them, until the generator is closed.

        Args:
            folders: folders of photographs; new ones become roots. One that is in a root may be away.
            options: what else can be chosen; by default nothing is removed.
            load: gives the encoder, which is kept; by default `encoder_to_index`.
            stop: ends the watch when it is set.

        Raises:
            NotFoundError: a folder is not there, and in no root.
            UsageError: a file is named instead of a folder.
            LibraryError: the first run failed.
            MismatchError: another process has encoded the library with another model than the settings name.
        """
        from service.indexing.options import IndexOptions
        from service.indexing.roots import resolve_watched
        from service.indexing.watch import Watch
        from service.indexing.watch_events import WatchOptions

        encoder: Encoder | None = None
        fingerprint: str | None = None

        def index(scope: Scope, *, prune: bool, postpone: Postpone | None) -> Generator[Event, None, None]:
            nonlocal encoder, fingerprint
            own = self.catalog.setting("fingerprint")
            if encoder is None:
                encoder, fingerprint = (load or self.encoder_to_index)(), own
            elif own not in (fingerprint, encoder.fingerprint):
                encoder = self.encoder
            chosen = IndexOptions(prune=prune, shallow=frozenset(scope.flat), postpone=postpone)
            yield from self._index([*scope.deep, *scope.flat], chosen, encoder, None, doing="smysl watch")
            fingerprint = self.catalog.setting("fingerprint")

        named = [resolve_watched(self.catalog, folder) for folder in folders]
        watch = Watch(self.catalog, self.folder.resolve(), index, named, options or WatchOptions())
        yield from watch.run(stop or threading.Event())

    def _complete(self, options: IndexOptions | None) -> IndexOptions:
        """The options with what the settings say where they leave it open."""
        from service.indexing.options import IndexOptions

        chosen = options or IndexOptions()
        return replace(
            chosen,
            batch_size=chosen.batch_size or self.settings.batch_size,
            threads=chosen.threads or self.settings.decode_threads,
            max_megapixels=chosen.max_megapixels or self.settings.max_megapixels,
        )

    def _save(self, encoder: Encoder) -> None:
        """Bring all indexes up to date and write them; searches use the last ones meanwhile."""
        self._main.save(encoder)
        self._heads.save_all()
        self._selector.save()

    def move_root(self, old: Path, new: Path, *, force: bool = False) -> Root:
        """Record that a folder of photographs has moved; nothing is read or encoded.

        Args:
            old: the folder as the library knows it; it need not be there any more.
            new: where it is now.
            force: also where none of its photographs is found there.

        Raises:
            NotFoundError: the library has no folder `old`, or there is no folder `new`.
            UsageError: the photographs are not in `new`, or it overlaps with another folder of the library.
            BusyError: another process is writing to the library.
        """
        from service.indexing.roots import find_root, move_root

        folder = resolve_folder(new)
        with write_lock(self.folder, "smysl roots move"):
            move_root(self.catalog, find_root(self.catalog, old), folder, force=force)
        return self.catalog.root_at(folder)

    def remove_root(self, folder: Path) -> int:
        """Take a folder and its photographs out of the library; returns how many there were.

        What people gave them is kept until they come back, or are forgotten. Raises `NotFoundError` and `BusyError`.
        """
        from service.indexing.roots import find_root

        with write_lock(self.folder, "smysl roots remove"):
            return self.catalog.remove_root(find_root(self.catalog, folder))

    def skipped(self) -> list[tuple[Path, SkippedRow]]:
        """What the last run left out, as the root and a row, by root and path."""
        return SkippedFiles(self.catalog).all()

    def removed(self) -> list[Tombstone]:
        """The photographs that were taken out of the library and can come back, last removed first."""
        return self._tombstones.all()

    def forget(self, ids: Iterable[int]) -> Forgotten:
        """Erase photographs, those of the library and removed ones, with all that people gave them, for good.

        No file is touched; one that is still in a folder of the library is indexed again as new. Raises `BusyError`.
        """
        with write_lock(self.folder, "smysl forget"):
            return self._tombstones.forget(ids)

    def forget_model(self, name: str) -> None:
        """Drop an additional model and its image features.

        Raises:
            UsageError: it is the main model, or a head needs it.
            NotFoundError: the library does not have it.
            BusyError: another process is writing to the library.
        """
        model = self._encoders.find_additional(name)
        if heads := self._heads.using_encoder(model.fingerprint):
            raise UsageError(
                f"The head {heads[0]} of the library {self.folder} needs {model.name}; remove it first with `smysl "
                f"head remove {heads[0]}`."
            )
        with write_lock(self.folder, "smysl index --forget"):
            self._encoders.forget(model)

    # -- search and score ---------------------------------------------------------------------------

    def search(self, query: Query) -> SearchResult:
        """Find the photographs that fit a query.

        Raises:
            NotFoundError: the library has no photograph, or no head, that the query names.
            LibraryError: the library is empty, or the head cannot search it yet.
            MismatchError: the model installed is not the one that made the library's vectors.
            PhotographError: the file of the photograph, of which a part is searched with, cannot be read.
        """
        select = self._selector.select
        understood = understand(query, select)
        if understood.query.browses:
            return understood.describe(browse(understood.query, self.catalog, select))
        cropped = crop_query(understood.query, self.file_of)
        result = search(cropped.query, self._target(query.head), self.catalog, select=select, turn=self._turns)
        return understood.describe(cropped.describe(result))

    def photographs(
        self,
        filters: Filters = NO_FILTERS,
        *,
        order: DateOrder = "-taken_at",
        limit: int = BROWSED,
        cursor: str | None = None,
    ) -> SearchResult:
        """The photographs that filters leave, newest or oldest first, those without a date last. Needs no model.

        Args:
            filters: which photographs.
            order: "-taken_at", newest first, or "taken_at".
            limit: how many at most, 1 to 1,000.
            cursor: `next_cursor` of the photographs before.

        Raises:
            UsageError: an argument cannot be.
        """
        if not 1 <= limit <= MAX_K:
            raise UsageError(f"The limit is {limit}; it must be from 1 to {MAX_K:,}.")
        return self.search(Query(filters=filters, order=order, k=limit, cursor=cursor))

    def select(self, filters: Filters = NO_FILTERS) -> Selection:
        """The photographs that filters leave: how many, and their ids."""
        return self._selector.select(filters)

    def facets(self, filters: Filters = NO_FILTERS, *, most: int = FACET_VALUES) -> Facets:
        """How many of the photographs that filters leave are of each year, camera, place and so on.

        Args:
            filters: which photographs; each facet is counted without its own.
            most: how many values of each facet at most, 1 to 1,000.

        Raises:
            UsageError: `most` is out of range.
        """
        if not 1 <= most <= MAX_K:
            raise UsageError(f"The number of values is {most}; it must be from 1 to {MAX_K:,}.")
        return self._selector.facets(filters, most)

    def score(self, photograph: int | bytes | Path, text: str) -> Score:
        """The match of one text and one photograph: of the library by id, or any by its file or bytes."""
        check_text(text)
        target = self._main.latest.get()
        if not isinstance(photograph, int):
            image = open_photograph(photograph, shorter_side=2 * target.encoder.photograph_side).image
            return score(target.encoder, target.scorer, [image], [text])[0]
        vector, query = target.encode_query(photograph), target.encode_query(text)
        similarity = float(np.clip(vector @ query, -1.0, 1.0))
        return Score(float(target.scorer.match(query, vector[None], "text")[0]), similarity)

    def neighbours(
        self, photographs: Sequence[IdOrImage], k: int, *, head: str | None = None, exclude: Collection[int] = ()
    ) -> list[Neighbours]:
        """The `k` nearest photographs of the library to each of `photographs`; see `service.search.neighbours`."""
        return neighbours_of(photographs, k, self._target(head), exclude)

    # -- heads --------------------------------------------------------------------------------------

    def heads(self) -> list[HeadSummary]:
        """The library's heads, in alphabetical order."""
        return [self._heads.summary(name) for name in self._heads.names()]

    def add_head(self, name: str, folder: Path, *, force: bool = False) -> HeadSummary:
        """Copy the head that `smysl train similar` wrote to `folder` into the library, and make its index.

        Args:
            name: letters, digits, “-”, “_” and “.”, at most 40.
            folder: what `smysl train similar` wrote.
            force: replace a head of the same name.

        Raises:
            UsageError: the name cannot be, or is taken.
            ModelError: the folder holds no head that can be read.
            MismatchError: the library does not have the head's encoders.
            BusyError: another process is writing to the library.
        """
        with write_lock(self.folder, "smysl head add"):
            self._heads.add(name, folder.expanduser(), force=force)
        return self._heads.summary(name)

    def remove_head(self, name: str) -> None:
        """Remove the library's copy of a head; raises `UsageError`, `NotFoundError` and `BusyError`."""
        self._heads.folder_of(name)
        with write_lock(self.folder, "smysl head remove"):
            self._heads.remove(name)

    # -- kinds --------------------------------------------------------------------------------------

    def read_kinds(self, source: str, on_progress: OnProgress = lambda done, total: None) -> Sequence[str]:
        """Take kinds from folders, keywords or a table; see `service.kinds.label_sources.read_kinds`."""
        from service.kinds.label_sources import read_kinds

        return read_kinds(self.kinds, self.catalog, source, on_progress)

    def vote(self, head: str | None = None, on_progress: OnProgress = lambda done, total: None) -> KnnVote:
        """How neighbours vote on a kind: as a head was fitted to, or else as the library's own photographs show.

        Args:
            head: name of a head; None for the main model.
            on_progress: follows a calibration on the library's photographs.

        Raises:
            LibraryError: too few photographs have kinds.
            NotFoundError: the library has no such head.
        """
        if head is None:
            return self._votes.current(self.encoder.fingerprint, on_progress).vote
        target = self._heads.open(head)
        check_kinds(self.kinds.counts(), at_least=1)
        return target.head.vote

    def classify(
        self,
        photographs: Iterable[PhotographSource],
        *,
        head: str | None = None,
        k: int = 10,
        min_confidence: float | None = None,
        keep_borders: bool = False,
        on_progress: OnProgress = lambda done, total: None,
    ) -> Iterator[Classification]:
        """The kinds of photographs by the vote of their nearest neighbours, one answer each, in their order.

        One bad photograph stops nothing; everything else that is wrong is raised before the first answer.

        Args:
            photographs: files and uploads, taken as they are needed.
            head: the head that compares photographs; None for the main model.
            k: how many neighbours come with each answer, 1 to 200.
            min_confidence: a vote with less makes the kind unknown, 0 to 1; None for the calibrated threshold.
            keep_borders: compare letterboxes and frames too.
            on_progress: follows a calibration of the vote at its first use.

        Raises:
            UsageError: `k` or `min_confidence` is out of range.
            NotFoundError: the library has no such head.
            LibraryError: too few photographs have kinds.
        """
        from service.search.classify import Classifier, check_request

        check_request(k, min_confidence)
        vote = self.vote(head, on_progress)
        threshold = vote.min_confidence if min_confidence is None else min_confidence
        classifier = Classifier(self._target(head), self.catalog, self.kinds, vote, k, threshold, keep_borders)
        settings = self.settings
        return classifier.classify(photographs, batch_size=settings.batch_size, threads=settings.decode_threads)

    # -- ratings ------------------------------------------------------------------------------------

    def rate(
        self,
        photograph_id: int,
        text: str,
        *,
        grade: int | None = None,
        fits: bool | None = None,
        rater: str = DEFAULT_RATER,
    ) -> Rating:
        """Say how well a text fits a photograph: a grade from 1 to 4, or whether it fits. Needs no model.

        Replaces what this rater said before of the two on the same scale.

        Raises:
            UsageError: not exactly one of `grade` and `fits` is given, or one is out of range.
            NotFoundError: the library has no such photograph.
        """
        rating = make_rating(photograph_id, text, grade=grade, fits=fits, rater=rater)
        self._ratings.add(rating)
        return rating

    def ratings(
        self, photograph_id: int | None = None, text: str | None = None, *, limit: int | None = None, offset: int = 0
    ) -> list[Rating]:
        """Ratings in the order in which they were first given; `Ratings.select` says what is refused."""
        return self._ratings.select(photograph_id, text, limit=limit, offset=offset)

    def count_ratings(self, photograph_id: int | None = None, text: str | None = None) -> int:
        """How many ratings there are, in all or of a photograph and a text."""
        return self._ratings.count(photograph_id, text)

    def export_ratings(
        self, folder: Path, *, force: bool = False, on_progress: OnProgress = lambda done, total: None
    ) -> Export:
        """Write the ratings and copies of their photographs as a folder of data; see `service.match.ratings_export`."""
        from service.match.ratings_export import export_ratings

        return export_ratings(self.catalog, folder, force=force, on_progress=on_progress)

    # -- what there is ------------------------------------------------------------------------------

    def status(self) -> Status:
        """Facts about the library; loads no model."""
        return Status(
            library=self.folder,
            photographs=self.catalog.count(),
            roots=self.catalog.roots(),
            model=self.catalog.setting("model"),
            fingerprint=self.catalog.setting("fingerprint"),
            generation=self.catalog.generation(),
            bytes=sum(bytes_in(folder) for folder in (self.folder, *self._heads.folders())),
            writer=current_writer(self.folder),
            additional_models=tuple(each.name for each in self._encoders.additional()),
        )

    def check(self) -> ModelTarget:
        """Ask the model and the index for real, as a health check does; raises what is wrong."""
        target = self._main.latest.get()
        target.index.search(target.encode_query("a photograph"), 1)
        return target

    def photograph(self, identity: int) -> Record:
        """One photograph; raises `NotFoundError`."""
        return self.catalog.record(identity)

    def photograph_at(self, file: Path) -> Record:
        """The photograph whose file this is or was when it was indexed; raises `NotFoundError`."""
        found = photograph_at(self.catalog, file)
        if found is None:
            raise NotFoundError(
                f"{file} is no photograph of the library {self.folder}. Check the spelling, or add it with `smysl "
                "index`."
            )
        return found

    def photographs_at(self, path: Path) -> list[int]:
        """The ids of the photograph indexed from a file, or of all photographs in a folder and below it."""
        return photographs_at(self.catalog, path)

    def file_of(self, identity: int) -> Path:
        """Where a photograph's file really is, for reading it.

        Raises `NotFoundError` where the photograph or its file is gone, `ForbiddenError` where the path
        has come to lead out of the folder that the library was pointed at.
        """
        return file_of(self.catalog.record(identity))
