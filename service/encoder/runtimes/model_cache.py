"""The cache of converted models in the user's cache folder: found without loading a network, and only when intact.

- `sources/KEY.json` holds the fingerprint that a model had when its files were last loaded; the key is a hash of their
  paths, sizes and times.
- `FINGERPRINT-PRECISION/` holds a model's graphs for one version of OpenVINO, with a manifest, written last, of the
  checksums of the other files; what does not match is converted again.
- `FINGERPRINT-int8/` holds the model quantised from the one with that fingerprint. It has a fingerprint of its own and
  does not depend on the version of OpenVINO, since vectors were made with it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from service.encoder.runtimes.model_spec import ModelSpec
from service.store.array_files import checksum_of
from service.store.atomic import sync_file, sync_folder, write_text

_VERSION = 1
MANIFEST = "facts.json"
INT8 = "int8"
_LOCK_TIMEOUT_S = 600.0
"""Longest wait for another process that converts the same model."""


@dataclass(frozen=True)
class CachedModel:
    """A converted model: the folder with its graphs, and its spec."""

    folder: Path
    spec: ModelSpec


@dataclass(frozen=True)
class Unusable:
    """A model that could not be converted, or whose files are damaged; `reason` says why, as half a sentence."""

    reason: str


class ModelCache:
    """The converted models below a folder. Several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "runtimes"

    def fingerprint_of(self, name: str) -> str | None:
        """The fingerprint that the model `name` has with its present files; None where it has not been noted."""
        try:
            note = json.loads(self._note_file(name).read_text(encoding="utf-8"))
            return str(note["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note_fingerprint(self, name: str, fingerprint: str) -> None:
        """Note the fingerprint of a model's present files; does nothing where the cache cannot be written to."""
        with suppress(OSError):
            _write_json(self._note_file(name), {"name": name, "fingerprint": fingerprint})

    def find(self, fingerprint: str, precision: str) -> CachedModel | Unusable | None:
        """The graphs of a model, or why it could not be converted; None where neither is known."""
        folder = self._entry_folder(fingerprint, precision)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if (manifest["version"], manifest["openvino"]) != (_VERSION, version("openvino")):
                return None
            if manifest.get("reason"):
                return Unusable(str(manifest["reason"]))
            return _intact(folder, manifest)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def find_quantised(self, base: str) -> CachedModel | Unusable | None:
        """The model quantised from the one with the fingerprint `base`, or why it cannot be used; None without one."""
        folder = self._entry_folder(base, INT8)
        if not folder.is_dir():
            return None
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            model = _intact(folder, manifest) if manifest["version"] == _VERSION else None
        except (OSError, ValueError, KeyError, TypeError):
            model = None
        return model or Unusable(f"{folder} is damaged")

    def base_of(self, fingerprint: str) -> str | None:
        """The fingerprint of the model that the one with `fingerprint` was quantised from, else None."""
        for file in self._folder.glob(f"*-{INT8}/{MANIFEST}"):
            try:
                model = json.loads(file.read_text(encoding="utf-8"))["model"]
                if model["fingerprint"] == fingerprint:
                    return str(model["base"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None

    def blob_folder(self, fingerprint: str, precision: str) -> Path:
        """The folder for a model's compiled graphs, which depend on OpenVINO's version and on the CPU."""
        import xxhash

        from service.encoder.runtimes.openvino_towers import processor

        machine = xxhash.xxh3_64_hexdigest(f"{version('openvino')} {processor()}".encode())
        return self._folder / "compiled" / f"{fingerprint}-{precision}-{machine}"

    @contextmanager
    def new_folder(self, fingerprint: str, precision: str) -> Iterator[Path]:
        """A temporary folder to convert into, for one process at a time; `add` keeps what is in it.

        Raises OSError where the cache cannot be written to, TimeoutError where another process takes too long.
        """
        from filelock import FileLock

        self._folder.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(self._folder / f"{fingerprint}-{precision}.lock", timeout=_LOCK_TIMEOUT_S),
            tempfile.TemporaryDirectory(prefix=".new-", dir=self._folder) as new,
        ):
            yield Path(new)

    def add(self, new: Path, spec: ModelSpec, precision: str, converted: dict[str, Any]) -> CachedModel:
        """Move the files in `new` to where `find` or `find_quantised` looks.

        `converted` are the figures of the conversion, kept in the manifest. Raises OSError.
        """
        names = sorted(file.name for file in new.iterdir())
        checksums = {name: checksum_of(new / name) for name in names}
        for name in names:
            sync_file(new / name)
        manifest = {"model": spec.as_json(), "checksums": checksums, "converted": converted}
        _write_json(new / MANIFEST, self._header() | manifest)
        folder = self._entry_folder(spec.base or spec.fingerprint, precision)
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
        sync_folder(self._folder)
        # `new_folder` removes it.
        new.mkdir()
        return CachedModel(folder, spec)

    def add_failure(self, fingerprint: str, precision: str, reason: str) -> None:
        """Remember why a model cannot be converted, so that it is not tried at each start."""
        with suppress(OSError):
            _write_json(self._entry_folder(fingerprint, precision) / MANIFEST, self._header() | {"reason": reason})

    def _header(self) -> dict[str, Any]:
        return {"version": _VERSION, "openvino": version("openvino")}

    def _entry_folder(self, fingerprint: str, precision: str) -> Path:
        return self._folder / f"{fingerprint}-{precision}"

    def _note_file(self, name: str) -> Path:
        import xxhash

        from service.encoder.models.hub_cache import files_of

        digest = xxhash.xxh3_128(name.encode())
        for file in files_of(name):
            facts = file.stat()
            digest.update(f"\n{file} {facts.st_size} {facts.st_mtime_ns}".encode())
        return self._folder / "sources" / f"{digest.hexdigest()}.json"


def _intact(folder: Path, manifest: dict[str, Any]) -> CachedModel | None:
    """The model in a folder; None where a file does not have the checksum in the manifest."""
    if any(checksum_of(folder / name) != checksum for name, checksum in manifest["checksums"].items()):
        return None
    return CachedModel(folder, ModelSpec.from_json(manifest["model"]))


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(content, indent=2) + "\n")
