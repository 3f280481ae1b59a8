"""Library: open, index, search, score, rate, status. The one door for the command line, HTTP and notebooks.

It is `smysl.Library` for people who write Python; `smysl.py` has an example.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from service.compute.cores import compute_threads
from service.config import Settings
from service.encoder.library_encoders import LibraryEncoders
from service.encoder.text_batcher import TextBatcher
from service.errors import LibraryError, NotFoundError, UsageError
from service.heads.registry import HeadRegistry, HeadSummary
from service.index import VectorIndex
from service.index.latest import Latest
from service.kinds.labels import Kinds
from service.kinds.vote_cache import VoteCache, check_kinds
from service.match.artifact import FACTS
from service.match.scorer import load_scorer
from service.photos.decode import open_photograph
from service.search.hits import Score, SearchResult
from service.search.neighbours import IdOrImage, Neighbours, neighbours_of
from service.search.query import Query
from service.search.query_crop import crop_query
from service.search.search import score, search
from service.search.target import ModelTarget, SearchTarget
from service.store.catalog import Catalog
from service.store.lock import Writer, current_writer, write_lock
from service.store.paths import bytes_in, file_of, photograph_at, resolve_folder, written_at
from service.store.ratings import DEFAULT_RATER, Ratings, make_rating
from service.store.records import Rating, Record, Root
from service.texts import check_text
from service.types import OnProgress

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.encoder.models import DownloadProgress
    from service.indexing.indexer import Event
    from service.kinds.knn_vote import KnnVote
    from service.match.ratings_export import Export
    from service.search.classify import Classification, PhotographSource

_CATALOG = "catalog.sqlite"
_BACKGROUND = 2000
"""Vectors of the library that a match without ratings is measured against."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a library is and which model it uses; `fingerprint` and `model` are None before the first run.

    `additional_models` are the names of the models whose features it keeps beside those of its own.
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
        self._texts = TextBatcher()
        self._latest = Latest(self._refresh, self._is_far_behind)
        # More threads than cores get no more done, and keep whoever answers from getting hold of the interpreter.
        self._turns = threading.BoundedSemaphore(compute_threads())
        self._ratings = Ratings(catalog)
        self.kinds = Kinds(catalog)
        self._votes = VoteCache(folder, catalog, self.kinds)

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
        return cls(folder, Catalog(folder / _CATALOG), settings or Settings(library=folder), say)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether there is a library in `folder`."""
        return (folder / _CATALOG).is_file()

    def close(self) -> None:
        """Close the catalog, once nothing is brought up to date any more. Nothing else may be called afterwards."""
        with self._latest.turn(), self._heads.closing():
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
        """The encoder that the library's vectors were made with, loaded at the first use.

        Raises `LibraryError` before the first index run, `MismatchError` where another model is asked for
        by flag or environment, or where the model installed is not the one that made the vectors.
        """
        return self._encoders.main

    def encoder_to_index(
        self,
        say: Callable[[str], None] = lambda sentence: None,
        on_progress: Callable[[DownloadProgress], None] | None = None,
    ) -> Encoder:
        """The encoder for an index run: the model asked for, else the library's own, else the first choice.

        `say` is told in a sentence what is downloaded, or that the built-in model has to do; `on_progress`
        follows a download. Raises `BusyError` where another process is writing.
        """
        return self._encoders.main_for_indexing(say, on_progress)

    def additional_to_index(
        self,
        encoder: Encoder,
        named: Sequence[str] = (),
        on_progress: Callable[[DownloadProgress], None] | None = None,
    ) -> list[Encoder]:
        """The additional encoders for an index run beside `encoder`: those that the library has, and those `named`."""
        return self._encoders.additional_for_indexing(encoder, named, on_progress)

    def _refresh(self, last: ModelTarget | None) -> ModelTarget:
        """The main model with its index and match, up to date.

        A match fitted for the library may come, change and go while it is open; the state of its file shows that.
        """
        encoder = self.encoder
        index, changed = self._index_of(encoder, last)
        fitted = written_at(self.folder / FACTS)
        if last is not None and last.index is index and last.encoder is encoder and last.fitted == fitted:
            measured = last.scorer.calibration("photograph") == "background"
            if not (changed and measured):
                return last
        scorer = load_scorer(encoder, index.sample(_BACKGROUND), self.folder)
        return ModelTarget(encoder, index, scorer, self._texts, self.catalog, fitted)

    def _index_of(self, encoder: Encoder, last: ModelTarget | None) -> tuple[VectorIndex, bool]:
        """The index of the vectors of `encoder`, up to date, and whether anything changed in it."""
        if last is not None and last.index.fingerprint == encoder.fingerprint:
            return last.index, last.index.catch_up(self.catalog)
        self._texts.clear()
        return VectorIndex.open(self.folder, self.catalog, encoder.fingerprint, encoder.dimension), True

    def _is_far_behind(self, target: ModelTarget) -> bool:
        # Another model takes over at once: what is stored is no longer of the last one.
        same = target.encoder.fingerprint == self.catalog.setting("fingerprint")
        return same and target.index.is_far_behind(self.catalog)

    def _target(self, head: str | None) -> SearchTarget:
        """What answers queries: the main model, or a head, which needs nothing of the main model."""
        return self._latest.get() if head is None else self._heads.open(head)

    # -- index --------------------------------------------------------------------------------------

    def index(
        self,
        folders: Sequence[Path] = (),
        *,
        prune: bool = False,
        encoder: Encoder | None = None,
        additional: Sequence[Encoder] | None = None,
    ) -> Generator[Event, None, None]:
        """Bring the library up to date with `folders`, or with all its roots; yields progress events.

        `encoder` is what `encoder_to_index` gives and `additional` what `additional_to_index` does, which is also what
        None means; features of additional encoders are kept beside those of `encoder`, for heads to look at. Another
        model than the library's own encodes everything again: searches are answered with the old vectors until the
        new ones are complete. Raises `NotFoundError` for a folder that is not there, `UsageError` for a file, and
        `BusyError` where another process is writing; what was committed before stays.
        """
        from service.indexing.run import index_folders

        resolved = [resolve_folder(folder) for folder in folders]
        encoder = encoder or self.encoder_to_index()
        others = self.additional_to_index(encoder) if additional is None else additional
        with write_lock(self.folder, "smysl index"):
            yield from index_folders(
                self.folder,
                self.catalog,
                self._encoders,
                encoder,
                others,
                resolved,
                features_required=bool(self._heads.using_encoder(encoder.fingerprint)),
                save=partial(self._save, encoder),
                prune=prune,
                batch_size=self.settings.batch_size,
                threads=self.settings.decode_threads,
            )

    def _save(self, encoder: Encoder) -> None:
        """Bring all indexes up to date and write them; searches use the last ones meanwhile."""
        with self._latest.turn() as last:
            index, _ = self._index_of(encoder, last)
            index.save(self.folder)
        self._heads.save_all()

    def forget_model(self, name: str) -> None:
        """Drop an additional model and its features.

        Raises `UsageError` for the main model and for one at which a head looks, `NotFoundError` for one that the
        library does not have, `BusyError` where another process is writing.
        """
        gone = self._encoders.find_additional(name)
        if heads := self._heads.using_encoder(gone.fingerprint):
            raise UsageError(
                f"The head {heads[0]} of the library {self.folder} looks at {gone.name}; remove it first with `smysl "
                f"head remove {heads[0]}`."
            )
        with write_lock(self.folder, "smysl index --forget"):
            self._encoders.forget(gone)

    # -- search and score ---------------------------------------------------------------------------

    def search(self, query: Query) -> SearchResult:
        """Find the photographs that fit a query.

        Raises:
            NotFoundError: the library has no photograph, or no head, that the query names.
            LibraryError: the library is empty, or the head cannot search it yet.
            MismatchError: the model installed is not the one that made the library's vectors.
            PhotographError: the file of the photograph, of which a part is searched with, cannot be read.
        """
        cropped = crop_query(query, self.file_of)
        result = search(cropped.query, self._target(query.head), self.catalog, turn=self._turns)
        return cropped.describe(result)

    def score(self, photograph: int | bytes | Path, text: str) -> Score:
        """The match of one text and one photograph: of the library by id, or any by its file or bytes."""
        check_text(text)
        target = self._latest.get()
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
        """What is known of the library's heads, in the order of their names."""
        return [self._heads.summary(name) for name in self._heads.names()]

    def add_head(self, name: str, folder: Path, *, force: bool = False) -> HeadSummary:
        """Copy the head that `smysl train similar` wrote to `folder` into the library, and make its index.

        With `force` it takes the place of one of the same name. Raises `UsageError` for a name that cannot be or is
        taken, `ModelError` for a folder without a head that can be read, `MismatchError` where the library does not
        have its encoders, `BusyError` where another process is writing.
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
        """Say how well a text fits a photograph: a grade from 1 to 4, or whether it fits.

        Replaces what this rater said before of the two on the same scale. Needs no model. Raises `UsageError`
        as `make_rating` says, `NotFoundError` for a photograph that is not there.
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
        target = self._latest.get()
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

    def file_of(self, identity: int) -> Path:
        """Where a photograph's file really is, for reading it.

        Raises `NotFoundError` where the photograph or its file is gone, `ForbiddenError` where the path
        has come to lead out of the folder that the library was pointed at.
        """
        return file_of(self.catalog.record(identity))
