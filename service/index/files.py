"""An index on the disk: a base that is mapped, what came and went since beside it, and the facts that name them.

Every file but the facts has a name of its own that is never used again. The facts are written last, in one step, and
name each file with its checksum: a crash before leaves the set that was there, and files that nobody names, which
the next save removes. Whoever has mapped an older base goes on with it.

    vectors.json              the facts
    vectors-NAME.rows.npy     the base: float16 (n, dimension)
    vectors-NAME.ids.npy      its photographs: int64 (n,)
    vectors-NAME.codes.faiss  its codes, where it is large
    vectors-NAME.tail         newer rows with their ids, and which rows of the base are dead (safetensors)
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from service.index.scans import Coarse, Exact, Limits, Scan, scan_of
from service.index.segments import Segment, State
from service.store.array_files import checksum_of, read_arrays, write_arrays
from service.store.atomic import sync_file, write_text
from service.types import AnyArray, Float16Array, Int64Array

VERSION = 2
FACTS = "vectors.json"
_NAMES = "vectors-*"
_HALF_WRITTEN = ".vectors*.part*"
"""What a process leaves that is killed while it writes the facts or a tail."""
_BEFORE = "vectors.faiss"
"""What held all before there was a base."""
_READ_AGAIN = 3
"""Times that the facts are read again where a writer has replaced the files meanwhile."""

Chunks = Iterable[tuple[Int64Array, Float16Array]]


@dataclass(frozen=True)
class SavedBase:
    """A base on the disk: what its files are called, and what the facts say of them."""

    folder: Path
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the names of its files begin with."""
        return str(self.facts["name"])

    def is_whole(self) -> bool:
        """Whether all its files are there, as long as they were."""
        try:
            return all((self.folder / name).stat().st_size == file["bytes"] for name, file in self._files().items())
        except OSError:
            return False

    def is_sound(self) -> bool:
        """Whether all its files hold what was written; raises `OSError` where one cannot be read."""
        return all(checksum_of(self.folder / name) == file["checksum"] for name, file in self._files().items())

    def _files(self) -> Mapping[str, Any]:
        files: Mapping[str, Any] = self.facts["files"]
        return files

    def segment(self, dimension: int, limits: Limits) -> Segment:
        """Its rows, mapped, with its scan; raises what NumPy and FAISS raise of files that are not sound."""
        ids = np.load(self.folder / f"{self.name}.ids.npy", allow_pickle=False)
        rows = _rows_of(self.folder / f"{self.name}.rows.npy", len(ids), limits)
        if rows.shape != (len(ids), dimension) or rows.dtype != np.float16 or ids.dtype != np.int64:
            raise ValueError(f"{self.name} holds other arrays than the facts say")
        return Segment.of(rows, ids, self._scan(rows))

    def _scan(self, rows: Float16Array) -> Scan:
        import faiss

        if self.facts["list"] is None:
            return Exact(rows)
        codes = faiss.read_index(str(self.folder / f"{self.name}.codes.faiss"))
        if codes.ntotal != len(rows) or codes.d != rows.shape[1]:
            raise ValueError(f"{self.name} holds codes of other rows")
        return Coarse(rows, codes, int(self.facts["list"]))


def write_base(
    folder: Path, dimension: int, count: int, chunks: Chunks, scan: Scan | None, limits: Limits
) -> SavedBase:
    """Write `count` photographs as a base; `scan` is theirs where there is one in the same order already.

    Raises `OSError` or FAISS's `RuntimeError` where the folder does not take it; what was written is removed then.
    """
    name = f"vectors-{secrets.token_hex(6)}"
    try:
        return _written_base(folder, name, dimension, count, chunks, scan, limits)
    except (OSError, RuntimeError):
        _remove(folder.glob(f"{name}.*"))
        raise


def _written_base(
    folder: Path, name: str, dimension: int, count: int, chunks: Chunks, scan: Scan | None, limits: Limits
) -> SavedBase:
    import faiss

    ids: list[Int64Array] = []

    def rows() -> Iterator[Float16Array]:
        for part, vectors in chunks:
            ids.append(part)
            yield vectors

    rows_file, ids_file = folder / f"{name}.rows.npy", folder / f"{name}.ids.npy"
    files = {rows_file.name: _write_array(rows_file, np.dtype(np.float16), (count, dimension), rows())}
    every = np.concatenate([*ids, np.empty(0, np.int64)])
    files[ids_file.name] = _write_array(ids_file, every.dtype, every.shape, [every])
    scan = scan or scan_of(_rows_of(rows_file, count, limits), limits)
    if isinstance(scan, Coarse):
        file = folder / f"{name}.codes.faiss"
        faiss.write_index(scan.codes, str(file))
        sync_file(file)
        files[file.name] = {"bytes": file.stat().st_size, "checksum": checksum_of(file)}
    return SavedBase(folder, {"name": name, "list": getattr(scan, "length", None), "files": files})


