"""What leaving out borders does for a search with a photograph, and that photographs without borders are left alone.

Photographs of a split get borders of known place (`eval.letterboxed`), and each copy searches all photographs of the
split for the one that it was made of, by cosine: once with its borders, once without those that `service.photos.letterbox`
finds. `r1_kept` and `r1` are the shares, in per cent, that find it first, `cosine_kept` and `cosine` the mean cosine to
it. `boxes` is the share of copies of which a part is found that has more than 0.9 in common with the right one
(intersection over union), and `cut` are the photographs, without any border that was added, of which something was cut
off. Some of these have borders of their own, so that they are named and to be looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.captions import CaptionedPhotograph, read_captions
from eval.bootstrap import Interval, interval, resample_counts
from eval.letterboxed import BORDERS, LetterboxedCopy, add_border, iou
from service.errors import PhotographError, UsageError
from service.types import Float32Array, Float64Array, OnProgress

if TYPE_CHECKING:
    from PIL import Image

    from service.encoder.encoder import Encoder


BATCH = 32
RIGHT = 0.9
"""Intersection over union above which a part is the right one."""


@dataclass(frozen=True)
class BordersReport:
    """Figures in per cent and cosines with their 95 % intervals over photographs; see this module.

    `kinds` has the same figures of each kind of border. `cut` names the photographs without added borders of which
    something was cut off, among `bare` of them in all.
    """

    model: str
    photographs: int
    copies: int
    figures: dict[str, float]
    intervals: dict[str, Interval]
    kinds: dict[str, dict[str, float]]
    bare: int
    cut: list[str]
    seconds: float = field(compare=False)

    def as_json(self) -> dict[str, Any]:
        """As plain numbers and texts."""
        return asdict(self)


@dataclass(frozen=True)
class _Copy:
    """A copy, whose photograph it is, and what was found of it: both vectors and whether the part is right."""

    kind: str
    own: int
    kept: Float32Array
    found: Float32Array
    is_right: bool


def evaluate(
    encoder: Encoder,
    folder: Path,
    split: str = "test",
    *,
    copies: int = 300,
    also: Sequence[Path] = (),
    on_progress: OnProgress | None = None,
) -> BordersReport:
    """Measure on `copies` photographs of `split`, evenly drawn, with the kinds of borders in turn.

    Photographs in the folders `also` are looked at for cuts too, with those of the split. Raises `DataError` for data
    with a fault, `UsageError` for fewer than one copy or more than photographs, `PhotographError` for a photograph of
    the split that cannot be read.
    """
    start = time.perf_counter()
    photographs = read_captions(folder, split)
    if not 1 <= copies <= len(photographs):
        raise UsageError(
            f"copies is {copies}; it must be from 1 to {len(photographs):,}, the photographs of the split."
        )
    others = [file for more in also for file in _photographs_in(more)]
    report = _counter(on_progress, len(photographs) + copies + len(others))
    vectors, cut = _encode_split(encoder, photographs, report)
    made = [_copy(encoder, photographs, number, copies, report) for number in range(copies)]
    read, cut_of_others = _look_at(others, report)
    shares = _shares(made, vectors)
    return BordersReport(
        model=encoder.name,
        photographs=len(photographs),
        copies=copies,
        figures={name: float(values.mean()) for name, values in shares.items()},
        intervals={name: _interval(values) for name, values in shares.items()},
        kinds={kind: _of_kind(kind, made, shares) for kind in BORDERS if any(each.kind == kind for each in made)},
        bare=len(photographs) + read,
        cut=cut + cut_of_others,
        seconds=time.perf_counter() - start,
    )


def _encode_split(
    encoder: Encoder, photographs: Sequence[CaptionedPhotograph], report: Callable[[], None]
) -> tuple[Float32Array, list[str]]:
    """Vectors of the photographs as they are, and the files of those of which something would be cut off."""
    rows, cut = [], []
    for first in range(0, len(photographs), BATCH):
        images = [_read(photograph.path) for photograph in photographs[first : first + BATCH]]
        rows.append(encoder.encode_photographs(images))
        for photograph, image in zip(photographs[first:], images, strict=False):
            report()
            if _is_cut(image):
                cut.append(str(photograph.path))
    return np.concatenate(rows), cut


def _copy(
    encoder: Encoder,
    photographs: Sequence[CaptionedPhotograph],
    number: int,
    copies: int,
    report: Callable[[], None],
) -> _Copy:
    from service.photos.crop import crop
    from service.photos.letterbox import box_inside_borders

    own = number * len(photographs) // copies
    kind = list(BORDERS)[number % len(BORDERS)]
    photograph = photographs[own]
    copy: LetterboxedCopy = add_border(_read(photograph.path), kind, photograph.captions[0].text, number)
    try:
        part = box_inside_borders(copy.image)
    except UsageError:
        part = None
    searched = copy.image if part is None else crop(copy.image, part)
    kept, found = encoder.encode_photographs([copy.image, searched])
    report()
    return _Copy(kind, own, kept, found, part is not None and iou(part, copy.box) > RIGHT)


def _shares(made: Sequence[_Copy], vectors: Float32Array) -> dict[str, Float64Array]:
    """Each figure of each copy, float64 (copies,), whose means are the figures."""
    own = np.array([each.own for each in made])
    shares = {}
    for name, queries in (
        ("_kept", np.stack([each.kept for each in made])),
        ("", np.stack([each.found for each in made])),
    ):
        similarities = queries @ vectors.T
        mine = np.take_along_axis(similarities, own[:, None], axis=1)
        # Ties count against the search: what is as near as the right one stands before it.
        shares[f"r1{name}"] = 100.0 * ((similarities >= mine).sum(axis=1) == 1)
        shares[f"cosine{name}"] = mine[:, 0].astype(np.float64)
    return shares | {"boxes": np.array([100.0 * each.is_right for each in made])}


def _of_kind(kind: str, made: Sequence[_Copy], shares: dict[str, Float64Array]) -> dict[str, float]:
    rows = [row for row, each in enumerate(made) if each.kind == kind]
    return {"copies": len(rows)} | {name: float(values[rows].mean()) for name, values in shares.items()}


def _interval(values: Float64Array) -> Interval:
    return interval([float(values @ drawn / drawn.sum()) for drawn in resample_counts(len(values))])


def _is_cut(image: Image.Image) -> bool:
    from service.photos.letterbox import box_inside_borders

    try:
        return box_inside_borders(image) is not None
    except UsageError:
        return True


def _photographs_in(folder: Path) -> list[Path]:
    from service.photos.decode import is_photograph_name

    return [file for file in sorted(folder.rglob("*")) if is_photograph_name(file.name) and file.is_file()]


def _look_at(files: Sequence[Path], report: Callable[[], None]) -> tuple[int, list[str]]:
    """How many files are photographs that can be read, and those of which something would be cut off."""
    read, cut = 0, []
    for file in files:
        report()
        try:
            image = _read(file)
        except PhotographError:
            continue
        read += 1
        if _is_cut(image):
            cut.append(str(file))
    return read, cut


def _read(file: Path) -> Image.Image:
    from service.photos.crop import QUERY_SIDE
    from service.photos.decode import open_photograph

    try:
        return open_photograph(file, shorter_side=QUERY_SIDE).image
    except PhotographError as error:
        raise PhotographError(f"{file} cannot be used as a photograph: {error.message}.") from None


def _counter(callback: OnProgress | None, total: int) -> Callable[[], None]:
    """Counts what is done, one by one, for a callback that wants (done, in all)."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if callback is not None:
            callback(done, total)

    return count
