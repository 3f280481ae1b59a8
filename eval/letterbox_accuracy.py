"""What removing borders does for a search with a photograph, and whether photographs without borders are left alone.

Photographs of a split get borders with known positions of the picture (`eval.letterboxed`). Each copy searches all
photographs of the split for its original, by cosine: once with its borders and once cropped to what
`service.photos.letterbox` finds. `r1_kept` and `r1` are the shares, in percent, whose original comes first with and
without borders, `cosine_kept` and `cosine` the mean cosines to it. `boxes` is the share of copies whose detected box
has an intersection over union of more than 0.9 with the true one. `cut` lists the photographs without added borders
that were cropped nevertheless; some have borders of their own, so they are listed for inspection.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.captions import CaptionedPhotograph, read_captions
from eval.bootstrap import Interval, interval, resample_counts
from eval.letterboxed import BORDERS, add_border, iou
from eval.timing import ProgressCounter
from service.errors import PhotographError, UsageError
from service.types import Float32Array, Float64Array, OnProgress

if TYPE_CHECKING:
    from PIL import Image

    from service.encoder.encoder import Encoder


BATCH = 32
MIN_IOU = 0.9
"""Intersection over union above which a detected box is right."""


@dataclass(frozen=True)
class BordersReport:
    """Figures in percent and cosines, with 95 % intervals over photographs; the module describes them.

    `kinds` has the same figures for each kind of border. `cut` lists the photographs without added borders that were
    cropped, out of `bare`.
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
        """All fields, for `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class _Copy:
    """A copy's border, the row of its original, its vectors with borders and cropped, and whether the crop is right."""

    kind: str
    original: int
    with_borders: Float32Array
    cropped: Float32Array
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
    """Measure on `copies` evenly spaced photographs of `split`, with the kinds of borders in turn.

    Photographs in the folders `also` are checked for wrong crops too. Raises `DataError` for faulty data, `UsageError`
    for fewer than one copy or more than there are photographs, `PhotographError` for a photograph of the split that
    cannot be read.
    """
    start = time.perf_counter()
    photographs = read_captions(folder, split)
    if not 1 <= copies <= len(photographs):
        raise UsageError(
            f"--copies is {copies}; it must be from 1 to {len(photographs):,}, the photographs of the split."
        )
    others = [file for more in also for file in _photographs_in(more)]
    progress = ProgressCounter(on_progress, len(photographs) + copies + len(others))
    vectors, cut = _encode_split(encoder, photographs, progress)
    made = [_copy(encoder, photographs, number, copies, progress) for number in range(copies)]
    read, cut_of_others = _cropped_files(others, progress)
    shares = _values_by_copy(made, vectors)
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
    encoder: Encoder, photographs: Sequence[CaptionedPhotograph], progress: ProgressCounter
) -> tuple[Float32Array, list[str]]:
    """Vectors of the photographs as they are, and the files of those that would be cropped."""
    rows, cut = [], []
    for first in range(0, len(photographs), BATCH):
        images = [_read(photograph.path) for photograph in photographs[first : first + BATCH]]
        rows.append(encoder.encode_photographs(images))
        for photograph, image in zip(photographs[first:], images, strict=False):
            progress.add()
            if _is_cropped(image):
                cut.append(str(photograph.path))
    return np.concatenate(rows), cut


def _copy(
    encoder: Encoder,
    photographs: Sequence[CaptionedPhotograph],
    number: int,
    copies: int,
    progress: ProgressCounter,
) -> _Copy:
    from service.photos.crop import crop
    from service.photos.letterbox import box_inside_borders

    original = number * len(photographs) // copies
    kind = list(BORDERS)[number % len(BORDERS)]
    photograph = photographs[original]
    copy = add_border(_read(photograph.path), kind, photograph.captions[0].text, number)
    try:
        box = box_inside_borders(copy.image)
    except UsageError:
        box = None
    cropped = copy.image if box is None else crop(copy.image, box)
    with_borders, without = encoder.encode_photographs([copy.image, cropped])
    progress.add()
    return _Copy(kind, original, with_borders, without, box is not None and iou(box, copy.box) > MIN_IOU)


def _values_by_copy(made: Sequence[_Copy], vectors: Float32Array) -> dict[str, Float64Array]:
    """The value of each copy, float64 (copies,), for each figure; the means are the figures."""
    originals = np.array([each.original for each in made])
    shares = {}
    for name, queries in (
        ("_kept", np.stack([each.with_borders for each in made])),
        ("", np.stack([each.cropped for each in made])),
    ):
        similarities = queries @ vectors.T
        to_original = np.take_along_axis(similarities, originals[:, None], axis=1)
        # Ties count against the search: a photograph as similar as the original ranks before it.
        shares[f"r1{name}"] = 100.0 * ((similarities >= to_original).sum(axis=1) == 1)
        shares[f"cosine{name}"] = to_original[:, 0].astype(np.float64)
    return shares | {"boxes": np.array([100.0 * each.is_right for each in made])}


def _of_kind(kind: str, made: Sequence[_Copy], shares: dict[str, Float64Array]) -> dict[str, float]:
    rows = [row for row, each in enumerate(made) if each.kind == kind]
    return {"copies": len(rows)} | {name: float(values[rows].mean()) for name, values in shares.items()}


def _interval(values: Float64Array) -> Interval:
    return interval([float(values @ drawn / drawn.sum()) for drawn in resample_counts(len(values))])


def _is_cropped(image: Image.Image) -> bool:
    from service.photos.letterbox import box_inside_borders

    try:
        return box_inside_borders(image) is not None
    except UsageError:
        return True


def _photographs_in(folder: Path) -> list[Path]:
    from service.photos.formats import is_photograph_name

    return [file for file in sorted(folder.rglob("*")) if is_photograph_name(file.name) and file.is_file()]


def _cropped_files(files: Sequence[Path], progress: ProgressCounter) -> tuple[int, list[str]]:
    """How many files are readable photographs, and those that would be cropped."""
    read, cut = 0, []
    for file in files:
        progress.add()
        try:
            image = _read(file)
        except PhotographError:
            continue
        read += 1
        if _is_cropped(image):
            cut.append(str(file))
    return read, cut


def _read(file: Path) -> Image.Image:
    from service.photos.crop import QUERY_SIDE
    from service.photos.decode import open_photograph

    try:
        return open_photograph(file, shorter_side=QUERY_SIDE).image
    except PhotographError as error:
        raise PhotographError(f"{file} cannot be used as a photograph: {error.message}.") from None
