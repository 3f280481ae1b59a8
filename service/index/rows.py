"""Vectors as float16 rows, in memory or memory-mapped: conversion, exact top-k search with FAISS, and spooling.

A row is the vector of one photograph, a position the number of a row.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from service.types import Float16Array, Float32Array, Int64Array, UInt8Array

TopK = tuple[Float32Array, Int64Array]
"""Similarities (q, k), descending, and positions (q, k); position -1 where there are fewer than `k` rows."""

BLOCK = 16_384
"""Rows that are decoded, written or searched at once: 16 MB of 512 dimensions."""
_SAMPLE_BLOCK = 1_024


def flat_index(rows: Float16Array) -> Any:
    """A FAISS `SQfp16` inner-product index over rows (n, dimension), C-contiguous, that shares their memory.

    It must not outlive `rows`.
    """
    # FAISS's type stubs lack views.
    faiss: Any = import_module("faiss")
    dimension = rows.shape[1]
    index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    address = faiss.cast_integer_to_uint8_ptr(rows.ctypes.data)
    # Its owner owns nothing: NumPy keeps the memory. To FAISS's wrapper the owner is a bare pointer into this vector,
    # which must live until the view is made.
    empty = faiss.MaybeOwnedVectorUInt8()
    index.codes = faiss.MaybeOwnedVectorUInt8.create_view(address, rows.nbytes, empty.owner)
    index.ntotal = len(rows)
    return index


def to_float32(rows: Float16Array) -> Float32Array:
    """Rows (n, dimension) as float32; FAISS converts several times as fast as NumPy."""
    if not len(rows):
        return np.empty(rows.shape, np.float32)
    rows = np.ascontiguousarray(rows)
    vectors: Float32Array = flat_index(rows).reconstruct_n(0, len(rows))
    return vectors


def to_float16(vectors: Float16Array | Float32Array) -> Float16Array:
    """Vectors (n, dimension) as float16 rows, C-contiguous."""
    if vectors.dtype == np.float16 or not len(vectors):
        return np.ascontiguousarray(vectors, np.float16)
    rows = np.empty(vectors.shape, np.float16)
    codes: UInt8Array = flat_index(rows).sa_encode(np.ascontiguousarray(vectors, np.float32))
    return codes.view(np.float16)


def exact_search(
    rows: Float16Array, queries: Float32Array, k: int, positions: Int64Array | None = None, *, release: bool = False
) -> TopK:
    """The `k` nearest rows to each of `queries` (q, dimension), by comparison with every row.

    Args:
        rows: (n, dimension).
        queries: (q, dimension).
        k: at least 1.
        positions: searches only these rows.
        release: gives back the memory of mapped rows once they are read.
    """
    import faiss

    total = len(rows) if positions is None else len(positions)
    if total <= BLOCK:
        block = rows if positions is None else rows[positions]
        if not total:
            return np.full((len(queries), k), -1.0, np.float32), np.full((len(queries), k), -1, np.int64)
        similarities, found = flat_index(block).search(queries, k)
        return similarities, found if positions is None else np.where(found >= 0, positions[found], -1)
    best = faiss.ResultHeap(len(queries), k, keep_max=True)
    for start in range(0, total, BLOCK):
        block = rows[start : start + BLOCK] if positions is None else rows[positions[start : start + BLOCK]]
        similarities, found = flat_index(block).search(queries, k)
        best.add_result(similarities, np.where(found >= 0, found + start, -1))
        if release:
            release_pages(rows)
    best.finalize()
    return best.D, best.I if positions is None else np.where(best.I >= 0, positions[best.I], -1)


def map_rows(file: Any, dimension: int) -> Float16Array:
    """Maps an open file that contains nothing but rows, for reading."""
    if not os.fstat(file.fileno()).st_size:
        return np.empty((0, dimension), np.float16)
    return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.float16).reshape(-1, dimension)


def release_pages(rows: Float16Array) -> None:
    """Gives back the memory of mapped rows; the next access reads them from the file again."""
    holder: Any = rows
    while holder is not None and not isinstance(holder, mmap.mmap):
        holder = holder.obj if isinstance(holder, memoryview) else getattr(holder, "base", None)
    if holder is not None and hasattr(mmap, "MADV_DONTNEED"):
        holder.madvise(mmap.MADV_DONTNEED)


def evenly_spaced(rows: Float16Array, most: int) -> Float32Array:
    """At most `most` rows (n, dimension) at even distances, as float32; releases the memory of mapped rows."""
    positions = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(len(rows), most)).astype(np.int64))
    sample = np.empty((len(positions), rows.shape[1]), np.float16)
    # The system also maps the pages around each row, which adds up to the whole file.
    for start in range(0, len(positions), _SAMPLE_BLOCK):
        sample[start : start + _SAMPLE_BLOCK] = rows[positions[start : start + _SAMPLE_BLOCK]]
        release_pages(rows)
    return to_float32(sample)


class Spool:
    """Collects a stream of vectors: in memory while they are few, then in an unnamed temporary file that is mapped.

    Args:
        dimension: of the vectors.
        folder: of the temporary file; None keeps everything in memory.
        in_memory: the number of rows above which the file is used.
    """

    def __init__(self, dimension: int, folder: Path | None, in_memory: int) -> None:
        self._dimension = dimension
        self._folder = folder
        self._in_memory = in_memory
        self._ids: list[Int64Array] = []
        self._rows: list[Float16Array] = []
        self._count = 0
        self._file: Any = None

    def add(self, ids: Int64Array, vectors: Float16Array | Float32Array) -> None:
        """Appends ids (n,) and vectors (n, dimension); raises `OSError` if the disk is full or not writable."""
        self._ids.append(np.array(ids, np.int64))
        self._rows.append(to_float16(vectors))
        self._count += len(ids)
        if self._folder is not None and self._count > self._in_memory:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by `finish`
            for rows in self._rows:
                self._file.write(rows.tobytes())
            self._rows.clear()

    def finish(self) -> tuple[Float16Array, Int64Array]:
        """All rows (n, dimension) and ids (n,) in the order of their arrival."""
        ids = np.concatenate([*self._ids, np.empty(0, np.int64)])
        if self._file is not None:
            self._file.flush()
            rows = map_rows(self._file, self._dimension)
            self.close()
            return rows, ids
        rows = np.empty((self._count, self._dimension), np.float16)
        done = 0
        # Each part is freed once it is copied: all of them twice would be gigabytes.
        self._rows.reverse()
        while self._rows:
            part = self._rows.pop()
            rows[done : done + len(part)] = part
            done += len(part)
        return rows, ids

    def close(self) -> None:
        """Closes the file; rows that are mapped from it stay valid."""
        if self._file is not None:
            self._file.close()


def spool(
    chunks: Callable[[], Iterable[tuple[Int64Array, Float16Array | Float32Array]]],
    dimension: int,
    folder: Path | None,
    in_memory: int,
) -> tuple[Float16Array, Int64Array]:
    """Collects a stream of ids and vectors; if the disk fails, the stream is read again, into memory."""
    for target in dict.fromkeys((folder, None)):
        collected = Spool(dimension, target, in_memory)
        parts: Iterator[tuple[Int64Array, Float16Array | Float32Array]] = iter(chunks())
        try:
            for ids, vectors in parts:
                collected.add(ids, vectors)
            return collected.finish()
        except OSError:
            if target is None:
                raise
        finally:
            collected.close()
            close = getattr(parts, "close", None)
            if close is not None:
                close()
    raise AssertionError("the last attempt returns or raises")
