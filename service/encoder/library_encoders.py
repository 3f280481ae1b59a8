"""The encoders of a library: the main one, which it is searched with, and additional ones, whose features heads use.

The catalog remembers the name and fingerprint of each. They are loaded when needed; one whose fingerprint is not the
remembered one is refused.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.config import Settings
from service.encoder.encoder import load_encoder
from service.encoder.models import OnDownload, choose_first_model, parse_name
from service.errors import LibraryError, MismatchError, ModelError, NotFoundError, UsageError
from service.store.catalog import Catalog
from service.store.lock import check_unlocked
from service.types import Say

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """What the catalog remembers of an encoder.

    `features` is the fingerprint of its pooled features, equal to `fingerprint` where the tower has none.
    """

    name: str
    fingerprint: str
    features: str

    @classmethod
    def of(cls, encoder: Encoder) -> EncoderRecord:
        """The record of a loaded encoder."""
        return cls(encoder.name, encoder.fingerprint, encoder.features_fingerprint)


class LibraryEncoders:
    """Loads the encoders of one library and remembers them in its catalog. Safe to use from several threads."""

    def __init__(self, folder: Path, catalog: Catalog, settings: Settings, say: Say | None = None) -> None:
        self._folder = folder
        self._catalog = catalog
        self._settings = settings
        self._say = say
        self._lock = threading.RLock()
        self._main: Encoder | None = None
        self._additional: dict[str, Encoder] = {}

    # -- the library's encoders ---------------------------------------------------------------------

    @property
    def main(self) -> Encoder:
        """The encoder that made the library's vectors, loaded at the first use.

        Raises `LibraryError` before the first index run; `MismatchError` where the settings name another model, or the
        installed model is not the one that made the vectors.
        """
        with self._lock:
            model, fingerprint = self._catalog.setting("model"), self._catalog.setting("fingerprint")
            if model is None or fingerprint is None:
                raise LibraryError(f"The library {self._folder} is empty. Fill it with `smysl index DIR`.")
            self._check_settings(model)
            if self._main is None or self._main.fingerprint != fingerprint:
                self._main = self._load_checked(model, fingerprint)
            return self._main

    def additional(self) -> list[EncoderRecord]:
        """The records of the additional encoders, in the order in which they were named."""
        main = self._catalog.setting("fingerprint")
        return [each for each in self._records() if each.fingerprint != main]

    def fingerprints(self) -> list[str]:
        """The fingerprints of all encoders of the library, the main one's first; none before the first index run."""
        main = self._catalog.setting("fingerprint")
        return [] if main is None else [main, *(each.fingerprint for each in self.additional())]

    def with_fingerprint(self, fingerprint: str) -> Encoder:
        """The encoder with a fingerprint among `fingerprints`, loaded at the first use; errors as `main`."""
        with self._lock:
            if fingerprint == self._catalog.setting("fingerprint"):
                return self.main
            if fingerprint not in self._additional:
                names = {each.fingerprint: each.name for each in self.additional()}
                if fingerprint not in names:
                    raise MismatchError(f"The library {self._folder} has no model with the fingerprint {fingerprint}.")
                self._additional[fingerprint] = self._load_checked(names[fingerprint], fingerprint)
            return self._additional[fingerprint]

    def features_fingerprint(self, fingerprint: str) -> str:
        """The fingerprint under which the catalog has the features of the encoder with `fingerprint`."""
        for each in self.additional():
            if each.fingerprint == fingerprint:
                return each.features
        features = self._catalog.setting("features")
        # Old libraries do not remember it, so their model is loaded.
        return features if features is not None else self.with_fingerprint(fingerprint).features_fingerprint

    # -- for an index run ---------------------------------------------------------------------------

    def main_for_indexing(
        self,
        say: Say = lambda sentence: None,
        on_progress: OnDownload | None = None,
    ) -> Encoder:
        """The main encoder for an index run: the settings' model, else the library's, else the preferred one.

        `say` is called with a sentence before a download, or when the built-in model is used instead; `on_progress`
        follows a download. Raises `BusyError` where another process is writing.
        """
        check_unlocked(self._folder)
        name = self._settings.model or self._catalog.setting("model")
        if name is None:
            name = choose_first_model(timeout_s=self._settings.hub_timeout_s, on_progress=on_progress, say=say)
        with self._lock:
            main = self._main
            if main is not None and main.name == name and main.fingerprint == self._catalog.setting("fingerprint"):
                return main
        return self._load(name, self._recorded_fingerprint(name), on_progress)

    def additional_for_indexing(
        self,
        main: Encoder,
        names: Sequence[str] = (),
        on_progress: OnDownload | None = None,
    ) -> list[Encoder]:
        """The additional encoders for an index run: those of the library, and those in `names`, except `main`."""
        all_names = [each.name for each in self.additional()] + [parse_name(name).text for name in names]
        encoders: dict[str, Encoder] = {}
        for name in dict.fromkeys(all_names):
            if name == main.name:
                continue
            loaded = [each for each in self._additional.values() if each.name == name]
            encoder = loaded[0] if loaded else self._load_additional(name, on_progress)
            if encoder.fingerprint != main.fingerprint:
                encoders[encoder.fingerprint] = encoder
        return list(encoders.values())

    def _load_additional(self, name: str, on_progress: OnDownload | None) -> Encoder:
        try:
            return self._load(name, self._recorded_fingerprint(name), on_progress)
        except NotFoundError as error:
            if name not in {each.name for each in self.additional()}:
                raise
            raise ModelError(
                f"The library {self._folder} has the additional model {name}, which is gone: {error.message} Or take "
                f"it out of the library: `smysl index --library {self._folder} --forget {name}`."
            ) from None

    def remember(self, main: Encoder, additional: Iterable[Encoder]) -> None:
        """Record the encoders of an index run that begins; drops the features of replaced weights."""
        own = self._catalog.setting("fingerprint")
        if own is None:
            self._catalog.save_settings(model=main.name, fingerprint=main.fingerprint)
        if own in (None, main.fingerprint) and self._catalog.setting("features") != main.features_fingerprint:
            self._catalog.save_settings(features=main.features_fingerprint)
        before = self._records()
        now = [EncoderRecord.of(encoder) for encoder in additional]
        names, fingerprints = {each.name for each in now}, {each.fingerprint for each in now}
        replaced = [each for each in self.additional() if each.name in names and each.fingerprint not in fingerprints]
        # An additional encoder that is to become the main one stays additional until its vectors are complete.
        kept = [each for each in before if each.name not in names and not own == main.fingerprint == each.fingerprint]
        if before != kept + now:
            self._catalog.save_settings(additional_models=_as_json(kept + now))
        for each in replaced:
            self._catalog.drop_vectors(each.features)
        with self._lock:
            self._additional = {encoder.fingerprint: encoder for encoder in additional}

    def adopt(self, main: Encoder) -> None:
        """Make `main`, whose vectors are complete, the library's main encoder; the additional ones stay."""
        kept = [each for each in self._records() if each.fingerprint != main.fingerprint]
        self._catalog.switch_model(
            main.name,
            main.fingerprint,
            {main.features_fingerprint, *(each.features for each in kept)},
            features=main.features_fingerprint,
            additional_models=_as_json(kept),
        )

    def use_as_main(self, main: Encoder) -> None:
        """Use a loaded encoder as the main one, if it is the library's."""
        with self._lock:
            if main.fingerprint == self._catalog.setting("fingerprint"):
                self._main = main

    def find_additional(self, name: str) -> EncoderRecord:
        """The record of an additional encoder; `UsageError` for the main one, `NotFoundError` for an unknown one."""
        text = parse_name(name).text
        for each in self.additional():
            if each.name == text:
                return each
        if text == self._catalog.setting("model"):
            raise UsageError(
                f"{name} is the main model of the library {self._folder} and stays until another takes its place: "
                "`smysl index --model NAME`."
            )
        raise NotFoundError(f"The library {self._folder} has no additional model {name}; `smysl status` names them.")

    def forget(self, record: EncoderRecord) -> None:
        """Drop an additional encoder and its features."""
        kept = [each for each in self.additional() if each != record]
        self._catalog.drop_vectors(record.features, additional_models=_as_json(kept))
        with self._lock:
            self._additional.pop(record.fingerprint, None)

    # -- loading ------------------------------------------------------------------------------------

    def _load_checked(self, name: str, fingerprint: str) -> Encoder:
        """The model `name` with the recorded `fingerprint`, else `MismatchError`."""
        try:
            encoder = self._load(name, fingerprint)
        except NotFoundError as error:
            # What is missing was not requested but belongs to the library: not the person's mistake.
            raise ModelError(
                f"The library {self._folder} was made with the model {name}, which is gone: {error.message} Or encode "
                f"its photographs with another: `smysl index --library {self._folder} --model NAME`."
            ) from None
        if encoder.fingerprint != fingerprint:
            raise MismatchError(
                f"The photographs of the library {self._folder} were encoded with another version of the model "
                f"{name} than the one installed now, so its vectors cannot be compared. Encode them "
                f"again with `smysl index --library {self._folder}`."
            )
        return encoder

    def _load(self, name: str, fingerprint: str | None, on_progress: OnDownload | None = None) -> Encoder:
        """The model `name`, in int8 where that has the recorded `fingerprint` and the settings name no precision.

        A model with another fingerprint than the recorded one is returned all the same.
        """
        from service.encoder.runtimes.loading import known_fingerprint
        from service.encoder.runtimes.model_cache import INT8, ModelCache, Unusable

        settings, cache = self._settings, ModelCache(self._settings.cache)
        if fingerprint is None or settings.precision is not None:
            return load_encoder(name, settings, on_progress, self._say)
        int8_settings = settings.model_copy(update={"precision": INT8})
        base = cache.base_of(fingerprint)
        if base is not None and base == known_fingerprint(name, cache):
            return load_encoder(name, int8_settings, on_progress, self._say)
        encoder = load_encoder(name, settings, on_progress, self._say)
        quantised = cache.find_quantised(encoder.fingerprint) if encoder.fingerprint != fingerprint else None
        if isinstance(quantised, Unusable) or (quantised is not None and quantised.spec.fingerprint == fingerprint):
            # It made the vectors and its base model's files have moved, or it is damaged, which loading it reports.
            return load_encoder(name, int8_settings, on_progress, self._say)
        return encoder

    def _recorded_fingerprint(self, name: str) -> str | None:
        """The fingerprint that the library recorded for the model `name`."""
        if name == self._catalog.setting("model"):
            return self._catalog.setting("fingerprint")
        return next((each.fingerprint for each in self.additional() if each.name == name), None)

    def _records(self) -> list[EncoderRecord]:
        return [EncoderRecord(**row) for row in json.loads(self._catalog.setting("additional_models") or "[]")]

    def _check_settings(self, model: str) -> None:
        """Raise `MismatchError` where the settings name another model than the library's."""
        requested = self._settings.model
        if requested is not None and parse_name(requested).text != model:
            raise MismatchError(
                f"The library {self._folder} was made with the model {model}, not with {requested}. "
                f"Leave out the model (--model, SMYSL_MODEL), or encode the library's photographs again with `smysl "
                f"index --library {self._folder} --model {requested}`."
            )


def _as_json(records: Iterable[EncoderRecord]) -> str:
    return json.dumps([asdict(each) for each in records])
