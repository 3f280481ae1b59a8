"""The encoders of a library: the main one, by which it is searched, and additional ones, at whose features heads look.

The catalog remembers name and fingerprint of each; they are loaded when they are needed, and one whose weights are
not those that the library was made with is refused.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.config import Settings
from service.encoder.encoder import load_encoder
from service.errors import LibraryError, MismatchError, ModelError, NotFoundError, UsageError
from service.store.catalog import Catalog
from service.store.lock import check_unlocked

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.encoder.models import OnDownload


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """An encoder that a library was made with.

    `features` is the fingerprint under which the catalog keeps what its tower saw before its last projection; it is
    `fingerprint` itself for a tower that has nothing of that kind.
    """

    name: str
    fingerprint: str
    features: str

    @classmethod
    def of(cls, encoder: Encoder) -> EncoderRecord:
        """What is remembered of a loaded encoder."""
        return cls(encoder.name, encoder.fingerprint, encoder.features_fingerprint)


class LibraryEncoders:
    """Loads the encoders of one library and remembers them in its catalog. Safe to use from several threads."""

    def __init__(
        self, folder: Path, catalog: Catalog, settings: Settings, say: Callable[[str], None] | None = None
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._settings = settings
        self._say = say
        self._loading = threading.RLock()
        self._main: Encoder | None = None
        self._additional: dict[str, Encoder] = {}

    # -- what the library was made with -------------------------------------------------------------

    @property
    def main(self) -> Encoder:
        """The encoder that the library's vectors were made with, loaded at the first use.

        Raises `LibraryError` before the first index run, `MismatchError` where another model is asked for
        by flag or environment, or where the model installed is not the one that made the vectors.
        """
        with self._loading:
            remembered, fingerprint = self._catalog.setting("model"), self._catalog.setting("fingerprint")
            if remembered is None or fingerprint is None:
                raise LibraryError(f"The library {self._folder} is empty. Fill it with `smysl index DIR`.")
            self._check_asked(remembered)
            if self._main is None or self._main.fingerprint != fingerprint:
                self._main = self._load(remembered, fingerprint)
            return self._main

    def additional(self) -> list[EncoderRecord]:
        """The additional encoders, in the order in which they were named; loads none."""
        main = self._catalog.setting("fingerprint")
        return [each for each in self._written() if each.fingerprint != main]

    def fingerprints(self) -> list[str]:
        """The fingerprints of all encoders of the library, the main one's first; none before the first index run."""
        main = self._catalog.setting("fingerprint")
        return [] if main is None else [main, *(each.fingerprint for each in self.additional())]

    def with_fingerprint(self, fingerprint: str) -> Encoder:
        """The encoder with a fingerprint among `fingerprints`, loaded at the first use; errors as `main`."""
        with self._loading:
            if fingerprint == self._catalog.setting("fingerprint"):
                return self.main
            if fingerprint not in self._additional:
                named = {each.fingerprint: each.name for each in self.additional()}
                if fingerprint not in named:
                    raise MismatchError(f"The library {self._folder} has no model with the fingerprint {fingerprint}.")
                self._additional[fingerprint] = self._load(named[fingerprint], fingerprint)
            return self._additional[fingerprint]

    def features_fingerprint(self, fingerprint: str) -> str:
        """Under which fingerprint the catalog keeps the features of the encoder with a fingerprint."""
        for each in self.additional():
            if each.fingerprint == fingerprint:
                return each.features
        remembered = self._catalog.setting("features")
        # Libraries from before features were kept do not say; their model does.
        return remembered if remembered is not None else self.with_fingerprint(fingerprint).features_fingerprint

    # -- for an index run ---------------------------------------------------------------------------

    def main_for_indexing(
        self,
        say: Callable[[str], None] = lambda sentence: None,
        on_progress: OnDownload | None = None,
    ) -> Encoder:
        """The main encoder for an index run: the one asked for, else the library's own, else the first choice.

        `say` is told in a sentence what is downloaded, or that the built-in model has to do; `on_progress`
        follows a download. Raises `BusyError` where another process is writing.
        """
        from service.encoder.models import choose_first_model

        check_unlocked(self._folder)
        name = self._settings.model or self._catalog.setting("model")
        if name is None:
            name = choose_first_model(timeout_s=self._settings.hub_timeout_s, on_progress=on_progress, say=say)
        with self._loading:
            own = self._main
            if own is not None and own.name == name and own.fingerprint == self._catalog.setting("fingerprint"):
                return own
        return self._loaded(name, self._remembered(name), on_progress)

    def additional_for_indexing(
        self,
        main: Encoder,
        named: Sequence[str] = (),
        on_progress: OnDownload | None = None,
    ) -> list[Encoder]:
        """The additional encoders for an index run beside `main`: those of the library, and those `named`."""
        from service.encoder.models import parse_name

        names = [each.name for each in self.additional()] + [parse_name(name).text for name in named]
        found: dict[str, Encoder] = {}
        for name in dict.fromkeys(names):
            if name == main.name:
                continue
            loaded = [each for each in self._additional.values() if each.name == name]
            encoder = loaded[0] if loaded else self._additional_loaded(name, on_progress)
            if encoder.fingerprint != main.fingerprint:
                found[encoder.fingerprint] = encoder
        return list(found.values())

    def _additional_loaded(self, name: str, on_progress: OnDownload | None) -> Encoder:
        try:
            return self._loaded(name, self._remembered(name), on_progress)
        except NotFoundError as error:
            if name not in {each.name for each in self.additional()}:
                raise
            raise ModelError(
                f"The library {self._folder} has the additional model {name}, which is gone: {error.message} Or take "
                f"it out of the library: `smysl index --library {self._folder} --forget {name}`."
            ) from None

    def remember(self, main: Encoder, additional: Iterable[Encoder]) -> None:
        """Write down what an index run that begins has; features of weights that are no longer there are dropped."""
        own = self._catalog.setting("fingerprint")
        if own is None:
            self._catalog.save_settings(model=main.name, fingerprint=main.fingerprint)
        if own in (None, main.fingerprint) and self._catalog.setting("features") != main.features_fingerprint:
            self._catalog.save_settings(features=main.features_fingerprint)
        before = self._written()
        now = [EncoderRecord.of(encoder) for encoder in additional]
        names, prints = {each.name for each in now}, {each.fingerprint for each in now}
        replaced = [each for each in self.additional() if each.name in names and each.fingerprint not in prints]
        # One that becomes the main encoder is an additional one until its vectors are complete.
        kept = [each for each in before if each.name not in names and not own == main.fingerprint == each.fingerprint]
        if before != kept + now:
            self._catalog.save_settings(additional_models=_as_json(kept + now))
        for each in replaced:
            self._catalog.drop_vectors(each.features)
        with self._loading:
            self._additional = {encoder.fingerprint: encoder for encoder in additional}

    def adopt(self, main: Encoder) -> None:
        """Make `main` the library's main encoder, whose vectors are complete; the additional ones stay."""
        kept = [each for each in self._written() if each.fingerprint != main.fingerprint]
        self._catalog.switch_model(
            main.name,
            main.fingerprint,
            {main.features_fingerprint, *(each.features for each in kept)},
            features=main.features_fingerprint,
            additional_models=_as_json(kept),
        )

    def use_as_main(self, main: Encoder) -> None:
        """Take a loaded encoder for the main one where it is that of the library."""
        with self._loading:
            if main.fingerprint == self._catalog.setting("fingerprint"):
                self._main = main

    def find_additional(self, name: str) -> EncoderRecord:
        """The additional encoder with a name; `UsageError` for the main one, `NotFoundError` for one of neither."""
        from service.encoder.models import parse_name

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

    def forget(self, gone: EncoderRecord) -> None:
        """Drop an additional encoder and its features."""
        kept = [each for each in self.additional() if each != gone]
        self._catalog.drop_vectors(gone.features, additional_models=_as_json(kept))
        with self._loading:
            self._additional.pop(gone.fingerprint, None)

    # -- loading ------------------------------------------------------------------------------------

    def _load(self, name: str, fingerprint: str) -> Encoder:
        try:
            encoder = self._loaded(name, fingerprint)
        except NotFoundError as error:
            # Nothing that was asked for is missing; what the library lives on is.
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

    def _loaded(self, name: str, fingerprint: str | None, on_progress: OnDownload | None = None) -> Encoder:
        """The model `name`, in int8 where that is what has the remembered `fingerprint` and no precision is asked for.

        What else has another fingerprint than the remembered one is given as it is.
        """
        from service.encoder.runtimes.loading import known_fingerprint
        from service.encoder.runtimes.model_cache import INT8, ModelCache, Unusable

        as_asked, kept = self._settings, ModelCache(self._settings.cache)
        if fingerprint is None or as_asked.precision is not None:
            return load_encoder(name, as_asked, on_progress, self._say)
        in_int8 = as_asked.model_copy(update={"precision": INT8})
        base = kept.base_of(fingerprint)
        if base is not None and base == known_fingerprint(name, kept):
            return load_encoder(name, in_int8, on_progress, self._say)
        encoder = load_encoder(name, as_asked, on_progress, self._say)
        quantised = kept.find_quantised(encoder.fingerprint) if encoder.fingerprint != fingerprint else None
        if isinstance(quantised, Unusable) or (quantised is not None and quantised.spec.fingerprint == fingerprint):
            # Either what made the vectors, whose model's files have moved, or damaged, which it says.
            return load_encoder(name, in_int8, on_progress, self._say)
        return encoder

    def _remembered(self, name: str) -> str | None:
        """The fingerprint with which the library remembers the model `name`."""
        if name == self._catalog.setting("model"):
            return self._catalog.setting("fingerprint")
        return next((each.fingerprint for each in self.additional() if each.name == name), None)

    def _written(self) -> list[EncoderRecord]:
        return [EncoderRecord(**row) for row in json.loads(self._catalog.setting("additional_models") or "[]")]

    def _check_asked(self, remembered: str) -> None:
        from service.encoder.models import parse_name

        asked = self._settings.model
        if asked is not None and parse_name(asked).text != remembered:
            raise MismatchError(
                f"The library {self._folder} was made with the model {remembered}, not with {asked}. "
                f"Leave out the model (--model, SMYSL_MODEL), or encode the library's photographs again with `smysl "
                f"index --library {self._folder} --model {asked}`."
            )


def _as_json(models: Iterable[EncoderRecord]) -> str:
    return json.dumps([asdict(each) for each in models])
