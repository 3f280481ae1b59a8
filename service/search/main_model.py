"""The library's main model with its index and match: loaded, brought up to date, saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from service.encoder.library_encoders import LibraryEncoders
from service.encoder.text_batcher import TextBatcher
from service.index import VectorIndex
from service.index.latest import Latest
from service.match.artifact import MATCH_JSON
from service.match.scorer import load_scorer
from service.search.target import ModelTarget
from service.store.catalog import Catalog
from service.store.paths import written_at

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

_BACKGROUND = 2000
"""Vectors of the library that a match without ratings is measured against."""


class MainModel:
    """Publishes the main model as something that can be searched. Safe to use from several threads."""

    def __init__(self, folder: Path, catalog: Catalog, encoders: LibraryEncoders) -> None:
        self._folder = folder
        self._catalog = catalog
        self._encoders = encoders
        self._texts = TextBatcher()
        self.latest = Latest(self._refresh, self._is_far_behind)

    def save(self, encoder: Encoder) -> None:
        """Bring the index of the vectors of `encoder` up to date and write it; searches use the last one meanwhile."""
        with self.latest.turn() as last:
            index, _ = self._index_of(encoder, last)
            index.save(self._folder)

    def _refresh(self, last: ModelTarget | None) -> ModelTarget:
        encoder = self._encoders.main
        index, changed = self._index_of(encoder, last)
        # A match fitted for the library may come, change and go while it is open.
        fitted = written_at(self._folder / MATCH_JSON)
        if last is not None and last.index is index and last.encoder is encoder and last.fitted == fitted:
            depends_on_index = last.scorer.calibration("photograph") == "background"
            if not (changed and depends_on_index):
                return last
        scorer = load_scorer(encoder, index.sample(_BACKGROUND), self._folder)
        return ModelTarget(encoder, index, scorer, self._texts, self._catalog, fitted)

    def _index_of(self, encoder: Encoder, last: ModelTarget | None) -> tuple[VectorIndex, bool]:
        """The index of the vectors of `encoder`, up to date, and whether anything changed in it."""
        if last is not None and last.index.fingerprint == encoder.fingerprint:
            return last.index, last.index.catch_up(self._catalog)
        self._texts.clear()
        return VectorIndex.open(self._folder, self._catalog, encoder.fingerprint, encoder.dimension), True

    def _is_far_behind(self, target: ModelTarget) -> bool:
        # Another model takes over at once: the catalog no longer has the last one's vectors.
        same = target.encoder.fingerprint == self._catalog.setting("fingerprint")
        return same and target.index.is_far_behind(self._catalog)