def write_state(folder: Path, state: State, base: SavedBase, fingerprint: str) -> None:
    """Write what came and went since `base`, and then the facts; after that remove the files of older facts.

    Raises `OSError` where the folder does not take it.
    """
    facts: dict[str, Any] = {
        "version": VERSION,
        "fingerprint": fingerprint,
        "dimension": state.base.rows.shape[1],
        "generation": state.generation,
        "stamp": state.stamp,
        "photographs": len(state),
        "base": dict(base.facts),
        "tail": None,
    }
    if len(state.tail) or state.base.gone:
        alive = ~state.tail.dead
        file = folder / f"vectors-{secrets.token_hex(6)}.tail"
        arrays: dict[str, AnyArray] = {
            "rows": state.tail.rows[alive],
            "ids": state.tail.ids[alive],
            "dead": np.flatnonzero(state.base.dead),
        }
        try:
            facts["tail"] = {"name": file.name, "checksum": write_arrays(file, arrays)}
        except OSError:
            _remove([file])
            raise
    facts["checksum"] = _checksum(facts)
    write_text(folder / FACTS, json.dumps(facts, indent=2) + "\n")
    named = {*base.facts["files"], (facts["tail"] or {}).get("name")}
    _remove(file for file in folder.glob(_NAMES) if file.name not in named)
    _remove([folder / _BEFORE, *folder.glob(_HALF_WRITTEN)])


def read_facts(folder: Path, fingerprint: str, dimension: int) -> dict[str, Any] | None:
    """The facts of a folder where they are whole and of this fingerprint and dimension, else None."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        sound = (
            facts["version"] == VERSION
            and facts["fingerprint"] == fingerprint
            and facts["dimension"] == dimension
            and facts["stamp"] is not None
            and facts.pop("checksum") == _checksum(facts)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return facts if sound else None


def read_state(folder: Path, facts: Mapping[str, Any], limits: Limits) -> tuple[State, SavedBase] | None:
    """What the files hold that `facts` name, None where one is missing, damaged or of another set."""
    try:
        saved = SavedBase(folder, facts["base"])
        # NumPy and FAISS read a file with flipped bits without a word.
        if not saved.is_whole() or not saved.is_sound():
            return None
        dimension = int(facts["dimension"])
        base = saved.segment(dimension, limits)
        tail = Segment.of(np.empty((0, dimension), np.float16), np.empty(0, np.int64))
        if facts["tail"] is not None:
            arrays = read_arrays(folder / facts["tail"]["name"], facts["tail"]["checksum"])
            dead = np.zeros(len(base.ids), np.bool_)
            dead[arrays["dead"]] = True
            base = Segment(base.rows, base.ids, dead, base.scan)
            tail = Segment.of(arrays["rows"].astype(np.float16, copy=False).reshape(-1, dimension), arrays["ids"])
        state = State(base, tail, int(facts["generation"]), str(facts["stamp"]))
        return (state, saved) if len(state) == facts["photographs"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError):
        return None


def read_newest(folder: Path, fingerprint: str, dimension: int, limits: Limits) -> tuple[State, SavedBase] | None:
    """What is saved in a folder, also while a writer replaces it; None where it is not sound."""
    for _ in range(_READ_AGAIN):
        facts = read_facts(folder, fingerprint, dimension)
        if facts is None:
            return None
        found = read_state(folder, facts, limits)
        if found is not None or read_facts(folder, fingerprint, dimension) == facts:
            return found
    return None


def _write_array(file: Path, kind: np.dtype[Any], shape: tuple[int, ...], parts: Iterable[AnyArray]) -> dict[str, Any]:
    """Write an array in NumPy's format, part by part; the file's size and checksum."""
    import xxhash

    header = BytesIO()
    facts = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    digest = xxhash.xxh3_128()
    with file.open("wb") as stream:
        for content in chain([header.getvalue()], (part.tobytes() for part in parts)):
            digest.update(content)
            stream.write(content)
        size = stream.tell()
    sync_file(file)
    return {"bytes": size, "checksum": digest.hexdigest()}


def _rows_of(file: Path, count: int, limits: Limits) -> Float16Array:
    """The rows of a file: few in memory, so that nobody holds on to the file, many mapped."""
    mode: Literal["r"] | None = "r" if count > limits.whole_until else None
    rows: Float16Array = np.asarray(np.load(file, mmap_mode=mode, allow_pickle=False))
    return rows


def _checksum(facts: Mapping[str, Any]) -> str:
    import xxhash

    return str(xxhash.xxh3_128_hexdigest(json.dumps(facts, sort_keys=True).encode()))


def _remove(files: Iterable[Path]) -> None:
    for file in list(files):
        # A file that another process has mapped may stay, on systems that do not let it go.
        with suppress(OSError):
            file.unlink()
