"""Converted models in the user's cache folder: found without loading a network, whole or not at all.

`sources/KEY.json` says which fingerprint a model's files had when they were last loaded; the key is made of their
paths, sizes and times. `FINGERPRINT-PRECISION/` holds the graphs of a model for one version of OpenVINO, with a JSON
that is written last and names the checksums of the other files; what does not fit is made anew. `FINGERPRINT-int8/`
holds what was quantised of the model with that fingerprint: a model of its own, with a fingerprint of its own, which
no version makes anew, since vectors were made with it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from service.encoder.runtimes.model_spec import ModelFacts
from service.store.array_files import checksum_of

_VERSION = 1
FACTS = "facts.json"
INT8 = "int8"
_PATIENCE_S = 600.0
"""Seconds that a process waits for another that converts the same model."""


@dataclass(frozen=True)
class Conversion:
    """What a conversion came to: a `folder` with graphs, or `reason` why there are none, in half a sentence."""

    folder: Path | None
    facts: ModelFacts | None
    reason: str | None


class KeptModels:
    """The converted models below a folder. Several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "runtimes"

    def fingerprint_of(self, name: str) -> str | None:
        """The fingerprint that the model `name` had with the files that it has now; None where nobody noted it."""
        try:
            noted = json.loads(self._note(name).read_text(encoding="utf-8"))
            return str(noted["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, name: str, fingerprint: str) -> None:
        """Remember the fingerprint of a model's files; a cache that takes nothing is no fault."""
        try:
            file = self._note(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(file, {"name": name, "fingerprint": fingerprint})
        except OSError:
            return

    def find(self, fingerprint: str, precision: str) -> Conversion | None:
        """What is kept of a model: its graphs, or why they could not be made; None where it is not known."""
        folder = self._place(fingerprint, precision)
        try:
            written = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            if (written["version"], written["openvino"]) != (_VERSION, version("openvino")):
                return None
            if written.get("reason"):
                return Conversion(None, None, str(written["reason"]))
            return _whole(folder, written)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def find_quantised(self, base: str) -> Conversion | None:
        """What was quantised of the model with the fingerprint `base`, or why it cannot be used; None where nothing."""
        folder = self._place(base, INT8)
        if not folder.is_dir():
            return None
        try:
            written = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            whole = _whole(folder, written) if written["version"] == _VERSION else None
        except (OSError, ValueError, KeyError, TypeError):
            whole = None
        return whole or Conversion(None, None, f"{folder} is damaged")

    def base_of(self, fingerprint: str) -> str | None:
        """The fingerprint of the model of which one with `fingerprint` was quantised; None where there is none."""
        for file in self._folder.glob(f"*-{INT8}/{FACTS}"):
            try:
                model = json.loads(file.read_text(encoding="utf-8"))["model"]
                if model["fingerprint"] == fingerprint:
                    return str(model["base"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None

    def compiled(self, fingerprint: str, precision: str) -> Path:
        """The folder for compiled graphs of a model; they are OpenVINO's own, for its version and the processor."""
        import xxhash

        from service.encoder.runtimes.openvino_towers import processor

        machine = xxhash.xxh3_64_hexdigest(f"{version('openvino')} {processor()}".encode())
        return self._folder / "compiled" / f"{fingerprint}-{precision}-{machine}"

    @contextmanager
    def converting(self, fingerprint: str, precision: str) -> Iterator[Path]:
        """A new folder to convert into, one process at a time; what is in it at the end is kept by `keep`.

        Raises OSError where the cache folder does not take it, and TimeoutError where another process takes too long.
        """
        from filelock import FileLock

        self._folder.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(self._folder / f"{fingerprint}-{precision}.lock", timeout=_PATIENCE_S),
            tempfile.TemporaryDirectory(prefix=".new-", dir=self._folder) as new,
        ):
            yield Path(new)

    def keep(self, new: Path, facts: ModelFacts, precision: str, converted: dict[str, Any]) -> Path:
        """Put the graphs in `new` in their place; the folder where they are now.

        `converted` is what there is to tell of how they were made. Raises OSError.
        """
        names = sorted(file.name for file in new.iterdir())
        checksums = {name: checksum_of(new / name) for name in names}
        _write(new / FACTS, self._head() | {"model": facts.as_json(), "checksums": checksums, "converted": converted})
        place = self._place(facts.base or facts.fingerprint, precision)
        if place.exists():
            shutil.rmtree(place)
        new.rename(place)
        # Whoever made the folder wants to remove it.
        new.mkdir()
        return place

    def keep_reason(self, fingerprint: str, precision: str, reason: str) -> None:
        """Remember that a model cannot be used as graphs, so that this is not tried at each start."""
        try:
            place = self._place(fingerprint, precision)
            place.mkdir(parents=True, exist_ok=True)
            _write(place / FACTS, self._head() | {"reason": reason})
        except OSError:
            return

    def _head(self) -> dict[str, Any]:
        return {"version": _VERSION, "openvino": version("openvino")}

    def _place(self, fingerprint: str, precision: str) -> Path:
        return self._folder / f"{fingerprint}-{precision}"

    def _note(self, name: str) -> Path:
        import xxhash

        from service.encoder.models.cache import files_of

        digest = xxhash.xxh3_128(name.encode())
        for file in files_of(name):
            facts = file.stat()
            digest.update(f"\n{file} {facts.st_size} {facts.st_mtime_ns}".encode())
        return self._folder / "sources" / f"{digest.hexdigest()}.json"


def _whole(folder: Path, written: dict[str, Any]) -> Conversion | None:
    """What is in a folder with the JSON `written`; None where a file is not as it was."""
    if any(checksum_of(folder / name) != checksum for name, checksum in written["checksums"].items()):
        return None
    return Conversion(folder, ModelFacts.of(written["model"]), None)


def _write(file: Path, content: dict[str, Any]) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(file)
