"""Pooled image features of many photographs, cached on disk: what heads are fitted on and kinds are compared by.

The cache is keyed by the encoder's fingerprint and each file's content, so that it survives moved and renamed files. A
file is added to it every few hundred photographs; an interrupted run resumes after the last one.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.kinds import LeftOut, content_hash
from service.compute.cores import usable_cores
from service.errors import PhotographError, UsageError
from service.store.atomic import replacing
from service.types import Float32Array, Int64Array, OnProgress, UInt8Array

if TYPE_CHECKING:
    from PIL import Image

    from service.encoder.encoder import Encoder


BATCH = 32
KEPT_AT_ONCE = 512
"""Photographs in one file of the cache."""


@dataclass(frozen=True, eq=False)
class Features:
    """Pooled features (m, width), float32, of length 1; `rows` (m,) are the positions of their files in the input.

    `failed` are the files that could not be read, with the reason.
    """

    features: Float32Array
    rows: Int64Array
    failed: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Augmentation:
    """A random view of each photograph, encoded in its place.

    `number`, 1 or more, names the view in the cache and seeds it together with the photograph's content, so that a
    photograph's view is always the same. `draw` is called with the image, the encoder's input side in pixels, and the
    generator.
    """

    number: int
    draw: Callable[[Image.Image, int, np.random.Generator], Image.Image]


def features_of(
    files: Sequence[Path],
    encoder: Encoder,
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
    *,
    augmentation: Augmentation | None = None,
    threads: int | None = None,
) -> Features:
    """Pooled features of photographs in the order of `files`, decoded as indexing decodes them.

    Files with equal content are encoded once; a file that cannot be read ends up in `failed`.

    Args:
        files: the photographs.
        encoder: computes the features.
        cache: folder that keeps features between runs; None keeps nothing.
        on_progress: called with the photographs done and their number.
        augmentation: encodes a random view of each photograph; None encodes the photographs as they are indexed.
        threads: threads that decode; None is one per core.

    Raises:
        UsageError: the cache cannot be written.
    """
    report = on_progress or _silent
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        hashes = list(pool.map(content_hash, files))
        names = [each or f"unread {position}" for position, each in enumerate(hashes)]
        number = 0 if augmentation is None else augmentation.number
        store = None if cache is None else cache / "features" / encoder.features_fingerprint / str(number)
        known = {} if store is None else _read_cache(store, frozenset(filter(None, hashes)))
        missing = list({name: file for name, file in zip(names, files, strict=True) if name not in known}.items())
        reasons: dict[str, str] = {}
        done = len(files) - len(missing)
        report(done, len(files))
        fresh: dict[str, Float32Array] = {}
        for features, photographs in _encoded_batches(missing, encoder, augmentation, pool, reasons):
            fresh |= features
            done += photographs
            report(done, len(files))
            if store is not None and len(fresh) >= KEPT_AT_ONCE:
                _write_cache(store, fresh)
                known, fresh = known | fresh, {}
    if store is not None and fresh:
        _write_cache(store, fresh)
    known |= fresh
    rows = [row for row, name in enumerate(names) if name in known]
    failed = [LeftOut(file, reasons[name]) for file, name in zip(files, names, strict=True) if name not in known]
    stacked = np.stack([known[names[row]] for row in rows]) if rows else np.empty((0, 0), np.float32)
    return Features(stacked, np.array(rows, np.int64), tuple(failed))


def _encoded_batches(
    missing: Sequence[tuple[str, Path]],
    encoder: Encoder,
    augmentation: Augmentation | None,
    pool: ThreadPoolExecutor,
    reasons: dict[str, str],
) -> Iterator[tuple[dict[str, Float32Array], int]]:
    """Features by content hash and the number of photographs of each batch; the next is decoded meanwhile.

    Adds to `reasons` why a file cannot be read.
    """
    prepare = partial(_prepared, encoder, augmentation)
    batches = [missing[first : first + BATCH] for first in range(0, len(missing), BATCH)]
    waiting: list[Future[UInt8Array]] = []
    for batch, following in zip([[], *batches], [*batches, []], strict=True):
        current, waiting = waiting, [pool.submit(prepare, *each) for each in following]
        ready: dict[str, UInt8Array] = {}
        for (name, _), each in zip(batch, current, strict=True):
            try:
                ready[name] = each.result()
            except PhotographError as error:
                reasons[name] = error.message
        if batch:
            pooled = encoder.encode_with_features(list(ready.values()))[1] if ready else ()
            yield dict(zip(ready, pooled, strict=True)), len(batch)


def _prepared(encoder: Encoder, augmentation: Augmentation | None, content: str, file: Path) -> UInt8Array:
    import xxhash

    from service.photos.decode import open_photograph

    side = encoder.photograph_side
    image = open_photograph(file, shorter_side=2 * side).image
    if augmentation is not None:
        # Seeded by content, so that a view does not depend on the order of the files.
        seed = (augmentation.number, xxhash.xxh3_64_intdigest(content.encode()))
        image = augmentation.draw(image, side, np.random.default_rng(seed))
    return encoder.prepare(image)


def _read_cache(store: Path, wanted: frozenset[str]) -> dict[str, Float32Array]:
    """Cached features of the wanted content hashes; a damaged file is skipped and its features computed again."""
    found: dict[str, Float32Array] = {}
    for file in sorted(store.glob("*.npz")):
        try:
            with file.open("rb") as stream, np.load(stream) as kept:
                rows = {name: row for row, name in enumerate(kept["contents"].tolist()) if name in wanted}
                if rows:
                    features = kept["features"]
                    found |= {name: features[row] for name, row in rows.items()}
        except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile):
            continue
    return found


def _write_cache(store: Path, features: dict[str, Float32Array]) -> None:
    import xxhash

    contents = list(features)
    name = xxhash.xxh3_64_hexdigest("".join(contents).encode())
    try:
        store.mkdir(parents=True, exist_ok=True)
        with replacing(store / f"{name}.npz") as file, file.open("wb") as stream:
            np.savez(stream, contents=np.array(contents), features=np.stack(list(features.values())))
    except OSError as error:
        raise UsageError(
            f"Features cannot be kept in {store} ({error.strerror or error}). Name another folder with --cache."
        ) from None


def _silent(_done: int, _total: int) -> None:
    return None
