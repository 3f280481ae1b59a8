"""Pooled features of photographs, encoded once: what a head is fitted on and what likeness of kind is measured by.

A cache keeps them under the encoder's fingerprint and each file's content, so that a second fit or a measurement
starts at once, wherever the photographs lie by then. It grows by a file every few hundred photographs; a run that was
stopped goes on behind the last of them.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.kinds import LeftOut, content_hash
from service.compute.cores import usable_cores
from service.errors import PhotographError, UsageError
from service.types import Float32Array, Int64Array, OnProgress, UInt8Array

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


BATCH = 32
KEPT_AT_ONCE = 512
"""Photographs between two files of the cache."""


@dataclass(frozen=True, eq=False)
class Features:
    """Pooled features (m, width), float32, of length 1; `rows` (m,) are their files' places among those asked for.

    `failed` are the files that could not be read, with the reason.
    """

    features: Float32Array
    rows: Int64Array
    failed: tuple[LeftOut, ...] = ()


def features_of(
    files: Sequence[Path],
    encoder: Encoder,
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
    *,
    view: int = 0,
    threads: int | None = None,
) -> Features:
    """Pooled features of photographs, decoded as an index run does it, in the order of `files`.

    Each content is encoded once. `cache` is a folder that keeps features from one run to the next, None keeps
    nothing; `on_progress` is called with the photographs done and their number; `threads` decode, by default one for
    each core. `view` 0 is the photograph as it is indexed; any other number is a crop of its own, maybe mirrored, with
    a mild change of light, the same whenever it is drawn: what a head is better fitted on. One bad photograph stops
    nothing: it is in `failed`.

    Raises UsageError where the cache cannot be written.
    """
    tell = on_progress or _silent
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        hashes = list(pool.map(content_hash, files))
        names = [each or f"unread {place}" for place, each in enumerate(hashes)]
        store = None if cache is None else cache / "features" / encoder.features_fingerprint / str(view)
        known = {} if store is None else _kept(store, frozenset(filter(None, hashes)))
        missing = list({name: file for name, file in zip(names, files, strict=True) if name not in known}.items())
        reasons: dict[str, str] = {}
        done = len(files) - len(missing)
        tell(done, len(files))
        fresh: dict[str, Float32Array] = {}
        for batch in _encoded(missing, encoder, view, pool, reasons):
            fresh |= batch.features
            done += batch.photographs
            tell(done, len(files))
            if store is not None and len(fresh) >= KEPT_AT_ONCE:
                _keep(store, fresh)
                known, fresh = known | fresh, {}
    if store is not None and fresh:
        _keep(store, fresh)
    known |= fresh
    rows = [place for place, name in enumerate(names) if name in known]
    failed = [LeftOut(file, reasons[name]) for file, name in zip(files, names, strict=True) if name not in known]
    stacked = np.stack([known[names[row]] for row in rows]) if rows else np.empty((0, 0), np.float32)
    return Features(stacked, np.array(rows, np.int64), tuple(failed))


@dataclass(frozen=True)
class _Batch:
    """Features by content of a batch, and how many photographs it had, with those that could not be read."""

    features: dict[str, Float32Array]
    photographs: int


def _encoded(
    missing: Sequence[tuple[str, Path]],
    encoder: Encoder,
    view: int,
    pool: ThreadPoolExecutor,
    reasons: dict[str, str],
) -> Iterator[_Batch]:
    """Encode a batch while the next is decoded; why a file cannot be read goes to `reasons`."""
    prepare = partial(_prepared, encoder, view)
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
            yield _Batch(dict(zip(ready, pooled, strict=True)), len(batch))


def _prepared(encoder: Encoder, view: int, content: str, file: Path) -> UInt8Array:
    import xxhash

    from service.photos.decode import open_photograph
    from training.mini.views import view_of

    side = encoder.photograph_side
    image = open_photograph(file, max_side=2 * side).image
    if view:
        # By content, so that a view is the same wherever its photograph stands.
        image = view_of(image, side, np.random.default_rng((view, xxhash.xxh3_64_intdigest(content.encode()))))
    return encoder.prepare(image)


def _kept(store: Path, wanted: frozenset[str]) -> dict[str, Float32Array]:
    """What the cache has of the contents wanted; a file of it that is broken is passed over and made again."""
    found: dict[str, Float32Array] = {}
    for file in sorted(store.glob("*.npz")):
        try:
            with file.open("rb") as stream, np.load(stream) as kept:
                places = {name: place for place, name in enumerate(kept["contents"].tolist()) if name in wanted}
                if places:
                    features = kept["features"]
                    found |= {name: features[place] for name, place in places.items()}
        except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile):
            continue
    return found


def _keep(store: Path, features: dict[str, Float32Array]) -> None:
    import xxhash

    contents = list(features)
    name = xxhash.xxh3_64_hexdigest("".join(contents).encode())
    part = store / f"{name}.{os.getpid()}.part"
    try:
        store.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            np.savez(stream, contents=np.array(contents), features=np.stack(list(features.values())))
        part.replace(store / f"{name}.npz")
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise UsageError(
            f"Features cannot be kept in {store} ({error.strerror or error}). Name another folder with --cache."
        ) from None


def _silent(_done: int, _total: int) -> None:
    return None
