"""An index on the disk: a memory-mapped base, a tail of later changes, and a manifest that names their files.

    vectors.json              the manifest
    vectors-NAME.rows.npy     base: vectors, float16 (n, dimension)
    vectors-NAME.ids.npy      base: photograph ids, int64 (n,)
    vectors-NAME.codes.faiss  base: product quantizer codes, in large indexes only
    vectors-NAME.tail         newer rows and their ids, and the positions of deleted rows of the base (safetensors)

Each NAME is random and never used again. The manifest is written last, atomically, and holds a checksum of each file. A
crash before that leaves the previous set and unnamed files, which the next save deletes. A process that has mapped an
older base can go on using it.
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

from service.index.scans import CodeScan, ExactScan, Limits, Scan, build_scan
from service.index.segments import Segment, Snapshot
from service.store.array_files import checksum_of, read_arrays, write_arrays
from service.store.atomic import sync_file, write_text
from service.types import AnyArray, Float16Array, Int64Array

VERSION = 2
MANIFEST = "vectors.json"
_DATA_FILES = "vectors-*"
_TEMPORARY_FILES = ".vectors*.part*"
"""What a process that was killed while writing the manifest or a tail has left."""
_VERSION_1_FILE = "vectors.faiss"
_ATTEMPTS = 3
"""How often the manifest is read again if a writer replaces the files meanwhile."""

Chunks = Iterable[tuple[Int64Array, Float16Array]]


@dataclass(frozen=True)
class SavedBase:
    """The files of a base, and the part of the manifest that describes them.

    `manifest` has the `name` that the files' names start with, `list`, the length of the shortlist (None without
    codes), and for each of `files` its size in `bytes` and its `checksum`.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the names of its files start with."""
        return str(self.manifest["name"])

    def has_all_files(self) -> bool:
        """Whether all files exist and have the right size."""
        try:
            return all((self.folder / name).stat().st_size == file["bytes"] for name, file in self._files().items())
        except OSError:
            return False

    def matches_checksums(self) -> bool:
        """Whether all files have their checksum; raises `OSError` for a file that cannot be read."""
        return all(checksum_of(self.folder / name) == file["checksum"] for name, file in self._files().items())

    def _files(self) -> Mapping[str, Any]:
        files: Mapping[str, Any] = self.manifest["files"]
        return files

    def segment(self, dimension: int, limits: Limits) -> Segment:
        """The base as a segment, mapped if it is large; for damaged files raises what NumPy and FAISS raise."""
        ids = np.load(self.folder / f"{self.name}.ids.npy", allow_pickle=False)
        rows = _read_rows(self.folder / f"{self.name}.rows.npy", len(ids), limits)
        if rows.shape != (len(ids), dimension) or rows.dtype != np.float16 or ids.dtype != np.int64:
            raise ValueError(f"the arrays of {self.name} have another shape or type than the manifest says")
        return Segment.of(rows, ids, self._scan(rows))

    def _scan(self, rows: Float16Array) -> Scan:
        import faiss

        if self.manifest["list"] is None:
            return ExactScan(rows)
        codes = faiss.read_index(str(self.folder / f"{self.name}.codes.faiss"))
        if codes.ntotal != len(rows) or codes.d != rows.shape[1]:
            raise ValueError(f"the codes of {self.name} belong to other rows")
        return CodeScan(rows, codes, int(self.manifest["list"]))


def write_base(
    folder: Path, dimension: int, count: int, chunks: Chunks, scan: Scan | None, limits: Limits
) -> SavedBase:
    """Writes `count` photographs as a base; `scan` is an existing scan of these rows in this order, if any.

    Raises `OSError` or FAISS's `RuntimeError` if the folder cannot be written to, after deleting what was written.
    """
    name = f"vectors-{secrets.token_hex(6)}"
    try:
        return _write_base(folder, name, dimension, count, chunks, scan, limits)
    except (OSError, RuntimeError):
        _delete(folder.glob(f"{name}.*"))
        raise


def _write_base(
    folder: Path, name: str, dimension: int, count: int, chunks: Chunks, scan: Scan | None, limits: Limits
) -> SavedBase:
    import faiss

    parts_of_ids: list[Int64Array] = []

    def parts_of_rows() -> Iterator[Float16Array]:
        for ids, rows in chunks:
            parts_of_ids.append(ids)
            yield rows

    rows_file, ids_file = folder / f"{name}.rows.npy", folder / f"{name}.ids.npy"
    files = {rows_file.name: _write_array(rows_file, np.dtype(np.float16), (count, dimension), parts_of_rows())}
    ids = np.concatenate([*parts_of_ids, np.empty(0, np.int64)])
    files[ids_file.name] = _write_array(ids_file, ids.dtype, ids.shape, [ids])
    scan = scan or build_scan(_read_rows(rows_file, count, limits), limits)
    if isinstance(scan, CodeScan):
        file = folder / f"{name}.codes.faiss"
        faiss.write_index(scan.codes, str(file))
        sync_file(file)
        files[file.name] = {"bytes": file.stat().st_size, "checksum": checksum_of(file)}
    return SavedBase(folder, {"name": name, "list": getattr(scan, "shortlist", None), "files": files})


def write_snapshot(folder: Path, snapshot: Snapshot, base: SavedBase, fingerprint: str) -> None:
    """Writes the tail and the deleted rows of `base`, then the manifest; then deletes files that it does not name.

    Raises `OSError` if the folder cannot be written to.
    """
    manifest: dict[str, Any] = {
        "version": VERSION,
        "fingerprint": fingerprint,
        "dimension": snapshot.base.rows.shape[1],
        "generation": snapshot.generation,
        "stamp": snapshot.stamp,
        "photographs": len(snapshot),
        "base": dict(base.manifest),
        "tail": None,
    }
    if len(snapshot.tail) or snapshot.base.deleted_count:
        alive = ~snapshot.tail.deleted
        file = folder / f"vectors-{secrets.token_hex(6)}.tail"
        arrays: dict[str, AnyArray] = {
            "rows": snapshot.tail.rows[alive],
            "ids": snapshot.tail.ids[alive],
            "dead": np.flatnonzero(snapshot.base.deleted),
        }
        manifest["tail"] = {"name": file.name, "checksum": write_arrays(file, arrays)}
    manifest["checksum"] = _checksum(manifest)
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    named = {*base.manifest["files"], (manifest["tail"] or {}).get("name")}
    _delete(file for file in folder.glob(_DATA_FILES) if file.name not in named)
    _delete([folder / _VERSION_1_FILE, *folder.glob(_TEMPORARY_FILES)])


def read_manifest(folder: Path, fingerprint: str, dimension: int) -> dict[str, Any] | None:
    """The manifest in a folder if it is valid and of this fingerprint and dimension, else None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        valid = (
            manifest["version"] == VERSION
            and manifest["fingerprint"] == fingerprint
            and manifest["dimension"] == dimension
            and manifest["stamp"] is not None
            and manifest.pop("checksum") == _checksum(manifest)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if valid else None


def read_snapshot(folder: Path, manifest: Mapping[str, Any], limits: Limits) -> tuple[Snapshot, SavedBase] | None:
    """The index in the files that the manifest names; None if one is missing, damaged or of another set."""
    try:
        saved = SavedBase(folder, manifest["base"])
        # NumPy and FAISS read files with flipped bits without an error.
        if not saved.has_all_files() or not saved.matches_checksums():
            return None
        dimension = int(manifest["dimension"])
        base = saved.segment(dimension, limits)
        tail = Segment.of(np.empty((0, dimension), np.float16), np.empty(0, np.int64))
        if manifest["tail"] is not None:
            arrays = read_arrays(folder / manifest["tail"]["name"], manifest["tail"]["checksum"])
            deleted = np.zeros(len(base.ids), np.bool_)
            deleted[arrays["dead"]] = True
            base = Segment(base.rows, base.ids, deleted, base.scan)
            tail = Segment.of(arrays["rows"].astype(np.float16, copy=False).reshape(-1, dimension), arrays["ids"])
        snapshot = Snapshot(base, tail, int(manifest["generation"]), str(manifest["stamp"]))
        return (snapshot, saved) if len(snapshot) == manifest["photographs"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError):
        return None


def read_newest(folder: Path, fingerprint: str, dimension: int, limits: Limits) -> tuple[Snapshot, SavedBase] | None:
    """The index saved in a folder, even while a writer replaces it; None if it is missing or damaged."""
    for _ in range(_ATTEMPTS):
        manifest = read_manifest(folder, fingerprint, dimension)
        if manifest is None:
            return None
        found = read_snapshot(folder, manifest, limits)
        if found is not None or read_manifest(folder, fingerprint, dimension) == manifest:
            return found
    return None


def _write_array(file: Path, dtype: np.dtype[Any], shape: tuple[int, ...], parts: Iterable[AnyArray]) -> dict[str, Any]:
    """Writes an array in NumPy's format, part by part; returns the file's size and checksum."""
    import xxhash

    header = BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    digest = xxhash.xxh3_128()
    with file.open("wb") as stream:
        for content in chain([header.getvalue()], (part.tobytes() for part in parts)):
            digest.update(content)
            stream.write(content)
        size = stream.tell()
    sync_file(file)
    return {"bytes": size, "checksum": digest.hexdigest()}


def _read_rows(file: Path, count: int, limits: Limits) -> Float16Array:
    """The rows of a base: mapped if there are many, else in memory, so that the file is not kept open."""
    mode: Literal["r"] | None = "r" if count > limits.small_until else None
    rows: Float16Array = np.asarray(np.load(file, mmap_mode=mode, allow_pickle=False))
    return rows


def _checksum(manifest: Mapping[str, Any]) -> str:
    import xxhash

    return str(xxhash.xxh3_128_hexdigest(json.dumps(manifest, sort_keys=True).encode()))


def _delete(files: Iterable[Path]) -> None:
    for file in list(files):
        # Windows does not delete a file that another process has mapped.
        with suppress(OSError):
            file.unlink()
